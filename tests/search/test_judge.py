"""The score of a trial: by validation subjects or by folds of training subjects, beside its null."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.search.judge import judge, parts_of
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Split
from tests.mlflow_store import LINEAR, memory_store

SPLIT = Split(("sub-01", "sub-02", "sub-03", "sub-04"), ("sub-05",), ("sub-06",))
CONFIG = Config.model_validate({"models": [LINEAR], "evaluation": {"permutations": 99}})


@pytest.fixture(scope="module")
def store():
    return memory_store()


def subjects(windows) -> list[str]:
    return sorted({recording.subject for recording in windows.recordings})


def test_every_training_subject_judges_once_and_nobody_else(store):
    parts = parts_of(store, SPLIT, 3)
    assert [subjects(judging) for _, judging in parts] == [["sub-01", "sub-04"], ["sub-02"], ["sub-03"]]
    assert [subjects(train) for train, _ in parts][1] == ["sub-01", "sub-03", "sub-04"]
    ((train, judging),) = parts_of(store, SPLIT, None)
    assert (subjects(train), subjects(judging)) == (list(SPLIT.train), list(SPLIT.validation))


def test_more_folds_than_subjects_are_refused(store, refuses):
    with refuses(ConfigError, r"search\.folds=5: the search has 4 training subjects .*; use at most 4 folds"):
        parts_of(store, SPLIT, 5)


def test_the_score_is_that_of_the_subjects_left_out(store):
    parts = parts_of(store, SPLIT, 2)
    told = []
    found = judge(
        CONFIG.models[0], parts, CONFIG, FitSettings(), lambda number, metrics: told.append((number, metrics))
    )
    each = []
    for train, judging in parts:
        model = fit(CONFIG.models[0], train, judging, FitSettings()).model
        scores = []
        for number, recording in enumerate(judging.recordings):
            rows = judging.indices(number)
            waves = drift_waves(len(rows), recording.signal.tr, CONFIG.evaluation.drift_cutoff)
            synthesised = model.standard_units(model.synthesise(judging.eeg(rows)))
            scores.append(r2_temporal(judging.standardised(rows, "recording"), synthesised, recording.mask, waves))
        each.append(np.mean(scores))
    assert found.score == pytest.approx(np.mean(each), abs=1e-6)
    assert [number for number, _ in told] == [1, 2]
    assert told[0][1]["val/r2_temporal"] == pytest.approx(each[0], abs=1e-6)
    assert told[1][1]["val/r2_temporal"] == found.score


def test_the_null_tells_a_coupled_dataset_from_one_without():
    for coupling, related in ((1.0, True), (0.0, False)):
        parts = parts_of(memory_store(coupling=coupling), SPLIT, None)
        found = judge(CONFIG.models[0], parts, CONFIG, FitSettings())
        assert (found.score - found.shuffled > 3 * found.noise) == related
        assert (found.p_value < 0.05) == related  # 32 shifts give no less than 1 / 33


def test_a_refit_does_not_train_on_those_who_judge(store):
    refitted = CONFIG.models[0].model_copy(update={"refit": True})
    parts = parts_of(store, SPLIT, None)
    one, other = (judge(model, parts, CONFIG, FitSettings()) for model in (refitted, CONFIG.models[0]))
    assert (one.score, one.shuffled, one.noise) == (other.score, other.shuffled, other.noise)
