"""Fits with every decoder and loss on planted data."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.store import Windows
from tests.fakes import CONTEXT, deep_config, recording

CPU = FitSettings(device="cpu")


@pytest.fixture(scope="module")
def long_train():
    return Windows([recording(f"sub-0{n}", n, windows=60) for n in (1, 2, 3)], CONTEXT)


@pytest.fixture(scope="module")
def long_validation():
    return Windows([recording("sub-04", 4, windows=60)], CONTEXT)


@pytest.mark.slow
def test_components_learn_the_planted_relation(long_train, long_validation):
    config = deep_config(decoder="pca", components=8, epochs=5)
    result = fit(config, long_train, long_validation, CPU)
    assert max(result.history["val/r2_temporal"]) > 0.2
    names = {key.split("/")[1] for key in result.history if key.startswith("val/")} - {"loss", "mae", "r2_temporal"}
    assert names == {"unexplained"}
    assert result.history["val/loss"] == pytest.approx(result.history["val/unexplained"], rel=1e-4)
    rows = long_validation.indices(0)
    synthesised = result.model.standard_units(result.model.synthesise(long_validation.eeg(rows)))
    measured = long_validation.standardised(rows, "recording")
    score = r2_temporal(measured, synthesised, long_validation.recordings[0].mask)
    assert score == pytest.approx(result.history["val/r2_temporal"][result.best_epoch], abs=1e-4)


@pytest.mark.slow
def test_an_interrupted_fit_goes_on_with_the_same_components(long_train, long_validation, tmp_path):
    config = deep_config(decoder="pca", components=8, epochs=2)
    settings = FitSettings(seed=5, device="cpu", checkpoints=tmp_path, key="k")
    seen = []

    def stop(epoch, metrics, example):
        seen.append(epoch)
        if seen == [0]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, long_train, long_validation, settings, stop)
    resumed = fit(config, long_train, long_validation, settings)
    whole = fit(config, long_train, long_validation, FitSettings(seed=5, device="cpu"))
    for key in ("train/loss", "val/loss", "val/r2_temporal"):
        assert resumed.history[key] == pytest.approx(whole.history[key], abs=1e-5)
    eeg = long_validation.eeg(np.arange(3))
    np.testing.assert_allclose(resumed.model.synthesise(eeg), whole.model.synthesise(eeg), rtol=1e-4)


def test_under_mixed_precision_validation_scores_what_is_served(long_train, long_validation):
    config = deep_config(decoder="pca", components=8, epochs=1, precision="mixed_bfloat16")
    result = fit(config, long_train, long_validation, CPU)
    layers = [layer for layer in result.model.network.model._flatten_layers() if layer.name == "volume"]
    assert [layer.dtype_policy.name for layer in layers] == ["float32"]
    rows = long_validation.indices(0)
    synthesised = result.model.standard_units(result.model.synthesise(long_validation.eeg(rows)))
    measured = long_validation.standardised(rows, "recording")
    score = r2_temporal(measured, synthesised, long_validation.recordings[0].mask)
    assert result.history["val/r2_temporal"][0] == pytest.approx(score, abs=2e-3)
