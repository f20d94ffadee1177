"""Arguments that verbs share, and values that refuse with their rule."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from eeg2fmri.config import Config, settings_of
from eeg2fmri.errors import nearest, without_secrets

Run = Callable[[argparse.Namespace], None]
CHAMPION = "models:/NAME@champion"
SETTINGS = {setting.key: setting for setting in settings_of(Config)}


def optional(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Read a value that may be empty, because `mlflow run` passes parameters that were not given as empty text."""

    def convert(text: str) -> Any:
        return kind(text) if text.strip("'\"") else None

    return convert


def truth(text: str) -> bool:
    """Read a flag that may have a value, as `mlflow run` passes it; empty is false."""
    value = text.strip("'\"").lower()
    if value not in ("", "true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} must be true or false")
    return value == "true"


def number(kind: type, rule: str, allowed: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Read numbers that keep a rule; a refusal names the rule."""

    def convert(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not allowed(number):
            raise argparse.ArgumentTypeError(f"{text!r} must be {rule}")
        return number

    return convert


def add_setting(
    parser: argparse.ArgumentParser, option: str, key: str, kind: Callable[[str], Any] = str, metavar: str | None = None
) -> None:
    """Add an option that changes one setting; the setting's key is its name in the namespace.

    Parameters
    ----------
    parser : of a verb.
    option : e.g. ``--device``.
    key : of the setting, dotted; its description and default are those of the help.
    kind : check of the value; empty leaves it to the configuration.
    metavar : name of the value in the help.
    """
    about = SETTINGS[key]
    text = f"{about.text.replace('``', '').replace('`', '')} (default: {about.default})"
    parser.add_argument(option, dest=key, type=optional(kind), help=text.replace("%", "%%"),
                        metavar=metavar or option.lstrip("-").upper().replace("-", "_"))  # fmt: skip


def setting_changes(args: argparse.Namespace) -> dict[str, Any]:
    """Collect settings that options of `add_setting` change."""
    return {key: value for key, value in vars(args).items() if "." in key and value is not None}


positive = number(int, "a whole number of at least 1", lambda n: n >= 1)
count = number(int, "a whole number of at least 0", lambda n: n >= 0)
rate = number(float, "a positive number", lambda x: 0 < x < float("inf"))
fraction = number(float, "a number between 0 and 1", lambda x: 0 <= x <= 1)


class Parser(argparse.ArgumentParser):
    """A parser with one-line refusals, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {without_secrets(message)} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse an unknown argument if its verb is known, with the nearest option."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            self.error(f"unknown argument {unknown[0]!r}{nearest(unknown[0].partition('=')[0], options)}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is not among the choices, with the nearest one."""
        choices = list(map(str, action.choices or ()))
        if choices and value not in choices:
            known = f"; expected {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"{value!r} is not known{nearest(str(value), choices) or known}")


def add_verb(verbs: Any, name: str, run: Run, text: str, config: str | None = None) -> Any:
    parser = add_command(verbs, name, run, text)
    parser.add_argument("--config", type=optional(str), default=config,
                        help=f"YAML configuration (default: {config or 'the published settings'})")  # fmt: skip
    parser.add_argument("--set", metavar="KEY=VALUE[;…]", help="override settings, e.g. 'run.seed=3; data.context=8'")
    return parser


def add_command(verbs: Any, name: str, run: Run, text: str) -> Any:
    """Add a command without a configuration."""
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--verbose", action="store_true", help="show details, and notices of other packages")
    volume.add_argument("--quiet", action="store_true", help="show only warnings and errors, besides results")
    return parser


def add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", default="work/store", help="folder or URL of the store (default: work/store)")


def add_model(parser: argparse.ArgumentParser, default: str = "that of the only registered model") -> None:
    """Add the address of a model, and say which it is by default."""
    parser.add_argument("--model-uri", type=optional(str), metavar="URI",
                        help=f"model, e.g. {CHAMPION} (default: {default})")  # fmt: skip


def add_allow_failures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-failures", type=truth, nargs="?", const=True, default=False,
                        help="continue without recordings that cannot be used, with exit status 0")  # fmt: skip


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=positive, default=1, help="processes that share the work (default: 1)")
    parser.add_argument("--scheduler", type=optional(str), help="Dask scheduler instead, e.g. tcp://host:8786")


def add_device(parser: argparse.ArgumentParser, *, limit: bool = True) -> None:
    add_setting(parser, "--device", "run.device")
    if limit:
        add_setting(parser, "--gpu-memory-limit", "run.gpu_memory_limit", positive)


def add_dataset(parser: argparse.ArgumentParser, modalities: Sequence[str] = ("eeg", "bold")) -> None:
    """Add the options for the choice of recordings of a dataset, and of their derivatives."""
    add_setting(parser, "--dataset", "dataset.name")
    for labels in ("subjects", "sessions", "tasks", "runs"):
        add_setting(parser, f"--{labels}", f"dataset.{labels}", metavar="A,B,…")
    for modality in modalities:
        add_setting(parser, f"--{modality}", f"dataset.{modality}")
