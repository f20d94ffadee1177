"""The fused optimiser, which must be Adam to the last digit but a few, and what depends on the device."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from eeg2fmri.training import backend


def network():
    keras.utils.set_random_seed(7)
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(3)])


def compiled(optimizer):
    model = network()
    model.compile(optimizer=optimizer, loss="mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def batches(rng):
    return [(rng.standard_normal((6, 5)), rng.standard_normal((6, 3))) for _ in range(8)]


def train_on(model, batches):
    return [float(model.train_on_batch(x, y)) for x, y in batches]


@pytest.mark.parametrize("learning_rate", [0.002980911194116198, 0.01])
def test_fused_adam_equals_adam(batches, learning_rate):
    fused, plain = (compiled(kind(learning_rate)) for kind in (backend.FusedAdam, keras.optimizers.Adam))
    start = fused.get_weights()
    assert train_on(fused, batches) == pytest.approx(train_on(plain, batches), abs=1e-6)
    for a, b, before in zip(fused.get_weights(), plain.get_weights(), start, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert not np.allclose(a, before, atol=1e-4)
    for a, b in zip(fused.optimizer.variables, plain.optimizer.variables, strict=True):
        assert a.name.rpartition("_")[2] == b.name.rpartition("_")[2]
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


def test_optimiser_state_is_saved_with_the_weights(batches, tmp_path):
    whole = compiled(backend.FusedAdam(0.05))
    train_on(whole, batches[:4])
    whole.save_weights(tmp_path / "state.weights.h5")
    resumed = compiled(backend.FusedAdam(0.05))
    resumed.load_weights(tmp_path / "state.weights.h5")
    assert int(resumed.optimizer.iterations.numpy()) == 4
    assert train_on(resumed, batches[4:]) == pytest.approx(train_on(whole, batches[4:]), abs=1e-6)
    for a, b in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_fused_update_on_a_cpu_only():
    assert type(backend.adam(0.1, "cpu")) is backend.FusedAdam
    assert type(backend.adam(0.1, "gpu")) is keras.optimizers.Adam
    assert float(backend.adam(0.25, "cpu").learning_rate.numpy()) == 0.25


def test_xla_on_a_gpu_only():
    assert backend.compile_with_xla("gpu")
    assert not backend.compile_with_xla("cpu")
