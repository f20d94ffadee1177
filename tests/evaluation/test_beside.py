"""Data whose BOLD follows a confound: the baseline made for it explains more than the model does."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.baselines import CEILINGS, arousal
from eeg2fmri.baselines.beside import swap_partners
from eeg2fmri.config import BASELINES, Config, EvaluationConfig, LinearConfig, MeanConfig
from eeg2fmri.errors import ConfigError
from eeg2fmri.families import fit
from eeg2fmri.pipeline.describe import baseline_table, beaten_by
from eeg2fmri.scoring import CONDITIONS, score_windows, strongest_baseline
from eeg2fmri.store import StoredRecording, Windows
from tests.fakes import CONTEXT, GRID, recording

N = 70
OPTIONS = EvaluationConfig(shuffles=2, permutations=99)
KINDS = {"pulse": ("heart_rate",), "motion": ("trans_x", "rot_x"), "task": ("face",)}


def confounded(subject: str, follows: str, windows: int = N) -> StoredRecording:
    """A recording whose EEG and BOLD are apart, but for a course that BOLD follows: one of `KINDS`, or arousal."""
    seed = int(subject[-2:])
    rng = np.random.default_rng(seed + 500)
    found = recording(subject, seed, windows=windows, coupling=0.0)
    group, attributes = dict(found.group), dict(found.attributes)
    for kind, names in KINDS.items():
        group[kind] = rng.standard_normal((windows, len(names))).astype(np.float32)
    attributes["regressors"] = KINDS
    course = np.zeros(windows)
    if follows == "arousal":
        slow = np.repeat(rng.standard_normal(windows // 5 + 1), 5)[: windows - 1]
        group["spectrogram"] = (group["spectrogram"] * np.exp(slow)[:, None, None] ** ALPHA[:, None].T).astype("f4")
        found = StoredRecording(group, attributes, found.own)
        course[CONTEXT:] = arousal(found, CONTEXT)
        course /= course.std()
    elif follows in KINDS:
        course = group[follows][:, 0]
    pattern = 12 * np.random.default_rng(1).standard_normal(GRID) * group["mask"]
    volumes = group["volumes"] * 0 + 500 + 300 * np.random.default_rng(2).random(GRID)
    volumes = volumes + course[:, None, None, None] * pattern + 15 * rng.standard_normal((windows, *GRID))
    group |= {"volumes": volumes.astype(np.float32), "voxel_mean": volumes.mean(0), "voxel_sd": volumes.std(0)}
    attributes |= {"mean": float(volumes.mean()), "sd": float(volumes.std())}
    return StoredRecording(group, attributes, found.own)


ALPHA = np.array([0.0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])  # 8, 10 and 12 Hz of the bins 2 to 26 Hz


def parts(follows: str) -> tuple[Windows, Windows, Windows]:
    names = [f"sub-{n:02d}" for n in range(1, 9)]
    groups = names[:5], names[5:6], names[6:]
    train, validation, test = (Windows([confounded(n, follows) for n in group], CONTEXT) for group in groups)
    return train, validation, test


@pytest.mark.parametrize(
    ("follows", "baseline"),
    [("pulse", "motion_pulse"), ("motion", "motion_pulse"), ("task", "task"), ("arousal", "arousal")],
)
def test_a_confound_is_found_by_its_baseline_and_said(follows, baseline):
    train, validation, test = parts(follows)
    # A linear model reads the arousal out of the EEG as well as its baseline does.
    model = fit(MeanConfig() if follows == "arousal" else LinearConfig(components=3), train, validation).model
    options = OPTIONS.model_copy(update={"baselines": tuple(name for name in BASELINES if name != "linear")})
    overall = score_windows(model, test, options, train, validation).overall
    name, score = strongest_baseline(overall)
    assert name == baseline
    assert score > max(0.05, overall["model"]["r2_temporal"] + 0.05)
    others = {"arousal", "motion_pulse", "task"} - {baseline}
    assert all(abs(overall[other]["r2_temporal"]) < 0.03 for other in others)
    sentence = beaten_by(overall)
    assert sentence.startswith(f"the {baseline} baseline explains more than the model ({score:.4f} against ")


@pytest.fixture(scope="module")
def coupled():
    """A model of recordings whose EEG tells of their BOLD, and its scores on three others."""
    made = [recording(f"sub-{n:02d}", n, windows=N) for n in range(1, 9)]
    train, validation, test = (Windows(part, CONTEXT) for part in (made[:4], made[4:5], made[5:]))
    model = fit(LinearConfig(components=4), train, validation).model
    return model, score_windows(model, test, OPTIONS, train, validation), test


def test_the_eeg_of_another_subject_is_worth_that_of_another_time(coupled):
    overall = coupled[1].overall
    assert overall["model"]["r2_temporal"] > 0.3
    assert overall["swapped"]["r2_temporal"] == pytest.approx(overall["shuffled"]["r2_temporal"], abs=0.12)
    assert overall["swapped"]["r2_temporal"] < 0
    assert beaten_by(overall) == ""


def test_the_subjects_own_mean_is_the_best_of_anatomy_and_no_dynamics(coupled):
    overall = coupled[1].overall
    own = overall["subject_mean"]
    assert own["r2_temporal"] == pytest.approx(0, abs=1e-9)
    assert own["rmse"] < overall["mean_volume"]["rmse"]
    assert own["skill"] > 0
    assert strongest_baseline({"model": own, "subject_mean": own}) is None


def test_every_condition_has_every_score_of_every_recording(coupled):
    scored = coupled[1]
    table = scored.table
    assert list(scored.overall) == [c for c in CONDITIONS if c not in (*CEILINGS, "linear", "task", "motion_pulse")]
    assert scored.absent == {
        "motion_pulse": "sub-01_task-rest_run-1: none in the store",
        "task": "sub-01_task-rest_run-1: none in the store",
        "linear": "the model is of this family",
    }
    assert not table.isna().any(axis=None)
    assert len(table) == 3 * len(scored.overall)
    lines = baseline_table(scored.overall).splitlines()
    assert len(lines) == 2 + len(scored.overall)
    assert lines[0] == "|  | `r2_temporal` | without the global signal |"


def test_the_linear_family_stands_beside_another_one():
    made = [recording(f"sub-{n:02d}", n, windows=N) for n in range(1, 8)]
    train, validation, test = (Windows(part, CONTEXT) for part in (made[:4], made[4:5], made[5:]))
    model = fit(MeanConfig(), train, validation).model
    linear = fit(LinearConfig(), train, validation).model
    options = EvaluationConfig(shuffles=1, permutations=99, baselines=("linear",))
    overall = score_windows(model, test, options, train, validation).overall
    alone = score_windows(linear, test, options, train, validation).overall
    assert overall["linear"]["r2_temporal"] == pytest.approx(alone["model"]["r2_temporal"])
    assert beaten_by(overall).startswith("the linear baseline explains more than the model")


def test_without_what_the_model_has_seen_only_its_own_nulls_are_there(coupled):
    model, _, test = coupled
    scored = score_windows(model, test, OPTIONS)
    assert list(scored.overall) == ["model", "mean_volume", "shuffled", "swapped", "subject_mean"]
    assert set(scored.absent) == {"arousal", "motion_pulse", "task", "linear"}
    one = score_windows(model, Windows(test.recordings[:1], CONTEXT), OPTIONS)
    assert one.absent["swapped"] == "a single subject is scored"


def test_a_shorter_recording_of_another_subject_is_swapped_as_far_as_it_reaches(coupled):
    model, _, test = coupled
    short = Windows([test.recordings[0], recording("sub-20", 20, windows=30)], CONTEXT)
    table = score_windows(model, short, OPTIONS).table
    assert np.isfinite(table[table.condition == "swapped"].r2_temporal).all()


def test_who_is_swapped_with_whom():
    assert swap_partners(["a", "b", "b", "c"], 5) == {0: (1, 3), 1: (3, 0), 2: (3, 0), 3: (0, 1)}
    assert swap_partners(["a", "a", "b", "b"], 5) == {0: (2,), 1: (3,), 2: (0,), 3: (1,)}
    assert swap_partners(["c", "a", "b"], 1) == {0: (1,), 1: (2,), 2: (0,)}
    assert swap_partners(["a", "a"], 5) == {0: (), 1: ()}


@pytest.mark.parametrize(
    ("given", "expected"), [(True, BASELINES), (False, ()), (["task", "swapped"], ("task", "swapped"))]
)
def test_which_baselines_are_asked_for(given, expected):
    assert Config.model_validate({"evaluation": {"baselines": given}}).evaluation.baselines == expected


def test_an_unknown_baseline_is_refused(tmp_path, refuses):
    from eeg2fmri.config import load_config

    path = tmp_path / "config.yaml"
    path.write_text("evaluation: {baselines: [sleep]}\n")
    with refuses(ConfigError, "baselines"):
        load_config(path)
