"""The figure of relevance: which bar stands where, and what chance marks."""

from dataclasses import replace

import numpy as np
import pytest

from eeg2fmri.errors import FigureError
from eeg2fmri.evaluation import Profile, Relevance
from eeg2fmri.plotting import figure_to_rgb, relevance_figure

CHANNELS = ("Fp1", "FP2", "Cz", "Oz", "T7", "T8", "ECG")


def profile(names, loss, subjects=2):
    spread = np.linspace(-0.1, 0.1, subjects)[:, None] if subjects > 1 else np.zeros((1, 1))
    each = np.asarray(loss) + spread * np.ones(len(names))
    low, high = np.full(len(names), -0.3), np.full(len(names), 0.2)
    return Profile(tuple(names), tuple(loss), tuple(map(tuple, each)), tuple(low), tuple(high), 0.25)


@pytest.fixture
def relevance():
    return Relevance(
        score=0.4,
        subjects=("sub-01", "sub-02"),
        windows=(40, 30),
        bands=((0.0, 2.0), (8.0, 10.0), (30.0, 40.0)),
        seconds=(4.5, 2.7, 0.9),
        channels=profile(CHANNELS, (0.0, 0.1, 0.05, 0.9, -0.1, 0.2, 0.0)),
        regions=profile(("frontal", "occipital"), (0.1, 0.95)),
        frequencies=profile(("0-2 Hz", "8-10 Hz", "30-40 Hz"), (0.0, 0.8, 0.1)),
        lags=profile(("4.5 s", "2.7 s", "0.9 s"), (0.1, 0.7, 0.0)),
        bins=(0.5, 9.0, 9.5, 35.0),
    )


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def heights(axes):
    """The narrower bars, on top of those of chance."""
    bars = [patch for patch in axes.patches if patch.get_width() > 0]
    return [bar.get_height() for bar in bars[len(bars) // 2 :]]


def test_every_profile_has_its_bars(relevance):
    figure = relevance_figure(relevance, title="linear")
    found = panels(figure)
    assert heights(found["Channels"]) == list(relevance.channels.loss)
    assert heights(found["Regions"]) == list(relevance.regions.loss)
    assert heights(found["Frequencies"]) == list(relevance.frequencies.loss)
    assert [text.get_text() for text in found["Frequencies"].get_xticklabels()] == list(relevance.frequencies.names)
    assert [text.get_text() for text in found["Channels"].get_xticklabels()] == list(CHANNELS)
    assert figure_to_rgb(figure).shape == (1160, 1400, 3)


def test_lags_lie_where_their_windows_do_and_time_runs_to_the_volume(relevance):
    axes = panels(relevance_figure(relevance))["Lags"]
    bars = axes.patches[3:]
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx(relevance.seconds)
    assert axes.patches[0].get_width() == pytest.approx(0.92 * 1.8)
    left, right = axes.get_xlim()
    assert left > right


def test_what_is_above_the_threshold_is_told_apart_and_chance_is_drawn(relevance):
    figure = relevance_figure(relevance)
    axes = panels(figure)["Channels"]
    chance, loss = axes.patches[: len(CHANNELS)], axes.patches[len(CHANNELS) :]
    assert {(bar.get_y(), round(bar.get_height(), 6)) for bar in chance} == {(-0.3, 0.5)}
    colours = [bar.get_facecolor() for bar in loss]
    assert [colours.count(colour) for colour in colours] == [6, 6, 6, 1, 6, 6, 6]
    assert axes.get_lines()[0].get_ydata()[0] == 0.25
    assert "2 subjects, 70 windows" in figure.legends[0].get_title().get_text()


def test_the_scalp_has_the_loss_at_its_place(relevance):
    scalp = next(axes for name, axes in panels(relevance_figure(relevance)).items() if name.startswith("Scalp"))
    image = scalp.images[0].get_array()
    row, column = np.unravel_index(np.argmax(image), image.shape)
    assert row < 0.3 * image.shape[0]  # Oz, at the back
    assert 0.3 < column / image.shape[1] < 0.7
    assert scalp.images[0].get_clim() == (-0.9, 0.9)


def test_channels_without_places_are_bars_only(relevance):
    names = ("a", "b", "c", "d", "Fp1", "Cz", "ECG")
    figure = relevance_figure(replace(relevance, channels=profile(names, (0.1,) * 7)))
    assert not any(name.startswith("Scalp") for name in panels(figure))
    assert len(heights(panels(figure)["Channels"])) == 7


def test_one_subject_has_no_spread(relevance):
    several, one = relevance, replace(relevance, lags=profile(relevance.lags.names, relevance.lags.loss, subjects=1))
    counts = [len(panels(relevance_figure(each))["Lags"].collections) for each in (several, one)]
    assert counts[0] > counts[1]


def test_what_is_not_finite_is_refused(relevance, refuses):
    broken = replace(relevance, lags=profile(("a", "b", "c"), (0.1, np.nan, 0.2)))
    with refuses(FigureError, "lags hold NaN"):
        relevance_figure(broken)
