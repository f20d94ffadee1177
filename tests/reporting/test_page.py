"""A page: escaped, whole without a network, and drawn by a browser."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.plotting import correlation_scale
from eeg2fmri.reporting.page import Folded, Frame, Number, Page, Picture, Points, Quote, Section, Table, Text, render
from eeg2fmri.reporting.viewer import map_viewer
from tests.reporting.pages import BROWSER, Reader, browse, loads

EVIL = "<script>alert(1)</script>\"'&"


def page_of(*blocks, **changes) -> Page:
    sections = [Section("all", "All", "Which?", blocks)]
    parts = {"title": "t", "subtitle": "s", "verdict": "v", "tone": "good", "numbers": [Number("a", "1", "n")],
             "remarks": [], "sections": sections}  # fmt: skip
    return Page(**(parts | changes))


@pytest.fixture(scope="module")
def viewer() -> Frame:
    rng = np.random.default_rng(0)
    correlation, background = rng.uniform(-0.5, 0.5, (9, 8, 7)), rng.uniform(100, 200, (9, 8, 7))
    mask = np.zeros((9, 8, 7), bool)
    mask[1:-1, 1:-1, 1:-1] = True
    return map_viewer(correlation, background, mask, np.diag([3.0, 3.0, 4.0, 1.0]), "a map")


def test_every_text_is_escaped():
    blocks = [Text(EVIL), Points([EVIL]), Table([EVIL], [[EVIL]], EVIL), Picture(b"png", EVIL), Folded(EVIL, EVIL),
              Frame("<p>x</p>", 9, EVIL), Quote(EVIL, [(EVIL, "")])]  # fmt: skip
    page = page_of(*blocks, title=EVIL, subtitle=EVIL, verdict=EVIL, numbers=[Number(EVIL, EVIL, EVIL)], remarks=[EVIL])
    reader = Reader(render(page))
    assert [tag for tag, _ in reader.elements if tag == "script"] == []
    assert reader.text.count(EVIL) == 19  # twice the title, a heading and a text folded, a quote and its work
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)


def test_words_between_backticks_are_code():
    assert "<p>the <code>a&lt;b</code> of it</p>" in render(page_of(Text("the `a<b` of it")))


def test_what_a_page_would_load_is_found():
    bad = '<link rel="icon" href="https://x/i.ico"><img src="http://x/a.png"><style>p{background:url(x.png)}</style>'
    nested = '<iframe srcdoc="&lt;script src=&quot;//x/y.js&quot;&gt;&lt;/script&gt;"></iframe>'
    assert len(list(loads(Reader(bad + nested + '<a href="https://doi.org/1">ok</a>')))) == 4


def test_the_viewer_needs_no_network(viewer):
    assert list(loads(Reader(viewer.html))) == []


def test_a_map_of_nothing_is_not_drawn():
    mask = np.ones((4, 3, 2), bool)
    block = map_viewer(np.full(mask.shape, 0.01), np.ones(mask.shape), mask, np.eye(4), "a map")
    assert block == Text("There is no map: no voxel has a correlation of 0.075 or more, or of its opposite.")


def test_the_viewer_has_the_colours_of_the_figure(viewer):
    rng = np.random.default_rng(0)
    mask = np.zeros((9, 8, 7), bool)
    mask[1:-1, 1:-1, 1:-1] = True
    scale = correlation_scale(rng.uniform(-0.5, 0.5, (9, 8, 7)), mask)
    assert f'"min": {-scale.high}, "max": {scale.high}' in viewer.html


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="there is no chromium to open the page with")
def test_a_browser_draws_the_viewer(viewer, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render(page_of(viewer)), encoding="utf-8")
    colours, console, _ = browse(path, tmp_path)
    assert console == []
    assert colours
    assert max(colours) > 20


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="there is no chromium to open the page with")
def test_a_viewer_that_fails_is_noticed(viewer, tmp_path):
    path = tmp_path / "page.html"
    broken = viewer.html.replace("brain = brainsprite(", "brain = absent(")
    path.write_text(render(page_of(Frame(broken, 300, "a map"))), encoding="utf-8")
    colours, console, _ = browse(path, tmp_path)
    assert "absent is not defined" in console[0]
    assert max(colours, default=0) < 20
