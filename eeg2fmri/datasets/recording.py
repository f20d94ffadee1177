"""One recording of simultaneous EEG and BOLD: its files, its signals, its common clock."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.errors import AlignmentError, DatasetError

TR_TOLERANCE_S = 1e-3
MARKER_TOLERANCE = 2 + 1e-6  # samples
VOLUME_MARKER = "R128"


@dataclass(frozen=True)
class Recording:
    """Files of one subject × session × task × run.

    space: of the volumes, the BIDS entity, or ``native`` (subjects are then not registered to each other).
    """

    subject: str
    name: str
    eeg_path: Path
    bold_path: Path
    channels_path: Path | None
    sidecars: tuple[Path, ...]
    space: str = "native"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the signals are read from."""
        companions = [self.eeg_path.with_suffix(s) for s in (".vmrk", ".eeg", ".fdt")]
        channels = [self.channels_path] if self.channels_path else []
        return (
            self.eeg_path,
            *(p for p in companions if p.exists()),
            *channels,
            self.bold_path,
            *self.sidecars,
        )


@dataclass(frozen=True)
class Eeg:
    """EEG of one recording.

    data: (channels, samples) in µV.  markers: samples (fractional) of the volume markers.
    """

    data: np.ndarray
    sampling_rate: float
    channels: tuple[str, ...]
    markers: np.ndarray


@dataclass(frozen=True)
class Bold:
    """BOLD of one recording: (volumes, x, y, z) intensity, TR in seconds, affine in mm."""

    volumes: np.ndarray
    tr: float
    affine: np.ndarray


def load_eeg(path: Path, channels_path: Path | None, channel_types: tuple[str, ...]) -> Eeg:
    """Read the EEG of a recording in µV, keeping the channels of the wanted types.

    Parameters
    ----------
    path : header of a BrainVision recording, or any file that `mne.io.read_raw` opens.
    channels_path : BIDS ``_channels.tsv`` with the columns name and type; without it the types
        are those that MNE reads from the file.
    channel_types : types kept, in lower case, e.g. ``("eeg", "ecg")``.

    Raises
    ------
    DatasetError
        If the file cannot be read, holds none of the wanted channels, or holds NaN.
    """
    import mne

    try:
        raw = mne.io.read_raw(path, preload=True, verbose="error")
    except Exception as err:  # MNE raises many kinds for a damaged file; all mean the same here
        raise DatasetError(f"{path}: not a readable EEG recording ({_line(err)}); fetch or export it again") from err
    types = _channel_types(raw, channels_path)
    kept = [name for name in raw.ch_names if types.get(name) in channel_types]
    if not kept:
        raise DatasetError(
            f"{path}: no channel of type {' or '.join(channel_types)} among {sorted(set(types.values()))}; "
            f"set data.channel_types"
        )
    data = raw.get_data(picks=kept, verbose="error") * 1e6
    if not np.isfinite(data).all():
        bad = [name for name, row in zip(kept, data, strict=True) if not np.isfinite(row).all()]
        raise DatasetError(f"{path}: NaN or infinite samples in {', '.join(bad[:4])}; repair or drop these channels")
    # MNE counts from the measurement date where there is one, and a cropped file starts later.
    start = 0.0 if raw.annotations.orig_time is None else raw.first_time
    onsets = [a["onset"] - start for a in raw.annotations if VOLUME_MARKER in str(a["description"])]
    markers = np.asarray(onsets, float) * raw.info["sfreq"]
    return Eeg(data.astype(np.float32), float(raw.info["sfreq"]), tuple(kept), markers)


def load_bold(path: Path, sidecar: dict[str, Any]) -> Bold:
    """Read the BOLD of a recording.

    Raises
    ------
    DatasetError
        If the file cannot be read to its end, is not 4-D, holds NaN, has no TR, or its header's
        TR and the sidecar's disagree by more than 1 ms.
    """
    import nibabel

    try:
        _check_gzip(path)
        image: Any = nibabel.load(path)
        values = np.asanyarray(image.dataobj, dtype=np.float32)
    except Exception as err:  # nibabel, gzip and zlib each raise their own for a damaged file
        raise DatasetError(f"{path}: not a readable NIfTI image ({_line(err)}); fetch it again") from err
    if values.ndim != 4:
        raise DatasetError(f"{path}: a 4-D BOLD run is expected, found {values.ndim} dimensions {values.shape}")
    if not np.isfinite(values).all():
        raise DatasetError(f"{path}: NaN or infinite voxels; mask or repair the volumes first")
    return Bold(np.moveaxis(values, 3, 0), repetition_time(path, image.header, sidecar), image.affine)


