"""Search: Optuna over the settings of a model family."""

from eeg2fmri.search.study import search_step

__all__ = ["search_step"]
