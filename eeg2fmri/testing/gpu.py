"""A GPU that TensorFlow believes in, to see whether a process that is to leave it alone does.

For a fresh process, where it may run as text: nothing of this package is imported.
"""

from __future__ import annotations

from typing import Any

_visible: list[Any] = []


def claim_a_gpu() -> None:
    """Let TensorFlow list a GPU, and note which devices it is told to use."""
    import tensorflow as tf

    listed, show = tf.config.list_physical_devices, tf.config.set_visible_devices

    def noted(devices: Any, kind: str | None = None) -> None:
        _visible.append((devices, kind))
        show(devices, kind)

    tf.config.list_physical_devices = lambda kind=None: ["GPU:0"] if kind == "GPU" else listed(kind)
    tf.config.set_visible_devices = noted
    tf.config.experimental.set_memory_growth = lambda *_: None


def computed_on_gpu() -> bool:
    """Whether TensorFlow has computed without being told to leave the GPU alone."""
    import tensorflow as tf

    if ([], "GPU") in _visible:
        return False
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:  # possible as long as nothing is computed
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    except RuntimeError:
        return True
    return False
