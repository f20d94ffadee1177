"""What descriptions say: the verdict of the gate, scores by importance beside their nulls, and how to serve."""

from __future__ import annotations

import pytest

from eeg2fmri.config import PolicyConfig
from eeg2fmri.pipeline.describe import (
    argument_table,
    paragraphs,
    picture,
    score_table,
    scored_on,
    serving,
    table,
    verdict,
)
from eeg2fmri.scoring import Significance
from eeg2fmri.tracking import argue
from tests.mlflow_store import evidence

GOOD = evidence("3", p_value=0.004)
SURE = Significance(0.004, 0.0005, 3.21, (0.02, 0.08))
OVERALL = {
    "model": {"rmse": 0.5, "made_up": 3.0, "r2_temporal": 0.05},
    "mean_volume": {"rmse": 0.6, "made_up": 4.0, "r2_temporal": 0.0},
    "shuffled": {"rmse": 0.7, "made_up": 5.0, "r2_temporal": -0.01},
}


@pytest.mark.parametrize(
    ("split", "known", "who"),
    [("test", {"a"}, "unseen subjects"), ("test", {"b"}, "unseen sessions"), ("train", {"b"}, "train subjects")],
)
def test_a_verdict_names_those_who_were_scored(split, known, who):
    text = verdict(argue(PolicyConfig(), GOOD), GOOD, scored_on(split, {"b", "c"}, known))
    assert f"r2_temporal +0.0500 on {who}, " in text


def test_a_good_model_is_said_to_be_one():
    text = verdict(argue(PolicyConfig(), GOOD), GOOD)
    assert text.startswith("Better than its nulls")
    for number in ("+0.0500", "-0.0100", "(p = 0.0040)"):
        assert number in text


@pytest.mark.parametrize(("score", "p_value", "reason"), [(-0.02, 0.5, "not above 0.0000"), (0.05, 0.2, "by chance")])
def test_a_model_that_the_gate_would_refuse_is_not_praised(score, p_value, reason):
    found = evidence("3", score, p_value=p_value)
    text = verdict(argue(PolicyConfig(), found), found)
    assert text.startswith("Not better than its nulls")
    assert reason in text


def test_the_table_starts_with_the_deciding_score_beside_nulls_and_ceilings():
    known = OVERALL | {"given_amplitudes": {"r2_temporal": 0.07}, "best_reachable": {"r2_temporal": 0.08}}
    lines = score_table(known, SURE).splitlines()
    head = "| score | model | 95 % interval | mean volume | shuffled EEG | p | given amplitudes | best reachable |"
    assert lines[0] == head
    assert (
        lines[2] == "| `r2_temporal` | +0.0500 | +0.0200 to +0.0800 | +0.0000 | -0.0100 | 0.0040 | +0.0700 | +0.0800 |"
    )
    assert [line.split("`")[1] for line in lines[2:]] == ["r2_temporal", "rmse", "made_up"]
    assert "reachable" not in score_table(OVERALL, SURE)
    assert {line.count("|") for line in lines} == {9}


def test_parts():
    assert table(("a",), [["1"]]) == "| a |\n| --- |\n| 1 |"
    assert paragraphs("one", "", "two") == "one\n\ntwo"
    assert "models:/study/3 " in serving("study", "3")
    assert "path=figures%2Fscores.png&run_uuid=abc" in picture("abc", "figures/scores.png", "scores")


def test_the_argument_is_a_table_that_marks_what_does_not_hold():
    found = evidence("3", 0.05, 0.06)
    lines = argument_table(argue(PolicyConfig(), found)).splitlines()
    assert lines[0] == "| criterion | found | needed | holds |"
    assert "| r2_temporal beside shuffled | 0.0500 | above 0.0600 | **no** |" in lines
    assert sum("**no**" in line for line in lines) == 1
