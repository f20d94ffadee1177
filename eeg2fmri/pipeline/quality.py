"""Quality control of a store: a page and a row of numbers for every recording, logged to a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from eeg2fmri.evaluation import broken_channels, line_noise, marker_deviation, temporal_snr
from eeg2fmri.plotting import Measure, QualityPage, overview_figure, quality_page
from eeg2fmri.store import Store, StoredRecording
from eeg2fmri.tracking.runs import RunLog

# Column of the table, its label, whether low values are bad, and the least difference that matters.
OVERVIEW = (
    ("temporal_snr", "temporal SNR (median)", True, 5.0),
    ("marker_jitter_ms", "marker jitter (ms)", False, 1.0),
    ("line_noise_db", "line noise (dB)", False, 3.0),
    ("broken_channels", "broken channels", False, 1.0),
)


def log_quality(log: RunLog, store: Store, on_page: Callable[[], None] | None = None) -> pd.DataFrame:
    """Log ``quality/<recording>.png``, ``quality/overview.png`` and the table ``quality.json``.

    Parameters
    ----------
    log, store : the run; what is judged.
    on_page : called after each recording: drawing a page takes about a second.

    Returns
    -------
    The table: one row a recording, as `quality_of` makes it.
    """
    rows = []
    for recording in store.recordings:
        row, page = quality_of(recording, bold_shift=int(store.settings["bold_shift"]))
        log.figure(quality_page(page), f"quality/{recording.name}.png")
        rows.append(row)
        if on_page:
            on_page()
    table = pd.DataFrame(rows)
    log.table(table, "quality.json")
    measures = [Measure(label, table[key].to_numpy(float), low, least) for key, label, low, least in OVERVIEW]
    title = f"Quality of {len(table)} recording{'s' if len(table) > 1 else ''}"
    log.figure(overview_figure(table["recording"].tolist(), measures, title=title), "quality/overview.png")
    return table


def quality_of(recording: StoredRecording, *, bold_shift: int) -> tuple[dict[str, Any], QualityPage]:
    """Numbers and page of a recording, from what a store holds of it.

    Parameters
    ----------
    recording : of a store; channels other than EEG are left out, unless there are no others.
    bold_shift : volumes at the start of the run that the store does not hold.
    """
    attributes = recording.attributes
    signal, alignment = attributes["signal"], attributes["alignment"]
    tr, n_volumes = float(signal["tr"]), int(attributes["source_volumes"])
    every = range(len(signal["channels"]))
    eeg = [row for row in every if attributes["types"][row] == "eeg"] or list(every)
    names = [signal["channels"][row] for row in eeg]
    frequencies = recording.read("spectrum_frequencies")
    before, after = (recording.read(f"spectrum_{when}")[eeg] for when in ("before", "after"))
    broken = broken_channels(frequencies, after)
    deviation, spanned = marker_deviation(recording.read("marker_intervals"), tr)
    marked = alignment["first_marker"] + np.cumsum([0, *spanned])  # volumes
    snr = temporal_snr(recording.read("voxel_mean"), recording.read("voxel_sd"))
    row = {
        "recording": recording.name,
        "subject": recording.subject,
        "channels": len(names),
        "sampling_rate": float(signal["sampling_rate"]),
        "tr": tr,
        "volumes": n_volumes,
        "alignment": alignment["source"],
        "markers_missing": int(alignment["markers_missing"]),
        "marker_jitter_ms": float(np.abs(deviation).max()) if len(deviation) else float("nan"),
        "temporal_snr": float(np.median(snr[recording.mask])),
        "line_noise_db": line_noise(frequencies, after),
        "heart_rate": _heart_rate(recording),
        "interpolated": ", ".join(attributes["interpolated"]),
        "broken_channels": int(broken.sum()),
        "broken": ", ".join(name for name, bad in zip(names, broken, strict=True) if bad),
    }
    page = QualityPage(
        name=recording.name,
        facts=_facts(row),
        tr=tr,
        start=bold_shift * tr,
        channels=names,
        broken=broken,
        spectrum_frequencies=frequencies,
        spectrum_before=before,
        spectrum_after=after,
        unit=signal["unit"],
        spectrogram=recording.read("spectrogram")[:, eeg],
        frequencies=np.asarray(signal["frequencies"]),
        marker_times=marked[1:] * tr,
        marker_deviation=deviation,
        missing_times=tr * np.setdiff1d(np.arange(n_volumes), marked) if len(deviation) else np.empty(0),
        mean_volume=recording.read("voxel_mean"),
        temporal_snr=snr,
        mask=recording.mask,
        global_signal=recording.read("global_signal"),
    )
    return row, page


def _heart_rate(recording: StoredRecording) -> float:
    """Beats a minute, from the median interval of the R-peaks; NaN where none were looked for or found."""
    peaks = recording.read("r_peaks") if "r_peaks" in recording.attributes["arrays"] else np.empty(0)
    return 60 / float(np.median(np.diff(peaks))) if len(peaks) > 1 else float("nan")


def _facts(row: Mapping[str, Any]) -> list[str]:
    """What stands beneath a page's title."""
    facts = [
        f"{row['channels']} EEG channels",
        f"{row['sampling_rate']:g} Hz",
        f"TR {row['tr']:g} s",
        f"{row['volumes']} volumes",
        f"aligned by {row['alignment']}",
        f"median tSNR {row['temporal_snr']:.0f}",
    ]
    if np.isfinite(row["line_noise_db"]):
        facts.append(f"line noise {row['line_noise_db']:.1f} dB")
    if np.isfinite(row["heart_rate"]):
        facts.append(f"{row['heart_rate']:.0f} heart beats/min")
    if row["interpolated"]:
        facts.append(f"interpolated: {row['interpolated'].count(',') + 1}")
    if row["broken_channels"]:
        facts.append(f"broken: {row['broken_channels']}")
    return facts
