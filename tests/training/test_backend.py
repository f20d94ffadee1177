"""Devices and the fused optimiser, which must be Adam to the last digit but a few."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

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


class TestDevices:
    """TensorFlow's own device calls are replaced: they can be made only once in a process."""

    @pytest.fixture
    def calls(self, monkeypatch):
        made = []
        monkeypatch.setattr(tf.config, "set_visible_devices", lambda *args: made.append(("visible", *args)))
        monkeypatch.setattr(
            tf.config, "set_logical_device_configuration", lambda gpu, limits: made.append((gpu, limits))
        )
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *args: made.append(("growth", *args)))
        return made

    @pytest.fixture
    def gpus(self, monkeypatch):
        def pretend(*names):
            monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(names))

        return pretend

    def test_gpu_without_gpu_is_refused(self, calls, gpus):
        gpus()
        with pytest.raises(ConfigError, match="no GPU is visible"):
            backend.use_device("gpu", None)
        assert not calls

    @pytest.mark.parametrize(("device", "names"), [("auto", ()), ("cpu", ()), ("cpu", ("GPU:0",))])
    def test_cpu_hides_every_gpu(self, calls, gpus, device, names):
        gpus(*names)
        assert backend.use_device(device, 500) == "cpu"
        assert calls == [("visible", [], "GPU")]

    @pytest.mark.parametrize("device", ["auto", "gpu"])
    def test_gpu_takes_memory_as_needed(self, calls, gpus, device):
        gpus("GPU:0")
        assert backend.use_device(device, None) == "gpu"
        assert calls == [("growth", "GPU:0", True)]

    def test_gpu_memory_limit(self, calls, gpus):
        gpus("GPU:0")
        assert backend.use_device("gpu", 2048) == "gpu"
        ((gpu, (limit,)),) = calls
        assert (gpu, limit.memory_limit) == ("GPU:0", 2048)

    @pytest.fixture
    def running(self, monkeypatch, gpus):
        """TensorFlow computes on a GPU already, for a model that was loaded before."""
        gpus("GPU:0")

        def late(*_):
            raise RuntimeError("cannot be modified after being initialized")

        monkeypatch.setattr(tf.config, "get_visible_devices", lambda *_: ["GPU:0"])
        monkeypatch.setattr(tf.config, "set_visible_devices", late)
        monkeypatch.setattr(tf.config, "set_logical_device_configuration", late)
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", late)

    @pytest.mark.usefixtures("running")
    @pytest.mark.parametrize(("device", "limit"), [("cpu", None), ("gpu", 2048)])
    def test_device_that_is_in_use_is_refused_in_one_line(self, device, limit):
        with pytest.raises(ConfigError, match=rf"run\.device={device}: .* another setting"):
            backend.use_device(device, limit)

    @pytest.mark.usefixtures("running")
    @pytest.mark.parametrize("device", ["auto", "gpu"])
    def test_device_that_is_in_use_already_is_taken_as_it_is(self, device):
        assert backend.use_device(device, None) == "gpu"
