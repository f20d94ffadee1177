"""A search space of single settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eeg2fmri.config import ModelConfig

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Between:
    """Any number between two, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choices:
    """Settings of `base` that are drawn, each on its own; a dot leads into a section.

    settings : for each, `Between` two numbers, or one of some numbers, words or truth values, or one of the
    values behind some words.
    """

    base: ModelConfig
    settings: Mapping[str, Between | Sequence[Any] | Mapping[str, Any]]

    def draw(self, trial: BaseTrial) -> ModelConfig:
        """Draw a model, see `eeg2fmri.families.Space`."""
        tree = self.base.model_dump()
        for name, values in self.settings.items():
            *sections, last = name.split(".")
            node = tree
            for section in sections:
                node = node[section]
            if isinstance(values, Between):
                node[last] = trial.suggest_float(name, values.low, values.high, log=values.log)
            elif isinstance(values, Mapping):
                node[last] = values[trial.suggest_categorical(name, tuple(values))]
            else:
                node[last] = trial.suggest_categorical(name, tuple(values))
        return type(self.base).model_validate(tree)

    def start(self) -> dict[str, Any]:
        """Return the parameters of the base, see `Space`; leave those outside a range to the sampler."""
        found: dict[str, Any] = {}
        for name, values in self.settings.items():
            own: Any = self.base
            for part in name.split("."):
                own = getattr(own, part)
            if isinstance(values, Between):
                possible = [own] if values.low <= own <= values.high else []
            elif isinstance(values, Mapping):
                possible = [word for word, value in values.items() if value == own]
            else:
                possible = [value for value in values if value == own]
            if possible:
                found[name] = possible[0]
        return found

    def costs(self, model: ModelConfig) -> Mapping[str, tuple[float, float]]:
        """Return no costs, see `eeg2fmri.families.Space`."""
        return {}
