"""Figures of shares and of attention: which value stands where, and what is refused."""

import numpy as np
import pytest

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import attention_figure, figure_to_rgb, shares_figure

CHANNELS = ("Fp1", "Cz", "Oz", "T7", "T8", "ECG")
FREQUENCIES = tuple(np.arange(1, 30) / 2.16)


def test_shares_stand_at_their_channel_and_frequency(rng):
    shares = rng.standard_normal((6, 29))
    axes = shares_figure(shares, CHANNELS, FREQUENCIES).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), shares)
    assert [text.get_text() for text in axes.get_yticklabels()] == list(CHANNELS)
    ticks = {
        round(place): text.get_text() for place, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    }
    assert ticks[3] == f"{FREQUENCIES[3]:.1f}"
    low, high = axes.images[0].get_clim()
    assert -low == high == np.abs(shares).max()


def test_attention_is_a_table_and_a_graph():
    attention = np.eye(6)
    attention[3] = 0, 0, 0.75, 0.25, 0, 0  # Oz into T7
    figure = attention_figure(attention, CHANNELS)
    table, graph = figure.axes[:2]
    np.testing.assert_array_equal(table.images[0].get_array(), attention)
    links = [line for line in graph.get_lines() if line.get_zorder() == 1]
    assert len(links) == 1  # a channel that stays as it is has no link, and the ECG no place
    places = dict(zip(CHANNELS, graph.collections[0].get_offsets(), strict=False))
    np.testing.assert_allclose(np.transpose(links[0].get_data()), [places["Oz"], places["T7"]])
    assert places["Oz"][1] < places["Cz"][1] < places["Fp1"][1]
    assert np.argmax(graph.collections[0].get_sizes()) == CHANNELS.index("Oz")
    assert figure_to_rgb(figure).shape == (700, 1400, 3)


def test_channels_without_places_have_no_graph():
    figure = attention_figure(np.eye(3), ("a", "b", "Cz"))
    assert not figure.axes[1].get_lines()


@pytest.mark.parametrize(
    ("attention", "match"),
    [(np.ones((6, 5)), r"shape \(6, 5\): expected \(6, 6\)"), (np.full((6, 6), np.nan), "holds NaN")],
)
def test_what_cannot_be_drawn_is_refused(attention, match, refuses):
    with refuses(FigureError, match):
        attention_figure(attention, CHANNELS)
    with refuses(FigureError, "shares"):
        shares_figure(attention[:, :5] * np.nan, CHANNELS, FREQUENCIES[:5])
