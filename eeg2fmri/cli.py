"""The command ``eeg2fmri VERB``: parse, configure, call one function, return an exit status."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from eeg2fmri import __version__
from eeg2fmri.config import Config, SimulationConfig, load_config, parse_overrides
from eeg2fmri.errors import ConfigError, Eeg2FmriError

DEFAULT_CONFIG = "experiments/demo.yaml"
CHAMPION = "models:/eeg2fmri@champion"
logger = logging.getLogger("eeg2fmri")
Run = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when done, 1 for a failure or a refused `promote`, 2 for bad input.

    `main` ends with 0 when the gate refuses: the job is done, and its summary says so.
    """
    args = _parser().parse_args(arguments)
    _set_up_logging(args)
    try:
        args.run(args)
    except Eeg2FmriError as err:
        if args.debug:
            traceback.print_exc()
        print(f"eeg2fmri {args.verb}: {' '.join(str(err).split())}", file=sys.stderr)
        return err.exit_code
    except KeyboardInterrupt:
        print(f"eeg2fmri {args.verb}: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except Exception as err:
        if args.debug:
            traceback.print_exc()
        message = " ".join(f"{type(err).__name__}: {err}"[:400].split())
        print(f"eeg2fmri {args.verb}: failed: {message} (--debug shows where)", file=sys.stderr)
        return 1
    return 0


def _simulate(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import simulate_step

    section = {f"simulation.{key}": getattr(args, key) for key in ("subjects", "volumes", "coupling", "seed")}
    config = _config(args, section)
    simulate_step(config.simulation or SimulationConfig(), Path(args.out), config.run.experiment)


def _preprocess(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import preprocess_step

    preprocess_step(_config(args), args.dataset, Path(args.root), Path(args.store))


def _search(args: argparse.Namespace) -> None:
    from eeg2fmri.search.study import search_step
    from eeg2fmri.store import open_store

    config = _config(args)
    search_step(config, open_store(Path(args.store)), study=args.study, storage=_storage(args.storage),
                trials=args.trials, timeout=args.timeout, out=Path(args.out))  # fmt: skip


def _train(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import train_step
    from eeg2fmri.store import open_store

    changes = {"run.seed": args.seed, "registry.name": args.register_as, "run.device": args.device,
               "run.gpu_memory_limit": args.gpu_memory_limit}  # fmt: skip
    config = _config(args, changes)
    config = _with_training(config, args)
    train_step(config, args.variant, open_store(Path(args.store)), Path(args.workdir))


def _evaluate(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import evaluate_step
    from eeg2fmri.store import open_store

    evaluate_step(_config(args, {"run.device": args.device}), args.model_uri, open_store(Path(args.store)), args.split)


def _promote(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import promote_step

    version = None if args.version == "latest" else args.version
    promote_step(_config(args, {"registry.name": args.name, "registry.alias": args.alias}), version)


def _synthesize(args: argparse.Namespace) -> None:
    from eeg2fmri.devices import use_backend
    from eeg2fmri.serving import synthesise_file
    from eeg2fmri.tracking import load_model

    config = _config(args, {"run.device": args.device})
    use_backend(config.run.backend)
    bundle, _ = load_model(args.model_uri, config.run.device)
    shape = synthesise_file(bundle, Path(args.eeg), Path(args.out))
    logger.info("synthesize: %s, %s", args.out, " × ".join(map(str, shape)))


def _main(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import main_job
    from eeg2fmri.pipeline.main import summary

    config = _config(args, {"run.device": args.device, "run.gpu_memory_limit": args.gpu_memory_limit})
    result = main_job(config, Path(args.workdir), Path(args.root) if args.root else None, args.trials)
    print(summary(result, config), end="")


def _config(args: argparse.Namespace, changes: dict[str, Any] | None = None) -> Config:
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    return load_config(args.config, {**parse_overrides(args.set), **given})


def _with_training(config: Config, args: argparse.Namespace) -> Config:
    """Apply --epochs, --batch-size and --learning-rate to the model that is trained."""
    model = config.model(args.variant)
    values = {"epochs": args.epochs, "batch_size": args.batch_size, "learning_rate": args.learning_rate}
    given = {key: value for key, value in values.items() if value is not None}
    tree = model.model_dump(mode="json")
    if given and "training" not in tree:
        raise ConfigError(f"{', '.join(given)}: the {model.variant} model has no training loop; leave it out")
    if given:
        tree["training"].update(given)
    others = [m.model_dump(mode="json") for m in config.models if m.variant != model.variant]
    return load_config(None, {**config.model_dump(mode="json"), "models": [tree, *others]})


def _storage(text: str) -> str:
    if text.startswith("sqlite:///"):
        Path(text.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return text


def _set_up_logging(args: argparse.Namespace) -> None:
    if not args.verbose:
        _quiet_dependencies()
    level = logging.DEBUG if args.verbose else logging.WARNING if args.quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


def _quiet_dependencies() -> None:
    """Keep what TensorFlow and MLflow say about themselves off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    warnings.filterwarnings("ignore", message=".*can be interpreted in multiple ways")


def _optional(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A value that may be left empty, as `mlflow run` passes parameters that were not given."""

    def convert(text: str) -> Any:
        return kind(text) if text.strip("'\"") else None

    return convert


def _number(kind: type, rule: str, allowed: Callable[[Any], bool]) -> Callable[[str], Any]:
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


_positive = _number(int, "a whole number of at least 1", lambda n: n >= 1)
_count = _number(int, "a whole number of at least 0", lambda n: n >= 0)
_rate = _number(float, "a positive number", lambda x: 0 < x < float("inf"))
_fraction = _number(float, "a number between 0 and 1", lambda x: 0 <= x <= 1)


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="eeg2fmri", description="Synthesise fMRI volumes from simultaneous EEG.")
    parser.add_argument("--version", action="version", version=f"eeg2fmri {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    main_ = _verb(verbs, "main", _main, "the whole job as one parent run", config=DEFAULT_CONFIG)
    main_.add_argument("--workdir", default="work", help="folder of dataset, store and checkpoints (default: work)")
    main_.add_argument("--root", type=_optional(str), help="BIDS dataset to use instead of a simulated one")
    main_.add_argument("--trials", type=_count, default=0, help="search trials before training (default: 0)")
    _device(main_)

    simulate = _verb(verbs, "simulate", _simulate, "write a simulated BIDS dataset with known truth")
    simulate.add_argument("--out", default="work/dataset", help="folder of the dataset (default: work/dataset)")
    simulate.add_argument("--subjects", type=_optional(_positive), help="subjects (default: 6)")
    simulate.add_argument("--volumes", type=_optional(_positive), help="volumes per subject (default: 120)")
    simulate.add_argument("--coupling", type=_optional(_fraction), help="what EEG says of BOLD, 0 to 1 (default: 1)")
    simulate.add_argument("--seed", type=_optional(_count), help="seed (default: 0)")

    preprocess = _verb(verbs, "preprocess", _preprocess, "turn a dataset into a store")
    preprocess.add_argument("--dataset", default="bids", help="kind of dataset (default: bids)")
    preprocess.add_argument("--root", default="work/dataset", help="folder of the dataset (default: work/dataset)")
    _store(preprocess)

    search = _verb(verbs, "search", _search, "Bayesian search over hyper-parameters and architectures")
    _store(search)
    search.add_argument("--study", default="search", help="name of the study; an existing one goes on")
    search.add_argument("--storage", default="sqlite:///work/optuna.db", help="Optuna storage URL")
    search.add_argument("--trials", type=_positive, default=20, help="finished trials wanted (default: 20)")
    search.add_argument("--timeout", type=_optional(_rate), help="seconds after which no new trial starts")
    search.add_argument("--out", default="work/best.yaml", help="best configuration (default: work/best.yaml)")

    train = _verb(verbs, "train", _train, "train and register one model")
    _store(train)
    train.add_argument("--workdir", default="work", help="folder of the checkpoints (default: work)")
    train.add_argument(
        "--variant", type=_optional(str), help="which model: linear, tafp-style, tafp, … (default: first)"
    )
    train.add_argument("--epochs", type=_optional(_positive))
    train.add_argument("--batch-size", type=_optional(_positive))
    train.add_argument("--learning-rate", type=_optional(_rate))
    train.add_argument("--seed", type=_optional(_count))
    train.add_argument("--register-as", type=_optional(str), help="name in the registry (default: eeg2fmri)")
    _device(train)

    evaluate = _verb(verbs, "evaluate", _evaluate, "score a model beside its nulls")
    evaluate.add_argument("--model-uri", default="models:/eeg2fmri/latest", help="model (default: newest version)")
    _store(evaluate)
    evaluate.add_argument("--split", default="test", choices=("train", "validation", "test"))
    _device(evaluate, limit=False)

    promote = _verb(verbs, "promote", _promote, "move the alias champion to a version that passes the gate")
    promote.add_argument("--name", type=_optional(str), help="registered model (default: eeg2fmri)")
    promote.add_argument("--version", default="latest", help="version (default: latest)")
    promote.add_argument("--alias", type=_optional(str), help="alias (default: champion)")

    synthesize = _verb(verbs, "synthesize", _synthesize, "an EEG file to a 4-D NIfTI file")
    synthesize.add_argument("--model-uri", default=CHAMPION, help=f"model (default: {CHAMPION})")
    synthesize.add_argument("--eeg", required=True, help="EEG file, e.g. a BrainVision .vhdr")
    synthesize.add_argument("--out", required=True, help="NIfTI file to write, .nii or .nii.gz")
    _device(synthesize, limit=False)
    return parser


def _verb(verbs: Any, name: str, run: Run, text: str, config: str | None = None) -> Any:
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--config", type=_optional(str), default=config,
                        help=f"YAML configuration (default: {config or 'the published settings'})")  # fmt: skip
    parser.add_argument("--set", metavar="KEY=VALUE[;…]", help="override settings, e.g. 'run.seed=3; data.context=8'")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--verbose", action="store_true")
    volume.add_argument("--quiet", action="store_true")
    return parser


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", default="work/store", help="folder of the store (default: work/store)")


def _device(parser: argparse.ArgumentParser, *, limit: bool = True) -> None:
    parser.add_argument("--device", type=_optional(str), help="auto, cpu or gpu (default: auto)")
    if limit:
        parser.add_argument("--gpu-memory-limit", type=_optional(_positive), help="MiB on the GPU (default: as needed)")
