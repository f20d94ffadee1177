"""Which library computes and where."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import tensorflow as tf

from eeg2fmri import devices
from eeg2fmri.errors import ConfigError, MissingExtraError


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
        limited = [SimpleNamespace(memory_limit=1024)]
        monkeypatch.setattr(tf.config, "get_logical_device_configuration", lambda *_: limited)

    @pytest.mark.usefixtures("running")
    @pytest.mark.parametrize(("device", "limit"), [("cpu", None), ("gpu", 2048)])
    def test_device_that_is_in_use_is_refused_in_one_line(self, device, limit):
        with pytest.raises(ConfigError, match=rf"run\.device={device}: .* another setting"):
            devices.use_device(device, limit)

    @pytest.mark.usefixtures("running")
    @pytest.mark.parametrize(("device", "limit"), [("auto", None), ("gpu", None), ("gpu", 1024)])
    def test_device_that_is_in_use_already_is_taken_as_it_is(self, device, limit):
        assert devices.use_device(device, limit) == "gpu"

    def test_unknown_device_is_refused(self, calls, gpus, refuses):
        gpus()
        with refuses(ConfigError, "device 'tpu' is not known; expected auto, cpu or gpu"):
            devices.use_device("tpu", None)


class TestBackends:
    @pytest.fixture
    def before_keras(self, monkeypatch):
        """Keras is not imported yet, nothing is asked for in the environment, and JAX is not installed."""
        modules = {name: module for name, module in sys.modules.items() if name != "keras"}
        monkeypatch.setattr(devices.sys, "modules", modules)
        monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None if name == "jax" else object())
        for variable in ("KERAS_BACKEND", "XLA_FLAGS", "CUBLAS_WORKSPACE_CONFIG"):
            monkeypatch.setenv(variable, "")
        return monkeypatch

    @pytest.mark.parametrize(
        ("name", "variable", "chosen"),
        [(None, "", "tensorflow"), (None, "torch", "torch"), ("torch", "", "torch"), ("torch", "tensorflow", "torch")],
    )
    def test_configuration_comes_before_environment(self, before_keras, name, variable, chosen):
        before_keras.setenv("KERAS_BACKEND", variable)
        assert devices.use_backend(name) == chosen
        assert os.environ["KERAS_BACKEND"] == chosen

    @pytest.mark.usefixtures("before_keras")
    def test_one_that_is_not_installed_is_refused_with_its_extra(self, refuses):
        with refuses(MissingExtraError, r"run\.backend=jax: jax is not installed; pip install 'eeg2fmri\[jax\]'"):
            devices.use_backend("jax")
        assert os.environ["KERAS_BACKEND"] == ""

    def test_unknown_one_in_the_environment_is_refused(self, before_keras, refuses):
        before_keras.setenv("KERAS_BACKEND", "cntk")
        with refuses(ConfigError, "KERAS_BACKEND=cntk is not supported; expected one of tensorflow, jax, torch"):
            devices.use_backend()

    def test_another_than_the_running_one_is_refused(self, refuses):
        import keras  # noqa: F401

        assert devices.use_backend() == devices.use_backend("tensorflow") == "tensorflow"
        with refuses(ConfigError, r"run\.backend=torch: this process already runs Keras on tensorflow"):
            devices.use_backend("torch")

    def test_determinism_is_asked_for_before_the_library_starts(self, before_keras):
        before_keras.setenv("CUBLAS_WORKSPACE_CONFIG", "")
        devices.use_backend("torch")
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ""
        devices.use_backend("torch", deterministic=True)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_device_of_the_environment(monkeypatch):
    monkeypatch.delenv("EEG2FMRI_DEVICE", raising=False)
    assert devices.device_of_environment() == "auto"
    monkeypatch.setenv("EEG2FMRI_DEVICE", "cpu")
    assert devices.device_of_environment() == "cpu"


def test_notes_of_tensorflow_are_held_back_and_errors_are_not(capfd):
    with devices._without_notes():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on.\nE0000 out of memory\n")
    os.write(2, b"I0000 after\n")
    assert capfd.readouterr().err == "E0000 out of memory\nI0000 after\n"


@pytest.mark.slow
def test_a_machine_without_a_gpu_says_nothing_about_it():
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", "from eeg2fmri.devices import use_device; print(use_device('cpu'))"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("cpu\n", "")


@pytest.mark.slow
def test_tensorflow_is_imported_without_jax_which_can_be_imported_later():
    script = (
        "import sys; from importlib.util import find_spec; from eeg2fmri.devices import import_keras; import_keras(); "
        "print('tensorflow' in sys.modules, 'jax' in sys.modules, find_spec('jax') is not None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"True False {find_spec('jax') is not None}\n"


def test_freed_memory_is_returned_unless_the_user_says_no(monkeypatch):
    variable = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"
    monkeypatch.setenv(variable, "0")
    devices.return_freed_memory()
    assert os.environ[variable] == "0"
    monkeypatch.delenv(variable)
    devices.return_freed_memory()
    assert os.environ[variable] == "1"
