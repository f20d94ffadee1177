"""Courses of the whole brain over time, for quality control.

V volumes, (x, y, z) their grid.
"""

from __future__ import annotations

from typing import Literal

import numpy as np


def brain_courses(volumes: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute global signal and DVARS, in one pass.

    Parameters
    ----------
    volumes : (V, x, y, z), scanner intensity.
    mask : (x, y, z) bool, True in the brain.

    Returns
    -------
    global_signal, (V,) float32: mean intensity in the brain.
    dvars, (V - 1,) float32: root mean square over the brain of the difference from the volume before, from the
    second volume on, in scanner intensity.

    References
    ----------
    Power et al. 2012, NeuroImage 59:2142 (DVARS).
    """
    order: Literal["F", "C"] = "F" if volumes[0].flags.f_contiguous else "C"  # in the order of memory
    inside = np.flatnonzero(mask.ravel(order=order))
    means, changes = np.empty(len(volumes), np.float32), np.empty(len(volumes), np.float32)
    before = np.zeros(len(inside), np.float32)
    for index, volume in enumerate(volumes):
        brain = volume.ravel(order=order).take(inside).astype(np.float32, copy=False)
        means[index] = brain.mean(dtype=np.float64)
        before -= brain
        changes[index] = np.sqrt(np.dot(before, before) / len(inside))
        before = brain
    return means, changes[1:]
