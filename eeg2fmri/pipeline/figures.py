"""Figures of the steps: one volume of an unseen subject, measured beside synthesised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from eeg2fmri import plotting
from eeg2fmri.signals import bold_scaling
from eeg2fmri.store import Windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FWHM_MM = 8.0  # the field's usual smoothing: a single volume is mostly the scanner's noise
CAPTION = f"Middle volume of the first recording minus its mean over time, smoothed ({FWHM_MM:g} mm). Grey: mean BOLD."


def volume_figure(
    windows: Windows, example: tuple[np.ndarray, np.ndarray], dropped_volumes: int, *, title: str
) -> Figure:
    """Draw measured and synthesised activity of one volume and their difference, in percent of the mean volume.

    Which volume is shown depends on no score: it is the middle one of the first recording.

    Parameters
    ----------
    windows : what was scored.
    example : (measured, synthesised) change of that volume in standard units, as `middle_change` gives it.
    dropped_volumes : volumes at the start of the run that the store does not hold.
    title : of what synthesised it; recording, volume and time follow.
    """
    recording, instances = windows.recordings[0], windows.indices(0)
    first = dropped_volumes + (recording.part[0] if recording.part else 0)
    number = first + int(windows.volume[instances[len(instances) // 2]])
    statistics = recording.statistics
    intensities = (change * statistics.sd + statistics.voxel_mean for change in example)
    percent = (bold_scaling("psc").standardise(volume, statistics) for volume in intensities)
    sizes = np.linalg.norm(np.asarray(recording.signal.affine)[:3, :3], axis=0)
    measured, synthesised = (smoothed(change, recording.mask, FWHM_MM / sizes) for change in percent)
    return plotting.comparison_figure(
        measured,
        synthesised,
        statistics.voxel_mean,
        affine=recording.signal.affine,
        mask=recording.mask,
        title=f"{title} · {recording.name} · volume {number} at {number * recording.signal.tr:.1f} s",
        caption=CAPTION,
        unit_label="change from the mean (%)",
    )


def smoothed(volume: np.ndarray, mask: np.ndarray, fwhm: np.ndarray) -> np.ndarray:
    """Smooth (x, y, z) by a Gaussian inside the mask alone, a constant stays one; `fwhm` (3,) in voxels."""
    sigma = fwhm / np.sqrt(8 * np.log(2))
    inside, weight = (ndimage.gaussian_filter(values, sigma, mode="constant") for values in (volume * mask, mask * 1.0))
    return np.where(mask, inside / np.where(mask, weight, 1), 0)
