"""From a running stream of EEG to a file and a stream of volumes or regional courses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.errors import ConfigError, StreamError
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.live import LiveSynthesis
from eeg2fmri.serving.live_files import GrowingImage, GrowingTable, Sink
from eeg2fmri.serving.lsl import EegStream, Outlet, use_lsl
from eeg2fmri.serving.replies import region_courses
from eeg2fmri.serving.series import Courses

logger = logging.getLogger(__name__)


def synthesise_stream(
    bundle: Bundle,
    stop: threading.Event,
    name: str | None = None,
    *,
    out: Path | None = None,
    publish: str | None = None,
    atlas: Path | None = None,
    unit: str | None = None,
    max_interpolated: float = 0.0,
    network: bool = False,
) -> int:
    """Follow a Lab Streaming Layer stream of clean EEG, one volume per TR, until `stop` is set.

    Parameters
    ----------
    bundle : the model.
    stop : ends it; the file is complete then.
    name : of the stream; ``None`` means the only one of type EEG.
    out : file to write: ``.nii``, or ``.tsv`` with an atlas.
    publish : name of an LSL stream to send.
    atlas : label image; courses of its regions are made instead of volumes.
    unit : of the numbers of the stream, if it states none.
    max_interpolated : share of the model's channels that may be missing; they are interpolated.
    network : look for streams on the network, and show the own one there, as ``lsl_api.cfg`` says.

    Returns
    -------
    The number of volumes, those without EEG included.

    Raises
    ------
    ConfigError
        If neither `out` nor `publish` is given, or `out` exists or has another ending.
    StreamError
        If the stream is missing or lost; the file is complete then too.
    RequestError, DatasetError
        As `EegStream`, `LiveSynthesis` and `read_atlas`.
    """
    ending = ".nii" if atlas is None else ".tsv"
    if out is None and publish is None:
        raise ConfigError("a stream without a receiver: give --out FILE, --publish NAME, or both")
    if out is not None and out.suffix != ending:
        raise ConfigError(f"{out}: the output must end in {ending} {'without' if atlas is None else 'with'} --atlas")
    courses = None if atlas is None else Courses.of(bundle, atlas)
    lsl = use_lsl(network=network)
    sinks: list[Sink] = []
    with ExitStack() as open_ones:
        if out is not None:
            sink: Sink = GrowingImage(bundle, out) if courses is None else GrowingTable(out, courses.names)
            sinks.append(open_ones.enter_context(closing(sink)))
        source = open_ones.enter_context(closing(EegStream(lsl, name, bundle.settings["channel_types"], unit)))
        live = LiveSynthesis(bundle, source.sampling_rate, source.channels, max_interpolated)
        _say(bundle, source, live)
        if publish is not None:
            sinks.append(open_ones.enter_context(closing(_outlet(lsl, publish, bundle, courses))))
        return _follow(live, source.blocks(), sinks, courses, stop)


def _outlet(lsl: Any, name: str, bundle: Bundle, courses: Courses | None) -> Outlet:
    """Open the own stream, whose channels are the regions, or the voxels of the brain by their indices."""
    if courses is not None:
        return Outlet(lsl, name, courses.names, bundle.signal.tr, None)
    mask = bundle.model.bold_statistics.mask
    return Outlet(lsl, name, [f"{x}-{y}-{z}" for x, y, z in np.argwhere(mask)], bundle.signal.tr, mask)


def _follow(
    live: LiveSynthesis,
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    sinks: Iterable[Sink],
    courses: Courses | None,
    stop: threading.Event,
) -> int:
    """Give every volume, or its courses, to every sink."""
    count = 0
    try:
        for eeg, times in blocks:
            for volume in live.push(eeg, times):
                if courses is not None and volume.values is not None:
                    _, means = region_courses(volume.values[None], courses.regions.labels)
                    volume = replace(volume, values=means[0])
                for sink in sinks:
                    sink.add(volume)
                count += 1
            if stop.is_set():
                break
    except StreamError as err:
        raise StreamError(f"{err}; {count} volumes were made and are kept") from err
    return count


def _say(bundle: Bundle, source: EegStream, live: LiveSynthesis) -> None:
    logger.info(
        "stream: %s, %d channels at %g Hz; the first volume comes after %.1f s (Ctrl-C ends)",
        source.name, len(source.channels), source.sampling_rate, bundle.window_shape[2] * bundle.signal.tr,
    )  # fmt: skip
    if live.interpolated:
        logger.warning("stream %s lacks %s: interpolated", source.name, ", ".join(live.interpolated))
    cleaning = bundle.settings["cleaning"]
    if steps := [step for step in ("gradient", "pulse", "average_reference") if cleaning.get(step)]:
        logger.warning(
            "the model has learned from EEG that was cleaned (%s); its source must clean a stream in the same way",
            ", ".join(steps),
        )
