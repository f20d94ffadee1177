"""The change that figures show."""

import numpy as np

from eeg2fmri.evaluation import middle_change


def test_the_middle_volume_loses_the_mean_over_time(rng):
    series = rng.standard_normal((7, 2, 4, 3)).astype(np.float32)
    series[3] += 5
    found = middle_change(series)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, series[3] - series.astype(float).mean(axis=0), atol=1e-6)
    assert found.mean() > 4


def test_anatomy_alone_has_no_change(rng):
    np.testing.assert_allclose(middle_change(np.repeat(rng.random((1, 2, 4, 3)), 5, axis=0)), 0, atol=1e-15)
