"""A model's version for one subject: what it may see, what is scored, and what is refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

import eeg2fmri
from eeg2fmri.adaptation import find_recording, halves, names_not_exceeded, prepare_adaptation
from eeg2fmri.config import Config, LinearConfig
from eeg2fmri.errors import ConfigError, DatasetError, LeakageError, ModelError
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import Penalty, adapt_model, choose_penalty, family_of
from eeg2fmri.families.penalty import largest_as_good
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Windows
from tests.fakes import CONTEXT
from tests.mlflow_store import LINEAR, memory_store

MINUTES = 0.2  # 24 volumes of half a second
CUTOFF = 6.0
CONFIG = Config.model_validate(
    {
        "models": [LINEAR, {"family": "mean"}],
        "split": {"validation": 1, "test": 2},
        "evaluation": {"shuffles": 1, "permutations": 20, "drift_cutoff": CUTOFF},
        "policy": {"level": 0.1},
    }
)


@pytest.fixture(scope="module")
def store():
    return memory_store(7, windows=60)


@pytest.fixture(scope="module")
def model(store):
    return eeg2fmri.fit(store, CONFIG)


@pytest.fixture(scope="module")
def own(store, model):
    return eeg2fmri.adapt(model, store, "sub-06", MINUTES, CONFIG)


def test_only_the_rest_is_scored_beside_the_unadapted_model(store, model, own):
    rest = own.halves.rest
    assert len(rest) == 60 - 24 - 2 * CONTEXT
    measured = rest.standardised(np.arange(len(rest)), "recording")
    waves = drift_waves(len(rest), rest.signal.tr, CUTOFF)
    for scored, bundle in ((own.scores, own.bundle), (own.before, model)):
        synthesised = bundle.model.standard_units(bundle.model.synthesise(rest.eeg(np.arange(len(rest)))))
        expected = r2_temporal(measured, synthesised, rest.recordings[0].mask, waves)
        assert scored.overall["model"]["r2_temporal"] == pytest.approx(expected, abs=1e-6)
        assert abs(scored.overall["mean_volume"]["r2_temporal"]) < 1e-6
        assert "shuffled" in scored.overall
    assert own.gain == pytest.approx(
        own.scores.overall["model"]["r2_temporal"] - own.before.overall["model"]["r2_temporal"]
    )
    shuffled = own.scores.overall["shuffled"]["r2_temporal"]
    better = own.gain > 0 and own.scores.overall["model"]["r2_temporal"] > max(shuffled, 0)
    assert better == (not own.not_exceeded())


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.03, 0.02, -0.01), []),
        ((0.02, 0.02, -0.01), ["base"]),
        ((0.03, 0.02, 0.03), ["shuffled EEG"]),
        ((-0.5, -3.4, -0.6), ["the mean volume"]),
        ((-1.4, -3.4, -1.4), ["shuffled EEG", "the mean volume"]),  # a network whose fluctuations only shrank
        ((float("nan"), 0.02, -0.01), ["base", "shuffled EEG", "the mean volume"]),
    ],
)
def test_what_a_version_must_exceed(scores, expected):
    assert names_not_exceeded(*scores, "base") == expected


@pytest.mark.parametrize("scaling", ["recording", "volume", "voxel", "psc"])
def test_the_rest_of_the_recording_changes_nothing_in_the_version(store, model, own, scaling, monkeypatch):
    """Neither by its volumes nor by the statistics of voxels that the store has of the whole recording."""
    recording = find_recording(store, "sub-06")
    volumes = recording.volumes[:].copy()
    volumes[24:] = 0.5 * volumes[24:][::-1]
    statistics = {"voxel_mean": volumes.mean(axis=0), "voxel_sd": volumes.std(axis=0), "mask": ~recording.mask}
    changed = replace(recording, group={**recording.group, "volumes": volumes, **statistics})
    other = replace(store, recordings=tuple(changed if r is recording else r for r in store.recordings))
    parts = prepare_adaptation(model, other, "sub-06", MINUTES)
    penalty = Penalty(1.0, 0.0, 4, 1.0)
    monkeypatch.setattr(LinearConfig, "bold_scaling", scaling)
    first, second = (adapt_model(model.model, part.own, penalty, CUTOFF) for part in (own.halves, parts))
    assert np.abs(first.weight).max() > 0
    np.testing.assert_array_equal(first.weight, second.weight)
    assert np.abs(first.response).max() > 0
    np.testing.assert_array_equal(first.response, second.response)


def test_the_subject_does_not_choose_the_penalty(store, model, own):
    train = Windows(store.of(("sub-01", "sub-02", "sub-03", "sub-04")), CONTEXT)
    chosen = choose_penalty(model.model.config, train, 24, CUTOFF)
    lent = len(train.recordings[0].volumes) // 2
    half, more = (choose_penalty(model.model.config, train, volumes, CUTOFF) for volumes in (lent, 99))
    assert half == more != chosen  # they lend half a recording at most
    assert own.adapted.facts["penalty"] == (chosen.value if math.isfinite(chosen.value) else "infinite, no change")
    assert own.adapted.facts["penalty_gain"] == chosen.gain
    assert own.adapted.facts["penalty_subjects"] == 4


@pytest.mark.parametrize(
    ("gains", "column"),
    [
        ([[3, 2, 0], [3, 2, 0], [3, 2, 0]], 0),  # sure that the first is best
        ([[9, 2, 0], [1, 2, 0], [2, 2, 0]], 1),  # one subject alone prefers it
        ([[9, 2, 0], [-4, 1, 0], [1, -3, 0]], 2),  # not even sure that any helps: no change
        ([[1, 2, 2], [1, 2, 2], [1, 2, 2]], 2),  # of equals the largest
    ],
)
def test_of_penalties_that_subjects_cannot_tell_apart_the_largest_is_taken(gains, column):
    assert largest_as_good(np.array(gains, float)) == column


def test_a_subject_with_other_maps_gets_them(store, model):
    """BOLD that is three times as large in one half of the brain, for all subjects but those of the fit."""
    recording = find_recording(store, "sub-06")
    volumes = recording.volumes[:].copy()
    half = volumes[:, :4]
    half[:] = half.mean(axis=0) + 3 * (half - half.mean(axis=0))
    changed = replace(recording, group={**recording.group, "volumes": volumes})
    parts = halves(changed, MINUTES, CONTEXT)
    adapted = adapt_model(model.model, parts.own, Penalty(0.1, 0.0, 4), CUTOFF)
    mask = model.model.bold_statistics.mask
    assert adapted.weight[:3][mask[:3]].mean() > adapted.weight[5:][mask[5:]].mean() + 0.5


def test_a_subject_with_another_response_gets_it(store, model):
    """BOLD made by the model, with a response that is slower than its own."""
    recording, network = find_recording(store, "sub-06"), model.model.network
    family = family_of(model.model.config)
    windows = Windows([recording], CONTEXT)
    slow = replace(model.model, network=family.with_response(network, np.array([1.5, -2.0])))
    volumes = recording.volumes[:].copy()
    volumes[CONTEXT:] = slow.synthesise(windows.eeg(np.arange(len(windows))))
    changed = replace(recording, group={**recording.group, "volumes": volumes})
    own = halves(changed, MINUTES, CONTEXT).own
    adapted = adapt_model(model.model, own, Penalty(math.inf, 0.0, 4, 1e-6), CUTOFF)
    assert adapted.response[1] < -1
    assert adapted.facts["response_weights"] == ", ".join(f"{1 + each:.3f}" for each in adapted.response)
    assert not adapted.weight.any()
    scaled = model.model.scaled(windows.eeg(np.arange(len(windows))))
    before, after, true = (each.predict(scaled) for each in (network, adapted.model.network, slow.network))
    assert np.square(after - true).sum() < 0.1 * np.square(before - true).sum()


def test_without_evidence_the_response_stays(store, model, own):
    adapted = adapt_model(model.model, own.halves.own, Penalty(math.inf, 0.0, 4), CUTOFF)
    assert not adapted.response.any()
    assert adapted.facts["response_penalty"] == "infinite, no change"


def test_a_version_remembers_where_it_comes_from(own, store, tmp_path):
    found = own.bundle.provenance["adaptation"]
    assert (found["subject"], found["minutes"], found["volumes"]) == ("sub-06", MINUTES, [[0, 24]])
    eeg2fmri.save_model(own.bundle, tmp_path / "own")
    loaded = eeg2fmri.load_model(tmp_path / "own")
    eeg = own.halves.rest.eeg(np.arange(3))
    np.testing.assert_array_equal(loaded.model.synthesise(eeg), own.bundle.model.synthesise(eeg))


def test_an_adapted_recording_is_never_scored_as_a_whole(own, store, refuses):
    with refuses(LeakageError, "sub-06_task-rest_run-1: used to train or validate this model"):
        eeg2fmri.evaluate(own.bundle, store, config=CONFIG)


def test_it_is_not_adapted_twice(own, store, refuses):
    with refuses(ModelError, "a version for sub-06 already"):
        eeg2fmri.adapt(own.bundle, store, "sub-07_task-rest_run-1", MINUTES, CONFIG)


@pytest.mark.parametrize(
    ("subject", "minutes", "error", "match"),
    [
        ("sub-01", MINUTES, LeakageError, "sub-01: .* trained or validated this model"),
        ("sub-05", MINUTES, LeakageError, "sub-05: .* trained or validated this model"),
        ("sub-99", MINUTES, ConfigError, "subject 'sub-99': not in the store, which has sub-01"),
        ("sub-07", MINUTES, ConfigError, "subject 'sub-07': 2 recordings"),
        ("sub-06", 0.05, DatasetError, "need 10 volumes .* has 60 .0.5 minutes.; give --minutes from 0.08 to 0.39"),
        ("sub-06", 0.45, DatasetError, "the first 0.45 minutes and the rest .* from 0.08 to 0.39"),
    ],
)
def test_what_is_refused(store, model, refuses, subject, minutes, error, match):
    with refuses(error, match):
        eeg2fmri.adapt(model, store, subject, minutes, CONFIG)


def test_both_ends_of_the_minutes_that_a_refusal_names_are_allowed(store):
    recording = find_recording(store, "sub-06")
    for minutes, volumes in ((0.08, 10), (0.39, 47)):
        assert halves(recording, minutes, CONTEXT).own.recordings[0].part == (0, volumes)


@pytest.mark.parametrize(
    ("gap", "named"),
    [
        ([40], "from 0.08 to 0.23, or from 0.29 to 0.37"),
        ([22], "0.08, or from 0.14 to 0.22, or from 0.275 to 0.39"),
    ],
)
def test_a_refusal_names_the_minutes_between_which_a_gap_forbids_some(store, refuses, gap, named):
    recording = find_recording(store, "sub-06")
    recording = replace(recording, attributes={**recording.attributes, "gap_windows": gap})
    with refuses(DatasetError, f"give --minutes {named}$"):
        halves(recording, 0.01, CONTEXT)
    for minutes in re.findall(r"[\d.]+", named):
        assert halves(recording, float(minutes), CONTEXT)


def test_a_recording_that_is_too_short_for_any_minutes(store, refuses):
    recording, least = find_recording(store, "sub-06"), 7 * CONTEXT + 2
    longer, short = (
        replace(recording, group={**recording.group, "volumes": recording.volumes[:n]}) for n in (least, least - 1)
    )
    assert len(halves(longer, (3 * CONTEXT + 1) / 120, CONTEXT).rest.recordings) == 1
    with refuses(DatasetError, f"the recording has {least - 1} .0.2 minutes.; give a longer recording"):
        halves(short, MINUTES, CONTEXT)


def test_maps_of_zeros_are_refused(store, model, refuses):
    network = model.model.network
    dead = replace(network, components=np.zeros_like(network.components))
    with refuses(ModelError, "family linear, linear: all its maps are 0, so there is nothing to adapt; give a trained"):
        eeg2fmri.adapt(replace(model, model=replace(model.model, network=dead)), store, "sub-06", MINUTES, CONFIG)


def test_a_family_without_maps_is_refused_with_those_that_have_them(store, refuses):
    mean = eeg2fmri.fit(store, CONFIG, "mean")
    with refuses(ModelError, "family mean, mean: .* give a model of calhas2022, factorised, linear"):
        eeg2fmri.adapt(mean, store, "sub-06", MINUTES, CONFIG)


def test_without_the_training_subjects_there_is_no_penalty(store, model, refuses):
    few = replace(store, recordings=tuple(r for r in store.recordings if r.subject not in ("sub-01", "sub-02")))
    with refuses(ModelError, "2 training subjects of the model are in the store"):
        eeg2fmri.adapt(model, few, "sub-06", MINUTES, CONFIG)


def test_own_maps_stay_in_the_span_of_the_models(own, model):
    """Nothing that the scores do not show is added."""
    maps, changed = (each.model.network.components for each in (model, own.bundle))
    assert np.abs(changed - maps).max() > 1e-4
    np.testing.assert_allclose(changed @ maps.T @ maps, changed, atol=1e-5)
    weighted = (maps * own.adapted.weight.ravel()) @ maps.T @ maps
    np.testing.assert_allclose(changed, maps + weighted, atol=1e-5)
    np.testing.assert_array_equal(own.bundle.model.network.intercept, model.model.network.intercept)
