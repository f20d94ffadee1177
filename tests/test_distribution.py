"""What a user installs: the sdist, the wheel made of it, and their metadata."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

import eeg2fmri

ROOT = Path(__file__).parents[1]
SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a source distribution, built in a copy of the project and without a network."""
    folder = tmp_path_factory.mktemp("built")
    source = shutil.copytree(
        ROOT / "eeg2fmri", folder / "source/eeg2fmri", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source.parent)
    run(sys.executable, "-c", SDIST, str(folder), cwd=source.parent)
    (sdist,) = folder.glob("*.tar.gz")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-build-isolation", "--no-deps",
        "--wheel-dir", str(folder), str(sdist), cwd=folder)  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "eeg2fmri").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert {name.split("/")[-1] for name in names if "/licenses/" in name} == {"LICENSE"}


@pytest.mark.slow
def test_a_wheel_runs_where_it_is_installed(wheel, tmp_path):
    target = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
    run(*pip, "--target", str(target), str(wheel), cwd=tmp_path)
    where = run(sys.executable, "-c", "import eeg2fmri; print(eeg2fmri.__file__)", cwd=tmp_path, PYTHONPATH=str(target))
    assert Path(where.strip()) == target / "eeg2fmri/__init__.py"
    said = run(sys.executable, "-m", "eeg2fmri", "--version", cwd=tmp_path, PYTHONPATH=str(target))
    assert said == f"eeg2fmri {eeg2fmri.__version__}\n"
    code = "import eeg2fmri; print(eeg2fmri.fit.__module__, eeg2fmri.remove_pulse.__name__)"
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(target)) == "eeg2fmri.api.models remove_pulse\n"


@pytest.mark.slow
def test_the_metadata_say_who_where_and_which_version(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    found = Parser().parsestr(archive.read(name).decode())
    assert found["Version"] == eeg2fmri.__version__
    assert found["Author"] == "eeg2fmri developers"
    assert found["License-Expression"] == "MIT"
    assert [url.split(",")[0] for url in found.get_all("Project-URL")] == ["Repository", "Issues", "Changelog"]


def test_the_version_stands_in_one_place():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == eeg2fmri.__version__
    versions = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert versions[:2] == ["Unreleased", eeg2fmri.__version__]


def test_the_workflow_covers_the_pythons_that_the_classifiers_name():
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    named = [line.rpartition(" ")[2] for line in classifiers if re.search(r"Python :: 3\.", line)]
    assert workflow["jobs"]["tested"]["strategy"]["matrix"]["python"] == named
