"""The same training on TensorFlow, JAX and PyTorch, repeated, killed, resumed and shared by devices.

Each runs in a process of its own: Keras has one backend for life, and determinism cannot be taken back.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.process import PLACES

ROOT = Path(__file__).parents[2]
OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}"))
    for name in ("jax", "torch")
]


def process(*arguments, **variables):
    """What `process.py` prints, in a fresh process with these environment variables."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, str(Path(__file__).with_name("process.py")), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def on_tensorflow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    return folder, process("steps", "tensorflow", folder)


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_steps_are_those_of_tensorflow(on_tensorflow, backend):
    folder, expected = on_tensorflow
    found = process("steps", backend, folder)
    assert (expected["backend"], found["backend"]) == ("tensorflow", backend)
    assert len(found["losses"]) == 3  # of the given weights, and after each of two updates
    for ours, theirs in zip(found["losses"], expected["losses"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_the_factorised_family_starts_alike_and_learns_on_other_backends(backend):
    expected, found = process("factorised", "tensorflow"), process("factorised", backend)
    assert len(found["train/loss"]) == 2
    # The hidden units are drawn by each backend: alike only until they learn.
    for key, (start, _) in expected.items():
        assert found[key][0] == pytest.approx(start, abs=1e-5)
    assert found["train/loss"][1] != found["train/loss"][0]


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_an_interrupted_fit_ends_exactly_alike_on_other_backends(tmp_path, backend):
    found = process("repeat", backend, tmp_path)
    assert found["resumed"] == found["whole"]
    assert found["whole"]["train/loss"][1] < found["whole"]["train/loss"][0]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    return folder, process("resume", folder)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_killed_fit_ends_exactly_as_one_never_killed(killed, place):
    found = killed[1][place]
    assert (found["signal"], found["finished"]) == (signal.SIGKILL, None)
    assert found["resumed"] == killed[1]["whole"]
    assert [path.name for path in (killed[0] / place).iterdir()] == ["epoch-3"]


@pytest.mark.slow
def test_kills_leave_what_they_should(killed):
    left = {place: killed[1][place]["left"] for place in PLACES}
    assert left == {
        "in a batch": ["epoch-1"],
        "between epochs": ["epoch-2"],
        "in the weights": ["epoch-1", "epoch-2.part"],
        "before the rename": ["epoch-1", "epoch-2.part"],
        "before the removal": ["epoch-1", "epoch-2"],
    }


@pytest.mark.slow
def test_two_processes_give_identical_losses(killed, tmp_path):
    first = killed[1]["whole"][1]
    again = process("resume", tmp_path, PLACES="none")["whole"][1]
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
def test_four_devices_learn_what_one_does():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    one, four = (process("devices", count, **flags) for count in (1, 4))
    assert (one["devices"], four["devices"]) == (1, 4)
    for key, values in one["history"].items():
        # Biases before a batch-norm have a gradient of rounding errors, which Adam makes a step of; the
        # running means that validation uses follow them late.
        assert four["history"][key] == pytest.approx(values, abs=1e-4 if key.startswith("val/") else 1e-5)
    assert four["volume"] == pytest.approx(one["volume"], rel=1e-4)
