"""Model families: the contract that each one keeps, and the fit of a model of any of them."""

from eeg2fmri.families.family import Family, Space, family_of
from eeg2fmri.families.figures import fitted_figures
from eeg2fmri.families.fit import check_feasible, fit
from eeg2fmri.families.networks import ArrayFamily, KerasFamily
from eeg2fmri.families.space import Between, Choices
from eeg2fmri.training import MONITOR, FitResult, FitSettings, OnEpoch

__all__ = [
    "MONITOR",
    "ArrayFamily",
    "Between",
    "Choices",
    "Family",
    "FitResult",
    "FitSettings",
    "KerasFamily",
    "OnEpoch",
    "Space",
    "check_feasible",
    "family_of",
    "fit",
    "fitted_figures",
]
