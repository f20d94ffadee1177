"""Draws depend on the seed and the place of a trial, not on the process; pruners are those that are named."""

from __future__ import annotations

import optuna
import pytest

from eeg2fmri.config import SearchConfig
from eeg2fmri.search.samplers import RETRY_OF, SeededSampler, pruner_of

START = {"x": 0.25, "n": 3}


def drawn(name: str, trials: int, processes: int = 1, seed: int = 1) -> list[dict]:
    """Parameters of a study whose trials different processes draw in turns."""
    search = SearchConfig(sampler=name, startup_trials=3)
    storage = optuna.storages.InMemoryStorage()
    studies = []
    for _ in range(processes):
        sampler = SeededSampler(search, seed, START)
        studies.append(optuna.create_study(storage=storage, study_name="s", sampler=sampler, load_if_exists=True))
        sampler.trials = studies[-1].get_trials
    for number in range(trials):
        study = studies[number % processes]
        trial = study.ask()
        x, n = trial.suggest_float("x", 0, 1), trial.suggest_categorical("n", (1, 2, 3, 4))
        study.tell(trial, x * n)
    return [trial.params for trial in studies[0].trials]


@pytest.mark.parametrize("name", ["tpe", pytest.param("gp", marks=pytest.mark.slow), "random", "qmc"])
def test_draws_do_not_depend_on_the_process(name):
    alone = drawn(name, 6)
    assert alone[0] == START
    assert len({params["x"] for params in alone}) >= 5  # a Gaussian process may be sure of its best
    assert drawn(name, 6, processes=2) == alone
    assert drawn(name, 6, seed=2) != alone


def test_a_repeated_trial_draws_what_its_original_would_have():
    search = SearchConfig(sampler="random")
    sampler = SeededSampler(search, 1, START)
    study = optuna.create_study(sampler=sampler)
    sampler.trials = study.get_trials
    study.tell(study.ask(), 0.0)
    lost = study.ask()
    x = lost.suggest_float("x", 0, 1)
    study.tell(lost, state=optuna.trial.TrialState.FAIL)
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.WAITING, system_attrs={RETRY_OF: 1}))
    again = study.ask()
    assert again.number == 2
    assert again.suggest_float("x", 0, 1) == x
    study.tell(again, 0.0)
    following = study.ask().number
    assert sampler.place(study.trials[following]) == 2  # as if nothing had been lost


@pytest.mark.parametrize(
    ("name", "kind"),
    [("hyperband", "HyperbandPruner"), ("median", "MedianPruner"), ("patient", "PatientPruner"), ("none", "NopPruner")],
)
def test_pruners_by_name(name, kind):
    assert type(pruner_of(SearchConfig(pruner=name), 9)).__name__ == kind
    several = SearchConfig(pruner=name, objectives=("score", "weights"))
    assert type(pruner_of(several, 9)).__name__ == "NopPruner"


@pytest.mark.parametrize("objectives", [("weights", "score"), ("score", "score"), ()])
def test_score_is_the_first_objective(objectives):
    with pytest.raises(ValueError, match="objectives"):
        SearchConfig(objectives=objectives)
