"""Every experiment loads and builds for its dataset's shapes; the README lists it; the tutorial runs."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from eeg2fmri.config import PUBLISHED_EEG, Calhas2022Config, load_config
from eeg2fmri.datasets.find import adapter_class
from eeg2fmri.models.spec import EEG_AXES, block_shapes
from eeg2fmri.search.architectures import AxisSpace
from eeg2fmri.signals import frequencies

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ROOT / "experiments"
FILES = sorted(str(path.relative_to(EXPERIMENTS)) for path in EXPERIMENTS.rglob("*.yaml"))
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
    channels = config.simulation.channels + 1 if config.simulation else DATASETS.get(dataset, DATASETS["noddi"])[0]
    return channels, config.data.frequencies, config.data.context


@pytest.mark.parametrize("name", FILES)
def test_an_experiment_builds_for_its_shapes(name):
    config = load_config(EXPERIMENTS / name)
    deep = [model for model in config.models if isinstance(model, Calhas2022Config)]
    assert deep
    for model in deep:
        eeg = block_shapes(eeg_shape(name), model.eeg, max_pool=model.max_pool, name="eeg encoder", axes=EEG_AXES)
        fmri = block_shapes(config.data.grid, model.fmri, max_pool=model.max_pool, name="fmri encoder")
        if name.split("/")[0] in DATASETS:  # whatever the dataset, the networks end where the published ones do
            assert (eeg[-1], fmri[-1]) == ((6, 6, 8), (7, 7, 7))


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_published_experiment_has_the_facts_of_its_dataset(dataset):
    _, rate, tr, shift, train, test = DATASETS[dataset]
    config = load_config(EXPERIMENTS / dataset / "base.yaml")
    assert config.data.bold_shift == shift
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
    published = {"start_at_mean": False, "eeg": model.eeg, "training": model.training}
    assert model == Calhas2022Config().model_copy(update=published)


@pytest.mark.parametrize(
    ("dataset", "axis", "count"), [("noddi", 0, 1152), ("noddi", 1, None), ("oddball", 0, 331), ("xp2", 1, 4569)]
)
def test_an_architecture_is_the_nearest_of_the_search_space(dataset, axis, count):
    """Of all sequences that reach the published length, the one that differs least from the published one."""
    spec = load_config(EXPERIMENTS / dataset / "base.yaml").models[0].eeg
    space = AxisSpace(eeg_shape(f"{dataset}/base.yaml")[axis], 6, 2, spec.pool[axis], spec.pool_stride[axis])
    published, ours = (
        [(k[axis], s[axis]) for k, s in zip(each.kernels, each.strides, strict=True)] for each in (PUBLISHED_EEG, spec)
    )

    def difference(sequence):
        return sum(abs(a - b) for pair in zip(sequence, published, strict=True) for a, b in zip(*pair, strict=True))

    assert count in (None, space.count)
    least = min((difference(sequence), sequence) for sequence in map(space.unrank, range(space.count)))
    assert (difference(ours), tuple(ours)) == least


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


def test_the_tutorial_is_kept_without_outputs():
    cells = nbformat.read(EXPERIMENTS / "tutorial.ipynb", as_version=4).cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells if cell.cell_type == "code")


@pytest.mark.slow
def test_the_tutorial_runs_from_top_to_bottom(tmp_path, monkeypatch):
    kernel = tmp_path / "kernels" / "under-test"  # this very Python, whatever kernels the machine has
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    spec = {"argv": command, "display_name": "under test", "language": "python", "env": {"PYTHONPATH": paths}}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(EXPERIMENTS / "tutorial.ipynb", as_version=4)
    where = {"metadata": {"path": str(EXPERIMENTS)}}
    NotebookClient(notebook, kernel_name="under-test", timeout=600, resources=where).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert "train      (261, 21, 60, 10) (261, 16, 18, 12)" in printed
    assert "epoch 6: training loss" in printed
    assert printed.count("mean_volume       0.0000") == 2  # both models beside their nulls
