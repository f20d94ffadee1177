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
from eeg2fmri.evaluation import mae, r2_temporal
from eeg2fmri.models.fitted import FittedModel, Network
from eeg2fmri.models.linear import fit_linear, log_band_power
from eeg2fmri.progress import progress_display
from eeg2fmri.store import Windows

if TYPE_CHECKING:
    from eeg2fmri.models.calhas2022 import Calhas2022
    from eeg2fmri.training.callbacks import Example, History, OnEpoch

POWER_BATCH = 64  # windows whose spectra are copied at once


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
    """A fitted model, its scores per epoch (a closed form has one) and the epoch that was kept."""

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
    on_epoch : called after each epoch with its number, metrics and an example of a
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
    both = Windows([*train.recordings, *validation.recordings], train.context)
    rows = np.arange(len(both))
    subjects = sorted({r.subject for r in both.recordings})
    subject = np.array([subjects.index(r.subject) for r in both.recordings])[both.owner]
    parts = [rows[start : start + POWER_BATCH] for start in range(0, len(rows), POWER_BATCH)]
    power = np.concatenate([log_band_power(both.eeg(part), frequencies) for part in parts])
    targets = both.standardised(rows, config.bold_scaling)
    fitted = fit_linear(
        power,
        targets.reshape(len(rows), -1),
        both.owner,
        subject,
        both.owner >= len(train.recordings),
        frequencies,
        config,
        grid=targets.shape[1:],
    )
    del targets
    model = _fitted(config, fitted.network, train)
    metrics, example = _validation_scores(model, validation)
    if on_epoch:
        on_epoch(0, metrics, example)
    predicted = np.isfinite(fitted.chosen)
    facts = {
        "parameters": int(fitted.network.coefficients.size),
        "components_predicted": int(predicted.sum()),
        "median_penalty": float(np.median(fitted.chosen[predicted])) if predicted.any() else "none",
        "held_out_gain": float(np.maximum(fitted.gains.max(axis=0), 0).mean()),
    }
    return FitResult(model, {key: [value] for key, value in metrics.items()}, 0, facts)


def _validation_scores(model: FittedModel, windows: Windows) -> tuple[dict[str, float], Example]:
    """MAE and `r2_temporal` in standard units, the mean over recordings, and one example."""
    absolute, scores, examples = [], [], []
    for number, recording in enumerate(windows.recordings):
        rows = windows.indices(number)
        synthesised = model.standard_units(model.synthesise(windows.eeg(rows)))
        measured = windows.standardised(rows, "recording")
        absolute.append(mae(measured, synthesised))
        scores.append(r2_temporal(measured, synthesised, recording.mask))
        examples.append((measured[len(rows) // 2], synthesised[len(rows) // 2]))
    return {"val/mae": float(np.mean(absolute)), "val/r2_temporal": float(np.mean(scores))}, examples[0]


def _fit_deep(
    config: Calhas2022Config, train: Windows, validation: Windows, settings: FitSettings, on_epoch: OnEpoch | None
) -> FitResult:
    # Keras takes seconds to import; the linear family does without it.
    import keras

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
    parts = _build(config, train, settings.seed)
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


def _build(config: Calhas2022Config, train: Windows, seed: int) -> Calhas2022:
    from eeg2fmri.models.calhas2022 import build

    recording = train.recordings[0]
    shape = (*recording.spectrogram.shape[1:], train.context)
    mean = train.mean_volume(config.bold_scaling)
    return build(config, shape, recording.mask.shape, seed=seed, mean_volume=mean)


def _replay(history: History, on_epoch: OnEpoch | None) -> None:
    """Report the epochs of an interrupted fit again, since its run is not this one."""
    for epoch in range(len(next(iter(history.values()), []))):
        if on_epoch:
            on_epoch(epoch, {key: values[epoch] for key, values in history.items()}, None)
