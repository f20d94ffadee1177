"""Settings of the classification of subjects by EEG-only recordings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from eeg2fmri.config.bands import CLINICAL_BANDS, Bands, Penalties
from eeg2fmri.config.base import Above, Positive, Section


class ClassifyConfig(Section):
    """Labels, features and cross-validation of `classify`."""

    column: Annotated[str, Field(min_length=1)] = "group"
    """Column of ``participants.tsv`` with the labels. Source: ours; BIDS advises ``group``."""
    folds: Annotated[int, Field(ge=2)] | None = 5
    """Folds, with the labels spread evenly over them [folds]; null leaves out one subject at a time. Source: common
    practice."""
    penalties: Penalties = (0.01, 0.1, 1, 10)
    """Strengths of the penalty of the logistic regression, for features of a total variance of 1 [-]; training subjects
    of a fold choose one. Source: ours."""
    permutations: Positive = 199
    """Permutations of the labels over subjects, each with a whole cross-validation; p is no less than 1/(n + 1) [-].
    Source: ours; some seconds for 10 of them."""
    block: Above = 30.0
    """Edge of the cubes that the brain is cut into if no atlas is given [mm]. Source: ours, as in `adapt`."""
    bands: Bands = CLINICAL_BANDS
    """Edges of the bands of the EEG's power, the lower one included [Hz]. Source: IFCN; Babiloni et al. 2020."""
