"""``eeg2fmri inspect``: the table of a dataset's recordings, or a picture of one instance."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError, DatasetError, IncompleteError, nearest
from eeg2fmri.files import written_whole

if TYPE_CHECKING:
    from eeg2fmri.datasets import Recording
    from eeg2fmri.store.prepare import Prepared

logger = logging.getLogger(__name__)
COLUMNS = (
    "recording", "status", "channels", "Hz", "EEG s", "TR s", "volumes", "grid", "stored", "clock", "BOLD starts"
)  # fmt: skip


def inspect(root: Path, config: Config, *, as_json: bool, allow_failures: bool, strict: bool, full: bool) -> None:
    """Print the recordings of a dataset; `strict` checks them by the settings too, see `survey`.

    `full` prepares every recording as preprocessing does, so that no fault of its files stays hidden.

    Raises
    ------
    DatasetError
        If no recording is usable (after printing), or `survey` refuses it.
    IncompleteError
        If some recordings are not usable (after printing), unless `allow_failures`.
    """
    from eeg2fmri.datasets import survey

    read = None
    if full:
        from eeg2fmri.store import prepare

        read = partial(prepare, config=config.data)
    overview = survey(root, config.dataset, config.data, strict=strict or full, read=read)
    if as_json:
        print(json.dumps(overview.to_dict(), indent=2))
    else:
        rows = [_cells(row) for row in overview.to_dict()["recordings"]]
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        for cells in (COLUMNS, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        print(f"{overview.usable} of {len(rows)} recordings usable")
        for line in overview.differences:
            print(f"not alike: {line}")
        for path, problem in overview.problems:
            print(f"{path}: {problem}")
    if not overview.usable:
        raise DatasetError(f"{root}: no usable recording; the lines above give the reason for each file")
    if overview.failed and not allow_failures:
        raise IncompleteError(
            f"{root}: {overview.failed} of {len(overview.rows)} recordings cannot be used; the lines above give the "
            f"reasons"
        )


def plot_instance(root: Path, config: Config, out: Path, channel: str | None, volume: int | None) -> None:
    """Write a picture of one instance of the first usable recording, as the store would hold it.

    Parameters
    ----------
    root, config : folder of the dataset; choice and preparation of recordings.
    out : PNG file.
    channel : of the context; the first one by default.
    volume : counted from 0 in the BOLD file; the first that has a context by default.

    Raises
    ------
    ConfigError
        If `out` is no PNG or cannot be written, or the recording has no such channel or no such instance.
    DatasetError
        If the dataset holds no recording that can be used.
    """
    import numpy as np

    from eeg2fmri.plotting import instance_figure
    from eeg2fmri.signals import BoldStatistics, bold_scaling

    if out.suffix.lower() != ".png":
        raise ConfigError(f"--plot {out}: a PNG file is written; give a name that ends in .png")
    recording, content = _first_usable(root, config)
    arrays, attributes, signal = content.arrays, content.attributes, content.signal
    count = attributes["source_volumes"]
    row, channel = _row_of(channel, signal.channels, recording.name)
    context, dropped = config.data.context, config.data.dropped_volumes
    volume = dropped + context if volume is None else volume
    if not dropped + context <= volume < count:
        raise ConfigError(
            f"--volume {volume}: {recording.name} has volumes {dropped + context} to {count - 1} with a context "
            f"(data.dropped_volumes {dropped} + data.context {context} before them)"
        )
    stored = volume - dropped
    statistics = BoldStatistics(
        attributes["mean"], attributes["sd"], arrays["voxel_mean"], arrays["voxel_sd"], arrays["mask"]
    )
    figure = instance_figure(
        arrays["spectrogram"][stored - context : stored, row],
        np.asarray(signal.frequencies),
        signal.tr,
        bold_scaling("recording").standardise(arrays["volumes"][stored : stored + 1], statistics)[0],
        affine=signal.affine,
        channel=channel,
        unit=signal.unit,
        title=f"{recording.name}: volume {volume} at {volume * signal.tr:.1f} s "
        f"and the {context} EEG windows before it",
    )
    try:
        with written_whole(out) as part:
            figure.savefig(part, format="png")
    except OSError as err:
        raise ConfigError(f"--plot {out}: cannot be written ({err.strerror}); give another file") from err
    logger.info("inspect: %s, volume %d, channel %s: %s", recording.name, volume, channel, out)


def _first_usable(root: Path, config: Config) -> tuple[Recording, Prepared]:
    """Return the first recording that can be prepared, with its arrays for a store; log those before it."""
    from eeg2fmri.datasets import find_recordings
    from eeg2fmri.store import prepare

    recordings = find_recordings(root, config.dataset)[0]
    for recording in recordings:
        try:
            return recording, prepare(recording, config.data)
        except DatasetError as err:
            logger.warning("%s", err)
    raise DatasetError(f"{root}: none of {len(recordings)} recordings can be used; the lines above give the reasons")


def _row_of(channel: str | None, channels: Sequence[str], recording: str) -> tuple[int, str]:
    """Return row and name of a channel; case does not count."""
    found = channels[0] if channel is None else channel
    for row, name in enumerate(channels):
        if name.lower() == found.lower():
            return row, name
    raise ConfigError(
        f"--channel {channel}: {recording} has no such channel; it has {', '.join(channels)}"
        f"{nearest(str(channel), channels)}"
    )


def _cells(row: dict[str, Any]) -> list[str]:
    kinds = row["channels"] or {}
    start = row["bold_start"]
    grid = "×".join(map(str, row["grid"])) if row["grid"] else ""
    numbers = [_number(row[key]) for key in ("sampling_rate", "eeg_seconds", "tr", "volumes")]
    channels = " ".join(f"{count} {kind}" for kind, count in kinds.items())
    start_s = "" if start is None else f"{start:g} s"
    return [row["recording"], row["status"], channels, *numbers, grid, row["orientation"] or "", _clock(row), start_s]


def _clock(row: dict[str, Any]) -> str:
    """Describe the common clock: a marker with its count, the way to it, and the second best."""
    text = row["alignment"] or ""
    if row["markers_found"]:
        text += f" ×{row['markers_found']} ({row['found_by']})"
    return text + (f"; next {row['runner_up']}" if row["runner_up"] else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
