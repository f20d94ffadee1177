"""Every experiment loads and builds for its dataset's shapes; the README lists it; the tutorial runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from eeg2fmri.config import PUBLISHED_FMRI, Calhas2022Config, load_config
from eeg2fmri.datasets.find import adapter_class
from eeg2fmri.models.architectures import encoders
from eeg2fmri.models.spec import block_shapes
from eeg2fmri.signals import frequencies

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ROOT / "experiments"
FILES = sorted(
    str(path.relative_to(EXPERIMENTS)) for path in EXPERIMENTS.rglob("*.yaml") if path.name != "policy.yaml"
)  # of no data
VARIANTS = ("lp", "fp", "talp", "tafp", "tafp-style")

# Papers and published code: channels, sampling rate (Hz; 250 after cleaning of 5 kHz), TR (s), first volumes dropped,
# subjects that train and test in the published code.
DATASETS = {
    "noddi": (64, 250, 2.16, 3, 8, 2),
    "oddball": (43, 1000, 2.0, 3, 8, 2),
    "cn-epfl": (64, 250, 1.28, 6, 16, 4),
    "xp1": (64, 200, 2.0, 3, 8, 2),
    "xp2": (64, 200, 1.0, 6, 13, 4),
}


def eeg_shape(name: str) -> tuple[int, int, int]:
    """Channels, frequencies and context that the experiment's EEG encoder is given."""
    config = load_config(EXPERIMENTS / name)
    dataset = name.split("/")[0]
    with_ecg = "ecg" in config.data.channel_types
    channels = (
        config.simulation.channels + with_ecg if config.simulation else DATASETS.get(dataset, DATASETS["noddi"])[0]
    )
    return channels, config.data.frequencies, config.data.context


