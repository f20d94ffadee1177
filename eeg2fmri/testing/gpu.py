"""A GPU that TensorFlow assumes, to test whether a process does not use it.

For a new process, where it may run as text: nothing of this package is imported.
"""

from __future__ import annotations

from typing import Any

_visible: list[Any] = []


def claim_a_gpu() -> None:
    """Let TensorFlow list a GPU, and record which devices it may use."""
    import tensorflow as tf

    listed, show = tf.config.list_physical_devices, tf.config.set_visible_devices

    def noted(devices: Any, kind: str | None = None) -> None:
        _visible.append((devices, kind))
        show(devices, kind)

    tf.config.list_physical_devices = lambda kind=None: ["GPU:0"] if kind == "GPU" else listed(kind)
    tf.config.set_visible_devices = noted
    tf.config.experimental.set_memory_growth = lambda *_: None


def computed_on_gpu() -> bool:
    """Return whether TensorFlow has computed while it was allowed to use the GPU."""
    import tensorflow as tf

    if ([], "GPU") in _visible:
        return False
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:  # possible while nothing is computed
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    except RuntimeError:
        return True
    return False
