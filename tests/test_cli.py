"""The command line: exit status, one line on stderr, nothing half-written."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import eeg2fmri.pipeline
from eeg2fmri import cli, server
from eeg2fmri.errors import ConfigError, GateRefusal
from tests.mlflow_store import use_tracking

ROOT = Path(__file__).parents[1]
DEMO = str(ROOT / "experiments" / "demo.yaml")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder with an empty tracking database: (exit status, lines on stderr)."""
    use_tracking(tmp_path, monkeypatch)
    logger = logging.getLogger("eeg2fmri")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    # MLflow's own handler is not set up in a process that starts with the command line.
    monkeypatch.setattr(logging.getLogger("mlflow"), "handlers", [])

    def command(*arguments: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        try:
            status = cli.main(arguments)
        except SystemExit as end:  # argparse's own refusals
            status = end.code
        return status, capsys.readouterr().err.splitlines()

    yield command
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


def written() -> set[str]:
    """What lies in the working directory, without MLflow's own."""
    return {path.name for path in Path.cwd().iterdir()} - {"mlflow.db", "mlruns"}


def config(text: str) -> str:
    Path("c.yaml").write_text(text)
    return "c.yaml"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "--config", "nothing.yaml"], ["nothing.yaml", "cannot be read", "No such file"]),
        (["simulate", "--set", "run.sede=3"], ["run.sede", "did you mean 'seed'?"]),
        (["train", "--set", "modells.0.variant=lp"], ["modells", "did you mean 'models'?"]),
        (["simulate", "--set", "run.seed"], ["'run.seed'", "KEY=VALUE"]),
        (["simulate", "--set", "run.seed=-1"], ["run.seed", "greater than or equal to 0", "-1"]),
        (["simulate", "--set", "models.7.variant=lp"], ["models.7.variant", "from 0 to 1"]),
        (["train", "--set", "run.device=tpu"], ["run.device", "'auto', 'cpu' or 'gpu'", "tpu"]),
        (["evaluate", "--device", "tpu"], ["run.device", "tpu"]),
        (["synthesize", "--device", "tpu", "--eeg", "x.vhdr", "--out", "x.nii"], ["run.device", "tpu"]),
        (["main", "--config", "demoo"], ["demoo", "cannot be read"]),
        (["main", "--config", ""], ["no dataset", "--root"]),
        (["preprocess", "--root", "absent"], ["absent"]),
        (["preprocess", "--dataset", "nifti"], ["'nifti'", "bids"]),
        (["train", "--store", "absent"], ["absent", "no store", "eeg2fmri preprocess"]),
        (["evaluate", "--store", "absent"], ["absent", "no store", "eeg2fmri preprocess"]),
        (["search", "--store", "absent"], ["absent", "no store", "eeg2fmri preprocess"]),
        (["crossval", "--store", "absent"], ["absent", "no store", "eeg2fmri preprocess"]),
        (["classify", "--root", "absent"], ["absent", "no such dataset folder"]),
        (["classify", "--root", "."], ["no EEG recording"]),
        (["crossval", "--protocol", "loso"], ["crossval.protocol", "'leave-one-session-out'", "loso"]),
        (["compare", "a", "b"], ["a: no scores", "evaluate or crossval"]),
        (["store", "info", "absent"], ["absent", "no store", "eeg2fmri preprocess"]),
        (["preprocess", "--root", ".", "--workers", "2", "--scheduler", "tcp://x"], ["--workers 2", "--scheduler"]),
        (["inspect", "--json", "--plot", "x.png"], ["--json and --plot x.png: give only one of them"]),
        (["promote"], ["no registered model", "eeg2fmri train", "--name NAME"]),
        (["promote", "--name", "other", "--version", "2"], ["models:/other/2"]),
        (["promote", "--name", "a/b"], ["registry.name"]),
        (["promote", "--name", "other"], ["'other'", "eeg2fmri train --register-as other"]),
        (
            ["synthesize", "--eeg", "x.vhdr", "--out", "x.nii"],
            ["no registered model", "--model-uri models:/NAME@champ"],
        ),
        (["synthesize", "--set", "registry.name=b", "--eeg", "x.vhdr", "--out", "x.nii"], ["models:/b@champion", "ui"]),
        (["synthesize", "--model-uri", "models:/eeg2fmri@winner", "--eeg", "x.vhdr", "--out", "x.nii"], ["@winner"]),
        (["serve"], ["no registered model", "--model-uri models:/NAME@champ"]),
        (["serve", "--port", "0"], ["--port"]),
        (["serve", "--set", "serving.max_window=3"], ["did you mean 'max_windows'"]),
    ],
)
def test_bad_input_ends_with_2_and_one_line(run, arguments, named):
    status, lines = run(*arguments)
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"eeg2fmri {arguments[0]}: ")
    for text in named:
        assert text in lines[0]
    assert written() == set()


