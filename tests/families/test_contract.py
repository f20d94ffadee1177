"""Every family of this package keeps the contract that `eeg2fmri.testing` ships."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from eeg2fmri.config import FAMILIES
from eeg2fmri.testing import FamilyTests
from tests.fakes import deep_config


@pytest.mark.slow
class TestCalhas2022(FamilyTests):
    model = deep_config(epochs=2).model_dump()
    ranges = MappingProxyType({"batch_size": [4], "architectures": False})


class TestFactorised(FamilyTests):
    model = MappingProxyType(
        {
            "family": "factorised",
            "components": 5,
            "sources": 2,
            "hidden": 4,
            "drift_cutoff": 6.0,
            "training": {"epochs": 2, "learning_rate": 1e-3},
        }
    )


class TestLinear(FamilyTests):
    model = MappingProxyType({"family": "linear", "components": 5})


class TestMean(FamilyTests):
    model = MappingProxyType({"family": "mean"})


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_is_left_out(family):
    tested = [tests.model["family"] for tests in FamilyTests.__subclasses__()]
    assert family in tested
