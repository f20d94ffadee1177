"""Keys by code: they change with the code that a step reaches, and with nothing else."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import eeg2fmri
from eeg2fmri.config import Config, LinearConfig, MeanConfig
from eeg2fmri.errors import ConfigError
from eeg2fmri.families import fit
from eeg2fmri.pipeline.code import (
    SCORING_CODE,
    SIMULATION_CODE,
    evaluation_code,
    preprocessing_code,
    training_code,
)
from eeg2fmri.provenance import code_digest, code_of
from eeg2fmri.scoring import score_windows
from eeg2fmri.store import Windows
from eeg2fmri.store.write import CODE
from tests.fakes import CONTEXT, deep_config, recording

ROOT = Path(eeg2fmri.__file__).parent
LINEAR, DEEP = LinearConfig(components=3), deep_config()
KEYS = {
    "store": CODE,
    "train linear": training_code(LINEAR),
    "train deep": training_code(DEEP),
    "evaluate linear": evaluation_code(LINEAR),
    "evaluate deep": evaluation_code(DEEP),
}


EVALUATE = {"evaluate linear", "evaluate deep"}  # the linear family is a baseline of every model


def digests() -> dict[str, str]:
    code_digest.cache_clear()
    return {name: code_digest(*entries) for name, entries in KEYS.items()}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package, whose code counts in the place of this one's."""
    copy = shutil.copytree(ROOT, tmp_path / "eeg2fmri", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(eeg2fmri, "__file__", str(copy / "__init__.py"))
    yield copy
    code_digest.cache_clear()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "redone"),
    [
        ("scoring.py", "(np.mean([scores[key]", "(np.median([scores[key]", {"evaluate linear", "evaluate deep"}),
        ("evaluation/nulls.py", "margin", "least", {"evaluate linear", "evaluate deep"}),
        ("evaluation/relevance.py", "DRAWS = 999", "DRAWS = 998", {"evaluate linear", "evaluate deep"}),
        ("training/linear.py", "BLOCK = 32", "BLOCK = 33", {"train linear", *EVALUATE}),
        ("models/linear_fit.py", "return", "return not", {"train linear", *EVALUATE}),
        ("training/prefetch.py", "import", "import sys as new; import", set()),
        ("training/losses.py", "return", "return not", {"train deep", "evaluate deep"}),
        ("signals/cleaning.py", "return", "return not", {"store"}),
        ("signals/regrid.py", "def regrid(", "def regrid(more=1, *, ", {"store"}),
        ("signals/scaling.py", "return", "return not", set(KEYS) - {"store"}),
        ("__init__.py", 'ONEDNN_OPTS", "1"', 'ONEDNN_OPTS", "0"', set(KEYS)),
        ("plotting/curves.py", "return", "return not", set()),
        ("tracking/registry.py", "return", "return not", set()),
    ],
)
def test_a_change_redoes_what_reaches_it(package, file, old, new, redone):
    before = digests()
    edit(package / file, old, new)
    after = digests()
    assert {name for name in KEYS if after[name] != before[name]} == redone


def test_comments_docstrings_and_formatting_redo_nothing(package):
    before = digests()
    for path in package.rglob("*.py"):
        text = path.read_text().replace('"""', '"""Another word. ', 1)
        path.write_text(f"# A comment.\n\n{ast.unparse(ast.parse(text))}\n")
    assert digests() == before


def test_an_import_from_the_face_of_a_folder_is_one_from_the_module(package):
    before = digests()
    modules = "from eeg2fmri.store.store import StoredRecording\nfrom eeg2fmri.store.windows import Windows"
    edit(package / "scoring.py", "from eeg2fmri.store import StoredRecording, Windows", modules)
    assert digests() == before


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/', 1)}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)


