"""Samplers and pruners of a study, by their names in the section `search`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, PatientPruner
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from eeg2fmri.config import SearchConfig
from eeg2fmri.errors import MissingExtraError

RETRY_OF = "failed_trial"  # Optuna's attribute of a trial that repeats another one
COMPARED = 3  # complete trials that a median needs; measured, see docs/attempts.md


def check_sampler(search: SearchConfig) -> None:
    """Refuse a sampler that lacks its package.

    Raises
    ------
    MissingExtraError
        If it does; Optuna itself would notice after the random trials.
    """
    if search.sampler == "gp" and importlib.util.find_spec("torch") is None:
        raise MissingExtraError("search.sampler=gp needs PyTorch: pip install 'eeg2fmri[gp]', or choose tpe")


def pruner_of(search: SearchConfig, reports: int) -> BasePruner:
    """Return the pruner of trials that report so many scores."""
    median = MedianPruner(n_startup_trials=COMPARED, n_warmup_steps=0)
    if len(search.objectives) > 1 or search.pruner == "none":
        return NopPruner()
    if search.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=max(reports, 1))
    return PatientPruner(median, patience=search.patience) if search.pruner == "patient" else median


def original_of(trial: FrozenTrial) -> int:
    """Return the number of the trial that this one repeats, or its own."""
    return int(trial.system_attrs.get(RETRY_OF, trial.number))


class _Sequence(QMCSampler):
    """A Sobol sequence in which a trial has the sample of its place.

    Optuna counts the samples in the study. Two processes may read the same number there and draw the same model; and
    it looks for the parameters in trials that may have drawn only some.

    Parameters
    ----------
    together : parameters that are drawn together.
    number : of the sample, from 0.
    seed : of the sequence.
    independent : draws other parameters.
    """

    def __init__(
        self, together: Mapping[str, BaseDistribution], number: int, seed: int, independent: BaseSampler
    ) -> None:
        super().__init__(seed=seed, scramble=True, independent_sampler=independent, warn_independent_sampling=False)
        self._together, self._number = dict(together), number

    def infer_relative_search_space(self, _study: optuna.Study, _trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._together

    def _find_sample_id(self, _study: optuna.Study, _search_space: dict[str, BaseDistribution]) -> int:
        return self._number


class SeededSampler(BaseSampler):
    """A sampler that draws a trial by the seed and the trial's place in the study, in any process.

    So workers with one seed draw different models, and a study that was killed and continues draws what it would
    have drawn. The first place is the configured model.

    Parameters
    ----------
    search : section `search`, for the name of the sampler.
    seed : of the study.
    start : parameters of the configured model; what is missing or out of range is drawn.
    together : parameters of a model, which `qmc` draws together; it draws others at random.
    trials : lists all trials of the study; set when the study is open.
    """

    def __init__(
        self, search: SearchConfig, seed: int, start: Mapping[str, Any], together: Mapping[str, BaseDistribution]
    ) -> None:
        self.search, self.seed, self.start, self.together = search, seed, start, together
        self.trials: Callable[[], Sequence[FrozenTrial]] = list
        self._inner: BaseSampler = RandomSampler(seed=seed)
        self._place = 0

    def place(self, trial: FrozenTrial) -> int:
        """Count the trials before this one, without repetitions; a repetition has the place of its original."""
        number = original_of(trial)
        return sum(each.number < number and RETRY_OF not in each.system_attrs for each in self.trials())

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Start a trial with a generator of its own."""
        self._place = self.place(trial)
        seed = int(np.random.SeedSequence((self.seed, self._place)).generate_state(1)[0])
        startup = self.search.startup_trials
        # The only number that a mixture draws is a seed, from which nothing can be learned.
        name = "random" if self.search.mode == "mixture" else self.search.sampler
        if name == "tpe":
            self._inner = TPESampler(seed=seed, multivariate=True, n_startup_trials=startup)
        elif name == "gp":
            self._inner = GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        elif name == "qmc":  # one sequence, which the workers share; the first place draws nothing
            self._inner = _Sequence(self.together, max(self._place - 1, 0), self.seed, RandomSampler(seed=seed))
        else:
            self._inner = RandomSampler(seed=seed)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are drawn together."""
        return {} if self._place == 0 else self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw parameters together."""
        return self._inner.sample_relative(study, trial, search_space) if search_space else {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter, or return that of the configured model."""
        own = self.start.get(param_name)
        if self._place == 0 and own is not None and _contains(param_distribution, own):
            return own
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """End a trial."""
        self._inner.after_trial(study, trial, state, values)


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except ValueError:
        return False