@pytest.mark.parametrize("name", FILES)
def test_an_experiment_builds_for_its_shapes(name):
    config = load_config(EXPERIMENTS / name)
    deep = [model for model in config.models if isinstance(model, Calhas2022Config)]
    assert deep
    for model in deep:
        grid = config.data.grid or config.simulation.grid
        eeg, fmri = encoders(model, eeg_shape(name), grid)
        ends = (block_shapes(eeg_shape(name), eeg)[-1], block_shapes(grid, fmri)[-1])
        if name != "tutorial.yaml":  # it has encoders of its own, which are quicker
            assert ends == ((6, 6, 8), (7, 7, 7))  # whatever the dataset, where the published ones do


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_published_experiment_has_the_facts_of_its_dataset(dataset):
    _, rate, tr, shift, train, test = DATASETS[dataset]
    config = load_config(EXPERIMENTS / dataset / "base.yaml")
    assert config.data.dropped_volumes == shift
    assert config.data.frequencies == min(134, round(rate * tr) // 2)
    assert len(frequencies(rate, tr, config.data.frequencies)) == config.data.frequencies
    assert config.split.test == test
    assert 1 <= config.split.validation < train  # taken from the subjects that train in the published code
    assert config.run.experiment == dataset
    assert config.registry.name == f"eeg2fmri-{dataset}"  # champions of different data are not compared


@pytest.mark.parametrize(
    ("dataset", "subjects", "tasks", "runs"),
    [
        ("noddi", 10, (), ()),
        ("oddball", 10, ("1",), ("1",)),
        ("cn-epfl", 0, ("main",), ("1",)),  # none named: all twenty
        ("xp1", 0, ("eegfmriNF",), ()),
        ("xp2", 0, ("MIpost",), ()),
    ],
)
def test_a_published_experiment_names_its_recordings(dataset, subjects, tasks, runs):
    _, _, _, _, train, test = DATASETS[dataset]
    config = load_config(EXPERIMENTS / dataset / "tafp.yaml").dataset
    assert config.name == dataset
    assert adapter_class(config.name)
    assert (len(config.subjects), config.tasks, config.runs) == (subjects, tasks, runs)
    assert subjects in (0, train + test)


def test_raw_eeg_is_cleaned_where_the_scanner_is_in_it():
    cleaning = {name: load_config(EXPERIMENTS / name / "base.yaml").data.cleaning for name in DATASETS}
    assert cleaning["cn-epfl"].gradient
    assert cleaning["cn-epfl"].pulse
    assert cleaning["cn-epfl"].sampling_rate == DATASETS["cn-epfl"][1]
    assert not any(cleaning[name].gradient for name in cleaning.keys() - {"cn-epfl"})


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_variants_of_a_dataset_differ_in_the_variant_only(dataset):
    base = load_config(EXPERIMENTS / dataset / "base.yaml")
    names = {path.stem for path in (EXPERIMENTS / dataset).glob("*.yaml")}
    assert names == {"base", *VARIANTS}
    for variant in VARIANTS:
        config = load_config(EXPERIMENTS / dataset / f"{variant}.yaml")
        assert config.models[0] == base.models[0].model_copy(update={"variant": variant})
        assert config.model_copy(update={"models": base.models}) == base


@pytest.mark.parametrize("name", [f"{dataset}/base.yaml" for dataset in DATASETS])
def test_training_is_as_published(name):
    model = load_config(EXPERIMENTS / name).models[0]
    assert (model.training.epochs, model.training.batch_size) == (10, 4)
    assert model.training.learning_rate == 0.002980911194116198
    assert not model.training.shuffle
    assert model == Calhas2022Config().model_copy(update={"start_at_mean": False, "training": model.training})


@pytest.mark.parametrize(
    ("dataset", "kernels", "strides"),
    [
        *((dataset, ((7, 37, 2), (7, 7, 2)), ((3, 5, 1), (2, 2, 1))) for dataset in ("noddi", "cn-epfl", "xp1")),
        ("oddball", ((7, 37, 2), (6, 7, 2)), ((2, 5, 1), (2, 2, 1))),
        ("xp2", ((7, 37, 2), (7, 6, 2)), ((3, 5, 1), (2, 1, 1))),
    ],
)
def test_encoders_of_a_published_experiment(dataset, kernels, strides):
    config = load_config(EXPERIMENTS / dataset / "base.yaml")
    eeg, fmri = encoders(config.models[0], eeg_shape(f"{dataset}/base.yaml"), config.data.grid)
    assert (eeg.kernels, eeg.strides, eeg.pool) == (kernels, strides, (2, 2, 1))
    assert fmri == PUBLISHED_FMRI


def test_the_readme_lists_every_experiment():
    text = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/.{},-]+\.(?:yaml|py|ipynb))`", text))
    listed = {name for entry in named for name in expand(entry)}
    there = {*FILES, "tutorial.ipynb", *(p.relative_to(EXPERIMENTS).as_posix() for p in EXPERIMENTS.rglob("*.py"))}
    assert there - listed == set()
    assert {name for name in listed if not (EXPERIMENTS / name).exists()} == set()


def expand(entry: str) -> list[str]:
    """The names that a shell makes of ``noddi/{lp,fp}.yaml``."""
    before, brace, rest = entry.partition("{")
    if not brace:
        return [entry]
    choices, _, after = rest.partition("}")
    return [f"{before}{choice}{after}" for choice in choices.split(",")]


@pytest.mark.parametrize(
    ("name", "options", "differs"),
    [("rivals.py", ["--models", "linear", "mean"], "models"), ("oracles.py", ["--unseen", "4"], "unseen")],
)
def test_results_of_other_settings_are_not_overwritten(tmp_path, name, options, differs):
    out = tmp_path / "results.json"
    published = (EXPERIMENTS / name).with_suffix(".json").read_bytes()
    out.write_bytes(published)
    command = [sys.executable, str(EXPERIMENTS / name), *options, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == f"{out}: it was made with other settings ({differs}); give another --out\n"
    assert out.read_bytes() == published


def test_the_tutorial_is_kept_without_outputs():
    cells = nbformat.read(EXPERIMENTS / "tutorial.ipynb", as_version=4).cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells if cell.cell_type == "code")
