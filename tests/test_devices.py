"""Which library computes and where."""

from __future__ import annotations

import pytest
import tensorflow as tf

from eeg2fmri import devices
from eeg2fmri.errors import ConfigError


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
            devices.use_device("gpu", None)
        assert not calls

    @pytest.mark.parametrize(("device", "names"), [("auto", ()), ("cpu", ()), ("cpu", ("GPU:0",))])
    def test_cpu_hides_every_gpu(self, calls, gpus, device, names):
        gpus(*names)
        assert devices.use_device(device, 500) == "cpu"
        assert calls == [("visible", [], "GPU")]

    @pytest.mark.parametrize("device", ["auto", "gpu"])
    def test_gpu_takes_memory_as_needed(self, calls, gpus, device):
        gpus("GPU:0")
        assert devices.use_device(device, None) == "gpu"
        assert calls == [("growth", "GPU:0", True)]

    def test_gpu_memory_limit(self, calls, gpus):
        gpus("GPU:0")
        assert devices.use_device("gpu", 2048) == "gpu"
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
            devices.use_device(device, limit)

    @pytest.mark.usefixtures("running")
    @pytest.mark.parametrize("device", ["auto", "gpu"])
    def test_device_that_is_in_use_already_is_taken_as_it_is(self, device):
        assert devices.use_device(device, None) == "gpu"
