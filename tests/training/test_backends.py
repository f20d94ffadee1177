"""The same networks and training on TensorFlow, JAX and PyTorch, repeated, killed, resumed and shared by devices.

They run in other processes: Keras has one backend for life, and determinism cannot be taken back.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.process import PLACES

ROOT = Path(__file__).parents[2]
OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}"))
    for name in ("jax", "torch")
]


def process(backend, folder, *works, **variables):
    """What the works of `process.py` give, in a fresh process with these environment variables."""
    # JAX takes longer to compile a step than to run it: the fits of a process share what is compiled.
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **cache, **variables}
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, str(Path(__file__).with_name("process.py")), backend, str(folder), *works]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def on_tensorflow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorflow")
    return folder, process("tensorflow", folder, "whole", "forward", "steps", "factorised")


@pytest.fixture(scope="module", params=OTHERS)
def on_other(request, on_tensorflow):
    """The other backend's name, what it gave, and what TensorFlow gave."""
    folder, expected = on_tensorflow
    return request.param, process(request.param, folder, "forward", "steps", "factorised", "repeat"), expected


@pytest.mark.slow
def test_a_forward_pass_is_that_of_tensorflow(on_other):
    _, found, expected = on_other
    assert set(found["forward"]) == set(expected["forward"])
    for key, values in expected["forward"].items():
        np.testing.assert_allclose(found["forward"][key], values, rtol=2e-4, atol=2e-4, err_msg=key)


@pytest.mark.slow
def test_steps_are_those_of_tensorflow(on_other):
    backend, found, expected = on_other
    assert (expected["steps"]["backend"], found["steps"]["backend"]) == ("tensorflow", backend)
    assert len(found["steps"]["losses"]) == 3  # of the given weights, and after each of two updates
    for ours, theirs in zip(found["steps"]["losses"], expected["steps"]["losses"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.slow
def test_the_factorised_family_starts_alike_and_learns_on_other_backends(on_other):
    _, found, expected = on_other
    history = found["factorised"]
    assert len(history["train/loss"]) == 2
    # The hidden units are drawn by each backend: alike only until they learn.
    for key, (start, _) in expected["factorised"].items():
        assert history[key][0] == pytest.approx(start, abs=1e-5)
    assert history["train/loss"][1] != history["train/loss"][0]


@pytest.mark.slow
def test_an_interrupted_fit_ends_exactly_alike_on_other_backends(on_other):
    fits = on_other[1]["repeat"]
    assert fits["resumed"] == fits["whole"]
    assert fits["whole"]["train/loss"][1] < fits["whole"]["train/loss"][0]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    return folder, process("tensorflow", folder, "whole", "resume")


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_killed_fit_ends_exactly_as_one_never_killed(killed, place):
    found = killed[1]["resume"][place]
    assert (found["signal"], found["finished"]) == (signal.SIGKILL, None)
    assert found["resumed"] == killed[1]["whole"]
    assert [path.name for path in (killed[0] / place).iterdir()] == ["epoch-3"]


@pytest.mark.slow
def test_kills_leave_what_they_should(killed):
    left = {place: killed[1]["resume"][place]["left"] for place in PLACES}
    assert left == {
        "in a batch": ["epoch-1"],
        "between epochs": ["epoch-2"],
        "in the weights": ["epoch-1", "epoch-2.part"],
        "before the rename": ["epoch-1", "epoch-2.part"],
        "before the removal": ["epoch-1", "epoch-2"],
    }


@pytest.mark.slow
def test_two_processes_give_identical_losses(killed, on_tensorflow):
    first, again = killed[1]["whole"][1], on_tensorflow[1]["whole"][1]
    assert again == first
    assert len(set(first["train/loss"])) == 3


@pytest.mark.slow
def test_the_learning_rate_of_a_schedule_is_that_of_the_epochs_last_step(killed):
    # 8 steps an epoch; a rise over the first epoch, then a cosine over 16 steps, of which 7 and 15 are done.
    from math import cos, pi

    rate, share = 0.002980911194116198, 0.01
    fall = [share + (1 - share) * (1 + cos(pi * step / 16)) / 2 for step in (7, 15)]
    expected = [rate, *(rate * part for part in fall)]
    assert killed[1]["whole"][1]["train/learning_rate"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="no jax")
def test_four_devices_learn_what_one_does(tmp_path):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    one, four = process("jax", tmp_path, "devices", **flags)["devices"]
    assert (one["devices"], four["devices"]) == (1, 4)
    for key, values in one["history"].items():
        # Biases before a batch-norm have a gradient of rounding errors, which Adam makes a step of; the
        # running means that validation uses follow them late.
        assert four["history"][key] == pytest.approx(values, abs=1e-4 if key.startswith("val/") else 1e-5)
    assert four["volume"] == pytest.approx(one["volume"], rel=1e-4)