@pytest.mark.parametrize(
    ("start", "reached"),
    [
        ("from lab.other import used\ndef run(): return used()", True),
        ("from .other import used as u\ndef run(): return u()", True),
        ("from lab import other\ndef run(): return other.used()", True),
        ("from lab import other\ndef run(): return other.unused()", False),
        ("import lab.other\ndef run(): return lab.other.used()", True),
        ("def run():\n    from lab.other import used\n    return used()", True),
        ("def run():\n    import lab.other as o\n    return o.used()", True),
        ("from lab.other import *\ndef run(): return used()", True),
        ("def run():\n    import lab.other", True),
        ("try:\n    from lab.other import used\nexcept ImportError:\n    used = None\ndef run(): return used()", True),
        ("from lab.other import used\ndef aside(): return used()\ndef run(): return 1", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lab.other import used\n"
         "def run(x: used): return 1", False),
        ("def run(): return 'lab.other:used'", False),
        ("from lab.other import used\nTABLE = {'a': used}\ndef run(): return TABLE['a']()", True),
        ("from lab.other import used\nclass Base:\n    def go(self): return used()\nclass run(Base): pass", True),
    ],
)  # fmt: skip
def test_what_is_followed(tmp_path, monkeypatch, start, reached):
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, lab__start=start, lab__other="def used(): return 1\ndef unused(): return 1\n")
    before = code_digest.__wrapped__("lab.start:run")
    edit(tmp_path / "lab/other.py", "used(): return 1", "used(): return 2")
    assert (code_digest.__wrapped__("lab.start:run") != before) == reached


def test_what_a_module_does_on_import_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, lab__start="from lab.other import used\ndef run(): return used()", lab__other="def used(): pass\n")
    before = code_digest.__wrapped__("lab.start:run")
    edit(tmp_path / "lab/other.py", "def", "TABLE = {}\nTABLE['a'] = 1\ndef")
    assert code_digest.__wrapped__("lab.start:run") != before


def test_the_layout_of_a_laboratory_is_part_of_the_key(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    layout = "from eeg2fmri.datasets import Adapter\nclass Layout(Adapter):\n    expected = 'files'\n"
    write(tmp_path, mylab__layout=layout)
    code = preprocessing_code("mylab.layout:Layout")
    before = code_digest.__wrapped__(*code)
    edit(tmp_path / "mylab/layout.py", "files", "other files")
    assert code_digest.__wrapped__(*code) != before
    assert code_digest.__wrapped__(*preprocessing_code("bids")) not in (before, "")


@pytest.mark.parametrize("entry", ["nowhere.at.all", "eeg2fmri.scores", "eeg2fmri.scoring:scores", "itertools:chain"])
def test_an_entry_without_source_is_refused(entry, refuses):
    with refuses(ConfigError, f"{entry}: (its Python source is not found|no such name)"):
        code_digest(entry)


@pytest.mark.parametrize("config", [LINEAR, MeanConfig()], ids=lambda config: config.family)
def test_all_code_that_runs_in_a_fit_and_its_scoring_is_in_the_keys(config):
    """Every function of the package that Python calls is among those that were found without running it."""
    called: set[tuple[str, str]] = set()

    def note(frame, event, _):
        path = Path(frame.f_code.co_filename)
        name = frame.f_code.co_qualname.partition(".")[0]
        if event == "call" and ROOT in path.parents and not name.startswith("<"):
            called.add((".".join(("eeg2fmri", *path.relative_to(ROOT).with_suffix("").parts)), name))

    recordings = [recording(f"sub-{n}", n, windows=24) for n in range(4)]
    train, validation, test = (Windows(part, CONTEXT) for part in (recordings[:2], recordings[2:3], recordings[3:]))
    evaluation = Config.model_validate({"evaluation": {"shuffles": 1, "permutations": 20}}).evaluation
    sys.setprofile(note)
    try:
        model = fit(config, train, validation).model
        _ = score_windows(model, test, evaluation).overall
    finally:
        sys.setprofile(None)
    assert len(called) > 20
    found = code_of(*training_code(config), *evaluation_code(config)).keys()
    door = {place for place in called if place[0] == "eeg2fmri.families.fit"}
    assert called - found - door == set()


def test_a_key_takes_no_time():
    """Cold, in a fresh process, for all keys of a job of one family."""
    entries = {*SIMULATION_CODE, *preprocessing_code("bids"), *training_code(DEEP), *SCORING_CODE}
    code = f"from eeg2fmri.provenance import code_digest as d; import time; t = time.process_time(); d(*{entries!r}); \
print(time.process_time() - t)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3  # 1 s on slow cores
    started = time.process_time()
    for _ in range(1000):
        code_digest(*CODE)
    assert time.process_time() - started < 1
