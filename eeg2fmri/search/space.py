"""The space of a search, and what it is checked for before the first trial."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from pydantic import ValidationError

from eeg2fmri.config import Config, ModelConfig, Section
from eeg2fmri.errors import ConfigError, Eeg2FmriError, SpecError, one_line
from eeg2fmri.evaluation import shuffled_null
from eeg2fmri.families import Space, family_of
from eeg2fmri.search.judge import Part

logger = logging.getLogger(__name__)
TRIED_DRAWS = 100
NUMBER = "mixture"  # parameter of a trial with a mixture: the seed of its candidates; 0 is the model as configured
LAST = 99_999


def space_of(config: Config, parts: list[Part]) -> tuple[ModelConfig, Section, Space]:
    """Return the model to search around, its ranges and its space.

    Raises
    ------
    ConfigError, SpecError
        If no configured model can be searched, or its ranges do not fit the data.
    """
    named = config.search.variant
    models = config.models if named is None else (config.model(named),)
    smallest = min((train for train, _ in parts), key=len)
    for model in models:
        family = family_of(model)
        if family.ranges is not None:
            ranges = config.search.ranges.get(model.family) or family.ranges()
            return model, ranges, family.space(model, ranges, smallest)
    found = ", ".join(model.variant for model in models)
    raise ConfigError(f"models: no model that can be searched (found {found}); add one whose family has a search space")


def start_of(space: Space) -> Mapping[str, Any]:
    """Return the parameters of the configured model; none if it is not in the space."""
    try:
        return space.start()
    except SpecError as err:
        logger.info("search: the configured model is not in the search space (%s)", err)
        return {}


def together_of(space: Space, start: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Return the parameters of the configured model with their ranges, or those of a random draw if it has none."""
    with _without_notes():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.enqueue_trial(dict(start))
        trial = study.ask()
        with suppress(Eeg2FmriError, ValueError):  # a random draw may not give a model
            space.draw(trial)
    return trial.distributions


def check_space(config: Config, base: ModelConfig, space: Space, parts: list[Part]) -> None:
    """Refuse a search in which no trial could be trained and judged.

    Raises
    ------
    ConfigError
        If an objective is not known for the family, or no draw of the ranges can be trained.
    EvaluationError
        If a judging recording is too short for shuffled EEG.
    """
    for train, judging in parts:
        lengths = [np.zeros(len(judging.indices(number))) for number in range(len(judging.recordings))]
        shuffled_null(lengths, ["one"] * len(lengths), judging.context, 1, np.random.default_rng(0))
        if "multiply_adds" in config.search.objectives and "multiply_adds" not in space.costs(base):
            raise ConfigError(
                f"search.objectives: the multiply_adds of family {base.family} are not known; choose score, weights or "
                f"training_seconds"
            )
        if config.search.mode == "mixture":
            family_of(base).check(base, train, judging)
            continue
        reasons = _refusals(base, space, train, judging)
        if len(reasons) == TRIED_DRAWS:
            common = max(reasons, key=reasons.count)
            raise ConfigError(
                f"search.ranges.{base.family}: none of {TRIED_DRAWS} random draws can be trained (most often: "
                f"{common}); widen the ranges"
            )


def _refusals(base: ModelConfig, space: Space, train: Any, judging: Any) -> list[str]:
    """Return why random draws cannot be trained, up to the first one that can."""
    with _without_notes():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.enqueue_trial(dict(start_of(space)))
        reasons: list[str] = []
        while len(reasons) < TRIED_DRAWS:
            try:
                model = space.draw(study.ask())
                family_of(model).check(model, train, judging)
            except ValidationError as err:
                fault = err.errors()[0]
                reasons.append(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}")
                continue
            except (Eeg2FmriError, ValueError) as err:
                reasons.append(one_line(err))
                continue
            over = [name for name, (cost, most) in space.costs(model).items() if cost > most]
            if not over:
                return reasons
            reasons.append(f"more {over[0]} than max_{over[0]}")
        return reasons


@contextmanager
def _without_notes() -> Iterator[None]:
    """Hold Optuna's notes back."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
