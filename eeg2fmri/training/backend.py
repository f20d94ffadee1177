"""The only calls that depend on the Keras backend: devices, compilation, the optimiser's update."""

from __future__ import annotations

from typing import Any

import keras

from eeg2fmri.errors import ConfigError


def use_device(device: str, gpu_memory_limit: int | None) -> str:
    """Choose where to compute, before anything else is computed.

    Parameters
    ----------
    device : ``"auto"`` (a GPU when there is one), ``"cpu"`` or ``"gpu"``.
    gpu_memory_limit : MiB that TensorFlow may take on the GPU; ``None`` for what it needs.

    Returns
    -------
    ``"cpu"`` or ``"gpu"``.

    Raises
    ------
    ConfigError
        If a GPU is asked for and there is none, or TensorFlow has been used with another setting.
    """
    if keras.backend.backend() != "tensorflow":
        has_gpu = any("cpu" not in name.lower() for name in keras.distribution.list_devices())
        return _resolve(device, has_gpu)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    chosen = _resolve(device, bool(gpus))
    try:
        if chosen == "cpu":
            tf.config.set_visible_devices([], "GPU")
        elif gpu_memory_limit:
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=gpu_memory_limit)
            tf.config.set_logical_device_configuration(gpus[0], [limit])
        else:
            tf.config.experimental.set_memory_growth(gpus[0], True)
    except RuntimeError as err:  # TensorFlow computes already, for a model that was loaded before
        if gpu_memory_limit or (chosen == "cpu") != (not tf.config.get_visible_devices("GPU")):
            raise ConfigError(f"run.device={device}: TensorFlow runs already with another setting ({err})") from err
    return chosen


def compile_with_xla(device: str) -> bool:
    """XLA pays on a GPU; on a CPU it makes this model some thirty times slower."""
    return device == "gpu"


def adam(learning_rate: float, device: str) -> keras.optimizers.Optimizer:
    """Adam; on TensorFlow's CPU its fused update, which passes over the 44 million weights once."""
    if keras.backend.backend() == "tensorflow" and device == "cpu":
        return FusedAdam(learning_rate)
    return keras.optimizers.Adam(learning_rate)


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` (no amsgrad) with the update in one TensorFlow kernel per variable."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Same formula and state as the parent's."""
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
    """Resource handle of a Keras variable or of the TensorFlow variable inside it."""
    return getattr(variable, "_value", variable).handle


def _resolve(device: str, has_gpu: bool) -> str:
    if device == "gpu" and not has_gpu:
        raise ConfigError("run.device=gpu, but no GPU is visible to Keras; use run.device=auto or cpu")
    return "gpu" if has_gpu and device != "cpu" else "cpu"
