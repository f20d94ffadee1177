"""Packaging: ranges of versions, one set of tested ones, and entry points that the command line understands."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from eeg2fmri.cli.parser import make_parser
from eeg2fmri.cli.verbs import config_of
from eeg2fmri.config import FAMILIES, find_family
from eeg2fmri.tracking.registry import SERVING_PACKAGES

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA = yaml.safe_load((ROOT / "conda.yaml").read_text())
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
PINNED = re.compile(r"[a-z0-9.-]+==[0-9][A-Za-z0-9.]*")

# The parameters that an entry point keeps, and their defaults.
CONTRACT = {
    "main": {"config": "experiments/demo.yaml", "workdir": "work", "trials": 0, "atlas": "", "workers": 1,
             "scheduler": ""},
    "simulate": {"out": None, "subjects": None, "volumes": None, "coupling": None, "seed": None},
    "preprocess": {"dataset": "", "root": None, "store": None, "config": None},
    "inspect": {"root": None, "dataset": "", "subjects": None, "sessions": None, "tasks": None, "runs": None,
                "eeg": None, "bold": None, "config": None, "json": "", "plot": "", "channel": "", "volume": ""},
    "search": {"config": None, "store": None, "study": None, "storage": None, "trials": None, "timeout": None},
    "train": {"config": None, "store": None, "epochs": None, "batch_size": None, "learning_rate": None,
              "variant": None, "seed": None, "register_as": None},
    "evaluate": {"model_uri": "", "store": None, "split": "test", "atlas": ""},
    "adapt": {"model_uri": "", "store": None, "subject": None, "minutes": 5.0},
    "classify": {"root": None, "workdir": "work", "column": "", "model_uri": "", "atlas": "", "dataset": "",
                 "config": None, "workers": 1},
    "promote": {"name": None, "version": "latest", "alias": "champion", "dry_run": ""},
    "rollback": {"name": None, "alias": "champion"},
    "crossval": {"config": None, "store": None, "workdir": "work", "protocol": "", "folds": "", "models": "",
                 "split_file": "", "atlas": "", "workers": 1, "scheduler": ""},
    "synthesize": {"model_uri": "", "eeg": None, "root": "", "out": None, "volume_marker": "", "dataset": "",
                   "atlas": "", "workers": 1, "allow_failures": ""},
}  # fmt: skip


def pip_requirements() -> list[str]:
    (pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    return pip


def arguments(name: str, **given: object) -> list[str]:
    """The command line that MLflow makes of an entry point: every value quoted for the shell."""
    entry = PROJECT["entry_points"][name]
    values = {key: spec.get("default", "") for key, spec in entry["parameters"].items()} | given
    command = shlex.split(entry["command"].format(**{key: shlex.quote(str(v)) for key, v in values.items()}))
    assert command[:4] == ["python", "-m", "eeg2fmri", name]
    return command[3:]


def verb_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command by its name."""
    (verbs,) = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return verbs.choices


def options(name: str) -> dict[str, str]:
    """Parameter of an entry point to its name in the namespace: a setting's key, or its own."""
    given = {
        option.lstrip("-").replace("-", "_"): action.dest
        for action in verb_parsers()[name]._actions
        for option in action.option_strings or [action.dest]
    }
    return {key: given[key] for key in PROJECT["entry_points"][name]["parameters"]}


