"""A softmax-weighted mixture of encoders of the published family, which are trained together; the heaviest are kept.

The published code (Calhas & Henriques 2022) weighs the volumes of whole networks, of one side at a time. Here the
latents of the candidates are weighed, so that all of them have one decoder, and both sides are chosen in one training.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna

from eeg2fmri.config import BlockSpec, Calhas2022Config
from eeg2fmri.errors import ConfigError
from eeg2fmri.families.calhas2022_space import Calhas2022Space
from eeg2fmri.models.architectures import Candidates

if TYPE_CHECKING:
    from eeg2fmri.store import Windows
    from eeg2fmri.training import FitResult, FitSettings, OnEpoch

DRAWS = 50  # for each candidate that is wanted


@dataclass(frozen=True)
class Calhas2022Mixture:
    """Candidate encoders around the base of `space`, see `eeg2fmri.families.Mixture`."""

    space: Calhas2022Space
    candidates: Candidates

    def fit(
        self,
        config: Calhas2022Config,
        train: Windows,
        validation: Windows,
        settings: FitSettings,
        on_epoch: OnEpoch | None,
    ) -> FitResult:
        """Fit the mixture, see `Mixture`."""
        from eeg2fmri.training.deep import fit_deep_model

        return fit_deep_model(config, train, validation, settings, on_epoch, self.candidates)

    def kept(self, config: Calhas2022Config, result: FitResult) -> Calhas2022Config:
        """Return `config` with the heaviest encoders that together are not too expensive.

        Every candidate was drawn in a pair that is not, so there is such a pair.
        """
        weights = _weights(result)
        eeg = [({"eeg": spec}, weights[name]) for name, spec in _named("eeg", self.candidates.eeg)]
        fmri = [({"fmri": spec}, weights[name]) for name, spec in _named("fmri", self.candidates.fmri)]
        pairs = [(one | other, first * second)
                 for (one, first), (other, second) in itertools.product(eeg, fmri or [({}, 1.0)])]  # fmt: skip
        pairs.sort(key=lambda pair: -pair[1])
        models = (config.model_copy(update=update) for update, _ in pairs)
        return next(model for model in models if not too_expensive(self.space, model))

    def table(self, result: FitResult) -> dict[str, Any]:
        """Return blocks and last weight of each candidate, see `Mixture`."""
        weights = _weights(result)
        named = (*_named("eeg", self.candidates.eeg), *_named("fmri", self.candidates.fmri))
        return {name: {"weight": weights[name], **spec.model_dump(mode="json")} for name, spec in named}


def draw_mixture(space: Calhas2022Space, count: int, seed: int) -> Calhas2022Mixture:
    """Draw so many pairs of encoders as a trial draws one, none twice on its side and no pair too expensive.

    Raises
    ------
    ConfigError
        If not so many are found.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found: list[dict[str, BlockSpec]] = []
    for _ in range(DRAWS * count):
        pair = space.draw_encoders(study.ask(), max_pool=space.base.max_pool)
        known = any(pair[side] == other[side] for other in found for side in pair)
        if not known and not too_expensive(space, space.base.model_copy(update=pair)):
            found.append(pair)
        if len(found) == count:
            eeg, fmri = (tuple(pair[side] for pair in found if side in pair) for side in ("eeg", "fmri"))
            return Calhas2022Mixture(space, Candidates(eeg, fmri))
    raise ConfigError(
        f"search.candidates={count}: {DRAWS * count} draws gave {len(found)} different ones below max_multiply_adds; "
        f"set fewer, or widen search.ranges.{space.base.family}"
    )


def too_expensive(space: Calhas2022Space, model: Calhas2022Config) -> bool:
    """Return whether the encoders of a model have more multiply-adds than a trial may have."""
    cost, most = space.costs(model)["multiply_adds"]
    return cost > most


def _named(side: str, specs: tuple[BlockSpec, ...]) -> list[tuple[str, BlockSpec]]:
    """Return the candidates of a side by their names in a history."""
    return [(f"{side}-{place:02d}", spec) for place, spec in enumerate(specs, start=1)]


def _weights(result: FitResult) -> dict[str, float]:
    """Return the weights after the last epoch."""
    return {key.removeprefix("weight/"): values[-1] for key, values in result.history.items()
            if key.startswith("weight/")}  # fmt: skip
