"""eeg2fmri: synthesise fMRI volumes from simultaneous EEG, tracked and served with MLflow.

The names below are what a script or a notebook needs, in the order in which it needs them. Each is
loaded on first use, so importing the package costs nothing.
"""

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# TensorFlow reads this when it starts. By default oneDNN is off on a CPU without AVX-512, and then gradients of
# 3-D convolutions take twenty times as long.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_HOMES = {
    "load_config": "config",
    "simulate": "simulation",
    "remove_gradient": "datasets",
    "remove_pulse": "datasets",
    "find_recordings": "datasets",
    "inspect": "api",
    "preprocess": "api",
    "open_store": "store",
    "split_windows": "store",
    "fit": "api",
    "evaluate": "api",
    "adapt": "api",
    "classify": "api",
    "explain": "api",
    "figures": "api",
    "report": "api",
    "save_model": "api",
    "load_model": "api",
    "synthesise": "api",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eeg2fmri' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"eeg2fmri.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