def constraints() -> dict[str, str]:
    """Version of each package in constraints.txt."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not PINNED.fullmatch(line)] == []  # no address, no path, no range
    assert lines == sorted(lines)
    return dict(line.split("==") for line in lines)


def required(lines: Iterable[str]) -> dict[str, Requirement]:
    """Requirements by the name of their package."""
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def test_conda_has_the_tested_version_of_every_dependency():
    names = required(PYPROJECT["project"]["dependencies"])
    assert sorted(pip_requirements()) == sorted(f"{name}=={constraints()[name]}" for name in names)


@pytest.mark.parametrize("group", ["", *PYPROJECT["project"]["optional-dependencies"]])
def test_a_requirement_is_a_range_that_starts_at_the_tested_minor_version(group):
    project = PYPROJECT["project"]
    for name, requirement in required(
        project["optional-dependencies"][group] if group else project["dependencies"]
    ).items():
        version = constraints()[name]
        assert sorted(each.operator for each in requirement.specifier) == ["<", ">="], name
        (oldest,) = (each.version for each in requirement.specifier if each.operator == ">=")
        assert oldest == ".".join(version.split(".")[:2]), name
        assert requirement.specifier.contains(version), name


def test_make_installs_by_the_constraints():
    makefile = (ROOT / "Makefile").read_text()
    assert re.findall(r"pip install .*", makefile) == [
        "pip install --disable-pip-version-check --no-compile --constraint constraints.txt --editable '$(1)' | \\"
    ]
    assert re.findall(r"\$\(call install,(.*)\)", makefile) == [".", ".[dev]"]


def test_the_python_of_conda_is_one_that_the_package_takes():
    (python,) = [entry for entry in CONDA["dependencies"] if str(entry).startswith("python=")]
    oldest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    version = python.removeprefix("python=")
    assert tuple(map(int, version.split("."))) >= tuple(map(int, oldest.split(".")))


def test_what_is_imported_is_required():
    owners = metadata.packages_distributions()
    needed = set(required(PYPROJECT["project"]["dependencies"]))
    extras = [lines for name, lines in PYPROJECT["project"]["optional-dependencies"].items() if name != "dev"]
    optional = {name for lines in extras for name in required(lines)}
    for path in sorted((ROOT / "eeg2fmri").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"eeg2fmri"}:
                allowed = needed | optional if node.col_offset else needed  # extras: within a function only
                assert {canonicalize_name(owner) for owner in owners.get(name, [name])} & allowed, (
                    f"{path} imports {name}"
                )


def test_a_served_model_requires_what_the_package_pins():
    packages = {*SERVING_PACKAGES, *(package for name in FAMILIES for package in find_family(name).packages)}
    assert packages <= required(PYPROJECT["project"]["dependencies"]).keys()


def test_a_served_model_imports_only_what_it_requires():
    """In an environment that is built from the requirements of a model nothing else is there."""
    wanted, closure = [*SERVING_PACKAGES, *find_family("calhas2022").packages], set()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name not in closure:
            closure.add(name)
            lines = map(Requirement, metadata.requires(name) or [])
            wanted += [line.name for line in lines if not line.marker or line.marker.evaluate({"extra": ""})]
    script = "import sys, eeg2fmri.serving.pyfunc; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    owners = metadata.packages_distributions()
    foreign = {name: owners[name] for name in found if name in owners and name != "eeg2fmri"}
    assert {"numpy", "isal"} <= foreign.keys()
    lacking = {n: o for n, o in foreign.items() if not {canonicalize_name(owner) for owner in o} & closure}
    assert not lacking


def test_the_project_uses_the_environment():
    assert PROJECT["name"] == "eeg2fmri"
    assert (ROOT / PROJECT["conda_env"]).is_file()
    assert PYPROJECT["project"]["scripts"] == {"eeg2fmri": "eeg2fmri.cli:main"}


@pytest.mark.parametrize("name", CONTRACT)
def test_an_entry_point_has_its_parameters_and_defaults(name):
    parameters = PROJECT["entry_points"][name]["parameters"]
    assert CONTRACT[name].keys() <= parameters.keys()
    for key, default in CONTRACT[name].items():
        assert "default" in parameters[key], "every entry point runs with `mlflow run . -e NAME` alone"
        if default is not None:
            assert parameters[key]["default"] == default


def test_there_is_no_entry_point_without_a_contract():
    assert PROJECT["entry_points"].keys() == CONTRACT.keys()


@pytest.mark.parametrize("name", CONTRACT)
def test_an_entry_point_uses_every_parameter(name):
    entry = PROJECT["entry_points"][name]
    assert set(re.findall(r"{(\w+)}", entry["command"])) == entry["parameters"].keys()


@pytest.mark.parametrize("name", CONTRACT)
def test_an_entry_point_has_every_option_of_its_command(name):
    own = {"help", "verbose", "quiet", "debug"}  # of a terminal
    own |= {"gpu_memory_limit"}  # run.gpu_memory_limit of `set`
    longest = {max(action.option_strings or [action.dest], key=len) for action in verb_parsers()[name]._actions}
    expected = {option.lstrip("-").replace("-", "_") for option in longest} - own
    assert PROJECT["entry_points"][name]["parameters"].keys() == expected


def test_only_these_commands_have_no_entry_point():
    assert verb_parsers().keys() - PROJECT["entry_points"].keys() == {"compare", "config", "serve", "store", "stream"}


@pytest.mark.parametrize("name", CONTRACT)
def test_the_command_line_understands_an_entry_point(name):
    args = make_parser().parse_args(arguments(name))
    assert args.verb == name
    for key, spec in PROJECT["entry_points"][name]["parameters"].items():
        found = getattr(args, options(name)[key])
        found = found[0] if isinstance(found, list) else found  # of the files, MLflow passes one
        # An empty default leaves the value to the configuration.
        assert str(found) == str(spec["default"]) if spec["default"] != "" else not found, key


@pytest.mark.parametrize("name", CONTRACT)
def test_the_project_and_the_command_line_have_the_same_defaults(name):
    files = ["--eeg", "work/dataset/sub-08/eeg/sub-08_task-rest_eeg.vhdr", "--out", "work/synthesised_bold.nii.gz"]
    required = {"adapt": ["--subject", "sub-08"], "synthesize": files}
    ours = vars(make_parser().parse_args([name, *required.get(name, [])]))
    theirs = vars(make_parser().parse_args(arguments(name)))
    # The demo's configuration, the alias that the configuration gives anyway, and what empty parameters are.
    known = {"config", "set", "registry.alias", "run"}
    assert {k: v for k, v in ours.items() if k not in known} == {k: v for k, v in theirs.items() if k not in known}


@pytest.mark.parametrize(
    ("name", "given", "key", "value"),
    [
        ("main", {"trials": 3}, "trials", 3),
        ("main", {"set": "run.seed=3; data.iqr=true"}, "set", "run.seed=3; data.iqr=true"),
        ("simulate", {"coupling": 0}, "coupling", 0.0),
        ("simulate", {"out": "a folder/with spaces"}, "out", "a folder/with spaces"),
        ("search", {"timeout": 1.5}, "timeout", 1.5),
        ("train", {"learning_rate": "1e-3", "batch_size": 8}, "learning_rate", 0.001),
        ("evaluate", {"split": "validation"}, "split", "validation"),
        ("evaluate", {"atlas": "an atlas_dseg.nii.gz"}, "atlas", "an atlas_dseg.nii.gz"),
        ("crossval", {"folds": 4}, "folds", 4),
        ("crossval", {"split_file": "a split.json"}, "split_file", "a split.json"),
        ("inspect", {"json": "true"}, "json", True),
        ("inspect", {"json": "false"}, "json", False),
        ("inspect", {"plot": "a look.png", "volume": 7}, "plot", "a look.png"),
        ("inspect", {"plot": "look.png", "channel": "Oz", "volume": 7}, "volume", 7),
        ("synthesize", {"volume_marker": "S  1"}, "volume_marker", "S  1"),
    ],
)
def test_given_parameters_arrive(name, given, key, value):
    assert getattr(make_parser().parse_args(arguments(name, **given)), options(name)[key]) == value


@pytest.mark.parametrize("verb", ["preprocess", "inspect"])
@pytest.mark.parametrize(("given", "name"), [({}, "noddi"), ({"dataset": "bids"}, "bids"), ({"dataset": "xp1"}, "xp1")])
def test_the_configuration_names_the_layout_unless_it_is_given(verb, given, name, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("dataset: {name: noddi, subjects: [32]}\n")
    args = make_parser().parse_args(arguments(verb, config=path, **given))
    config = config_of(args)
    assert (config.dataset.name, config.dataset.subjects) == (name, ("32",))


@pytest.mark.parametrize(("given", "device"), [({}, "cpu"), ({"device": "auto"}, "auto")])
def test_a_parameter_that_is_not_given_leaves_the_setting_alone(given, device, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("run: {device: cpu}\nregistry: {name: mine}\n")
    config = config_of(make_parser().parse_args(arguments("main", config=path, **given)))
    assert (config.run.device, config.registry.name) == (device, "mine")
    assert config_of(make_parser().parse_args(arguments("promote", config=path))).registry.name == "mine"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from eeg2fmri.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "finally:\n"
        "    print(sorted({'keras', 'tensorflow', 'mlflow', 'optuna', 'torch', 'mne', 'scipy'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage: eeg2fmri" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
