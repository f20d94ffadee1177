"""The README is short and plain; links lead to files; the pages hold every setting; the site builds."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from eeg2fmri.cli.parser import make_parser
from eeg2fmri.config import FAMILIES, all_settings, find_family
from eeg2fmri.datasets.find import adapter_class

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "experiments" / "README.md", *sorted((DOCS).glob("*.md")), *sorted(DOCS.glob("guide/*.md"))]
BANNED = ("told", "mend", "thrice", "dearer", "cannot be had of it")


def sentences(text: str) -> list[str]:
    """Sentences of a page: code, tables, pictures and headings are left out; a link is its words."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = "\n".join("" if line.startswith(("|", "#")) else line for line in text.splitlines())
    text = re.sub(r"(?m)^\s*(?:[-*:]|\d+\.) ", "\n\n", text)
    found = re.split(r"(?<=[.!?:])[*_]*\s+|\n\s*\n", text)
    return [sentence for sentence in found if re.search(r"[A-Za-z]", sentence)]


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9][\w'’./-]*", text)


def syllables(word: str) -> int:
    """Groups of vowels, one less for a silent e at the end; at least one."""
    groups = len(re.findall(r"[aeiouy]+", word.lower()))
    silent = word.lower().endswith("e") and not word.lower().endswith(("le", "ee"))
    return max(1, groups - silent)


def reading_ease(text: str) -> float:
    """Flesch's formula for English; 60 to 70 is plain English, 0 to 30 is a scientific article."""
    parts = [words(sentence) for sentence in sentences(text)]
    all_words = [word for part in parts for word in part]
    return 206.835 - 1.015 * len(all_words) / len(parts) - 84.6 * sum(map(syllables, all_words)) / len(all_words)


def test_the_formula_tells_plain_from_hard():
    plain = "The cat sat on the mat. It was a warm day."
    hard = "Organisational heterogeneity necessitates considerable interdisciplinary collaboration."
    assert reading_ease(plain) == pytest.approx(206.835 - 1.015 * 5.5 - 84.6 * 11 / 11)
    assert reading_ease(hard) < 0


def test_the_readme_is_short_and_plain():
    text = README.read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    assert [sentence for sentence in sentences(text) if len(words(sentence)) > 30] == []
    assert reading_ease(text) >= 45


def test_the_readme_says_first_that_data_are_simulated():
    first_screen = README.read_text(encoding="utf-8")[:1200]
    assert "All results so far are from *simulated* data" in first_screen


def test_the_page_of_models_has_a_row_for_every_family():
    rows = re.findall(r"(?m)^\| `(\w+)` \|", (DOCS / "guide" / "models.md").read_text(encoding="utf-8"))
    assert sorted(rows) == sorted(FAMILIES)


def test_scores_of_the_pages_are_those_of_the_experiments():
    """Every mean of unseen subjects, to the digits that a page shows."""
    found = json.loads((ROOT / "experiments" / "rivals.json").read_text(encoding="utf-8"))["summary"]
    few = json.loads((ROOT / "experiments" / "benchmarks" / "gate_power.json").read_text(encoding="utf-8"))[
        "coupling 1"
    ]
    readme, results, models_page = (
        page.read_text(encoding="utf-8") for page in (README, DOCS / "results.md", DOCS / "guide" / "models.md")
    )
    models = ("linear", "factorised", "given the amplitudes", "best reachable")
    means = " | ".join(f"{found['mean'][name]:.3f}" for name in models)
    assert f"| 12 subjects of 300 volumes | {found['subjects']} | {means} |" in readme
    assert f"| {few['mean_r2_temporal']:.3f} | not run | not run | {few['mean_best_reachable']:.3f} |" in readme
    for name, (low, high) in found["interval"].items():
        assert f"{found['mean'][name]:.4f} ({low:.4f} to {high:.4f})" in results
    for name in models[:3]:
        assert f"{found['mean'][name]:.4f}" in models_page
    oracles = json.loads((ROOT / "experiments" / "oracles.json").read_text(encoding="utf-8"))
    for name, mean in oracles["mean"].items():
        assert f"{mean:.4f}, {100 * oracles['share'][name]:.0f} %" in results


def test_scores_of_subjects_with_eeg_only_are_those_of_the_benchmark():
    path = ROOT / "experiments" / "benchmarks" / "classify.json"
    results = (DOCS / "results.md").read_text(encoding="utf-8")
    models = json.loads(path.read_text(encoding="utf-8"))["summary"]
    for found in (kind for kinds in models.values() for kind in kinds.values()):
        scores, pairs = (found[key] for key in ("scores", "beside_eeg"))
        cells = [f"{scores[name]['balanced_accuracy']:.2f}, {scores[name]['significant']}" for name in scores]
        assert f"| {found['data_sets']} | {' | '.join(cells)} |" in results
        cells = [f"{pair['won']} and {pair['lost']}; {pair['better']}, {pair['worse']}" for pair in pairs.values()]
        assert f"| {' | '.join(cells)} |" in results
    for case in json.loads((path.parent / "classify_null.json").read_text(encoding="utf-8")).values():
        for found in (part[key] for part in case.values() for key in part if key.endswith("_level")):
            low, high = (100 * end for end in found["interval"])
            assert f"{found['count']} of {found['of']} ({low:.0f} to {high:.0f} %)" in results


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_uses_plain_words(page):
    text = page.read_text(encoding="utf-8")
    assert [word for word in BANNED if re.search(rf"\b{word}\b", text, re.IGNORECASE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    here = [target for target in targets if target and "://" not in target and "_generated/" not in target]
    assert [target for target in here if not (page.parent / target).exists()] == []


def blocks(page: Path, language: str) -> list[str]:
    """Code of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_are_understood(page):
    text = "\n".join(blocks(page, "bash")).replace("\\\n", " ")
    commands = [part.strip() for line in text.splitlines() for part in line.split(" && ")]
    for command in commands:
        verb, *arguments = shlex.split(command, comments=True) or [""]
        if verb == "eeg2fmri" and arguments[0] != "VERB":
            make_parser().parse_args(arguments)  # exits on what it does not know


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    (code,) = blocks(README, "python")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "mean_volume" in done.stdout


def test_the_family_and_the_layout_of_the_examples_are_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for code in blocks(DOCS / "examples.md", "python"):
        if name := re.match(r"# (mylab/\w+\.py)\n", code):
            file = tmp_path / name.group(1).replace("mylab", "lab_of_docs")
            file.parent.mkdir(exist_ok=True)
            file.write_text(code.replace("mylab", "lab_of_docs"), encoding="utf-8")
    name = "lab_of_docs.loudness:FAMILY"
    assert find_family(name).config(family=name).shrinkage == 1.0
    assert adapter_class("lab_of_docs.layout:MyLab").__name__ == "MyLab"


def test_every_page_is_in_the_contents():
    listed = set(re.findall(r"(?m)^([\w/-]+)$", (DOCS / "index.md").read_text(encoding="utf-8")))
    there = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES if page.is_relative_to(DOCS)}
    assert there - listed == {"index"}


def test_the_settings_page_holds_every_setting():
    spec = importlib.util.spec_from_file_location("settings_page", DOCS / "settings_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    listed = re.findall(r"(?m)^`([\w.]+)`$", module.settings_page())
    assert listed == [setting.key for setting in all_settings(FAMILIES)]


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_runs_the_tutorial(tmp_path):
    pytest.importorskip("sphinx", reason="pip install 'eeg2fmri[docs]'")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "trees", DOCS, site]
    kernel = tmp_path / "kernels" / "python3"  # this very Python, whatever kernels the machine has
    kernel.mkdir(parents=True)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": launch, "display_name": "Python 3", "language": "python"}))
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_PATH": str(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython"),
    }  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "run.deterministic" in (site / "_generated" / "settings.html").read_text(encoding="utf-8")
    api = (site / "_generated" / "api" / "eeg2fmri.evaluation.html").read_text(encoding="utf-8")
    assert "r2_temporal" in api
    tutorial = (site / "_generated" / "tutorial.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img alt="[^"]*" src="\.\./_images/', tutorial)) == 4
    printed = re.sub(r"<[^>]+>", "", tutorial)
    assert "train      (261, 21, 60, 10) (261, 16, 18, 12)" in printed
    assert "epoch 6: training loss" in printed
    assert printed.count("mean_volume       0.0000") == 2  # both models beside their nulls
    assert "cuInit" not in printed  # nothing that looks like a fault
