"""Draws depend on the seed and the place of a trial, not on the process; pruners are those that are named."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from eeg2fmri.config import SearchConfig
from eeg2fmri.search.samplers import RETRY_OF, SeededSampler, pruner_of

START = {"x": 0.25, "n": 3}
RANGES = {"x": FloatDistribution(0, 1), "n": CategoricalDistribution((1, 2, 3, 4))}


def seeded(search: SearchConfig, seed: int) -> SeededSampler:
    return SeededSampler(search, seed, START, RANGES)


def drawn(name: str, trials: int, processes: int = 1, seed: int = 1) -> list[dict]:
    """Parameters of a study whose trials different processes draw in turns."""
    search = SearchConfig(sampler=name, startup_trials=3)
    storage = optuna.storages.InMemoryStorage()
    studies = []
    for _ in range(processes):
        sampler = seeded(search, seed)
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


class Together(optuna.storages.InMemoryStorage):
    """A storage from which two processes read an attribute of a study before either of them writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.readers = threading.Barrier(2)

    def get_study_system_attrs(self, study_id: int) -> dict:
        found = super().get_study_system_attrs(study_id)
        with suppress(threading.BrokenBarrierError):  # nobody else reads
            self.readers.wait(1)
        return dict(found)


@pytest.mark.parametrize("name", ["random", "qmc"])
@pytest.mark.parametrize("done", [False, True])  # whether the trial before them has drawn its model already
def test_two_processes_at_once_draw_different_models_each_that_of_its_place(name, done):
    alone, storage = drawn(name, 3), Together()
    optuna.create_study(storage=storage, study_name="s")

    def draw(place: int) -> dict:
        sampler = seeded(SearchConfig(sampler=name), 1)
        study = optuna.load_study(storage=storage, study_name="s", sampler=sampler)
        sampler.trials = study.get_trials
        trial = optuna.Trial(study, ids[place])
        trial.suggest_float("x", 0, 1), trial.suggest_categorical("n", (1, 2, 3, 4))
        return trial.params

    study_id = storage.get_study_id_from_name("s")
    ids = [storage.create_new_trial(study_id) for _ in range(3)]
    if done:
        assert draw(0) == START
        storage.set_trial_state_values(ids[0], TrialState.COMPLETE, [0.0])
    storage.readers.reset()
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(draw, (1, 2))) == alone[1:]


def test_a_repeated_trial_draws_what_its_original_would_have():
    search = SearchConfig(sampler="random")
    sampler = seeded(search, 1)
    study = optuna.create_study(sampler=sampler)
    sampler.trials = study.get_trials
    study.tell(study.ask(), 0.0)
    lost = study.ask()
    x = lost.suggest_float("x", 0, 1)
    study.tell(lost, state=TrialState.FAIL)
    study.add_trial(optuna.create_trial(state=TrialState.WAITING, system_attrs={RETRY_OF: 1}))
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
