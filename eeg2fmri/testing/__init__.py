"""Tests that every model family and every dataset layout must pass, for a lab to run on its own: needs pytest.

In a test file of yours::

    from eeg2fmri.testing import FamilyTests, LayoutTests

    class TestMyFamily(FamilyTests):
        model = {"family": "my.package:FAMILY", "training": {"epochs": 2}}

    class TestMyLayout(LayoutTests):
        layout = "my.package:Layout"

        def write(self, root): ...  # a small dataset, see `LayoutTests`

``pytest.register_assert_rewrite("eeg2fmri.testing")`` before that import shows the values in a failure.
"""

from eeg2fmri.testing.families import FamilyTests
from eeg2fmri.testing.layouts import MOMENT, VOLUMES, LayoutTests, bright_volumes, loud_eeg
from eeg2fmri.testing.recordings import (
    CHANNELS,
    CONTEXT,
    EEG_SHAPE,
    FREQUENCIES,
    GRID,
    LAG,
    SAMPLING_RATE,
    SIGNAL,
    TR,
    recording,
)

__all__ = [
    "CHANNELS",
    "CONTEXT",
    "EEG_SHAPE",
    "FREQUENCIES",
    "GRID",
    "LAG",
    "MOMENT",
    "SAMPLING_RATE",
    "SIGNAL",
    "TR",
    "VOLUMES",
    "FamilyTests",
    "LayoutTests",
    "bright_volumes",
    "loud_eeg",
    "recording",
]
