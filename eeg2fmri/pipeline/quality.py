"""Quality control of a store: a page and a row of numbers for every recording, logged to a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eeg2fmri.errors import one_line
from eeg2fmri.evaluation import (
    bridged_channels,
    broken_channels,
    line_noise,
    marker_deviation,
    outlier_volumes,
    relative_dvars,
    temporal_snr,
)
from eeg2fmri.plotting import FD_MM, ROUNDING, Measure, QualityPage, figure_to_png, overview_figure, quality_page
from eeg2fmri.store import Store, StoredRecording
from eeg2fmri.tracking.runs import RunLog

logger = logging.getLogger(__name__)
# Column of the table, its label, whether low values are bad, and the least difference that matters; that of
# the jitter depends on the rate of the recording.
OVERVIEW = (
    ("temporal_snr", "temporal SNR\n(median)", True, 5.0),
    ("mean_fd_mm", "mean displacement\n(mm)", False, 0.1),
    ("outlier_volumes", "outlier volumes\n(by DVARS)", False, 3.0),
    ("markers_missing", "missing markers\n", False, 1.0),
    ("marker_jitter_ms", "marker jitter\n(ms)", False, None),
    ("line_noise_db", "line noise\n(dB)", False, 3.0),
    ("broken_channels", "broken channels\n", False, 1.0),
)


@dataclass(frozen=True)
class Judged:
    """Quality of a recording: its numbers, and its page as a PNG; ``None`` and the reason if it has none."""

    row: dict[str, Any] | None = None
    page: bytes | None = None
    error: str = ""


def log_quality(log: RunLog, store: Store, on_page: Callable[[], None] | None = None) -> pd.DataFrame:
    """Log ``quality/<recording>.png``, ``quality/overview.png`` and the table ``quality.json``.

    A warning names pages that cannot be drawn: the store is complete without them.

    Parameters
    ----------
    log, store : the run; the store to check.
    on_page : called after each recording: drawing a page takes about a second.

    Returns
    -------
    The table: one row per recording with numbers, from `quality_of`.
    """
    rows = []
    for recording in store.recordings:
        judged = judge(recording, dropped_volumes=int(store.settings["dropped_volumes"]))
        if judged.row is not None:
            rows.append(judged.row)
        if judged.page is not None:
            log.file(judged.page, f"quality/{recording.name}.png")
        if judged.error:
            what = "quality page" if judged.row else "quality page or numbers"
            logger.warning("%s: no %s (%s)", recording.name, what, judged.error)
        if on_page:
            on_page()
    table = pd.DataFrame(rows)
    if rows:
        log.table(table, "quality.json")
        _log_overview(log, table)
    return table


def _log_overview(log: RunLog, table: pd.DataFrame) -> None:
    title = f"Quality of {len(table)} recording{'s' if len(table) > 1 else ''}"
    try:
        page = figure_to_png(overview_figure(table["recording"].tolist(), overview_measures(table), title=title))
    except Exception as err:
        logger.warning("no overview of the quality (%s)", one_line(err))
    else:
        log.file(page, "quality/overview.png")


def overview_measures(table: pd.DataFrame) -> list[Measure]:
    """Return the measures of the overview from a table of `quality_of`; leave out those that no recording has."""
    return [
        Measure(label, table[key].to_numpy(float), low, _least_jitter(table) if least is None else least)
        for key, label, low, least in OVERVIEW
        if table[key].notna().any()
    ]


def _least_jitter(table: pd.DataFrame) -> np.ndarray:
    """Return the least jitter in ms that matters for each recording: rounding moves an interval by a sample."""
    return np.maximum(1.0, ROUNDING * 1000 / table["recorded_rate"].to_numpy(float))


def judge(recording: StoredRecording, *, dropped_volumes: int) -> Judged:
    """Return numbers and page of a recording; an error becomes part of the result.

    Parameters
    ----------
    recording : of a store.
    dropped_volumes : volumes at the start of the run that the store does not hold.
    """
    row = None
    try:
        row = quality_of(recording)
        return Judged(row, figure_to_png(quality_page(page_of(recording, row, dropped_volumes=dropped_volumes))))
    except Exception as err:  # the other recordings continue after any error
        logger.debug("%s", recording.name, exc_info=True)
        return Judged(row, error=one_line(err))


def quality_of(recording: StoredRecording) -> dict[str, Any]:
    """Compute numbers of a recording from its arrays in a store.

    Channels other than EEG are left out, unless there are no others.
    """
    attributes, alignment = recording.attributes, recording.attributes["alignment"]
    rows, names = _eeg_channels(recording)
    frequencies, spectrum = recording.read("spectrum_frequencies"), recording.read("spectrum_after")[rows]
    broken = _broken(recording, rows)
    deviation, _ = _markers(recording)
    displacement = _displacement(recording)
    return {
        "recording": recording.name,
        "subject": recording.subject,
        "channels": len(names),
        "recorded_rate": float(attributes["source_sampling_rate"]),
        "sampling_rate": recording.own.sampling_rate,
        "tr": recording.own.tr,
        "volumes": int(attributes["source_volumes"]),
        "alignment": alignment["source"],
        "markers_missing": int(alignment["markers_missing"]),
        "marker_jitter_ms": float(np.abs(deviation).max()) if len(deviation) else float("nan"),
        "temporal_snr": float(np.median(_temporal_snr(recording)[recording.mask])),
        "outlier_volumes": int(_outliers(recording).sum()),
        "mean_fd_mm": float(displacement.mean()) if len(displacement) else float("nan"),
        "fd_above_half_mm": float((displacement > FD_MM).mean()) if len(displacement) else float("nan"),
        "line_noise_db": line_noise(frequencies, spectrum),
        "heart_rate": _heart_rate(recording),
        "interpolated": ", ".join(attributes["interpolated"]),
        "broken_channels": int((broken != "").sum()),
        "broken": ", ".join(f"{name} ({why})" for name, why in zip(names, broken, strict=True) if why),
    }


def page_of(recording: StoredRecording, row: Mapping[str, Any], *, dropped_volumes: int) -> QualityPage:
    """Collect the contents of the page of a recording.

    Parameters
    ----------
    recording, row : of a store; its numbers, from `quality_of`.
    dropped_volumes : volumes at the start of the run that the store does not hold.
    """
    tr, n_volumes = row["tr"], row["volumes"]
    rows, names = _eeg_channels(recording)
    frequencies = recording.read("spectrum_frequencies")
    before, after = (recording.read(f"spectrum_{when}")[rows] for when in ("before", "after"))
    deviation, marked = _markers(recording)
    return QualityPage(
        name=recording.name,
        facts=_facts(row),
        tr=tr,
        start=dropped_volumes * tr,
        channels=names,
        broken=_broken(recording, rows),
        spectrum_frequencies=frequencies,
        spectrum_before=before,
        spectrum_after=after,
        unit=recording.own.unit,
        spectrogram=recording.read("spectrogram")[:, rows],
        frequencies=np.asarray(recording.own.frequencies),
        marker_times=marked[1:] * tr,
        marker_deviation=deviation,
        sample_ms=1000 / row["recorded_rate"],
        missing_times=tr * np.setdiff1d(np.arange(n_volumes), marked) if len(deviation) else np.empty(0),
        mean_volume=recording.read("voxel_mean"),
        temporal_snr=_temporal_snr(recording),
        mask=recording.mask,
        affine=recording.own.affine,
        global_signal=recording.read("global_signal"),
        displacement=_displacement(recording),
        dvars=relative_dvars(recording.read("dvars")),
        outliers=_outliers(recording),
    )


def _eeg_channels(recording: StoredRecording) -> tuple[list[int], list[str]]:
    """Return rows and names of the EEG channels; of all channels if there is none."""
    names = recording.own.channels
    rows = [row for row, kind in enumerate(recording.attributes["types"]) if kind == "eeg"] or list(range(len(names)))
    return rows, [names[row] for row in rows]


def _markers(recording: StoredRecording) -> tuple[np.ndarray, np.ndarray]:
    """Return deviation of the markers' intervals in ms, (M - 1,), and the volumes of the markers, (M,)."""
    deviation, spanned = marker_deviation(recording.read("marker_intervals"), recording.own.tr)
    return deviation, recording.attributes["alignment"]["first_marker"] + np.cumsum([0, *spanned])


