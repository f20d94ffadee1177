"""Fitting a model of any family on the windows of training subjects."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri.config import Calhas2022Config, LinearConfig
from eeg2fmri.errors import ConfigError, LeakageError
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.models.fitted import FittedModel, Network
from eeg2fmri.models.linear import fit_path, log_band_power
from eeg2fmri.progress import progress_display
from eeg2fmri.store import Windows

if TYPE_CHECKING:
    from eeg2fmri.training.callbacks import Example, History, OnEpoch


@dataclass(frozen=True)
class FitSettings:
    """Where and how a fit runs; nothing here changes what is fitted but the seed.

    checkpoints: folder for the state after each epoch, from which an interrupted fit of the same
    `key` goes on.  progress: show a bar.
    """

    seed: int = 0
    device: str = "auto"
    gpu_memory_limit: int | None = None
    checkpoints: Path | None = None
    key: str = ""
    progress: bool = False


@dataclass(frozen=True)
class FitResult:
    """A fitted model, its scores per epoch (or per penalty) and what was chosen by them."""

    model: FittedModel
    history: History
    best_epoch: int
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


def fit(
    config: Calhas2022Config | LinearConfig,
    train: Windows,
    validation: Windows,
    frequencies: np.ndarray,
    settings: FitSettings,
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Fit a model on `train`, choosing epoch or penalty on `validation`.

    Parameters
    ----------
    config : family, architecture and optimisation.
    train, validation : windows of disjoint subjects.
    frequencies : (F,) Hz of the spectrogram.
    settings : seed, device, checkpoints.
    on_epoch : called after each epoch (or penalty) with its number, metrics and an example of a
        measured and a synthesised validation volume (``None`` for epochs restored from a checkpoint).

    Raises
    ------
    LeakageError
        If a subject is in both parts.
    ConfigError
        If a batch is larger than the training set, or the device is not there.
    SpecError
        If the architecture does not fit the shapes.
    """
    both = {r.subject for r in train.recordings} & {r.subject for r in validation.recordings}
    if both:
        raise LeakageError(f"{', '.join(sorted(both))} in train and in validation; split by subject")
    if isinstance(config, LinearConfig):
        return _fit_linear(config, train, validation, frequencies, on_epoch)
    return _fit_deep(config, train, validation, settings, on_epoch)


def _fitted(config: Calhas2022Config | LinearConfig, network: Network, train: Windows) -> FittedModel:
    return FittedModel(config, network, train.eeg_statistics(), train.bold_statistics(), train.mean_volume("recording"))


def _fit_linear(
    config: LinearConfig, train: Windows, validation: Windows, frequencies: np.ndarray, on_epoch: OnEpoch | None
) -> FitResult:
    rows = np.arange(len(train))
    power = np.concatenate([log_band_power(train.eeg(part), frequencies) for part in np.array_split(rows, 16)])
    targets = train.standardised(rows, config.bold_scaling)
    grid = targets.shape[1:]
    networks = fit_path(
        power,
        targets.reshape(len(rows), -1),
        train.owner,
        frequencies.astype(np.float32),
        grid=grid,
        components=config.components,
        penalties=config.penalties,
    )
    del targets
    base = _fitted(config, networks[0], train)
    history: History = {}
    for number, (penalty, network) in enumerate(zip(config.penalties, networks, strict=True)):
        model = FittedModel(config, network, base.eeg_statistics, base.bold_statistics, base.mean_volume)
        score, example = _validation_score(model, validation)
        metrics = {"val/r2_temporal": score, "train/penalty": penalty}
        for key, value in metrics.items():
            history.setdefault(key, []).append(value)
        if on_epoch:
            on_epoch(number, metrics, example)
    best = int(np.argmax(history["val/r2_temporal"]))
    chosen = FittedModel(config, networks[best], base.eeg_statistics, base.bold_statistics, base.mean_volume)
    facts = {"penalty": config.penalties[best], "parameters": int(networks[best].coefficients.size)}
    return FitResult(chosen, history, best, facts)


def _validation_score(model: FittedModel, windows: Windows) -> tuple[float, Example]:
    scores, examples = [], []
    for number, recording in enumerate(windows.recordings):
        rows = windows.indices(number)
        synthesised = model.standard_units(model.synthesise(windows.eeg(rows)))
        measured = windows.standardised(rows, "recording")
        scores.append(r2_temporal(measured, synthesised, recording.mask))
        examples.append((measured[len(rows) // 2], synthesised[len(rows) // 2]))
    return float(np.mean(scores)), examples[0]


def _fit_deep(
    config: Calhas2022Config, train: Windows, validation: Windows, settings: FitSettings, on_epoch: OnEpoch | None
) -> FitResult:
    # Keras takes seconds to import; the linear family does without it.
    import keras

    from eeg2fmri.models.calhas2022 import build
    from eeg2fmri.models.fitted import KerasNetwork
    from eeg2fmri.training import backend
    from eeg2fmri.training.callbacks import Checkpoints, EpochEnd, ProgressBar
    from eeg2fmri.training.pairs import PairData, pair_model

    options = config.training
    if options.batch_size > len(train):
        raise ConfigError(
            f"training.batch_size {options.batch_size} is larger than the training set of {len(train)} windows"
        )
    device = backend.use_device(settings.device, settings.gpu_memory_limit)
    keras.utils.set_random_seed(settings.seed)
    recording = train.recordings[0]
    shape = (*recording.spectrogram.shape[1:], train.context)
    mean = train.mean_volume(config.bold_scaling)
    parts = build(config, shape, recording.mask.shape, seed=settings.seed, mean_volume=mean)
    synthesiser = parts.synthesiser()
    model = pair_model(parts)
    model.compile(optimizer=backend.adam(options.learning_rate, device), jit_compile=backend.compile_with_xla(device))
    model.optimizer.build(model.trainable_variables)
    fitted = _fitted(config, KerasNetwork(synthesiser), train)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoints = Checkpoints(settings.checkpoints or Path(scratch), settings.key)
        state = checkpoints.restore(model)
        _replay(state.history, on_epoch)
        data = PairData(
            train,
            options.batch_size,
            config.eeg_scaling,
            config.bold_scaling,
            fitted.eeg_statistics,
            seed=settings.seed,
            epoch=state.epochs,
        )
        with progress_display(visible=settings.progress) as display:
            bar = ProgressBar(options.epochs, len(data), options.batch_size, display)
            end = EpochEnd(fitted, synthesiser, validation, options, checkpoints, state, on_epoch)
            if state.epochs - 1 - max(state.best_epoch, 0) < options.patience:
                model.fit(
                    data,
                    epochs=options.epochs,
                    initial_epoch=state.epochs,
                    verbose=0,
                    shuffle=False,
                    callbacks=[bar, end],
                )
        checkpoints.restore_best(synthesiser)
    facts = {
        "parameters": int(model.count_params()),
        "device": device,
        "backend": keras.backend.backend(),
        "best_epoch": state.best_epoch,
    }
    return FitResult(fitted, state.history, state.best_epoch, facts)


def _replay(history: History, on_epoch: OnEpoch | None) -> None:
    """Report the epochs of an interrupted fit again, since its run is not this one."""
    for epoch in range(len(next(iter(history.values()), []))):
        if on_epoch:
            on_epoch(epoch, {key: values[epoch] for key, values in history.items()}, None)
