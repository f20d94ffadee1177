"""Baselines of few courses: a planted weight is found, and nothing is claimed where nothing is."""

import numpy as np
import pytest

from eeg2fmri.baselines import arousal, fit_regressions
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.models.linear import lag_shapes
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import StoredRecording, Windows
from tests.fakes import CONTEXT, FREQUENCIES, GRID, TR, recording

CUTOFF = 30.0
N = 60


def with_courses(subject, seed, kinds, *, follows=None, size=1.0):
    """A recording whose BOLD follows one of its courses, `kinds` (kind -> names), and nothing else.

    `follows` is the name of the course, or an array (N,).
    """
    rng = np.random.default_rng(seed + 100)
    found = recording(subject, seed, windows=N, coupling=0.0)
    group, attributes = dict(found.group), dict(found.attributes)
    courses = {name: rng.standard_normal(N) for names in kinds.values() for name in names}
    for kind, names in kinds.items():
        group[kind] = np.stack([courses[name] for name in names], axis=1).astype(np.float32)
    attributes["regressors"] = {kind: list(names) for kind, names in kinds.items()}
    course = courses[follows] if isinstance(follows, str) else np.zeros(N) if follows is None else follows
    pattern = 40 * np.random.default_rng(1).standard_normal(GRID) * group["mask"]
    volumes = 500 + 300 * group["mask"] + size * course[:, None, None, None] * pattern
    volumes = volumes + 20 * rng.standard_normal((N, *GRID))
    group |= {"volumes": volumes.astype(np.float32), "voxel_mean": volumes.mean(0), "voxel_sd": volumes.std(0)}
    attributes |= {"mean": float(volumes.mean()), "sd": float(volumes.std())}
    return StoredRecording(group, attributes, found.own)


def windows(kinds, subjects="abcd", **how):
    return Windows([with_courses(s, ord(s), kinds, **how) for s in subjects], CONTEXT)


def score(regression, test, number=0):
    measured = test.standardised(test.indices(number), "recording")
    own = test.recordings[number]
    waves = drift_waves(len(measured), TR, CUTOFF)
    return r2_temporal(measured, regression.predict(own, CONTEXT), own.mask, waves)


PULSE = {"pulse": ("heart_rate", "pulse_amplitude")}


def test_bold_that_follows_one_course_is_explained_in_an_unseen_subject():
    fitted, absent = fit_regressions(["motion_pulse"], windows(PULSE, follows="pulse_amplitude"),
                                     test := windows(PULSE, "x", follows="pulse_amplitude"), CUTOFF)  # fmt: skip
    assert absent == {}
    regression = fitted["motion_pulse"]
    assert regression.names == PULSE["pulse"]
    assert regression.weights.shape == (2, *GRID)
    assert score(regression, test) > 0.5
    assert regression.predict(test.recordings[0], CONTEXT).shape == (N - CONTEXT, *GRID)


def test_the_weights_are_the_planted_ones():
    training = windows(PULSE, follows="heart_rate")
    fitted, _ = fit_regressions(["motion_pulse"], training, windows(PULSE, "x"), CUTOFF)
    pattern = 40 * np.random.default_rng(1).standard_normal(GRID)
    mask = training.recordings[0].mask
    sd = np.mean([r.statistics.sd for r in training.recordings])
    heart, amplitude = fitted["motion_pulse"].weights
    strong = mask & (np.abs(pattern) > 30)
    np.testing.assert_allclose(heart[strong] * sd, pattern[strong], atol=12)
    assert np.corrcoef(heart[mask] * sd, pattern[mask])[0, 1] > 0.99
    assert np.abs(amplitude[mask]).mean() < 0.1 * np.abs(heart[mask]).mean()
    assert not heart[~mask].any()


def test_courses_that_say_nothing_lose_next_to_nothing():
    names = {"motion": tuple(f"m{i}" for i in range(12))}
    fitted, _ = fit_regressions(["motion_pulse"], windows(names), test := windows(names, "x"), CUTOFF)
    assert -0.02 < score(fitted["motion_pulse"], test) < 0.01


def test_a_weak_confound_among_many_courses_is_explained():
    """A penalty chosen for each voxel follows its noise, and this score is then below zero."""
    names = {"motion": tuple(f"m{i}" for i in range(16))}
    training, test = (windows(names, subjects, follows="m3", size=0.05) for subjects in ("abcd", "wxyz"))
    fitted, _ = fit_regressions(["motion_pulse"], training, test, CUTOFF)
    scores = [score(fitted["motion_pulse"], test, number) for number in range(4)]
    assert np.mean(scores) > 0.0005


