"""The volume that figures show: the middle one; its score plays no part."""

from __future__ import annotations

import numpy as np

from eeg2fmri.evaluation._series import Floats


def middle_change(series: Floats) -> Floats:
    """Return change of the middle volume, number n // 2 from 0, from the mean over time.

    Parameters
    ----------
    series
        (n_volumes, x, y, z)

    Returns
    -------
    ndarray, (x, y, z)
        In the units and the type of `series`; 0 for a model that synthesises the same anatomy all the time.
    """
    return (series[len(series) // 2] - series.mean(axis=0, dtype=np.float64)).astype(series.dtype)
