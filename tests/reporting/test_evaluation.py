"""The report of an evaluation: what it says, from the run's own numbers, without MLflow's database."""

from __future__ import annotations

import dataclasses
import re

import pytest

import eeg2fmri
from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError
from eeg2fmri.evaluation import p_number
from tests.mlflow_store import LINEAR, memory_store
from tests.reporting.pages import BROWSER, Reader, browse, loads

CONFIG = Config.model_validate({"models": [LINEAR], "evaluation": {"shuffles": 2, "permutations": 99}})
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def store():
    return dataclasses.replace(memory_store(), name=EVIL)


@pytest.fixture(scope="module")
def model(store):
    return eeg2fmri.fit(store, CONFIG)


@pytest.fixture(scope="module")
def scores(model, store):
    return eeg2fmri.evaluate(model, store, config=CONFIG)


@pytest.fixture(scope="module")
def path(model, store, scores, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    return eeg2fmri.report(model, store, out, config=CONFIG, scores=scores)


@pytest.fixture(scope="module")
def page(path):
    return Reader(path.read_text(encoding="utf-8"))


def test_a_data_set_with_a_script_in_its_name_is_only_text(page):
    assert EVIL in page.text
    assert [tag for tag, _ in page.elements if tag == "script"] == []


def test_nothing_is_loaded(page):
    assert list(loads(page)) == []


def test_the_sections_are_in_the_order_of_the_questions(page):
    keys = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert keys == ["data", "protocol", "scores", "figures", "map", "explanation", "limits", "methods", "configuration"]


def test_the_deciding_score_stands_beside_null_p_effect_and_interval(page, scores):
    sure, overall = scores.significance, scores.overall
    assert f"r2_temporal {overall['model']['r2_temporal']:+.4f} share of variance" in page.text
    assert "strongest null +0.0000 mean volume of training" in page.text
    assert f"p {p_number(sure.p_value)} smallest reachable {p_number(sure.smallest_p)}" in page.text
    assert f"effect size {sure.effect_size:+.1f}" in page.text
    assert "95 % interval – none: it needs 3 subjects" in page.text


def test_the_verdict_is_the_sentence_that_describes_the_run(page, scores):
    score, shuffled = (scores.overall[name]["r2_temporal"] for name in ("model", "shuffled"))
    assert f"Better than its nulls: r2_temporal {score:+.4f} on unseen subjects, {shuffled:+.4f} with" in page.text


def test_data_of_each_part(page, store):
    assert "training 3 3 111 sub-01, sub-02, sub-03 validation 1 1 37 sub-04 test 2 3 102 sub-05, sub-06" in page.text
    assert "TR 0.5 s, grid 8 × 7 × 5, voxels 2 × 3 × 4 mm" in page.text
    assert store.digest in page.text


def test_every_condition_and_subject_has_its_score(page, scores):
    table = scores.table.groupby(["condition", "subject"])["r2_temporal"].mean()
    for subject in ("sub-05", "sub-06"):
        row = " ".join(f"{table[name][subject]:+.4f}" for name in scores.overall)
        assert f"{subject} {row}".replace("-0.0000", "+0.0000") in page.text.replace("-0.0000", "+0.0000")
    assert "task alone: sub-01_task-rest_run-1: none in the store." in page.text


def test_limits_are_those_of_this_run(page):
    assert "2 subjects were scored. An interval over subjects needs 3, so there is none." in page.text
    assert (
        "Their baselines are absent, so the score of the model may come from: head motion and the pulse and the timing"
        in page.text
    )
    assert "p is as small as this test set allows (0.010)" in page.text
    assert "simulated" not in page.text
    assert "There is no relevance of this score: none was given." in page.text


def test_another_run_has_other_limits(model, store, tmp_path):
    config = CONFIG.model_copy(update={"evaluation": CONFIG.evaluation.model_copy(update={"baselines": ()})})
    named = dataclasses.replace(store, name="eeg2fmri")
    text = Reader(eeg2fmri.report(model, named, tmp_path / "r.html", "validation", config).read_text("utf-8")).text
    assert "The data are simulated." in text
    assert "1 subject was scored. An interval" in text
    assert "They may have chosen it." in text
    assert "the scores are too good" in text
    assert "on validation subjects" in text
    assert "on unseen subjects" not in text
    assert "The model has seen no recording" not in text


def test_figures_are_those_that_are_logged(page):
    pictures = [attributes["alt"] for tag, attributes in page.elements if tag == "img"]
    assert [alt.split()[0] for alt in pictures] == ["Dynamics:", "Every", "One", "Voxels"]
    assert len(page.frames) == 1


def test_a_report_is_an_html_file(model, store, refuses, tmp_path):
    with refuses(ConfigError, "its name ends with .html"):
        eeg2fmri.report(model, store, tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_it_is_of_moderate_size(path):
    assert path.stat().st_size < 6e6


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="there is no chromium to open the page with")
def test_a_browser_shows_the_whole_report(path, tmp_path):
    colours, console, after = browse(path, tmp_path)
    assert console == []
    assert max(colours) > 10
    assert re.search(r"<blockquote>Simultaneous EEG and BOLD of 6 subjects", after)
