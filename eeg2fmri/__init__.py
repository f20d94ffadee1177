"""eeg2fmri: synthesise fMRI volumes from simultaneous EEG, tracked and served with MLflow.

The names below are what a script or a notebook needs, in the order in which it needs them. Each is
loaded on first use, so importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "load_config": "config",
    "simulate": "simulation",
    "find_recordings": "datasets",
    "build_store": "store",
    "open_store": "store",
    "split_windows": "store",
    "fit": "training",
    "score_windows": "pipeline",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eeg2fmri' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"eeg2fmri.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
