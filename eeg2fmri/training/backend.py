"""The training calls that depend on the Keras backend: determinism, compilation, devices, the optimiser's update."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from eeg2fmri.devices import DETERMINISTIC
from eeg2fmri.errors import ConfigError


def make_deterministic(device: str) -> None:
    """Make every operation repeat to the last bit, for the rest of the process.

    Raises
    ------
    ConfigError
        If a GPU library has started without the setting that this needs.
    """
    backend = keras.backend.backend()
    if device == "gpu" and backend in DETERMINISTIC:
        variable, value = DETERMINISTIC[backend]
        if value not in os.environ.get(variable, ""):
            raise ConfigError(
                f"run.deterministic on a GPU needs {variable}={value} in the environment; set it before the command"
            )
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


def generators() -> list[list[int]]:
    """Return the state of PyTorch's own generators, which its dropout uses; other backends have none."""
    if keras.backend.backend() != "torch":
        return []
    import torch

    states = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    return [state.tolist() for state in states]


def set_generators(states: list[list[int]]) -> None:
    """Restore the state that `generators` returned."""
    if not states:
        return
    import torch

    own, *gpus = (torch.tensor(state, dtype=torch.uint8) for state in states)
    torch.set_rng_state(own)
    torch.cuda.set_rng_state_all(gpus)


def compile_with_xla(device: str) -> bool:
    """Return whether to compile the step: on JAX always, on TensorFlow on a GPU only.

    On a CPU, XLA makes this model about thirty times slower in TensorFlow; JAX has nothing else.
    """
    backend = keras.backend.backend()
    return backend == "jax" or (backend == "tensorflow" and device == "gpu")


def input_gradients(model: keras.Model, x: np.ndarray, batch: int = 32) -> np.ndarray | None:
    """Return gradient of half of the squared deviations of the outputs from their mean, by the inputs; on TensorFlow
    only.

    Parameters
    ----------
    model : (B, ...) → (B, ...).
    x : (n, ...), all inputs that the mean is taken over.
    batch : inputs computed at once.

    Returns
    -------
    As `x`; ``None`` on another backend.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    parts = [tf.convert_to_tensor(x[first : first + batch]) for first in range(0, len(x), batch)]
    mean = sum(tf.reduce_sum(model(part, training=False), axis=0) for part in parts) / len(x)
    gradients = []
    for part in parts:
        with tf.GradientTape() as tape:
            tape.watch(part)
            half = tf.reduce_sum(tf.square(model(part, training=False) - mean)) / 2
        gradients.append(tape.gradient(half, part).numpy())
    return np.concatenate(gradients)


def check_precision(precision: str, device: str) -> None:
    """Refuse float16 on a CPU, which lacks operations for it; bfloat16 works (9 % faster with AVX512-BF16)."""
    if precision == "mixed_float16" and device == "cpu":
        raise ConfigError(
            "training.precision=mixed_float16 needs a GPU, because a CPU has no convolution and pooling for it; use "
            "float32 or mixed_bfloat16"
        )


def data_parallel(devices: int | None, device: str, batch_size: int) -> Any:
    """Return a distribution of every batch over several devices of a kind, or ``None`` for one device.

    Parameters
    ----------
    devices : how many; ``None`` for all that JAX sees, and one on the other backends.
    device : ``"cpu"`` or ``"gpu"``.
    batch_size : windows of a batch, which the devices share equally.

    Raises
    ------
    ConfigError
        If there are fewer devices, the backend cannot distribute, or the batch cannot be shared equally.
    """
    if keras.backend.backend() != "jax":
        if (devices or 1) > 1:
            raise ConfigError(
                f"run.devices={devices}: Keras trains on several devices only with run.backend=jax; set it, or leave "
                f"run.devices out"
            )
        return None
    found = keras.distribution.list_devices(device)
    wanted = len(found) if devices is None else devices
    if wanted > len(found):
        raise ConfigError(f"run.devices={wanted}, but JAX sees {len(found)} of kind {device}; set at most as many")
    if wanted == 1:
        return None
    if batch_size % wanted:
        raise ConfigError(
            f"training.batch_size {batch_size} is not a multiple of {wanted} devices; change it or set run.devices"
        )
    return keras.distribution.DataParallel(devices=found[:wanted], auto_shard_dataset=False)


def adam(learning_rate: Any, device: str, *, global_clipnorm: float | None = None) -> keras.optimizers.Optimizer:
    """Return Adam; on TensorFlow's CPU its fused update, which reads the 44 million weights only once.

    Parameters
    ----------
    learning_rate : a number or a `keras.optimizers.schedules.LearningRateSchedule`.
    device : ``"cpu"`` or ``"gpu"``.
    global_clipnorm : as in `keras.optimizers.Optimizer`.
    """
    fused = keras.backend.backend() == "tensorflow" and device == "cpu"
    return (FusedAdam if fused else keras.optimizers.Adam)(learning_rate, global_clipnorm=global_clipnorm)


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` (no amsgrad) with the update in one TensorFlow kernel per variable."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Apply the formula of the parent, with the same state."""
        import tensorflow as tf

        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable: Any) -> Any:
    """Return the resource handle of a Keras variable or of the TensorFlow variable inside it."""
    return getattr(variable, "_value", variable).handle
