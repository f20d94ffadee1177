"""Latents: the volumes of families with few courses are sums of them, and the published family's are its encoder's."""

import numpy as np
import pytest

from eeg2fmri.config import Config
from eeg2fmri.families import FitSettings, family_of, fit
from eeg2fmri.store import Windows
from tests.fakes import CONTEXT, recording


@pytest.mark.parametrize(
    ("model", "count"),
    [({"family": "linear", "components": 3}, 3), ({"family": "factorised", "sources": 4, "hidden": 0}, 4)],
)
def test_volumes_are_sums_of_maps_weighted_by_the_latents(model, count):
    config = Config.model_validate({"models": [model]}).models[0]
    train = Windows([recording(f"sub-0{n}", n, windows=40) for n in (1, 2, 3)], CONTEXT)
    validation = Windows([recording("sub-04", 4, windows=40)], CONTEXT)
    fitted = fit(config, train, validation, FitSettings(seed=3)).model
    eeg = validation.eeg(np.arange(30))
    latents = family_of(config).latents(fitted, eeg)
    assert latents.shape == (30, count)
    predicted = fitted.network.predict(fitted.scaled(eeg)).reshape(30, -1).astype(float)
    design = np.column_stack([np.ones(30), latents])
    left = predicted - design @ np.linalg.lstsq(design, predicted, rcond=None)[0]
    assert predicted.std(axis=0).max() > 1e-4
    assert np.abs(left).max() < 1e-4 * np.abs(predicted).max()
