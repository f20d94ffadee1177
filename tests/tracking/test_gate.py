"""The gate: every reason on its own, and the edges that pass."""

from __future__ import annotations

import dataclasses

import pytest

from eeg2fmri.tracking import Scores, check_gate

GOOD = Scores("7", r2_temporal=0.05, shuffled=-0.02, p_value=0.01, data_digest="a" * 64, scoring="s")
CHAMPION = Scores("3", r2_temporal=0.04, shuffled=0.01, p_value=0.002, data_digest="a" * 64, scoring="s")
NAN = float("nan")


def changed(scores: Scores, **fault: object) -> Scores:
    return dataclasses.replace(scores, **fault)


@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_a_good_version_passes(champion):
    assert check_gate(GOOD, champion) == []


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"r2_temporal": 0.0}, ["0.0000 is not above 0", "mean volume"]),
        ({"r2_temporal": -0.01}, ["-0.0100 is not above 0"]),
        ({"shuffled": 0.06}, ["0.0500 is not above 0.0600", "shuffled EEG"]),
        ({"shuffled": 0.05}, ["0.0500 is not above 0.0500"]),
        ({"p_value": 0.05}, ["0.0500", "p = 0.050", "below 0.05"]),
        ({"p_value": 0.7}, ["by chance", "p = 0.700"]),
        ({"p_value": NAN}, ["p = nan"]),
        ({"shuffled": NAN}, ["is not above nan"]),
    ],
)
def test_one_fault_gives_one_reason_with_its_numbers(fault, named):
    reasons = check_gate(changed(GOOD, **fault), None)
    assert len(reasons) == 1
    for text in named:
        assert text in reasons[0]


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"r2_temporal": 0.06}, ["0.0500 is below 0.0600", "version 3", "same data"]),
        ({"data_digest": "b" * 64}, ["version 3", "other data", "b" * 12, "a" * 12, "evaluate"]),
        ({"scoring": "t"}, ["version 3", "other code or settings", "evaluate models:/…/3 again"]),
    ],
)
def test_the_champion_gives_one_reason_with_its_numbers(fault, named):
    reasons = check_gate(GOOD, changed(CHAMPION, **fault))
    assert len(reasons) == 1
    for text in named:
        assert text in reasons[0]


def test_a_better_champion_on_other_data_is_not_compared():
    (reason,) = check_gate(GOOD, changed(CHAMPION, r2_temporal=0.9, data_digest="b" * 64))
    assert "other data" in reason
    assert "0.9" not in reason


def test_equal_to_the_champion_passes():
    assert check_gate(GOOD, changed(CHAMPION, r2_temporal=GOOD.r2_temporal)) == []


def test_the_champion_itself_passes_again_even_on_other_data():
    assert check_gate(GOOD, changed(GOOD, r2_temporal=0.2, data_digest="b" * 64)) == []


def test_the_smallest_significance_passes():
    assert check_gate(changed(GOOD, p_value=0.0499), None) == []


def test_nan_never_passes():
    assert check_gate(changed(GOOD, r2_temporal=NAN), None)


def test_every_fault_is_told():
    reasons = check_gate(changed(GOOD, r2_temporal=-0.03), CHAMPION)
    assert len(reasons) == 3
    for reason, text in zip(reasons, ("not above 0,", "not above -0.0200", "below 0.0400"), strict=True):
        assert text in reason
