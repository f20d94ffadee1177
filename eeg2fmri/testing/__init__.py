"""What every model family and every dataset layout must do, as tests that a lab runs on its own: needs pytest.

In a test file of yours::

    from eeg2fmri.testing import FamilyTests, LayoutTests

    class TestMyFamily(FamilyTests):
        model = {"family": "my.package:FAMILY", "training": {"epochs": 2}}

    class TestMyLayout(LayoutTests):
        layout = "my.package:Layout"

        def write(self, root): ...  # a small dataset, see `LayoutTests`
"""

from eeg2fmri.testing.families import FamilyTests
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
    "SAMPLING_RATE",
    "SIGNAL",
    "TR",
    "FamilyTests",
    "recording",
]