def test_without_a_verb_there_is_help(capsys):
    assert cli.main([]) == 0
    assert "preprocess" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--debug"], ["VERB"]),
        (["trian"], ["'trian' is not known; did you mean 'train'?"]),
        (["xyz"], ["'xyz' is not known; expected main, config, simulate"]),
        (["simulate", "--bogus"], ["--bogus"]),
        (["simulate", "--subjetcs=3"], ["unknown argument '--subjetcs=3'; did you mean '--subjects'?"]),
        (["simulate", "--subjects", "0"], ["--subjects", "'0'", "at least 1"]),
        (["simulate", "--subjects", "six"], ["--subjects", "'six'", "whole number"]),
        (["simulate", "--volumes", "1.5"], ["--volumes", "'1.5'", "whole number"]),
        (["simulate", "--coupling", "1.01"], ["--coupling", "'1.01'", "between 0 and 1"]),
        (["simulate", "--coupling", "nan"], ["--coupling", "'nan'", "between 0 and 1"]),
        (["simulate", "--seed", "-1"], ["--seed", "'-1'", "at least 0"]),
        (["main", "--trials", "-1"], ["--trials", "'-1'", "at least 0"]),
        (["search", "--trials", "0"], ["--trials", "'0'", "at least 1"]),
        (["search", "--timeout", "0"], ["--timeout", "'0'", "positive"]),
        (["train", "--epochs", "0"], ["--epochs", "'0'", "at least 1"]),
        (["train", "--batch-size", "-4"], ["--batch-size", "'-4'", "at least 1"]),
        (["train", "--learning-rate", "inf"], ["--learning-rate", "'inf'", "positive"]),
        (["train", "--gpu-memory-limit", "0"], ["--gpu-memory-limit", "'0'", "at least 1"]),
        (["evaluate", "--split", "all"], ["--split", "'all'", "validation"]),
        (["synthesize", "--out", "x.nii"], ["--eeg"]),
        (["preprocess", "--workers", "0"], ["--workers", "'0'", "at least 1"]),
        (["preprocess", "--allow-failures", "perhaps"], ["--allow-failures", "'perhaps'", "true or false"]),
        (["inspect", "--volume", "-1", "--plot", "x.png"], ["--volume", "'-1'", "at least 0"]),
        (["inspect", "--json", "maybe"], ["--json", "'maybe'", "true or false"]),
        (["store"], ["WHAT"]),
        (["store", "info"], ["STORE"]),
        (["train", "--quiet", "--verbose"], ["--verbose", "not allowed with"]),
    ],
)
def test_bad_arguments_end_with_2_and_one_line(run, arguments, named):
    status, lines = run(*arguments)
    assert status == 2
    assert len(lines) == 1
    for text in named:
        assert text in lines[0]
    assert written() == set()


SMALL = ["--set", "data.frequencies=7; data.context=3; data.dropped_volumes=2; data.grid=[9, 8, 7]"]


def test_a_broken_recording_ends_with_1_and_with_0_where_it_is_allowed(run, bids_root, capsys):
    (bids_root / "sub-02/eeg/sub-02_task-rest_eeg.eeg").unlink()
    arguments = ["preprocess", "--root", str(bids_root), "--store", "store", *SMALL]
    status, lines = run(*arguments)
    assert status == 1
    assert "sub-02_task-rest_eeg.vhdr: not a readable EEG" in lines[-2]
    assert lines[-1].startswith("eeg2fmri preprocess: 1 of 3 recordings cannot be used (sub-02_task-rest)")
    assert run(*arguments, "--allow-failures")[0] == 0
    assert cli.main(["store", "info", "store", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subjects"] == ["sub-01", "sub-03"]
    assert cli.main(["store", "info", "store"]) == 0
    assert "2 recordings of 2 subjects" in capsys.readouterr().out


def test_unknown_key_in_a_file(run):
    status, lines = run("train", "--config", config("data:\n  contxt: 8\n"))
    assert status == 2
    assert lines == ["eeg2fmri train: c.yaml: unknown key 'data.contxt'; did you mean 'context'?"]


@pytest.fixture
def stored(monkeypatch):
    """Stands in for a store and for training: what the command would train is returned."""
    asked: list = []
    monkeypatch.setattr("eeg2fmri.store.open_store", lambda path: path)
    monkeypatch.setattr(
        eeg2fmri.pipeline, "train_step", lambda config, variant, *_: asked.append(config.model(variant))
    )
    return asked


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--variant", "tafp-stile"], ["'tafp-stile'", "did you mean 'tafp-style'?"]),
        (["--variant", "linear", "--epochs", "3"], ["epochs", "linear", "no training loop"]),
        (["--variant", "factorised", "--batch-size", "3"], ["batch_size", "factorised", "trained without"]),
    ],
)
def test_train_refuses(run, arguments, named):
    status, lines = run("train", "--config", DEMO, *arguments)
    assert status == 2
    assert len(lines) == 1
    for text in named:
        assert text in lines[0]


