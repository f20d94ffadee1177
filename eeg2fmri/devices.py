"""Library and device of the computation: chosen before Keras is imported, the same for training and serving."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

from eeg2fmri.errors import ConfigError, MissingExtraError

BACKENDS = ("tensorflow", "jax", "torch")
# Serving has no configuration file, so its environment sets the device.
DEVICE_VARIABLE = "EEG2FMRI_DEVICE"
# Libraries read these once, when they start.
DETERMINISTIC = {"jax": ("XLA_FLAGS", "--xla_gpu_deterministic_ops=true"),
                 "torch": ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")}  # fmt: skip
# TensorFlow writes these at import, or when it looks for a GPU where there is no driver. They look like faults, but are
# harmless.
NO_FAULTS = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()",
             "To enable the following instructions:", "failed call to cuInit")  # fmt: skip


def use_backend(name: str | None = None, *, deterministic: bool = False) -> str:
    """Choose the library that Keras computes with.

    Parameters
    ----------
    name : one of `BACKENDS`; ``None`` takes ``KERAS_BACKEND``, or TensorFlow.
    deterministic : request operations that repeat exactly on a GPU.

    Returns
    -------
    Name of the library.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    ConfigError
        If Keras runs on another one already, or ``KERAS_BACKEND`` names an unknown one.
    """
    if "keras" in sys.modules:
        import keras

        running = keras.backend.backend()
        if name not in (None, running):
            raise ConfigError(f"run.backend={name}: this process already runs Keras on {running}; start a new process")
        return running
    chosen = name or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if chosen not in BACKENDS:
        raise ConfigError(f"KERAS_BACKEND={chosen} is not supported; expected one of {', '.join(BACKENDS)}")
    if importlib.util.find_spec(chosen) is None:
        package = "eeg2fmri" if chosen == "tensorflow" else f"eeg2fmri[{chosen}]"
        raise MissingExtraError(f"run.backend={chosen}: {chosen} is not installed; pip install '{package}'")
    os.environ["KERAS_BACKEND"] = chosen
    if deterministic and chosen in DETERMINISTIC:
        variable, value = DETERMINISTIC[chosen]
        given = os.environ.get(variable, "")
        if value not in given:
            os.environ[variable] = f"{given} {value}".strip()
    return chosen


def import_keras() -> ModuleType:
    """Import Keras on the chosen library, without TensorFlow's notes about itself on the terminal."""
    without = _without_jax() if use_backend() == "tensorflow" else nullcontext()
    with _without_notes(), without:
        return importlib.import_module("keras")


def return_freed_memory() -> None:
    """Let TensorFlow return freed memory, in a process that only predicts; call it before Keras is imported.

    By default it keeps all that it once had, for its next arrays. A prediction is as fast without that, but a step of
    training needs 2.5 times as long.
    """
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")


@contextmanager
def _without_jax() -> Iterator[None]:
    """Keep JAX out while TensorFlow is imported: TensorFlow Lite would load it, for 100 MiB and half a second."""
    absent: dict[str, Any] = {} if {"jax", "tensorflow"} & sys.modules.keys() else {"jax": None}
    sys.modules.update(absent)  # the import of a module that is None fails as if it were not installed
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _without_notes() -> Iterator[None]:
    """Hold back the process's standard error, and then pass on all of it but `NO_FAULTS`."""
    sys.stderr.flush()
    with os.fdopen(os.dup(2), "wb") as stderr, tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr.fileno(), 2)
            held.seek(0)
            stderr.writelines(line for line in held if not any(note.encode() in line for note in NO_FAULTS))


def forget_networks() -> None:
    """Give back what Keras keeps of the networks of this process, before the next one of many."""
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session(free_memory=False)
    gc.collect()
    if not gc.get_freeze_count():  # to look through all modules again takes a third of a second each time
        gc.freeze()


def use_device(device: str, gpu_memory_limit: int | None = None) -> str:
    """Choose the device, before anything else is computed.

    Parameters
    ----------
    device : ``"auto"`` (a GPU when there is one), ``"cpu"`` or ``"gpu"``.
    gpu_memory_limit : MiB for TensorFlow on the GPU; ``None`` for as much as it needs.

    Returns
    -------
    ``"cpu"`` or ``"gpu"``.

    Raises
    ------
    ConfigError
        If a GPU is asked for and there is none, the backend does not support the setting, or it has been
        used with another setting.
    """
    backend = import_keras().backend.backend()
    chosen = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}[backend](device, gpu_memory_limit)
    if gpu_memory_limit and chosen == "gpu" and backend != "tensorflow":
        raise ConfigError(f"run.gpu_memory_limit works on TensorFlow, not on {backend}; leave it out")
    return chosen


def device_of_environment() -> str:
    """Return the device in ``EEG2FMRI_DEVICE``, or ``"auto"``."""
    return os.environ.get(DEVICE_VARIABLE) or "auto"


def _on_tensorflow(device: str, gpu_memory_limit: int | None) -> str:
    import tensorflow as tf

    with nullcontext() if device == "gpu" else _without_notes():  # who asks for a GPU learns why there is none
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
    except RuntimeError as err:  # TensorFlow already computes, for a model that was loaded before
        other = (chosen == "cpu") != (not tf.config.get_visible_devices("GPU"))
        if gpu_memory_limit and chosen == "gpu" and not other:
            limits = [each.memory_limit for each in tf.config.get_logical_device_configuration(gpus[0]) or ()]
            other = limits != [gpu_memory_limit]
        if other:
            raise ConfigError(
                f"run.device={device}: TensorFlow already runs with another setting ({err}); start a new process"
            ) from err
    return chosen


def _on_jax(device: str, gpu_memory_limit: int | None) -> str:
    import jax

    has_gpu = jax.default_backend() == "gpu"
    chosen = _resolve(device, has_gpu)
    if chosen == "cpu" and has_gpu:
        jax.config.update("jax_default_device", jax.devices("cpu")[0])
    return chosen


def _on_torch(device: str, gpu_memory_limit: int | None) -> str:
    import torch

    has_gpu = torch.cuda.is_available()
    chosen = _resolve(device, has_gpu)
    if chosen == "cpu" and has_gpu and os.environ.get("KERAS_TORCH_DEVICE") != "cpu":
        raise ConfigError(f"run.device={device}: on PyTorch set KERAS_TORCH_DEVICE=cpu before the command")
    return chosen


def _resolve(device: str, has_gpu: bool) -> str:
    if device not in ("auto", "cpu", "gpu"):
        raise ConfigError(f"device {device!r} is not known; expected auto, cpu or gpu")
    if device == "gpu" and not has_gpu:
        raise ConfigError("run.device=gpu, but no GPU is visible to Keras; use run.device=auto or cpu")
    return "gpu" if has_gpu and device != "cpu" else "cpu"
