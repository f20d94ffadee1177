"""From a running stream of EEG to a file and a stream of volumes or regional courses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.errors import ConfigError, StreamError
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.live import LiveSynthesis
from eeg2fmri.serving.live_files import GrowingImage, GrowingTable, Sink, check_new
from eeg2fmri.serving.lsl import EegStream, Outlet, use_lsl
from eeg2fmri.serving.replies import region_courses
from eeg2fmri.serving.series import Courses

logger = logging.getLogger(__name__)


def check_receivers(out: Path | None, publish: str | None, atlas: Path | None) -> None:
    """Refuse receivers of `synthesise_stream` that cannot be, before any work.

    Raises
    ------
    ConfigError
        If neither `out` nor `publish` is given, or `out` exists or has another ending.
    """
    if out is None and publish is None:
        raise ConfigError("a stream without a receiver: give --out FILE, --publish NAME, or both")
    if out is None:
        return
    if atlas is None and out.suffix != ".nii":
        raise ConfigError(f"--out {out}: volumes are written as .nii; give a name that ends in .nii, or --atlas LABELS "
                          f"for a table of courses (.tsv)")  # fmt: skip
    if atlas is not None and out.suffix != ".tsv":
        raise ConfigError(f"--out {out}: with --atlas courses are written as .tsv; give a name that ends in .tsv, or "
                          f"leave --atlas out for volumes (.nii)")  # fmt: skip
    check_new(out)


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
    model: Mapping[str, Any] | None = None,
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
    model : what the sidecar says of the model, e.g. its name and version.

    Returns
    -------
    The number of volumes, those without EEG included.

    Raises
    ------
    ConfigError
        As `check_receivers`, or if a region has the name of another column.
    StreamError
        If the stream is missing or lost; the file is complete then too.
    RequestError, DatasetError
        As `EegStream`, `LiveSynthesis` and `read_atlas`.
    """
    check_receivers(out, publish, atlas)
    courses = None if atlas is None else Courses.of_stream(bundle, atlas)
    lsl = use_lsl(network=network)
    sinks: list[Sink] = []
    with ExitStack() as open_ones:
        source = open_ones.enter_context(closing(EegStream(lsl, name, bundle.settings["channel_types"], unit)))
        live = LiveSynthesis(bundle, source.sampling_rate, source.channels, max_interpolated)
        _say(bundle, source, live)
        if out is not None:
            more = {"Stream": source.name, **({"Model": dict(model)} if model else {})}
            sink: Sink = (
                GrowingImage(bundle, out, more) if courses is None else GrowingTable(bundle, out, courses, more)
            )
            sinks.append(open_ones.enter_context(closing(sink)))
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
