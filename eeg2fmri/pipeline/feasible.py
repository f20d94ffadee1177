"""Which of several models can be trained: asked of the headers before the store is built, and of the store after."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from eeg2fmri.config import Config, ModelConfig, Triple
from eeg2fmri.datasets import survey
from eeg2fmri.errors import ConfigError, LeakageError, SpecError
from eeg2fmri.families import family_of

logger = logging.getLogger(__name__)


def feasible(
    models: Iterable[ModelConfig], check: Callable[[ModelConfig], None]
) -> tuple[tuple[ModelConfig, ...], dict[str, str]]:
    """The models that `check` lets pass, and by variant why the others cannot be trained.

    Raises
    ------
    ConfigError, LeakageError, SpecError
        The first reason, if no model passes.
    """
    passed: list[ModelConfig] = []
    errors: dict[str, Exception] = {}
    for model in models:
        try:
            check(model)
        except (ConfigError, LeakageError, SpecError) as err:
            errors[model.variant] = err
        else:
            passed.append(model)
    if errors and not passed:
        raise next(iter(errors.values()))
    return tuple(passed), {variant: say_left_out(variant, err) for variant, err in errors.items()}


def feasible_by_headers(config: Config, root: Path) -> tuple[tuple[ModelConfig, ...], dict[str, str]]:
    """As `feasible`: configured encoders that fit no store which can be made of this dataset are refused.

    Headers are read only where a model has configured encoders: those derived from the shapes fit.
    """
    if not any(family_of(model).shape_check(model) for model in config.models):
        return config.models, {}
    shapes = _largest_shapes(config, root)

    def check(model: ModelConfig) -> None:
        refuse = family_of(model).shape_check(model)
        if shapes and refuse:
            refuse(*shapes)

    return feasible(config.models, check)


def say_left_out(variant: str, err: Exception) -> str:
    """Tell in one line that a model is left out, and give the reason."""
    logger.error("%s: not trained: %s", variant, err)
    return str(err)


def _largest_shapes(config: Config, root: Path) -> tuple[Triple, Triple] | None:
    """Largest EEG window (C, F, T) and grid (X, Y, Z) that a store can have; none without a usable recording.

    A store has the channels that its recordings share: no more than any recording has. Its grid is the given one
    or that of most recordings.
    """
    rows = [row for row in survey(root.absolute(), config.dataset, config.data).rows if row.status == "usable"]
    if not rows:
        return None
    kinds = config.data.channel_types
    channels = max(sum(n for kind, n in (row.channels or {}).items() if kind in kinds) for row in rows)
    grid = config.data.grid or Counter(row.grid for row in rows if row.grid).most_common(1)[0][0]
    return (channels, config.data.frequencies, config.data.context), grid
