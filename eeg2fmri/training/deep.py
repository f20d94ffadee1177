"""Fitting a Keras family on windows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras

from eeg2fmri.config import Calhas2022Config
from eeg2fmri.errors import ConfigError
from eeg2fmri.models.calhas2022 import Calhas2022, build
from eeg2fmri.models.fitted import KerasNetwork
from eeg2fmri.progress import progress_display
from eeg2fmri.store import Windows
from eeg2fmri.training import backend
from eeg2fmri.training.callbacks import Checkpoints, EpochEnd, History, OnEpoch, ProgressBar
from eeg2fmri.training.fluctuations import Components, fit_components
from eeg2fmri.training.pairs import PairData, pair_model
from eeg2fmri.training.settings import FitResult, FitSettings, fitted_model


def fit_deep_model(
    config: Calhas2022Config, train: Windows, validation: Windows, settings: FitSettings, on_epoch: OnEpoch | None
) -> FitResult:
    options = config.training
    if options.batch_size > len(train):
        raise ConfigError(
            f"training.batch_size {options.batch_size} is larger than the training set of {len(train)} windows"
        )
    device = backend.use_device(settings.device, settings.gpu_memory_limit)
    keras.utils.set_random_seed(settings.seed)
    pca = config.decoder == "pca"
    components = fit_components(train, config.bold_scaling, config.components) if pca else None
    parts = _build(config, train, settings.seed, components)
    synthesiser = parts.synthesiser()
    model = pair_model(parts, components)
    model.compile(optimizer=backend.adam(options.learning_rate, device), jit_compile=backend.compile_with_xla(device))
    model.optimizer.build(model.trainable_variables)
    fitted = fitted_model(config, KerasNetwork(synthesiser), train)
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
            model=model,
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


def _build(config: Calhas2022Config, train: Windows, seed: int, components: Components | None) -> Calhas2022:
    recording = train.recordings[0]
    shape = (*recording.spectrogram.shape[1:], train.context)
    if components is None:
        mean, basis = train.mean_volume(config.bold_scaling), None
    else:
        mean, basis = components.mean, components.scaled
    return build(config, shape, recording.mask.shape, seed=seed, mean_volume=mean, basis=basis)


def _replay(history: History, on_epoch: OnEpoch | None) -> None:
    """Report the epochs of an interrupted fit again, since its run is not this one."""
    for epoch in range(len(next(iter(history.values()), []))):
        if on_epoch:
            on_epoch(epoch, {key: values[epoch] for key, values in history.items()}, None)
