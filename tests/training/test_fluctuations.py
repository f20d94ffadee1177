"""Components of training subjects' fluctuations."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.errors import ConfigError
from eeg2fmri.training import fluctuations
from eeg2fmri.training.fluctuations import Fluctuations, fit_components


@pytest.fixture
def centred(train):
    """All fluctuations, (n, V), by definition."""
    volumes = train.standardised(np.arange(len(train)), "recording").reshape(len(train), -1).astype(np.float64)
    means = np.stack([volumes[train.indices(n)].mean(axis=0) for n in range(3)])
    return volumes - means[train.owner]


@pytest.mark.parametrize("slab", [1, 5, 64])
def test_blocks_are_volumes_without_their_recordings_mean(train, centred, monkeypatch, slab):
    monkeypatch.setattr(fluctuations, "SLAB", slab)
    found = np.concatenate(list(Fluctuations(train, "recording").blocks()))
    np.testing.assert_allclose(found, centred, atol=1e-5)


def test_components_are_the_leading_directions_of_the_fluctuations(train, centred):
    components = fit_components(train, "recording", 5)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    overlap = np.abs(np.sum(components.basis * rows[:5], axis=1))
    np.testing.assert_allclose(overlap[0], 1, atol=1e-4)  # the planted pattern; the others are noise
    np.testing.assert_allclose(components.sd, values[:5] / np.sqrt(len(train)), rtol=1e-4)
    assert components.variance == pytest.approx(np.square(centred).mean(), rel=1e-5)
    np.testing.assert_allclose(components.mean, train.mean_volume("recording").ravel(), atol=1e-5)


def test_anatomy_is_not_among_them(train):
    """Between-subject differences would be the first component of plain volumes."""
    components = fit_components(train, "recording", 3)
    difference = Fluctuations(train, "recording").means[0] - Fluctuations(train, "recording").means[1]
    share = np.square(components.basis @ difference).sum() / np.square(difference).sum()
    assert share < 0.2


def test_more_components_than_directions_are_refused(train, refuses):
    with refuses(ConfigError, r"components: 70 asked for, but the 63 training volumes vary in 60 directions; .*=60"):
        fit_components(train, "recording", 70)
