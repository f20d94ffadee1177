"""Classification of subjects with EEG only, by what a model synthesises from their EEG and by the EEG itself.

A model knows nothing of a subject but the EEG. So the question is not only if its volumes separate the labels better
than chance, but if they do so better than the EEG that they were made from.

The features of a recording, by set and kind:

- ``regions``: synthesised regional courses: ``spread``, the log of their standard deviations, and ``correlation``
  between them (Fisher's z)
- ``latents``: the same of the few courses that the model makes its volumes from, if its family has them
- ``eeg``: log band power of each channel: ``mean``, and ``spread`` as above

Courses and band power have no drifts, as in the scores of a model. Features of a subject are means over recordings.
"""

from eeg2fmri.classification.features import (
    EEG,
    LATENTS,
    REGIONS,
    Featured,
    Kinds,
    features_of_file,
    parcellation,
    recording_features,
)
from eeg2fmri.classification.labelled import Labelled, find_labelled
from eeg2fmri.classification.results import Beside, Classification, classify_subjects
from eeg2fmri.classification.subjects import subject_features

__all__ = [
    "EEG",
    "LATENTS",
    "REGIONS",
    "Beside",
    "Classification",
    "Featured",
    "Kinds",
    "Labelled",
    "classify_subjects",
    "features_of_file",
    "find_labelled",
    "parcellation",
    "recording_features",
    "subject_features",
]
