"""Windows of three tiny training subjects and one validation subject with two recordings."""

import pytest

from eeg2fmri.store import Windows
from tests.fakes import CONTEXT, recording


@pytest.fixture(scope="session")
def train() -> Windows:
    return Windows([recording(f"sub-0{n}", n) for n in (1, 2, 3)], CONTEXT)


@pytest.fixture(scope="session")
def validation() -> Windows:
    return Windows([recording("sub-04", 4), recording("sub-04", 5, windows=17, run=2)], CONTEXT)