def test_only_courses_that_all_recordings_have_are_used():
    both = {"motion": ("m0", "m1"), "task": ("face", "house")}
    training = windows(both, "ab")
    unseen = windows({"task": ("house", "tool")}, "x")
    fitted, absent = fit_regressions(["motion_pulse", "task"], training, unseen, CUTOFF)
    assert fitted["task"].names == ("house",)
    assert absent == {"motion_pulse": "x_task-rest_run-1: none in the store"}
    unseen.recordings[0].attributes["no_regressors"] = {"motion": "no table", "pulse": "no ECG"}
    _, absent = fit_regressions(["motion_pulse"], training, unseen, CUTOFF)
    assert absent == {"motion_pulse": "x_task-rest_run-1: no table; no ECG"}


def test_baselines_that_are_fitted_together_are_those_fitted_alone():
    both = {"motion": ("m0", "m1"), "task": ("face",)}
    training, unseen = windows(both, follows="face"), windows(both, "x", follows="face")
    together, _ = fit_regressions(["arousal", "motion_pulse", "task"], training, unseen, CUTOFF)
    for baseline, regression in together.items():
        alone, _ = fit_regressions([baseline], training, unseen, CUTOFF)
        np.testing.assert_allclose(regression.weights, alone[baseline].weights, rtol=1e-5, atol=1e-7)


def test_a_single_training_subject_and_a_constant_course():
    training = windows({"task": ("face",)}, "a", follows="face")
    test = windows({"task": ("face",)}, "x", follows="face")
    fitted, _ = fit_regressions(["task"], training, test, CUTOFF)
    assert score(fitted["task"], test) > 0.5
    training.recordings[0].group["task"][:] = 3.0
    fitted, _ = fit_regressions(["task"], training, test, CUTOFF)
    assert not fitted["task"].weights.any()


def test_arousal_is_the_log_ratio_through_the_response():
    own = recording("a", 3, windows=N)
    eeg = own.spectrogram.astype(np.float64)
    alpha = (FREQUENCIES >= 8) & (FREQUENCIES < 12)
    theta = (FREQUENCIES >= 4) & (FREQUENCIES < 7)
    ratio = np.log(np.square(eeg[:, :, alpha]).sum((1, 2)) / np.square(eeg[:, :, theta]).sum((1, 2)))
    shape = lag_shapes(CONTEXT, TR)[:, 0]
    expected = [ratio[v - CONTEXT : v] @ shape for v in range(CONTEXT, N)]
    np.testing.assert_allclose(arousal(own, CONTEXT), expected, rtol=1e-5)
    own.attributes["types"] = ["eeg"] * 5 + ["ecg"]
    rest = StoredRecording(own.group | {"spectrogram": own.group["spectrogram"] * ([[1]] * 5 + [[9]])}, own.attributes,
                           own.own)  # fmt: skip
    np.testing.assert_allclose(arousal(rest, CONTEXT), arousal(StoredRecording(own.group, own.attributes, own.own),
                                                              CONTEXT))  # fmt: skip


def test_bold_that_follows_arousal_is_explained_by_it():
    def followed(subject, seed):
        own = recording(subject, seed, windows=N)
        course = np.concatenate([np.zeros(CONTEXT), arousal(own, CONTEXT)])
        found = with_courses(subject, seed, {}, follows=course / course.std())
        return StoredRecording(found.group | {"spectrogram": own.group["spectrogram"]}, found.attributes, found.own)

    training = Windows([followed(s, 5 * i + 2) for i, s in enumerate("abc")], CONTEXT)
    test = Windows([followed("x", 90)], CONTEXT)
    fitted, _ = fit_regressions(["arousal"], training, test, CUTOFF)
    assert score(fitted["arousal"], test) > 0.4


@pytest.mark.parametrize("top", [3, 12])
def test_without_both_bands_there_is_no_arousal(top):
    own = recording("a", 1, windows=N)
    keep = slice(0, 3) if top == 3 else slice(3, 12)  # below alpha, or above theta
    signal = own.own.__class__(**{**vars(own.own), "frequencies": own.own.frequencies[keep]})
    cut = StoredRecording(own.group | {"spectrogram": own.group["spectrogram"][:, :, keep]}, own.attributes, signal)
    assert arousal(cut, CONTEXT) is None