@pytest.mark.parametrize("variant", ["tafp-style", "lp", None])
def test_train_options_reach_the_model_that_is_trained(run, stored, variant):
    options = ["--variant", variant] if variant else []
    settings = "models=[{family: calhas2022, filters: 3}, {family: linear}]"
    given = ["--epochs", "7", "--batch-size", "5", "--learning-rate", "1e-3", "--seed", "9", "--set", settings]
    status, lines = run("train", *given, *options)
    assert (status, lines) == (0, [])
    (model,) = stored
    assert model.variant == (variant or "tafp-style")
    assert model.filters == 3
    assert (model.training.epochs, model.training.batch_size, model.training.learning_rate) == (7, 5, 1e-3)


@pytest.mark.parametrize(
    ("options", "marker"),
    [([], "auto"), (["--volume-marker", ""], "auto"), (["--volume-marker", "S  1"], "S  1"),
     (["--set", "dataset.volume_marker=T 9"], "T 9")],
)  # fmt: skip
def test_synthesize_knows_the_scanner_s_marker(run, monkeypatch, options, marker):
    asked: list = []
    bundle = SimpleNamespace(digest="abc")
    monkeypatch.setenv("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "")  # so that it is restored
    monkeypatch.delenv("TF_ONEDNN_USE_SYSTEM_ALLOCATOR")
    monkeypatch.setattr("eeg2fmri.tracking.load_model", lambda *_: (bundle, None))
    monkeypatch.setattr("eeg2fmri.serving.synthesise_file", lambda *given, **_: asked.append(given) or (1,))
    assert run("synthesize", "--model-uri", "models:/m/1", "--eeg", "x.vhdr", "--out", "x.nii", *options)[0] == 0
    assert asked == [(bundle, Path("x.vhdr"), Path("x.nii"), marker)]
    assert os.environ["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] == "1"


def fails(monkeypatch, error):
    def step(*_):
        raise error

    monkeypatch.setattr(eeg2fmri.pipeline, "promote_step", step)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (GateRefusal("version 2: 0.01 is below 0.02"), 1, "eeg2fmri promote: version 2: 0.01 is below 0.02"),
        (ConfigError("two\n  lines"), 2, "eeg2fmri promote: two lines"),
        (KeyboardInterrupt(), 130, "eeg2fmri promote: stopped; the same command continues from here"),
        (OSError(28, "No space\nleft"), 2,
         "eeg2fmri promote: a folder that is written to: no space left on the disk; free some and give the same "
         "command again"),
    ],
)  # fmt: skip
def test_a_failure_ends_with_its_status_and_one_line(run, monkeypatch, error, status, line):
    fails(monkeypatch, error)
    assert run("promote") == (status, [line])


