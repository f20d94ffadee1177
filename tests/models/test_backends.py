"""The same forward pass on every Keras backend that is installed, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

# Weights are set from numpy, since every backend draws its own.
FORWARD = """
import sys
import keras
import numpy as np
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.training.losses import component_squared_error, cosine_distance
from tests.fakes import EEG_SHAPE, GRID, deep_config

results = {}
for number, changes in enumerate([
    dict(),
    dict(output_filter="local", fourier="fixed"),
    dict(decoder="pca", components=4, variant="tafp-style-prior"),
]):
    rng = np.random.default_rng(number)
    config = deep_config(**changes)
    parts = build(config, EEG_SHAPE, GRID)
    for part in filter(None, (parts.eeg_encoder, parts.fmri_encoder, parts.decoder)):
        for weight in part.weights:
            if "seed" not in weight.path:
                drawn = 0.3 * rng.standard_normal(weight.shape)
                weight.assign(np.abs(drawn) + 0.2 if "variance" in weight.path or "scale" in weight.path else drawn)
    eeg = keras.ops.convert_to_tensor(rng.standard_normal((2, *EEG_SHAPE)).astype("float32"))
    z_x, scores = parts.eeg_encoder(eeg)
    values = {
        "volume": parts.synthesiser()(eeg),
        "error": component_squared_error(2 * z_x, z_x, z_x[0], z_x[:, 0], 7),
    }
    if parts.fmri_encoder is not None:
        z_y = parts.fmri_encoder(keras.ops.convert_to_tensor(rng.standard_normal((2, *GRID)).astype("float32")))
        values |= {"z_y": z_y, "cosine": cosine_distance(z_x, z_y)}
    results.update({f"{number}.{key}": keras.ops.convert_to_numpy(value) for key, value in values.items()})
np.savez(sys.argv[1], **results)
"""


def forward(backend, folder):
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    path = folder / f"{backend}.npz"
    command = [sys.executable, "-c", FORWARD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def on_tensorflow(tmp_path_factory):
    return forward("tensorflow", tmp_path_factory.mktemp("tensorflow"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_equals_tensorflow(backend, on_tensorflow, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    found = forward(backend, tmp_path)
    assert set(found) == set(on_tensorflow)
    for key, expected in on_tensorflow.items():
        np.testing.assert_allclose(found[key], expected, rtol=2e-4, atol=2e-4, err_msg=key)
