"""The gate: every criterion on its own, and the edges that pass."""

from __future__ import annotations

import dataclasses

import pytest

from eeg2fmri.config import PolicyConfig
from eeg2fmri.tracking import argue
from tests.mlflow_store import evidence

POLICY = PolicyConfig()
GOOD, CHAMPION = evidence("7"), evidence("3", 0.04, 0.01)
NAN = float("nan")


@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_a_good_version_passes(champion):
    argument = argue(POLICY, GOOD, champion)
    assert argument.passes
    assert argument.verdict == "passed"
    assert [criterion.name for criterion in argument.nulls] == [
        "test subjects", "r2_temporal beside mean volume", "r2_temporal beside shuffled", "p of r2_temporal"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"score": 0.0}, ["0.0000 is not above 0.0000", "mean volume"]),
        ({"score": -0.005}, ["-0.0050 is not above 0.0000"]),
        ({"shuffled": 0.06}, ["0.0500 is not above 0.0600", "shuffled"]),
        ({"shuffled": 0.05}, ["0.0500 is not above 0.0500"]),
        ({"p_value": 0.05}, ["0.0500", "p = 0.050", "below 0.05"]),
        ({"p_value": 0.7}, ["by chance", "p = 0.700"]),
        ({"p_value": NAN}, ["p = nan"]),
        ({"shuffled": NAN}, ["is not above nan"]),
    ],
)
def test_one_fault_gives_one_reason_with_its_numbers(fault, named):
    argument = argue(POLICY, evidence("7", **fault))
    (reason,) = argument.reasons
    assert argument.verdict == "refused"
    for text in named:
        assert text in reason


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        ({"margin": 0.06}, ["0.0500 is not above 0.0600", "mean volume (0.0000) and a margin of 0.06"]),
        ({"level": 0.001}, ["p = 0.0010", "below 0.001"]),
        ({"subjects": 3}, ["2 test subjects, the policy needs 3"]),
        ({"nulls": ["mean_volume", "arousal"]}, ["arousal was not scored, the policy needs it"]),
        ({"metric": "ssim"}, ["ssim nan is not above nan"]),
    ],
)
def test_the_policy_decides(policy, named):
    reasons = argue(PolicyConfig.model_validate(policy), GOOD).reasons
    for text in named:
        assert text in reasons[0]


def test_the_policy_may_leave_a_null_out():
    worse = evidence("7", 0.05, 0.06)
    assert not argue(POLICY, worse).passes
    assert argue(PolicyConfig(nulls=("mean_volume",)), worse).passes


def test_a_rival_is_no_null_unless_the_policy_says_so():
    overall = {**GOOD.overall, "linear": {"r2_temporal": 0.9}, "subject_mean": {"r2_temporal": 0.9}}
    rivalled = dataclasses.replace(GOOD, overall=overall)
    assert argue(POLICY, rivalled).passes
    assert not argue(PolicyConfig(nulls=("linear",)), rivalled).passes


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"score": 0.06}, ["0.0500 is below 0.0600", "version 3", "same data"]),
        ({"data_digest": "b" * 64}, ["version 3", "other data", "b" * 12, "d" * 12, "evaluate"]),
        ({"scoring": "t"}, ["version 3", "other code or settings", "evaluate models:/…/3 again"]),
    ],
)
def test_the_champion_gives_one_reason_with_its_numbers(fault, named):
    argument = argue(POLICY, GOOD, evidence("3", **fault))
    (reason,) = argument.reasons
    assert argument.verdict == "challenger"
    for text in named:
        assert text in reason


def test_a_better_champion_on_other_data_is_not_compared():
    (reason,) = argue(POLICY, GOOD, evidence("3", 0.9, data_digest="b" * 64)).reasons
    assert "other data" in reason
    assert "0.9" not in reason


def test_a_better_champion_of_another_space_does_not_stand_in_the_way():
    argument = argue(POLICY, GOOD, evidence("3", 0.9, space="y" * 64, data_digest="b" * 64))
    assert argument.passes
    assert argument.champion[0].needed == "not compared"


def test_equal_to_the_champion_passes():
    assert argue(POLICY, GOOD, evidence("3", 0.05)).passes


def test_the_champion_itself_passes_again_even_on_other_data():
    assert argue(POLICY, GOOD, evidence("7", 0.2, data_digest="b" * 64)).passes


def test_just_below_the_level_passes():
    assert argue(POLICY, evidence("7", p_value=0.0499)).passes


def test_nan_never_passes():
    assert not argue(POLICY, evidence("7", NAN)).passes


def test_every_fault_is_named():
    reasons = argue(POLICY, evidence("7", -0.03), CHAMPION).reasons
    assert len(reasons) == 3
    for reason, text in zip(reasons, ("not above 0.0000", "not above -0.0100", "below 0.0400"), strict=True):
        assert text in reason
