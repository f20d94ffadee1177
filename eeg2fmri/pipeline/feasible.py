"""Choice of the models that can be trained: first by the headers, before the store is built, then by the store."""

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
    """Return the models that `check` accepts, and the reason for each other one by variant.

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
    """Do as `feasible`, but refuse configured encoders that fit no possible store of this dataset.

    Headers are read only if a model has configured encoders: those derived from the shapes fit.
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
    """Log in one line that a model is left out, and the reason."""
    logger.error("%s: not trained: %s", variant, err)
    return str(err)


def _largest_shapes(config: Config, root: Path) -> tuple[Triple, Triple] | None:
    """Return the largest EEG window (C, F, T) and grid (X, Y, Z) of a possible store; none without a usable recording.

    A store has the channels that its recordings share, so at most those of any one recording. Its grid is the given
    one or that of most recordings.
    """
    rows = [row for row in survey(root.absolute(), config.dataset, config.data).rows if row.status == "usable"]
    if not rows:
        return None
    kinds = config.data.channel_types
    channels = max(sum(n for kind, n in (row.channels or {}).items() if kind in kinds) for row in rows)
    grid = config.data.grid or Counter(row.grid for row in rows if row.grid).most_common(1)[0][0]
    return (channels, config.data.frequencies, config.data.context), grid