def test_sigterm_stops_as_ctrl_c_does(run, monkeypatch):
    def step(*_args: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # without the handler the test goes on, and fails
    try:
        monkeypatch.setattr(eeg2fmri.pipeline, "promote_step", step)
        assert run("promote") == (130, ["eeg2fmri promote: stopped; the same command continues from here"])
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("error", [ConfigError("bad"), GateRefusal("no"), OSError("full")])
def test_debug_shows_where(run, monkeypatch, error):
    fails(monkeypatch, error)
    status, lines = run("promote", "--debug")
    assert status == getattr(error, "exit_code", 1)
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("eeg2fmri promote: ")


def test_success_ends_with_0(run, monkeypatch):
    seen = []
    monkeypatch.setattr(eeg2fmri.pipeline, "promote_step", lambda config, version: seen.append((config, version)))
    assert run("promote", "--name", "other", "--alias", "best", "--version", "4") == (0, [])
    ((settings, version),) = seen
    assert (settings.registry.name, settings.registry.alias, version) == ("other", "best", "4")
    assert run("promote", "--version", "latest") == (0, [])
    assert seen[1][1] is None


@pytest.mark.parametrize(("options", "shown"), [([], ["hello"]), (["--quiet"], []), (["--verbose"], ["hello", "more"])])
def test_how_much_is_said(run, monkeypatch, options, shown):
    def step(*_):
        logging.getLogger("eeg2fmri.pipeline").info("hello")
        logging.getLogger("eeg2fmri.pipeline").debug("more")

    monkeypatch.setattr(eeg2fmri.pipeline, "promote_step", step)
    status, lines = run("promote", *options)
    assert status == 0
    assert [line.split()[-1] for line in lines] == shown


@pytest.mark.slow
@pytest.mark.parametrize(("options", "status"), [([], 2), (["--debug"], 2)])
def test_as_a_process(tmp_path, options, status):
    command = [sys.executable, "-m", "eeg2fmri", "simulate", "--set", "run.sede=1", *options]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin", "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert "unknown key 'run.sede'" in done.stderr
    assert ("Traceback" in done.stderr) == bool(options)
    if not options:
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", [*server.TRACKING_VERBS, "synthesize", "serve"])
def test_a_server_that_is_down_is_named_in_one_line(monkeypatch, run, verb):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:1")
    files = {
        "synthesize": ("--eeg", "a.vhdr", "--out", "a.nii"),
        "compare": ("a", "b"),
        "adapt": ("--subject", "a"),
    }.get(verb, ())
    status, (line,) = run(verb, *files)
    assert status == 2
    assert line.startswith(f"eeg2fmri {verb}: MLFLOW_TRACKING_URI=http://127.0.0.1:1: no server listens there")


SECRET = "postgresql://me:s3cret@127.0.0.1:1/db"


@pytest.mark.parametrize("debug", [(), ("--debug",)])
@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "--storage", SECRET),
        ("search", f"--storge={SECRET}"),
        ("search", "--trials", SECRET),
        ("train", "--store", SECRET),
        *((verb, "--store", "s3://me:s3cret@bucket/store") for verb in ("preprocess", "train", "evaluate", "search")),
        ("store", "info", "s3://me:s3cret@bucket/store"),
        ("preprocess", "--root", ".", "--scheduler", SECRET),
        ("simulate", "--set", f"run.sede={SECRET}"),
        ("evaluate", "--model-uri", SECRET),
    ],
)
def test_no_refusal_shows_a_password(run, bids_root, arguments, debug):
    status, lines = run(*arguments, *debug)
    assert status == 2
    assert "s3cret" not in "\n".join(lines)
    assert len(lines) == 1 or debug


@pytest.mark.parametrize("storage", [SECRET, "postgresql://127.0.0.1:1/db?user=me&password=s3cret"])
def test_a_password_that_mlflow_run_was_given_is_refused(run, monkeypatch, storage):
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    status, (line,) = run("search", "--storage", storage)
    assert status == 2
    assert "mlflow run has printed the password, and run abc keeps it; change the password, and give it as PG" in line
    assert "s3cret" not in line
    status, (line,) = run("search", "--storage", "postgresql://me@127.0.0.1:1/db?sslkey=me.key")
    assert status == 2
    assert "no server listens there" in line


def test_a_storage_that_does_not_answer_is_named_in_time(run, monkeypatch):
    monkeypatch.setattr(server, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}/db"
        status, (line,) = run("search", "--storage", f"postgresql://me:s3cret@{where}")
    assert status == 2
    assert line.startswith(f"eeg2fmri search: storage postgresql://{where}: no answer within 0.3 s; start the")
    assert written() == set()


def test_errors_of_others_show_no_password(monkeypatch, run):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgres://me:s3cret@127.0.0.1:1/db")  # a scheme that MLflow refuses
    status, (line,) = run("promote")
    assert status == 1
    assert "postgres://127.0.0.1:1/db" in line
    assert "s3cret" not in line


def test_a_second_command_of_a_process_says_nothing_twice(run, monkeypatch):
    monkeypatch.setattr(eeg2fmri.pipeline, "promote_step", lambda *_: logging.getLogger("eeg2fmri.pipeline").info("a"))
    assert [len(run("promote")[1]) for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("arguments", [("train", "--store"), ("serve", "--model-uri"), ("store", "info")])
def test_a_server_elsewhere_is_asked_before_the_work(run, arguments):
    verb, place = arguments[0], "http://127.0.0.1:1/x"
    line = f"eeg2fmri {verb}: {place}: no server listens there (connection refused); start the server or correct the "
    assert run(*arguments, place.replace("//", "//me:s3cret@")) == (2, [f"{line}address"])


FULL = """
import sqlite3, sys, sqlalchemy

@sqlalchemy.event.listens_for(sqlalchemy.Engine, "do_execute")
def stop(cursor, statement, *_):
    if statement.startswith("INSERT INTO runs"):
        raise sqlite3.OperationalError("database or disk is full")

from eeg2fmri.cli import main
sys.exit(main(["simulate"]))
"""


@pytest.mark.slow
def test_a_tracking_database_that_cannot_grow_is_one_line(tmp_path, monkeypatch):
    use_tracking(tmp_path, monkeypatch)
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "eeg2fmri simulate: a folder that is written to: no space left on the disk; free some and give the same "
        "command again"
    ]
