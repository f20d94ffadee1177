"""Model families: the contract that each one keeps, and the fit of a model of any of them."""

from eeg2fmri.families.adapt import Adapted, adapt_model
from eeg2fmri.families.family import Family, Mixture, Space, family_of
from eeg2fmri.families.figures import fitted_figures
from eeg2fmri.families.fit import check_feasible, fit
from eeg2fmri.families.map_scores import maps_of
from eeg2fmri.families.networks import ArrayFamily, KerasFamily
from eeg2fmri.families.penalty import Penalty, choose_penalty
from eeg2fmri.families.space import Between, Choices
from eeg2fmri.training import MONITOR, FitResult, FitSettings, OnEpoch

__all__ = [
    "MONITOR",
    "Adapted",
    "ArrayFamily",
    "Between",
    "Choices",
    "Family",
    "FitResult",
    "FitSettings",
    "KerasFamily",
    "Mixture",
    "OnEpoch",
    "Penalty",
    "Space",
    "adapt_model",
    "check_feasible",
    "choose_penalty",
    "family_of",
    "fit",
    "fitted_figures",
    "maps_of",
]
