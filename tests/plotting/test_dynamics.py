"""The dynamics figure: what each panel shows, for a model that follows BOLD and for one that does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import DynamicsPage, ScoreEvidence, dynamics_figure, figure_to_rgb

GRID = (9, 8, 7)


@pytest.fixture
def page(rng):
    mask = np.zeros(GRID, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    region = np.zeros(GRID, bool)
    region[3:5, 3:6, 2:5] = True
    evidence = ScoreEvidence(
        draws=rng.normal(-0.03, 0.01, 499),
        observed=0.0123,
        p_text="p = 0.0020, the smallest this test set can reach",
        model={"sub-1": 0.02, "sub-2": -0.01, "sub-3": 0.03},
        shuffled={"sub-1": -0.03, "sub-2": -0.02, "sub-3": -0.04},
        ceilings={
            "given amplitudes": {"sub-1": 0.04, "sub-2": 0.03, "sub-3": 0.05},
            "best reachable": {"sub-1": 0.05, "sub-2": 0.04, "sub-3": 0.06},
        },
    )
    return DynamicsPage(
        title="linear: dynamics",
        correlation=rng.uniform(-0.2, 0.2, GRID),
        background=rng.random(GRID) + mask,
        mask=mask,
        region=region,
        courses=rng.standard_normal((2, 50)),
        courses_title="Best region",
        tr=2.16,
        evidence=evidence,
    )


def panels(figure):
    """Axes by the start of their title."""
    return {axes.get_title(loc="left").split(":")[0]: axes for axes in figure.axes if axes.get_title(loc="left")}


def maps(figure):
    """The map in each slice; the anatomy lies beneath it."""
    return [axes.images[1] for axes in figure.axes if len(axes.images) == 2]


def texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_courses_are_drawn_over_seconds(page):
    axes = panels(dynamics_figure(page))["Best region"]
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["measured"].get_xydata()[:, 0], 2.16 * np.arange(50))
    np.testing.assert_allclose(lines["synthesised"].get_xydata()[:, 1], page.courses[1])
    assert axes.get_xlabel() == "time (s)"


def test_the_score_stands_in_its_null_distribution(page):
    axes = panels(dynamics_figure(page))["Chance"]
    assert axes.get_title(loc="left") == "Chance: p = 0.0020, the smallest this test set can reach"
    assert sum(bar.get_height() for bar in axes.patches) == 499
    assert texts(axes) == ["499 shuffles", "model +0.0123", "mean volume 0"]
    line = next(line for line in axes.lines if line.get_label() == "model +0.0123")
    assert set(line.get_xdata()) == {0.0123}


def test_each_subject_stands_beside_its_null_and_the_ceilings(page):
    axes = panels(dynamics_figure(page))["Each subject"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["sub-1", "sub-2", "sub-3"]
    drawn = {
        points.get_label(): points.get_offsets()[:, 1].tolist()
        for points in axes.collections
        if len(points.get_offsets())
    }
    assert drawn["shuffled EEG"] == [-0.03, -0.02, -0.04]
    assert drawn["best reachable"] == [0.05, 0.04, 0.06]
    assert drawn["given amplitudes"] == [0.04, 0.03, 0.05]
    assert [0.02, -0.01, 0.03] in drawn.values()
    unknown = dataclasses.replace(page, evidence=dataclasses.replace(page.evidence, ceilings={}))
    assert "best reachable" not in texts(panels(dynamics_figure(unknown))["Each subject"])


def test_the_map_has_symmetric_colours_that_leave_chance_pale(page):
    images = maps(dynamics_figure(page))
    assert len(images) == 5  # all slices with brain
    assert {image.get_clim() for image in images} == {(-0.3, 0.3)}
    strong = dataclasses.replace(page, correlation=np.where(page.mask, 0.71, 0))
    images = maps(dynamics_figure(strong))
    assert {image.get_clim() for image in images} == {(-0.8, 0.8)}


def test_a_model_that_follows_nothing_shows_no_colour_and_no_courses(page):
    evidence = dataclasses.replace(page.evidence, draws=np.zeros(99), observed=0.0)
    flat = dataclasses.replace(page, correlation=np.zeros(GRID), region=None, courses=None,
                               courses_title="No region", evidence=evidence)  # fmt: skip
    figure = dynamics_figure(flat)
    images = maps(figure)
    assert all(image.get_array().mask.all() for image in images)
    assert not panels(figure)["No region"].lines
    assert "99 shuffles, all alike" in texts(panels(figure)["Chance"])


def test_without_evidence_the_lower_panels_are_left_out(page):
    figure = dynamics_figure(dataclasses.replace(page, evidence=None))
    assert panels(figure).keys() == {"Best region"}
    assert figure_to_rgb(figure).shape == (540, 1400, 3)
    assert figure_to_rgb(dynamics_figure(page)).shape == (930, 1400, 3)


def test_what_cannot_be_drawn_is_refused(page, refuses):
    with refuses(FigureError, "correlation holds NaN"):
        dynamics_figure(dataclasses.replace(page, correlation=np.full(GRID, np.nan)))