def repetition_time(path: Path, header: Any, sidecar: dict[str, Any]) -> float:
    """TR in seconds, from the sidecar and the NIfTI header, which must agree."""
    factor = {"msec": 1e-3, "usec": 1e-6}.get(header.get_xyzt_units()[1], 1.0)
    in_header = float(header.get_zooms()[3]) * factor
    in_sidecar = sidecar.get("RepetitionTime")
    if in_sidecar is None:
        raise DatasetError(f"{path}: its sidecar has no RepetitionTime; add it (seconds) to the _bold.json")
    if isinstance(in_sidecar, bool) or not isinstance(in_sidecar, (int, float)) or not 0 < in_sidecar < np.inf:
        raise DatasetError(
            f"{path}: RepetitionTime is {in_sidecar!r} in its sidecar, a positive number of seconds is expected; "
            f"correct it"
        )
    if not abs(in_header - in_sidecar) <= TR_TOLERANCE_S:
        raise DatasetError(
            f"{path}: TR is {in_header:g} s in the header and {in_sidecar:g} s in the sidecar; correct one"
        )
    return float(in_sidecar)


def bold_onset(markers: np.ndarray, sampling_rate: float, tr: float, n_volumes: int, path: Path) -> float:
    """Sample at which the BOLD run starts: the first volume marker.

    Markers may be missing inside or at the end of the run; their spacing must be whole TRs.

    Raises
    ------
    AlignmentError
        If there is no marker, the spacing is not a multiple of the TR (to 2 samples), or there
        are more markers than volumes.
    """
    if not len(markers):
        raise AlignmentError(
            f"{path}: no {VOLUME_MARKER} volume marker, so EEG and BOLD share no clock; export the "
            f"recording with its markers"
        )
    steps = np.diff(markers) / (tr * sampling_rate)
    off = np.abs(steps - np.rint(steps)) * tr * sampling_rate
    wrong = (off > MARKER_TOLERANCE) | (steps < 0.5)
    if wrong.any():
        worst = int(np.argmax(np.where(steps < 0.5, np.inf, off)))
        raise AlignmentError(
            f"{path}: {VOLUME_MARKER} markers {worst + 1} and {worst + 2} are "
            f"{steps[worst] * tr:.3f} s apart, expected a multiple of the TR {tr:g} s; check the TR and markers"
        )
    spanned = int(np.rint(steps).sum()) + 1
    if spanned > n_volumes:
        raise AlignmentError(
            f"{path}: its {VOLUME_MARKER} markers span {spanned} volumes, the BOLD file has {n_volumes}; "
            f"remove the markers of the volumes that were dropped"
        )
    return float(markers[0])


def read_json(path: Path) -> dict[str, Any]:
    """A JSON sidecar; damaged ones are a `DatasetError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DatasetError(f"{path}: not a readable JSON sidecar ({_line(err)})") from err
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: a JSON object is expected, found {type(content).__name__}")
    return content


def _check_gzip(path: Path) -> None:
    """Read a compressed file to its checksum, which nibabel does not reach."""
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            while file.read(1 << 22):
                pass


def _channel_types(raw: Any, channels_path: Path | None) -> dict[str, str]:
    if channels_path is None:
        return dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
    import pandas as pd

    try:
        table = pd.read_csv(channels_path, sep="\t", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as err:
        raise DatasetError(f"{channels_path}: not a readable table ({_line(err)}); fetch it again") from err
    if not {"name", "type"} <= set(table.columns):
        raise DatasetError(f"{channels_path}: columns name and type are expected, found {list(table.columns)}")
    unknown = set(table["name"]) - set(raw.ch_names)
    if unknown:
        raise DatasetError(f"{channels_path}: channels {sorted(unknown)[:4]} are not in the EEG file")
    return dict(zip(table["name"], table["type"].str.lower(), strict=True))


def _line(err: Exception) -> str:
    return " ".join(f"{type(err).__name__}: {err}".split())[:200]
