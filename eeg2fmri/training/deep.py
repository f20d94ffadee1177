"""Fit of a Keras family on windows."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import keras

from eeg2fmri.config import Calhas2022Config, TrainingConfig
from eeg2fmri.devices import use_device
from eeg2fmri.models.architectures import Candidates
from eeg2fmri.models.calhas2022 import Calhas2022, build
from eeg2fmri.models.fitted import KerasNetwork
from eeg2fmri.progress import progress_display
from eeg2fmri.store import Windows
from eeg2fmri.training import backend
from eeg2fmri.training.callbacks import EpochEnd, ProgressBar
from eeg2fmri.training.epochs import Checkpoints, Epochs
from eeg2fmri.training.fluctuations import Components, fit_components
from eeg2fmri.training.pairs import PairData, pair_model
from eeg2fmri.training.prefetch import Prefetched
from eeg2fmri.training.schedules import learning_rate
from eeg2fmri.training.settings import Example, FitResult, FitSettings, OnEpoch, fitted_model
from eeg2fmri.training.validation import validate


def fit_deep_model(
    config: Calhas2022Config,
    train: Windows,
    validation: Windows,
    settings: FitSettings,
    on_epoch: OnEpoch | None,
    candidates: Candidates | None = None,
) -> FitResult:
    """Fit a model, or a mixture of `candidates`: the history then has the weight of each, ``weight/eeg-01``."""
    options = config.training
    device = use_device(settings.device, settings.gpu_memory_limit)
    backend.check_precision(options.precision, device)
    distribution = backend.data_parallel(settings.devices, device, options.batch_size)
    if settings.deterministic:
        backend.make_deterministic(device)
    keras.utils.set_random_seed(settings.seed)
    make, components = _maker(config, train, settings.seed, candidates)
    with _distributed(distribution) as devices:
        parts, synthesiser, served = _networks(make, options.precision)
        config = parts.config  # with the encoders that were derived
        model = pair_model(parts, components)
        fitted = fitted_model(config, KerasNetwork(served), train)
        pairs = PairData(train, options.batch_size, config.eeg_scaling, config.bold_scaling, fitted.eeg_statistics,
                         seed=settings.seed, shuffle=options.shuffle, model=model)  # fmt: skip
        data = Prefetched(pairs, devices)
        model.compile(optimizer=optimizer_of(options, len(data), device), jit_compile=backend.compile_with_xla(device))
        model.optimizer.build(model.trainable_variables)
        with tempfile.TemporaryDirectory() as scratch:
            checkpoints = Checkpoints(settings.checkpoints or Path(scratch), settings.key)

            def scores() -> tuple[dict[str, float], Example]:
                found, example = validate(model, fitted, validation, settings.drift_cutoff)
                return found | {f"weight/{name}": share for name, share in parts.shares().items()}, example

            epochs = Epochs(model, synthesiser, options, scores, checkpoints, on_epoch)
            if not epochs.stale:
                _train(model, data, epochs, options, settings)
            checkpoints.restore_best(served)
    state = epochs.state
    facts = {
        "parameters": int(model.count_params()),
        "device": device,
        "devices": devices,
        "backend": keras.backend.backend(),
        "best_epoch": epochs.first + state.best_epoch,
        "eeg_encoder": str(config.eeg),
        **({"fmri_encoder": str(config.fmri)} if config.aligns else {}),
    }
    return FitResult(fitted, state.history, state.best_epoch, facts)


def _maker(
    config: Calhas2022Config, train: Windows, seed: int, candidates: Candidates | None
) -> tuple[Callable[[], Calhas2022], Components | None]:
    """Return what makes the parts, and the components of the decoder ``pca``."""
    components, basis = None, None
    if config.decoder == "pca":
        components = fit_components(train, config.bold_scaling, config.components)
        mean, basis = components.mean, components.scaled
    else:
        mean = train.mean_volume(config.bold_scaling)
    make = partial(build, config, train.shape, train.signal.grid, seed=seed, mean_volume=mean, basis=basis,
                   candidates=candidates)  # fmt: skip
    return make, components


def _train(
    model: keras.Model, data: Prefetched, epochs: Epochs, options: TrainingConfig, settings: FitSettings
) -> None:
    try:
        with progress_display(visible=settings.progress) as display:
            bar = ProgressBar(options.epochs, len(data), options.batch_size, display)
            callbacks = [bar, EpochEnd(data, epochs)]
            done = epochs.state.epochs
            model.fit(data, epochs=options.epochs, initial_epoch=done, verbose=0, shuffle=False, callbacks=callbacks)
    finally:
        data.close()


def _networks(make: Callable[[], Calhas2022], precision: str) -> tuple[Calhas2022, keras.Model, keras.Model]:
    """Return the parts to train, the synthesiser in them, and the one to serve, in float32.

    Under mixed precision the latter two are different models with the same weights.
    """
    parts = in_precision(precision, make)
    synthesiser = parts.synthesiser()
    return parts, synthesiser, synthesiser if precision == "float32" else make().synthesiser()


def in_precision(precision: str, make: Callable[[], Calhas2022]) -> Calhas2022:
    """Make parts compute in a precision; their outputs are float32, so that no loss overflows."""
    if precision == "float32":
        return make()
    keras.config.set_dtype_policy(precision)
    try:
        parts = make()
    finally:
        keras.config.set_dtype_policy("float32")
    models = {f.name: getattr(parts, f.name) for f in dataclasses.fields(parts)}
    return dataclasses.replace(parts, **{k: _in_float32(v) for k, v in models.items() if isinstance(v, keras.Model)})


def _in_float32(part: keras.Model) -> keras.Model:
    """Return the same layers with outputs in float32."""
    cast = keras.layers.Activation("linear", dtype="float32")
    return keras.Model(part.input, keras.tree.map_structure(cast, part.output), name=part.name)


def optimizer_of(options: TrainingConfig, steps_per_epoch: int, device: str) -> keras.optimizers.Optimizer:
    """Return Adam with the configured schedule, clipping and scaling of the loss."""
    rate = learning_rate(options, steps_per_epoch)
    adam = backend.adam(rate, device, global_clipnorm=options.global_clipnorm)
    if options.precision == "mixed_float16":  # otherwise its small gradients are zero
        return keras.optimizers.LossScaleOptimizer(adam)
    return adam


@contextmanager
def _distributed(distribution: Any) -> Iterator[int]:
    """Place variables made inside on every device of `distribution`; give their number."""
    if distribution is None:
        yield 1
        return
    with distribution.scope():
        yield distribution.num_model_replicas
