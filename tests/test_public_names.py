"""The names that a script or a notebook imports from `eeg2fmri`."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import eeg2fmri

NAMES = [name for name in eeg2fmri.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_a_documented_function(name):
    function = getattr(eeg2fmri, name)
    assert inspect.isfunction(function)
    assert function.__name__ == name
    assert function.__doc__


def test_public_names_are_listed():
    assert set(NAMES) <= set(dir(eeg2fmri))


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'fitt'; it has load_config, .*fit"):
        _ = eeg2fmri.fitt


@pytest.mark.parametrize("given", [None, "0"])
def test_tensorflow_is_to_use_onednn_on_any_cpu_unless_told_otherwise(given):
    code = "import os, eeg2fmri; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    environment = {key: value for key, value in os.environ.items() if key != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {"TF_ENABLE_ONEDNN_OPTS": given} if given else {}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == f"{given or 1}\n"


def test_importing_the_package_loads_nothing():
    code = "import sys, eeg2fmri; print(sorted(m for m in sys.modules if m.partition('.')[0] in {'numpy', 'pydantic'}))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
