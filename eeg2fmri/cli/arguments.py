"""Arguments that verbs share, and values that refuse with the rule they keep."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

Run = Callable[[argparse.Namespace], None]
DATASET_OPTIONS = ("subjects", "sessions", "tasks", "runs", "eeg", "bold")


def optional(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A value that may be left empty, as `mlflow run` passes parameters that were not given."""

    def convert(text: str) -> Any:
        return kind(text) if text.strip("'\"") else None

    return convert


def truth(text: str) -> bool:
    """A flag that may be given as a value, as `mlflow run` passes it; empty is false."""
    value = text.strip("'\"").lower()
    if value not in ("", "true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} must be true or false")
    return value == "true"


def number(kind: type, rule: str, allowed: Callable[[Any], bool]) -> Callable[[str], Any]:
    """A number that keeps a rule; the refusal says which."""

    def convert(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not allowed(number):
            raise argparse.ArgumentTypeError(f"{text!r} must be {rule}")
        return number

    return convert


positive = number(int, "a whole number of at least 1", lambda n: n >= 1)
count = number(int, "a whole number of at least 0", lambda n: n >= 0)
rate = number(float, "a positive number", lambda x: 0 < x < float("inf"))
fraction = number(float, "a number between 0 and 1", lambda x: 0 <= x <= 1)


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_verb(verbs: Any, name: str, run: Run, text: str, config: str | None = None) -> Any:
    parser = add_command(verbs, name, run, text)
    parser.add_argument("--config", type=optional(str), default=config,
                        help=f"YAML configuration (default: {config or 'the published settings'})")  # fmt: skip
    parser.add_argument("--set", metavar="KEY=VALUE[;…]", help="override settings, e.g. 'run.seed=3; data.context=8'")
    return parser


def add_command(verbs: Any, name: str, run: Run, text: str) -> Any:
    """A command without a configuration."""
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--verbose", action="store_true")
    volume.add_argument("--quiet", action="store_true")
    return parser


def add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", default="work/store", help="folder or URL of the store (default: work/store)")


def add_allow_failures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-failures", type=truth, nargs="?", const=True, default=False,
                        help="go on without recordings that cannot be used, with exit status 0")  # fmt: skip


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=positive, default=1, help="processes that preprocess (default: 1)")
    parser.add_argument("--scheduler", type=optional(str), help="Dask scheduler instead, e.g. tcp://host:8786")


def add_device(parser: argparse.ArgumentParser, *, limit: bool = True) -> None:
    parser.add_argument("--device", type=optional(str), help="auto, cpu or gpu (default: auto)")
    if limit:
        parser.add_argument("--gpu-memory-limit", type=optional(positive), help="MiB on the GPU (default: as needed)")


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Which recordings of a dataset, and which of their derivatives."""
    layouts = "bids, noddi, oddball, cn-epfl, xp1, xp2 or package.module:Class"
    parser.add_argument("--dataset", type=optional(str), help=f"{layouts} (default: the configuration's, or bids)")
    for label in DATASET_OPTIONS[:4]:
        parser.add_argument(f"--{label}", type=optional(str), metavar="A,B,…", help=f"only these {label}")
    parser.add_argument("--eeg", type=optional(str), help="raw or a derivative, e.g. eeg_pp (default: the layout's)")
    parser.add_argument("--bold", type=optional(str), help="raw or a derivative, e.g. fmriprep (default: the layout's)")


def dataset_changes(args: argparse.Namespace) -> dict[str, Any]:
    """Settings that the options of `add_dataset` change."""
    return {"dataset.name": args.dataset, **{f"dataset.{option}": getattr(args, option) for option in DATASET_OPTIONS}}
