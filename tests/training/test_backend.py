"""The fused optimiser, which must be Adam to the last digit but a few, and what depends on the device."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from eeg2fmri.errors import ConfigError
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


def test_fused_adam_clips_gradients_as_adam_does(batches):
    fused, plain, free = (
        compiled(o)
        for o in (
            backend.adam(0.01, "cpu", global_clipnorm=0.1),
            keras.optimizers.Adam(0.01, global_clipnorm=0.1),
            backend.adam(0.01, "cpu"),
        )
    )
    assert type(fused.optimizer) is backend.FusedAdam
    assert train_on(fused, batches) == pytest.approx(train_on(plain, batches), abs=1e-6)
    train_on(free, batches)
    momentum = [np.linalg.norm(model.optimizer.variables[2].numpy()) for model in (fused, free)]
    assert momentum[0] <= 0.1 < momentum[1]


def test_fused_adam_under_loss_scaling_equals_adam(batches):
    scaled = compiled(keras.optimizers.LossScaleOptimizer(backend.FusedAdam(0.01), initial_scale=256.0))
    assert train_on(scaled, batches) == pytest.approx(
        train_on(compiled(keras.optimizers.Adam(0.01)), batches), abs=1e-6
    )


def test_float16_needs_a_gpu(refuses):
    for precision, device in (("mixed_float16", "gpu"), ("mixed_bfloat16", "cpu"), ("float32", "cpu")):
        backend.check_precision(precision, device)
    with refuses(ConfigError, r"training\.precision=mixed_float16 needs a GPU, .* use float32 or mixed_bfloat16"):
        backend.check_precision("mixed_float16", "cpu")


def test_several_devices_need_jax(refuses):
    assert backend.data_parallel(None, "cpu", 4) is None
    assert backend.data_parallel(1, "cpu", 4) is None
    with refuses(ConfigError, r"run\.devices=2: .* only with run\.backend=jax"):
        backend.data_parallel(2, "cpu", 4)


class TestDataParallel:
    @pytest.fixture(autouse=True)
    def jax_with_three_devices(self, monkeypatch):
        monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
        monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: [f"{kind}:{n}" for n in range(3)])
        monkeypatch.setattr(keras.distribution, "DataParallel", lambda devices, auto_shard_dataset: devices)

    @pytest.mark.parametrize(("asked", "given"), [(None, 3), (3, 3), (2, 2)])
    def test_all_devices_or_as_many_as_asked_for(self, asked, given):
        assert backend.data_parallel(asked, "gpu", 6) == [f"gpu:{n}" for n in range(given)]

    def test_one_device_needs_no_distribution(self):
        assert backend.data_parallel(1, "gpu", 4) is None

    @pytest.mark.parametrize(
        ("asked", "batch", "match"),
        [(4, 4, "run.devices=4, but JAX sees 3 of kind gpu"), (None, 4, "batch_size 4 is not a multiple of 3 devices")],
    )
    def test_refusals(self, refuses, asked, batch, match):
        with refuses(ConfigError, match):
            backend.data_parallel(asked, "gpu", batch)


def test_input_gradients_are_those_of_the_squared_deviations(rng):
    """Of a linear map W: Wᵀ W (x - x̄), whatever the batch."""
    linear = keras.Sequential([keras.Input((2, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    x = rng.standard_normal((7, 2, 3)).astype(np.float32)
    weights = linear.get_weights()[0]
    wanted = ((x - x.mean(axis=0)).reshape(7, 6) @ weights @ weights.T).reshape(7, 2, 3)
    for batch in (3, 32):
        np.testing.assert_allclose(backend.input_gradients(linear, x, batch), wanted, rtol=1e-4, atol=1e-5)


def test_input_gradients_are_of_tensorflow_only(rng, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert backend.input_gradients(network(), rng.standard_normal((3, 5))) is None
