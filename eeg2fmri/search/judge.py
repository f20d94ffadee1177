"""The score of a trial's model on subjects that it was not trained on, beside its null."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from eeg2fmri.config import Config, ModelConfig
from eeg2fmri.errors import ConfigError
from eeg2fmri.evaluation import r2_of_shifts, shuffled_null
from eeg2fmri.families import MONITOR, FitResult, FitSettings, family_of, fit
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Split, Store, Windows

SEED = 0  # of the null, as in an evaluation
Part = tuple[Windows, Windows]  # training and judging subjects
OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Judgement:
    """Score of a model.

    score : `val/r2_temporal` of the best epoch, the mean over the folds if there are several.
    shuffled, noise : mean and standard deviation of the same model's score with shuffled EEG. The judging subjects
        chose its epoch, and the null does not repeat this choice.
    p_value : chance that shuffled EEG scores as much.
    weights : of the trained network; 0 if the family does not say.
    seconds : of the training.
    """

    score: float
    shuffled: float
    noise: float
    p_value: float
    weights: int
    seconds: float


def parts_of(store: Store, split: Split, folds: int | None) -> list[Part]:
    """Return training and judging windows: one part judged by validation subjects, or one per fold of training ones.

    Raises
    ------
    ConfigError
        If there are fewer training subjects than folds.
    """

    def windows(subjects: tuple[str, ...]) -> Windows:
        return Windows(store.of(subjects), store.context)

    if folds is None:
        return [(windows(split.train), windows(split.validation))]
    if folds > len(split.train):
        raise ConfigError(
            f"search.folds={folds}: the search has {len(split.train)} training subjects ({', '.join(split.train)}); "
            f"use at most {len(split.train)} folds"
        )
    held = [split.train[first::folds] for first in range(folds)]
    return [(windows(tuple(s for s in split.train if s not in own)), windows(own)) for own in held]


def judge(
    model: ModelConfig, parts: list[Part], config: Config, settings: FitSettings, on_score: OnEpoch | None = None
) -> Judgement:
    """Train a model on each part, and score it on the subjects left out.

    Parameters
    ----------
    model : its `refit` is ignored: judging subjects are not trained on.
    parts : see `parts_of`.
    config : drifts and shuffles, of section `evaluation`.
    settings : of the fits; each part of several keeps its checkpoints in a folder of its own.
    on_score : called with the number of scores so far, from 1, and metrics: after each epoch, or after each of several
        parts.

    Raises
    ------
    DivergenceError
        If a fit gives no usable model.
    """
    if getattr(model, "refit", False):
        model = model.model_copy(update={"refit": False})
    scores, results = list[float](), list[FitResult]()
    start = time.monotonic()
    for number, (train, judging) in enumerate(parts, 1):
        own = settings
        if len(parts) > 1 and settings.checkpoints:
            own = replace(settings, checkpoints=settings.checkpoints / f"part-{number}")

        def on_epoch(epoch: int, metrics: dict[str, float], _example: object) -> None:
            if on_score and len(parts) == 1:
                on_score(epoch + 1, metrics)

        results.append(fit(model, train, judging, own, on_epoch))
        scores.append(max(results[-1].history[MONITOR]))
        if on_score and len(parts) > 1:
            on_score(number, {MONITOR: float(np.mean(scores))})
    seconds = time.monotonic() - start
    shuffled, noise, p_value = null_of(results, parts, config)
    weights = int(results[-1].facts.get("parameters", 0))
    return Judgement(float(np.mean(scores)), shuffled, noise, p_value, weights, seconds)


def null_of(results: list[FitResult], parts: list[Part], config: Config) -> tuple[float, float, float]:
    """Return mean and deviation of the score with shuffled EEG, and the p-value, over all judging recordings."""
    shifts = [
        own
        for result, (_, judging) in zip(results, parts, strict=True)
        for own in _shifts(result, judging, config.evaluation.drift_cutoff)
    ]
    groups = [str(number) for number in range(len(shifts))]  # the score is the mean over recordings
    rng = np.random.default_rng(SEED)
    null = shuffled_null(shifts, groups, parts[0][1].context, config.evaluation.permutations, rng)
    return float(null.draws.mean()), float(null.draws.std()), null.p_value


def _shifts(result: FitResult, judging: Windows, cutoff: float) -> Iterator[np.ndarray]:
    """Yield the scores of each recording under every circular shift of its synthesised volumes."""
    model = result.model
    for number, recording in enumerate(judging.recordings):
        rows = judging.indices(number)
        synthesised = model.standard_units(model.synthesise(judging.eeg(rows)))
        waves = drift_waves(len(rows), recording.signal.tr, cutoff)
        yield r2_of_shifts(judging.standardised(rows, "recording"), synthesised, recording.mask, waves)


def shortened(model: ModelConfig, epochs: int) -> ModelConfig:
    """Return the model with the search's number of epochs, if it is trained in epochs."""
    training = getattr(model, "training", None)
    if training is None:
        return model
    return model.model_copy(update={"training": training.model_copy(update={"epochs": epochs})})


def reports_of(folds: int | None, model: ModelConfig) -> int:
    """Count the scores that a trial reports: one per fold, or one per epoch and one for a start that counts."""
    if folds is not None:
        return folds
    training = getattr(model, "training", None)
    return 1 if training is None else training.epochs + (family_of(model).first_epoch == 0)
