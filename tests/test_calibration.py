"""The calibration of the evidence: both scripts run, find planted errors, and the page says what they found."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from eeg2fmri.config import SimulationConfig

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "experiments" / "benchmarks"
TINY = SimulationConfig(subjects=4, volumes=40, channels=5, sampling_rate=128, grid=(8, 9, 6), confound="motion")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_a_data_set_goes_the_whole_way_once(script, tmp_path, monkeypatch):
    calibration = script("calibration")
    monkeypatch.setattr(calibration, "PARTS", {"motion": calibration.Part(TINY, 3, 1, (1, 2))})
    calibration.run(["motion"], "linear", tmp_path, None)
    (path,) = tmp_path.glob("*.json")
    monkeypatch.setattr(calibration, "one_dataset", None)  # a finished data set is not computed again
    calibration.run(["motion"], "linear", tmp_path, None)
    found = calibration.summary([json.loads(path.read_text())])
    assert list(found) == ["motion, linear, 1 tested", "motion, linear, 2 tested"]
    (row,) = found["motion, linear, 2 tested"]["datasets"]
    assert row["seed"] == 3
    assert row["best_reachable"] > 0  # coupled too
    assert {"model", "shuffled", "swapped", "motion_pulse"} < row["r2_temporal"].keys()
    assert "swapped" not in found["motion, linear, 1 tested"]["mean_r2_temporal"]  # a single subject is scored


def row(p_value, model, baseline, objections=()):
    scores = {"model": model, "shuffled": -0.1, "mean_volume": 0.0, "motion_pulse": baseline, "subject_mean": 0.0}
    return {"p_value": p_value, "r2_temporal": scores, "best_reachable": 0.5, "objections": list(objections)}


def test_the_summary_counts_errors_and_the_baselines_that_refuse(script):
    beaten = "r2_temporal beside motion pulse"
    rows = [
        row(0.01, 0.2, 0.3, [beaten]),
        row(0.01, 0.2, 0.1),
        row(0.01, -0.2, -0.1, ["r2_temporal beside mean volume", beaten]),
        row(0.60, 0.2, 0.1, ["p of r2_temporal"]),
    ]
    found = script("calibration").summarise(rows, "motion_pulse")
    assert found["p_below_level"]["count"] == 3
    assert found["passes_first_nulls"]["count"] == 2
    assert found["promoted"]["count"] == 1
    assert found["made_for_it"]["refuses"]["count"] == 2
    refused = found["refused_of_those_by"]["motion_pulse"]
    assert (refused["count"], refused["of"]) == (1, 2)
    assert refused["interval"] == pytest.approx([0.0126, 0.9874], abs=1e-4)  # 1 of 2: 1 - 0.975^(1/2), by hand


def slow_scans(people, n, regions, rng):
    """Series of two scans a person that share nothing but their slowness."""
    noise = rng.standard_normal((people, 2, n + 5, regions))
    slow = sum(noise[:, :, k : n + k] for k in range(6))
    return [(f"p{p:02d}-scan{s}", slow[p, s]) for p in range(people) for s in range(2)]


def test_real_scans_pair_different_people_and_a_planted_agreement_is_found(script):
    real = script("calibration_real")
    rng = np.random.default_rng(0)
    scans = slow_scans(13, 60, 3, rng)
    pairs = real.pairs_of(scans, 2.0)
    assert len(pairs) == 13 * 12 // 2 * 4
    assert all(pair.measured != pair.predicted for pair in pairs)
    groups = real.groups_of(pairs, rng)
    assert groups
    assert all(len({n for p in group for n in (p.measured, p.predicted)}) == 12 for group in groups)
    assert len({id(p) for group in groups for p in group}) == 6 * len(groups)
    scans[-1] = (scans[-1][0], scans[0][1] + 0.5 * scans[-1][1])  # the first person's own series in the last one's name
    planted = real.pairs_of([scans[0], *scans[2:]], 2.0)
    (pair,) = [
        p for p in planted if p.shifts["circular shift"][0] == max(q.shifts["circular shift"][0] for q in planted)
    ]
    assert (pair.measured, pair.predicted) == ("p00", "p12")
    found = real.errs([pair], rng)
    assert found["circular shift"]
    assert found["above the swap"]
    assert found["swap, by rank"]


def test_real_scans_are_calibrated_from_a_folder(script, tmp_path, monkeypatch):
    real = script("calibration_real")
    np.savez(tmp_path / "scans.npz", **dict(slow_scans(13, 70, 3, np.random.default_rng(1))))
    out = tmp_path / "out.json"
    monkeypatch.setattr("sys.argv", ["calibration_real.py", str(tmp_path), "--lengths", "35", "--out", str(out)])
    real.main()
    content = json.loads(out.read_text())
    assert (content["scans"], content["people"]) == (26, 13)
    pairs = content["35 volumes"]["pairs"]["circular shift"]
    assert pairs["of"] == 2 * 312  # two stretches
    assert pairs["share"] == round(pairs["count"] / pairs["of"], 4)
    low, high = pairs["interval"]
    assert low <= pairs["share"] <= high
    assert str(tmp_path) not in out.read_text()


@pytest.mark.parametrize("name", ["calibration", "calibration_real"])
def test_the_page_of_results_holds_the_tables_of_the_scripts(script, name):
    content = json.loads((BENCHMARKS / f"{name}.json").read_text())
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()
    missing = [line for line in script(name).markdown(content.get("groups", content)).splitlines() if line not in page]
    assert missing == []
