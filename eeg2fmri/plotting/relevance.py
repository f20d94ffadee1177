"""Figure of the channels, frequencies and lags that a model's score comes from, as heads and profiles."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.evaluation import Profile, Relevance
from eeg2fmri.plotting._heads import FEWEST_ELECTRODES, electrodes
from eeg2fmri.plotting._scale import DIVERGING
from eeg2fmri.plotting.attribution import attention_figure, shares_figure
from eeg2fmri.plotting.canvas import BAD, DATA, LABEL, TICK, new_figure

_CHANCE, _BELOW = "0.86", "0.55"
_MOST_ACROSS, _SMALL = 12, 10  # names that fit side by side, and the size of more of them, upright
_LOSS = "loss of r2_temporal"


def relevance_figures(relevance: Relevance, *, title: str = "") -> dict[str, Figure]:
    """Draw all that is known: ``relevance``, and ``shares`` and ``attention`` of a model that has them."""
    channels = relevance.channels.names
    drawn = {"relevance": relevance_figure(relevance, title=f"{title}: relevance")}
    if relevance.shares is not None:
        shares = np.asarray(relevance.shares)
        drawn["shares"] = shares_figure(shares, channels, relevance.bins, title=f"{title}: channels and frequencies")
    if relevance.attention is not None:
        drawn["attention"] = attention_figure(np.asarray(relevance.attention), channels, title=f"{title}: attention")
    return drawn


def relevance_figure(relevance: Relevance, *, title: str = "") -> Figure:
    """Draw the loss without each channel, region, band of frequencies and lag.

    From top to bottom: the scalp and the regions; every channel; frequencies and lags. A grey bar is what chance gives
    (5 to 95 % of the losses of a model whose EEG is of another time). The dashed line is what the largest of all bars
    exceeds by chance in one of twenty cases; bars above it are blue, their electrodes dots. A thin line is one standard
    deviation over subjects. Channels whose names are not positions of the 10-05 system are not on the scalp; with
    fewer than four positions there is none.

    Parameters
    ----------
    relevance
        From `eeg2fmri.explain`

    Returns
    -------
    Figure
        1400 x 1160 pixels.

    Raises
    ------
    FigureError
        If a value is not finite.
    """
    for name in ("channels", "regions", "frequencies", "lags"):
        if not np.isfinite(getattr(relevance, name).loss).all():
            raise FigureError(f"{name} hold NaN or infinite losses: only finite ones can be drawn.")
    figure = new_figure(14, 11.6, title)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    axes = figure.subplot_mosaic([["scalp", "regions"], ["channels", "channels"], ["frequencies", "lags"]])
    _draw_scalp(figure, axes["scalp"], relevance.channels)
    _draw_names(axes["regions"], relevance.regions, "Regions")
    _draw_names(axes["channels"], relevance.channels, "Channels")
    _draw_names(axes["frequencies"], relevance.frequencies, "Frequencies")
    _draw_lags(axes["lags"], relevance)
    subjects = f"{len(relevance.subjects)} subject" + "s" * (len(relevance.subjects) != 1)
    heading = f"r2_temporal {relevance.score:+.4f} with all EEG, {subjects}, {sum(relevance.windows)} windows"
    handles = [
        Patch(color=DATA, label="loss, above the threshold"),
        Patch(color=_BELOW, label="loss, not above it"),
        Patch(color=_CHANCE, label="chance, 5 to 95 %"),
        axes["regions"].get_lines()[0],
    ]
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=LABEL, title=heading
    )
    legend.get_title().set_fontsize(LABEL)
    return figure


def _draw_scalp(figure: Figure, axes: Axes, channels: Profile) -> None:
    from mne.viz import plot_topomap

    known, info = electrodes(channels.names)
    if len(known) < FEWEST_ELECTRODES:
        axes.set_axis_off()
        return
    loss = np.asarray(channels.loss)[known]
    limit = float(np.abs(loss).max()) or 1.0
    dots = {"marker": "o", "markerfacecolor": "black", "markeredgecolor": "white", "markersize": 7}
    plot_topomap(
        loss, info, axes=axes, show=False, cmap=DIVERGING, vlim=(-limit, limit), contours=0,
        mask=loss > channels.threshold, mask_params=dots,
    )  # fmt: skip
    axes.set_title("Scalp: the loss without each channel", fontsize=LABEL)
    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), DIVERGING), ax=axes, shrink=0.8)
    bar.set_label(_LOSS, fontsize=TICK)
    bar.ax.tick_params(labelsize=TICK)


def _draw_names(axes: Axes, profile: Profile, heading: str) -> None:
    places = np.arange(len(profile.names), dtype=np.float64)
    _draw_bars(axes, profile, places, 1.0, heading)
    upright = len(places) > _MOST_ACROSS
    axes.set_xticks(places, profile.names, rotation=90 * upright, fontsize=_SMALL if upright else TICK)
    axes.set_xlim(-0.6, len(places) - 0.4)


def _draw_lags(axes: Axes, relevance: Relevance) -> None:
    seconds = np.asarray(relevance.seconds)
    width = 2 * float(seconds.min())  # the last window ends where the volume starts
    _draw_bars(axes, relevance.lags, seconds, width, "Lags")
    axes.invert_xaxis()
    axes.set_xlabel("seconds from the EEG to the volume", fontsize=LABEL)


def _draw_bars(axes: Axes, profile: Profile, middle: NDArray[np.floating], width: float, heading: str) -> None:
    loss, low, high = (np.asarray(values) for values in (profile.loss, profile.low, profile.high))
    axes.bar(middle, high - low, 0.92 * width, bottom=low, color=_CHANCE)
    axes.bar(middle, loss, 0.5 * width, color=np.where(loss > profile.threshold, DATA, _BELOW).tolist())
    if len(profile.by_subject) > 1:
        axes.errorbar(
            middle, loss, np.std(profile.by_subject, axis=0, ddof=1), fmt="none", ecolor="black", elinewidth=1
        )
    axes.axhline(profile.threshold, color=BAD, linestyle="--", linewidth=1.5, label="threshold, p < 0.05 of all bars")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_title(heading, fontsize=LABEL)
    axes.set_ylabel(_LOSS, fontsize=TICK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.margins(x=0.01)
