"""An interactive map of three planes, as one HTML page that needs no network."""

from __future__ import annotations

import re

import numpy as np

from eeg2fmri.plotting import correlation_scale
from eeg2fmri.reporting.page import Block, Frame, Text

WIDTH, MARGINS = 1056, 75  # pixels: of the page's text, and of what is beside and below the planes
BLANK = 1.1  # brainsprite leaves a part of the height for the coordinates


def map_viewer(
    correlation: np.ndarray, background: np.ndarray, mask: np.ndarray, affine: np.ndarray, caption: str
) -> Block:
    """Draw a map over the brain, to be looked at from all sides; colours are those of the dynamics figure.

    Parameters
    ----------
    correlation : (x, y, z), Pearson's r.
    background : (x, y, z), drawn in grey.
    mask : (x, y, z) bool; outside it nothing is drawn.
    affine : (4, 4), voxels to mm.
    caption : text below it.

    Returns
    -------
    A page that holds the scripts that draw it; a sentence if every voxel is left blank.
    """
    from nibabel import Nifti1Image
    from nilearn.plotting import view_img

    scale = correlation_scale(correlation, mask)
    blank = scale.threshold * scale.high
    if not (np.abs(correlation[mask]) >= blank).any():
        return Text(f"There is no map: no voxel has a correlation of {blank:g} or more, or of its opposite.")
    grey = background - background[mask].min()
    images = [Nifti1Image(np.where(mask, values, 0).astype(np.float32), affine) for values in (correlation, grey)]
    view = view_img(
        images[0],
        bg_img=images[1],
        threshold=blank,
        vmax=scale.high,
        cmap=scale.cmap,
        symmetric_cmap=True,
        black_bg=True,
        width_view=1000,
        resampling_interpolation="nearest",
    )
    x, y, z = np.asarray(mask.shape) * np.linalg.norm(affine[:3, :3], axis=0)
    height = round(WIDTH * BLANK * max(y, z) / (y + 2 * x)) + MARGINS  # three planes side by side
    html = re.sub(r"<link[^>]*\brel=[\"'][^\"']*icon[^>]*>", "", view.html)  # nilearn's own is on the network
    return Frame(html, height, caption)
