"""Fit of the `factorised` family: a start in closed form, then gradient steps on whole recordings.

n instances of one recording, C channels, F frequencies, T context, K components, q drift waves.

A step takes one recording, because only over time drifts and means differ from the part that the EEG explains.
Epoch 0 is the start itself, so training is kept only if it helps validation subjects.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from eeg2fmri.config import FactorisedConfig
from eeg2fmri.devices import use_device
from eeg2fmri.models.factorised import Factorised, build
from eeg2fmri.models.fitted import FittedModel, KerasNetwork
from eeg2fmri.models.linear import bands_with_bins
from eeg2fmri.progress import progress_display
from eeg2fmri.store import Windows
from eeg2fmri.training import backend
from eeg2fmri.training.closed_form import validation_scores
from eeg2fmri.training.courses import Courses
from eeg2fmri.training.epochs import Checkpoints, Epochs, Progressing
from eeg2fmri.training.linear import components_without_drift, everyone
from eeg2fmri.training.settings import FitResult, FitSettings, OnEpoch, fitted_model


class SourcesModel(keras.Model):
    """The scores with their loss: x (n, C, F, T) gives (n, K).

    y: "scores" (n, K), "waves" (n, q), and "weights" (K,) of the squared errors.
    """

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Compute the share of the weighted variance that stays unexplained; predicted drifts are free."""
        error = y_pred - y["scores"]
        error = error - ops.matmul(y["waves"], ops.matmul(ops.transpose(y["waves"]), error))
        return ops.sum(ops.square(error) * y["weights"]) / ops.sum(ops.square(y["scores"]) * y["weights"])


@dataclass(frozen=True)
class Start:
    """A network in its closed form: the model that takes steps, and the same weights in `network` and `fitted`.

    It also holds the recordings, with the targets of a step on each, and the median penalty of the scores.
    """

    model: SourcesModel
    network: Factorised
    fitted: FittedModel
    train: Windows
    batches: Sequence[dict[str, Any]]
    penalty: float | None


def fit_factorised_model(
    config: FactorisedConfig,
    train: Windows,
    validation: Windows,
    settings: FitSettings,
    on_epoch: OnEpoch | None,
) -> FitResult:
    device = use_device(settings.device, settings.gpu_memory_limit)
    if settings.deterministic:
        backend.make_deterministic(device)
    start = _start(config, train, device, settings)
    state = _train(config, start, validation, settings, on_epoch)
    if config.refit:
        start = _start(config, everyone(train, validation), device, settings)
        for epoch in range(1, state.best_epoch + 1):
            _epoch(start, epoch, settings.seed)
    facts = {
        "parameters": int(start.network.scores.count_params()),
        "components": int(start.network.scores.output_shape[-1]),
        "device": device,
        "backend": keras.backend.backend(),
        "best_epoch": state.best_epoch,
        "median_penalty": "none" if start.penalty is None else start.penalty,
        "start_r2_temporal": state.history["val/r2_temporal"][0],
    }
    return FitResult(start.fitted, state.history, state.best_epoch, facts, config.refit)


def _start(config: FactorisedConfig, train: Windows, device: str, settings: FitSettings) -> Start:
    """Fit the closed form, and build the parts for gradient steps around it."""
    keras.utils.set_random_seed(settings.seed)
    edges = np.stack(list(bands_with_bins(config.bands, np.asarray(train.signal.frequencies)).values()))
    basis = components_without_drift(train, config.bold_scaling, config.drift_cutoff, config.components)
    courses = Courses.read(config, train, edges, basis)
    start = courses.sources()
    mean_volume = train.mean_volume(config.bold_scaling)
    network = build(config, courses.features, start, basis, mean_volume, seed=settings.seed)
    model = SourcesModel(network.scores.input, network.scores.output)
    optimiser = keras.optimizers.Adam(config.training.learning_rate)
    model.compile(optimizer=optimiser, jit_compile=backend.compile_with_xla(device))
    model.optimizer.build(model.trainable_variables)
    # Tensors, because PyTorch's steps do not convert their inputs.
    batches = [{name: ops.convert_to_tensor(array) for name, array in each.items()} for each in courses.targets()]
    fitted = fitted_model(config, KerasNetwork(network.synthesiser), train)
    predicted = start.penalties[np.isfinite(start.penalties)]
    return Start(model, network, fitted, train, batches, float(np.median(predicted)) if len(predicted) else None)


def _train(
    config: FactorisedConfig, start: Start, validation: Windows, settings: FitSettings, on_epoch: OnEpoch | None
) -> Progressing:
    """Take gradient steps from the start; keep the weights of the best epoch in its network."""
    options, network = config.training, start.network
    with tempfile.TemporaryDirectory() as scratch:
        checkpoints = Checkpoints(settings.checkpoints or Path(scratch), settings.key)
        epochs = Epochs(
            start.model,
            network.synthesiser,
            options,
            lambda: validation_scores(start.fitted, validation, settings.drift_cutoff),
            checkpoints,
            on_epoch,
            first=0,
        )
        epochs.restore_random()
        with progress_display(visible=settings.progress) as display:
            task = display.add_task("training", total=options.epochs, completed=epochs.state.epochs, status="")
            for epoch in range(epochs.state.epochs, options.epochs + 1):
                if epochs.stale:
                    break
                loss = _epoch(start, epoch, settings.seed)
                epochs.finish({"train/loss": loss})
                display.update(task, completed=epoch, status=f"loss {loss:.4f}")
        checkpoints.restore_best(network.synthesiser)
    return epochs.state


def _epoch(start: Start, epoch: int, seed: int) -> float:
    """Return the mean loss over the recordings; epoch 0 only measures, later ones take a step on each."""
    step = start.model.train_on_batch if epoch else start.model.test_on_batch
    train = start.train
    order = np.random.default_rng((seed, epoch)).permutation(len(start.batches))
    return float(np.mean([step(train.eeg(train.indices(number)), start.batches[number]) for number in order]))
