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
@pytest.mark.parametrize(
    "changes",
    [{}, {"latent_loss": True}, {"train_basis": True}, {"volumes": 2}],
    ids=["published numbers", "latent loss", "trained basis", "two volumes"],
)
def test_components_learn_the_planted_relation(changes, long_train, long_validation):
    config = deep_config(decoder="pca", components=8, epochs=5, **changes)
    result = fit(config, long_train, long_validation, CPU)
    assert max(result.history["val/r2_temporal"]) > 0.2
    terms = {"unexplained", *(["cosine"] if config.aligns else [])}
    names = {key.split("/")[1] for key in result.history if key.startswith("val/")} - {"loss", "mae", "r2_temporal"}
    assert names == terms
    total = sum(result.history[f"val/{name}"][-1] for name in terms)
    assert result.history["val/loss"][-1] == pytest.approx(total, rel=1e-4)
    rows = long_validation.indices(0)
    rows = rows[: len(rows) - config.volumes + 1]
    synthesised = result.model.standard_units(result.model.synthesise(long_validation.eeg(rows)))
    measured = long_validation.standardised(rows, "recording")
    score = r2_temporal(measured, synthesised, long_validation.recordings[0].mask)
    assert score == pytest.approx(result.history["val/r2_temporal"][result.best_epoch], abs=1e-4)


def test_without_the_latent_loss_the_loss_is_the_error(long_train, long_validation):
    result = fit(deep_config(latent_loss=False, epochs=1), long_train, long_validation, CPU)
    assert result.history["train/loss"] == pytest.approx(result.history["train/mae"], rel=1e-5)
    assert not any("cosine" in key for key in result.history)


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
    config = deep_config(decoder="pca", components=8, epochs=1, volumes=2, precision="mixed_bfloat16")
    result = fit(config, long_train, long_validation, CPU)
    layers = [layer for layer in result.model.network.model._flatten_layers() if layer.name == "volume"]
    assert [layer.dtype_policy.name for layer in layers] == ["float32"]
    rows = long_validation.indices(0)[:-1]
    synthesised = result.model.standard_units(result.model.synthesise(long_validation.eeg(rows)))
    measured = long_validation.standardised(rows, "recording")
    score = r2_temporal(measured, synthesised, long_validation.recordings[0].mask)
    assert result.history["val/r2_temporal"][0] == pytest.approx(score, abs=2e-3)
