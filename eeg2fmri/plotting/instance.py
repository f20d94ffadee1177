"""One instance: the EEG context of a channel as a time-frequency image, and the volume it precedes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._scale import THRESHOLD, Limits, Volume, check_volume, make_scale
from eeg2fmri.plotting._spectral import draw_spectrogram, power_density, power_label
from eeg2fmri.plotting.axial import Affine, Axial
from eeg2fmri.plotting.canvas import LABEL, TICK, new_figure
from eeg2fmri.plotting.slices import UNIT_LABEL, draw_volume


def instance_figure(
    context: NDArray[np.floating],
    frequencies: NDArray[np.floating],
    tr: float,
    volume: Volume,
    *,
    affine: Affine | None = None,
    channel: str = "EEG",
    unit: str = "µV",
    title: str = "",
    limits: Limits | None = None,
) -> Figure:
    """Draw the input of a model from one channel, and the volume it must synthesise.

    Parameters
    ----------
    context
        (windows, frequencies) magnitude of one channel; a window lasts one TR, the last one ends at the start of
        the volume
    frequencies
        (frequencies,) Hz, evenly spaced
    tr
        Seconds between volumes
    volume
        (x, y, z), standardised BOLD
    affine
        (4, 4), its voxels to mm in RAS+, as in `slice_figure`
    channel
        Name of the channel
    unit
        That of its magnitude
    limits
        Range of the volume's colours; by default its own

    Returns
    -------
    Figure
        1900 x 700 pixels.

    Raises
    ------
    FigureError
        If `context` does not fit `frequencies` or is not finite, or `volume` cannot be drawn.
    """
    if context.shape != (len(context), len(frequencies)) or not context.size:
        raise FigureError(f"context has shape {context.shape}: expected (windows, {len(frequencies)}), none 0.")
    if not np.isfinite(context).all():
        raise FigureError("context holds NaN or infinite values: only finite ones can be drawn.")
    check_volume(volume, "volume")
    figure = new_figure(19, 7, title)
    grid = figure.add_gridspec(1, 2, width_ratios=(5, 14))
    left, right = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    axes = left.add_axes((0.16, 0.105, 0.62, 0.765))
    edges = tr * np.arange(-len(context), 1)
    mesh = draw_spectrogram(axes, power_density(context, tr), edges, frequencies)
    axes.set_title(f"EEG, {channel}", fontsize=LABEL)
    axes.set_xlabel("time from the volume (s)", fontsize=LABEL)
    axes.set_ylabel("frequency (Hz)", fontsize=LABEL)
    axes.tick_params(labelsize=TICK)
    bar = left.colorbar(mesh, cax=left.add_axes((0.805, 0.105, 0.035, 0.765)), extend="both")
    bar.set_label(f"power ({power_label(unit)})", fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICK)
    draw_volume(
        right, Axial.of(volume.shape, affine), volume, make_scale(volume, False, THRESHOLD, limits, None), UNIT_LABEL
    )
    return figure
