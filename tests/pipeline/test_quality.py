"""Quality control: what is logged of a store, and the numbers and pages of its recordings."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from eeg2fmri.config import Config, SimulationConfig
from eeg2fmri.pipeline import preprocess_step
from eeg2fmri.pipeline.quality import log_quality, overview_measures, page_of, quality_of
from eeg2fmri.signals import Signal
from eeg2fmri.simulation import simulate
from eeg2fmri.store import Store, StoredRecording
from eeg2fmri.tracking import tracked_run

GRID, TR, SHIFT, VOLUMES = (6, 7, 5), 2.0, 2, 12
CHANNELS, TYPES = ("Fp1", "Cz", "ECG", "Oz"), ("eeg", "eeg", "ecg", "eeg")
SIGNAL = Signal(
    tr=TR, sampling_rate=250.0, channels=CHANNELS, unit="µV", frequencies=tuple(k / TR for k in range(1, 14)),
    grid=GRID, space="native", affine=tuple(map(tuple, np.eye(4).tolist())),
)  # fmt: skip
HZ = np.arange(0, 70.25, 0.25)


def recording(rng, subject="sub-01", intervals=(TR,) * (VOLUMES - 1), first=0, **attributes) -> StoredRecording:
    mask = np.zeros(GRID, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    spectrum = rng.gamma(40, 1 / 40, (4, len(HZ)))
    arrays = {
        "spectrogram": rng.gamma(2, 1, (VOLUMES - SHIFT - 1, 4, 13)),
        "mask": mask,
        "voxel_mean": np.where(mask, 1000.0, 10.0),
        "voxel_sd": np.full(GRID, 20.0),
        "global_signal": rng.normal(1000, 5, VOLUMES - SHIFT),
        "dvars": rng.normal(20, 1, VOLUMES - SHIFT - 1),
        "marker_intervals": np.array(intervals),
        "spectrum_frequencies": HZ,
        "spectrum_before": 10 * spectrum,
        "spectrum_after": spectrum,
    }
    known = {
        "name": f"{subject}_task-rest",
        "subject": subject,
        "source_volumes": VOLUMES,
        "source_sampling_rate": 250.0,
        "types": list(TYPES),
        "interpolated": [],
        "alignment": {
            "source": "R128",
            "markers_found": len(intervals) + 1,
            "markers_missing": 0,
            "first_marker": first,
        },
        "arrays": sorted(arrays),
    }
    return StoredRecording(arrays, known | attributes, SIGNAL)


def judged(stored):
    """Numbers and page of a recording."""
    row = quality_of(stored)
    return row, page_of(stored, row, dropped_volumes=SHIFT)


def test_numbers_of_a_good_recording(rng):
    row, page = judged(recording(rng))
    assert (row["recording"], row["channels"], row["volumes"]) == ("sub-01_task-rest", 3, VOLUMES)
    assert row["temporal_snr"] == 50
    assert row["marker_jitter_ms"] == 0
    assert (row["broken_channels"], row["broken"]) == (0, "")
    assert abs(row["line_noise_db"]) < 1
    assert page.facts[:6] == ["3 EEG channels", "250 Hz", "TR 2 s", "12 volumes", "aligned by R128", "median tSNR 50"]


def test_only_eeg_channels_are_shown_and_judged(rng):
    stored = recording(rng)
    stored.group["spectrum_after"][2] *= 1e6  # the ECG is louder
    row, page = judged(stored)
    assert row["broken_channels"] == 0
    assert page.channels == ["Fp1", "Cz", "Oz"]
    np.testing.assert_array_equal(page.spectrogram, stored.group["spectrogram"][:, [0, 1, 3]])
    np.testing.assert_array_equal(page.spectrum_before, stored.group["spectrum_before"][[0, 1, 3]])


def test_a_broken_channel_is_named(rng):
    stored = recording(rng)
    stored.group["spectrum_after"][3] = 0
    row, page = judged(stored)
    assert (row["broken_channels"], row["broken"]) == (1, "Oz (flat)")
    assert list(page.broken) == ["", "", "flat"]
    assert "broken: 1" in page.facts


def test_bridged_channels_are_named(rng):
    stored = recording(rng)
    stored.group["spectrogram"][:, 3] = 1.01 * stored.group["spectrogram"][:, 0]
    row, _ = judged(stored)
    assert row["broken"] == "Fp1 (bridged), Oz (bridged)"


def test_what_the_head_does_is_in_the_table_and_on_the_page(rng):
    stored = recording(rng)
    assert np.isnan(judged(stored)[0]["mean_fd_mm"])
    stored.group["dvars"] = 10 * np.sqrt(rng.chisquare(100, 39) / 100)
    stored.group["dvars"][20] = 80
    stored.group["framewise_displacement"] = np.where(np.arange(39) == 20, 0.88, 0.1)
    stored.attributes["arrays"].append("framewise_displacement")
    row, page = judged(stored)
    assert row["outlier_volumes"] == 1
    assert row["mean_fd_mm"] == pytest.approx(0.12)
    assert row["fd_above_half_mm"] == pytest.approx(1 / 39)
    assert list(np.flatnonzero(page.outliers)) == [20]
    assert page.dvars[20] == pytest.approx(80 / np.median(stored.group["dvars"]))
    assert {"mean FD 0.12 mm", "outlier volumes: 1"} <= set(page.facts)


@pytest.mark.parametrize(("rate", "sample"), [(250.0, 0.004), (100.0, 0.01), (5000.0, 0.0002)])
def test_one_sample_of_jitter_is_rounding_whatever_the_rate_afterwards(rng, rate, sample):
    shaken = (TR, TR + sample, TR - sample, TR)
    stored = [recording(rng, f"sub-{n:02d}", source_sampling_rate=rate) for n in range(5)]
    stored.append(recording(rng, "sub-05", shaken, source_sampling_rate=rate))
    table = pd.DataFrame([judged(one)[0] for one in stored])
    (measure,) = [one for one in overview_measures(table) if one.label.startswith("marker jitter")]
    assert measure.values[5] == pytest.approx(1000 * sample)
    assert not measure.outliers.any()
    page = judged(stored[5])[1]
    assert page.sample_ms == pytest.approx(1000 * sample)
    worse = recording(rng, "sub-05", (TR, TR + max(3 * sample, 0.0015)), source_sampling_rate=rate)
    table = pd.DataFrame([judged(one)[0] for one in [*stored[:5], worse]])
    (measure,) = [one for one in overview_measures(table) if one.label.startswith("marker jitter")]
    assert list(np.flatnonzero(measure.outliers)) == [5]


def test_missing_markers_lie_on_the_run_s_clock(rng):
    row, page = judged(recording(rng, intervals=(TR, 3 * TR + 0.004, TR), first=4))
    assert row["marker_jitter_ms"] == pytest.approx(4)
    np.testing.assert_allclose(page.marker_times, TR * np.array([5, 8, 9]))
    np.testing.assert_allclose(page.missing_times, TR * np.array([0, 1, 2, 3, 6, 7, 10, 11]))
    assert page.start == SHIFT * TR


def test_a_recording_without_markers_has_no_jitter(rng):
    clock = {"source": "file start", "markers_found": 0, "markers_missing": 0, "first_marker": 0}
    row, page = judged(recording(rng, intervals=(), alignment=clock))
    assert np.isnan(row["marker_jitter_ms"])
    assert page.marker_times.shape == page.missing_times.shape == (0,)


def test_what_cleaning_did_is_among_the_facts(rng):
    stored = recording(rng, interpolated=["Fp1", "Cz"])
    stored.group["r_peaks"] = 3.1 + np.cumsum([0.8] * 9 + [1.6] + [0.8] * 9)  # one was not found
    stored.attributes["arrays"].append("r_peaks")
    row, page = judged(stored)
    assert row["heart_rate"] == pytest.approx(75)
    assert row["interpolated"] == "Fp1, Cz"
    assert page.facts[-2:] == ["75 heart beats/min", "interpolated: 2"]


@pytest.mark.usefixtures("tracking")
def test_pages_overview_and_table_are_logged(rng):
    clock = {"source": "file start", "markers_found": 0, "markers_missing": 0, "first_marker": 0}
    recordings = (recording(rng), recording(rng, "sub-02", intervals=(), alignment=clock))
    store = Store(Path("memory"), "d" * 64, {"dropped_volumes": SHIFT}, SIGNAL, recordings)
    with tracked_run("preprocess", experiment="test") as log:
        drawn: list[None] = []
        table = log_quality(log, store, on_page=lambda: drawn.append(None))
    assert len(drawn) == 2
    run = mlflow.get_run(log.run_id)
    artifacts = [item.path for item in mlflow.MlflowClient().list_artifacts(log.run_id, "quality")]
    assert artifacts == [f"quality/{name}.png" for name in ("overview", "sub-01_task-rest", "sub-02_task-rest")]
    logged = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/quality.json"))
    assert logged["columns"] == list(table.columns)
    assert [line[0] for line in logged["data"]] == ["sub-01_task-rest", "sub-02_task-rest"]
    assert logged["data"][1][logged["columns"].index("marker_jitter_ms")] is None


def without(rng, name, subject="sub-02"):
    """A recording that lacks an array."""
    stored = recording(rng, subject)
    del stored.group[name]
    return stored


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize(
    ("broken", "names", "reason"),
    [
        ("global_signal", ["sub-01_task-rest", "sub-02_task-rest"], "no quality page (KeyError: 'global_signal')"),
        ("mask", ["sub-01_task-rest"], "no quality page or numbers (KeyError: 'mask')"),
    ],
)
def test_a_page_that_cannot_be_made_is_a_warning(broken, names, reason, rng, caplog):
    recordings = (without(rng, broken), recording(rng))
    store = Store(Path("memory"), "d" * 64, {"dropped_volumes": SHIFT}, SIGNAL, recordings)
    drawn: list[None] = []
    with tracked_run("preprocess", experiment="test") as log:
        table = log_quality(log, store, on_page=lambda: drawn.append(None))
    assert warnings_in(caplog) == [f"sub-02_task-rest: {reason}"]
    assert sorted(table["recording"]) == names
    assert len(drawn) == 2
    assert mlflow.get_run(log.run_id).info.status == "FINISHED"
    artifacts = [item.path for item in mlflow.MlflowClient().list_artifacts(log.run_id, "quality")]
    assert artifacts == ["quality/overview.png", "quality/sub-01_task-rest.png"]


@pytest.mark.usefixtures("tracking")
def test_a_run_without_any_number_is_finished(rng, caplog):
    store = Store(Path("memory"), "d" * 64, {"dropped_volumes": SHIFT}, SIGNAL, (without(rng, "mask"),))
    with tracked_run("preprocess", experiment="test") as log:
        assert log_quality(log, store).empty
    assert len(warnings_in(caplog)) == 1
    assert not mlflow.MlflowClient().list_artifacts(log.run_id, "quality")


@pytest.mark.usefixtures("tracking")
def test_pictures_that_cannot_be_drawn_are_warnings(rng, monkeypatch, caplog):
    """Much fails only when a figure is drawn into pixels."""

    def fails(*_args, **_options):
        raise ValueError("no\nfont")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fails)
    store = Store(Path("memory"), "d" * 64, {"dropped_volumes": SHIFT}, SIGNAL, (recording(rng),))
    with tracked_run("preprocess", experiment="test") as log:
        log_quality(log, store)
    assert warnings_in(caplog) == [
        "sub-01_task-rest: no quality page (ValueError: no font)",
        "no overview of the quality (ValueError: no font)",
    ]
    assert list(mlflow.load_table("quality.json", run_ids=[log.run_id])["recording"]) == ["sub-01_task-rest"]


def test_the_channels_are_the_recording_s_own(rng):
    stored = dataclasses.replace(recording(rng), picks=(0, 3))  # common to all recordings of the store
    _, page = judged(stored)
    assert page.channels == ["Fp1", "Cz", "Oz"]


@pytest.mark.slow
@pytest.mark.usefixtures("tracking")
def test_the_preprocess_run_holds_the_quality_of_raw_recordings(tmp_path):
    raw = SimulationConfig(subjects=2, volumes=24, grid=(9, 8, 7), channels=5, tr=0.9, sampling_rate=100, raw=True)
    cleaning = {"gradient": True, "pulse": True, "pulse_components": 2, "sampling_rate": 100}
    data = {"frequencies": 30, "context": 3, "dropped_volumes": 2, "grid": (9, 8, 7), "cleaning": cleaning}
    config = Config.model_validate({"data": data})
    store, result = preprocess_step(config, simulate(raw, tmp_path / "bids"), tmp_path / "store")
    client = mlflow.MlflowClient()
    artifacts = [item.path for item in client.list_artifacts(result.run_id, "quality")]
    assert artifacts == [f"quality/{name}.png" for name in ("overview", "sub-01_task-rest", "sub-02_task-rest")]
    table = mlflow.load_table("quality.json", run_ids=[result.run_id])
    assert list(table["recording"]) == [r.name for r in store.recordings]
    assert (table["channels"] == 5).all()
    assert table["marker_jitter_ms"].max() < 1
    assert table["heart_rate"].between(40, 120).all()
    _, page = judged(store.recordings[0])
    assert page.spectrum_before.sum() > 10 * page.spectrum_after.sum()
    assert page.marker_times[-1] == pytest.approx(23 * 0.9)
