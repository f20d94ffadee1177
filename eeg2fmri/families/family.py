"""Contract of a model family, the same for this package's families and a lab's own.

Only `fit` and `load` import heavy packages, because reading a configuration imports the module of
every family that it names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from eeg2fmri.config import ModelConfig, Section, Triple, find_family
from eeg2fmri.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from optuna.trial import BaseTrial

    from eeg2fmri.models.fitted import FittedModel, Network
    from eeg2fmri.signals import Signal
    from eeg2fmri.store import Windows
    from eeg2fmri.training.settings import FitResult, FitSettings, OnEpoch

Settings = TypeVar("Settings", bound=ModelConfig)


class Family(ABC, Generic[Settings]):
    """A model family; one object of a subclass stands for it, and has no state.

    Attributes
    ----------
    config : class of its settings.
    ranges : class of the ranges of a search around one of its models (`search.ranges`); none if it has no search.
    packages : packages that a loaded network needs beside NumPy and SciPy, pinned where a model is served.
    first_epoch : number of the first epoch that it reports; 0 if that is the start, before any step.
    """

    config: type[Settings]
    ranges: type[Section] | None = None
    packages: Sequence[str] = ()
    first_epoch: int = 1

    def check(self, config: Settings, train: Windows, validation: Windows) -> None:
        """Refuse what `fit` could not finish.

        Raises
        ------
        ConfigError, SpecError
            If it could not finish.
        """

    def shape_check(self, config: Settings) -> Callable[[Triple, Triple], None] | None:
        """Return a check that refuses a window (C, F, T) and a grid that are too small; by default none.

        It runs on the headers, before a store is made.
        """
        return None

    @abstractmethod
    def fit(
        self,
        config: Settings,
        train: Windows,
        validation: Windows,
        settings: FitSettings,
        on_epoch: OnEpoch | None,
    ) -> FitResult:
        """Fit a model on `train`, and choose settings on `validation`; see `eeg2fmri.families.fit`."""

    def figures(self, model: FittedModel, signal: Signal) -> Mapping[str, Figure]:
        """Return figures of what a model has learned from EEG and BOLD of this meaning, by name; none by default."""
        return {}

    def attention(self, model: FittedModel, eeg: np.ndarray) -> np.ndarray | None:
        """Return how much of each channel (the last axis) goes into each one, (n, C, C) by EEG window; none by
        default.
        """
        return None

    def shares(self, model: FittedModel, eeg: np.ndarray) -> np.ndarray | None:
        """Return share of the synthesised fluctuations that each channel and frequency makes, (C, F), sum 1; none by
        default.

        eeg: (n, C, F, T) in µV, of one recording.
        """
        return None

    def latents(self, model: FittedModel, eeg: np.ndarray) -> np.ndarray | None:
        """Return the few numbers that the model makes each volume from, (n, L); none by default.

        eeg: (n, C, F, T) in µV.
        """
        return None

    def maps(self, network: Network) -> np.ndarray | None:
        """Return the maps (K, X·Y·Z) of which each volume is a weighted sum, beside a constant volume; none by default.

        They are orthogonal, in the model's units. A model without them cannot be adapted to a subject, see
        `eeg2fmri.families.adapt_model`.
        """
        return None

    def with_maps(self, network: Network, maps: np.ndarray, mean: np.ndarray) -> Network:
        """Return a copy of a network that has other `maps` (K, X·Y·Z); called only for families that have them.

        mean: (X·Y·Z,), what the network predicts on average for the subject, within the span of the maps. If the
        weights of the maps are not 0 on average, the family must keep it, because only fluctuations made the maps.
        """
        raise NotImplementedError(f"{type(self).__name__} has maps but no method `with_maps`; write one")

    def response_shapes(self, network: Network) -> int:
        """Return H, of how many time courses the response to the EEG is a sum; 1 by default, which is not adapted."""
        return 1

    def with_response(self, network: Network, weights: np.ndarray) -> Network:
        """Return a copy of a network in which each shape of the response counts `weights` (H,) times as much.

        Called only for families with more than one shape. Fluctuations of the volumes are linear in the weights.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has shapes of a response but no method `with_response`; write one"
        )

    def space(self, base: Settings, ranges: Any, train: Windows) -> Space:
        """Return what a search around `base` draws from `ranges`; called only for families that have them.

        Raises
        ------
        ConfigError
            If the ranges do not fit the data.
        """
        raise NotImplementedError(f"{type(self).__name__} has ranges but no method `space`; write one")

    def mixture(self, base: Settings, ranges: Any, train: Windows, count: int, seed: int) -> Mixture:
        """Return a mixture of `count` architectures around `base`, drawn from `ranges`; by default there is none.

        Raises
        ------
        ConfigError
            If the family has none, or the ranges do not have so many.
        """
        raise ConfigError(f"search.mode=mixture: the family {base.family} has no mixture; use search.mode=trials")

    @abstractmethod
    def save(self, folder: Path, network: Network) -> None:
        """Write a network into an existing folder, without pickle and without code."""

    @abstractmethod
    def load(self, folder: Path) -> Network:
        """Read what `save` wrote; its predictions are equal to the bit.

        Raises
        ------
        ModelError
            If a file is missing or does not belong to the family.
        """


class Space(Protocol):
    """A search space of models."""

    def draw(self, trial: BaseTrial) -> ModelConfig:
        """Draw a model."""
        ...

    def start(self) -> dict[str, Any]:
        """Return the parameters with which `draw` gives the base, if they are in the space.

        Raises
        ------
        SpecError
            If it cannot be drawn.
        """
        ...

    def costs(self, model: Any) -> Mapping[str, tuple[float, float]]:
        """Return the costs of a model by name, each beside the largest that is trained."""
        ...


class Mixture(Protocol):
    """Candidate architectures of a model, which are trained together, each with a weight."""

    def fit(
        self, config: Any, train: Windows, validation: Windows, settings: FitSettings, on_epoch: OnEpoch | None
    ) -> FitResult:
        """Fit all candidates as one model, see `Family.fit`; its history has ``weight/NAME`` of each by its name."""
        ...

    def kept(self, config: Any, result: FitResult) -> ModelConfig:
        """Return the model of the heaviest candidates."""
        ...

    def table(self, result: FitResult) -> dict[str, Any]:
        """Return settings and last weight of each candidate, by its name."""
        ...


def family_of(config: ModelConfig) -> Family[Any]:
    """Return the family of some settings.

    Raises
    ------
    ConfigError
        If its object is no `Family`.
    """
    found = find_family(config.family)
    if not isinstance(found, Family):
        raise ConfigError(
            f"family {config.family!r}: its class is not derived from eeg2fmri.families.Family; derive it"
        )
    return found
