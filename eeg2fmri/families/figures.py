"""Figures of a fitted model: its learning curves, and the figures of its family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eeg2fmri import plotting
from eeg2fmri.families.family import family_of
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import Signal
from eeg2fmri.training.settings import MONITOR, History

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def fitted_figures(model: FittedModel, history: History, signal: Signal) -> dict[str, Figure]:
    """Draw a model by its history and its family.

    Parameters
    ----------
    model : fitted.
    history : metrics per epoch; one epoch is no curve.
    signal : names of the EEG channels, and where the voxels lie.

    Returns
    -------
    ``learning_curves``, if there are several epochs, and the figures of the family, by name.
    """
    family, drawn = family_of(model.config), dict[str, Any]()
    if max(map(len, history.values()), default=0) > 1:
        drawn["learning_curves"] = plotting.learning_curves(
            history, title=model.config.variant, monitor=MONITOR, first_epoch=family.first_epoch
        )
    return {**drawn, **family.figures(model, signal)}