def _broken(recording: StoredRecording, rows: list[int]) -> np.ndarray:
    """Name the fault of each of these channels, (C,) str; empty for a good one."""
    reasons = broken_channels(recording.read("spectrum_frequencies"), recording.read("spectrum_after")[rows])
    frequencies = np.asarray(recording.own.frequencies)
    bridged = bridged_channels(frequencies, recording.read("spectrogram")[:, rows])
    return np.where((reasons == "") & bridged, "bridged", reasons)


def _outliers(recording: StoredRecording) -> np.ndarray:
    """Return whether each volume, from the second one on, is an outlier, (V - 1,) bool."""
    return outlier_volumes(recording.read("dvars"), recording.read("voxel_sd")[recording.mask])


def _displacement(recording: StoredRecording) -> np.ndarray:
    """Return framewise displacement in mm from the second volume on, (V - 1,); empty without confounds."""
    name = "framewise_displacement"
    return recording.read(name) if name in recording.attributes["arrays"] else np.empty(0)


def _temporal_snr(recording: StoredRecording) -> np.ndarray:
    return temporal_snr(recording.read("voxel_mean"), recording.read("voxel_sd"))


def _heart_rate(recording: StoredRecording) -> float:
    """Compute beats per minute, from the median interval of the R-peaks; NaN if there are none."""
    peaks = recording.read("r_peaks") if "r_peaks" in recording.attributes["arrays"] else np.empty(0)
    return 60 / float(np.median(np.diff(peaks))) if len(peaks) > 1 else float("nan")


def _facts(row: Mapping[str, Any]) -> list[str]:
    """Write the lines below a page's title."""
    facts = [
        f"{row['channels']} EEG channels",
        f"{row['sampling_rate']:g} Hz",
        f"TR {row['tr']:g} s",
        f"{row['volumes']} volumes",
        f"aligned by {row['alignment']}",
        f"median tSNR {row['temporal_snr']:.0f}",
    ]
    if row["recorded_rate"] != row["sampling_rate"]:
        facts[1] += f" (recorded at {row['recorded_rate']:g})"
    if np.isfinite(row["mean_fd_mm"]):
        facts.append(f"mean FD {row['mean_fd_mm']:.2f} mm")
    if row["outlier_volumes"]:
        facts.append(f"outlier volumes: {row['outlier_volumes']}")
    if np.isfinite(row["line_noise_db"]):
        facts.append(f"line noise {row['line_noise_db']:.1f} dB")
    if np.isfinite(row["heart_rate"]):
        facts.append(f"{row['heart_rate']:.0f} heart beats/min")
    if row["interpolated"]:
        facts.append(f"interpolated: {row['interpolated'].count(',') + 1}")
    if row["broken_channels"]:
        facts.append(f"broken: {row['broken_channels']}")
    return facts
