"""The command ``eeg2fmri VERB``: parse, configure, call one function, return an exit status."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eeg2fmri import __version__
from eeg2fmri.cli.arguments import (
    Parser,
    add_allow_failures,
    add_command,
    add_dataset,
    add_device,
    add_setting,
    add_store,
    add_verb,
    add_workers,
    count,
    fraction,
    optional,
    positive,
    rate,
    setting_changes,
    truth,
)
from eeg2fmri.config import Config, load_config, parse_overrides
from eeg2fmri.errors import ConfigError, Eeg2FmriError, GateRefusal, disk_full, one_line, without_secrets
from eeg2fmri.server import check_server, check_storage, needs_server

if TYPE_CHECKING:
    from eeg2fmri.serving import Bundle

DEFAULT_CONFIG = "demo"
CHAMPION = "models:/NAME@champion"
logger = logging.getLogger("eeg2fmri")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return 0 when done, 1 for a failure or a refused `promote`, 2 for bad input.

    `main` returns 0 if the gate refuses: the job is done, and its summary says so.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        _parser().print_help()
        return 0
    args = _parser().parse_args(given)
    _set_up_logging(args)
    # A batch system ends a job with SIGTERM: stop as Ctrl-C does, so that runs are closed and can continue.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if needs_server(args.verb, getattr(args, "model_uri", None)):
            check_server()
        args.run(args)
    except Eeg2FmriError as err:
        _say_where(args)
        print(f"eeg2fmri {args.verb}: {one_line(disk_full(err) or err)}", file=sys.stderr)
        return err.exit_code
    except KeyboardInterrupt:
        print(f"eeg2fmri {args.verb}: stopped; the same command continues from here", file=sys.stderr)
        return 130
    except Exception as err:
        _say_where(args)
        if full := disk_full(err):
            print(f"eeg2fmri {args.verb}: {one_line(full)}", file=sys.stderr)
            return full.exit_code
        print(f"eeg2fmri {args.verb}: failed: {one_line(err)} (--debug shows where)", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _say_where(args: argparse.Namespace) -> None:
    """Print the traceback of the error that is handled, if --debug asks for it."""
    if args.debug:
        print(without_secrets(traceback.format_exc()), file=sys.stderr)


class _Formatter(logging.Formatter):
    """A formatter that shows no password of an address."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def _simulate(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import simulate_step

    simulate_step(_config(args), Path(args.out))


def _preprocess(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import preprocess_step

    preprocess_step(_config(args), Path(args.root), args.store, workers=args.workers,
                    scheduler=args.scheduler, allow_failures=args.allow_failures)  # fmt: skip


def _store_info(args: argparse.Namespace) -> None:
    from eeg2fmri.store import describe, open_store, summary

    store = open_store(args.store)
    print(json.dumps(describe(store), indent=2) + "\n" if args.json else summary(store), end="")


def _inspect(args: argparse.Namespace) -> None:
    from eeg2fmri.cli.inspect import inspect, plot_instance

    config = _config(args)
    if args.json and args.plot is not None:
        raise ConfigError(f"--json and --plot {args.plot}: give only one of them")
    if args.plot is not None:
        plot_instance(Path(args.root), config, Path(args.plot), args.channel, args.volume)
    elif args.channel is not None or args.volume is not None:
        raise ConfigError("--channel and --volume say what --plot draws; give --plot FILE.png")
    else:
        inspect(Path(args.root), config, as_json=args.json, allow_failures=args.allow_failures,
                strict=bool(args.config or args.set), full=args.full)  # fmt: skip


def _search(args: argparse.Namespace) -> None:
    check_storage(args.storage)  # before the seconds that the imports take
    from eeg2fmri.search import search_step
    from eeg2fmri.store import open_store

    config = _config(args)
    search_step(config, open_store(args.store), study=args.study, storage=_storage(args.storage),
                trials=args.trials, timeout=args.timeout, out=Path(args.out), workers=args.workers,
                scheduler=args.scheduler)  # fmt: skip


def _train(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import train_step
    from eeg2fmri.store import open_store

    config = _with_training(_config(args), args)
    train_step(config, args.variant, open_store(args.store), Path(args.workdir))


def _evaluate(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import evaluate_step
    from eeg2fmri.store import open_store

    evaluate_step(_config(args), args.model_uri, open_store(args.store), args.split)


def _adapt(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import adapt_step
    from eeg2fmri.store import open_store

    adapt_step(_config(args), args.model_uri, open_store(args.store), args.subject, args.minutes)


def _classify(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import classify_step

    print(classify_step(_config(args), args.model_uri, Path(args.root)).text)


def _crossval(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import crossval_step
    from eeg2fmri.pipeline.crossed import summary
    from eeg2fmri.store import open_store

    split_file = Path(args.split_file) if args.split_file else None
    result = crossval_step(_config(args), open_store(args.store), Path(args.workdir), workers=args.workers,
                           scheduler=args.scheduler, split_file=split_file)  # fmt: skip
    print(summary(result))


def _compare(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import compare_step

    print(compare_step(args.first, args.second)[0])


def _promote(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import promote_step
    from eeg2fmri.pipeline.promote import weigh

    version = None if args.version == "latest" else args.version
    if not args.dry_run:
        promote_step(_config(args), version)
        return
    decision, text = weigh(_config(args), version)
    print(text, end="")
    if not decision.argument.passes:
        raise GateRefusal("; ".join(decision.argument.reasons))


def _rollback(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import rollback_step

    rollback_step(_config(args))


def _synthesize(args: argparse.Namespace) -> None:
    from eeg2fmri.cli.synthesize import check_output, synthesize_file, synthesize_many

    config = _config(args)
    one = args.eeg is not None and len(args.eeg) == 1
    check_output(args.out, one=one)
    bundle, _, model = _named_model(args.model_uri, config)
    if one:
        synthesize_file(bundle, config, model, args.eeg[0], args.out, args.atlas)
    else:
        synthesize_many(bundle, config, model, args.root or args.eeg, args.out,
                        atlas=args.atlas, workers=args.workers, allow_failures=args.allow_failures)  # fmt: skip


def _serve(args: argparse.Namespace) -> None:
    from eeg2fmri.serving.http import LOCAL, serve, server_app

    config = _config(args)
    bundle, uri = _model(args.model_uri, config)
    hosts = [*LOCAL, args.host, *filter(None, (args.allowed_hosts or "").split(","))]
    logger.info("serve: %s at http://%s:%d, described at /docs", uri, args.host, args.port)
    serve(server_app(bundle, config.serving, hosts), args.host, args.port)


def _stream(args: argparse.Namespace) -> None:
    from eeg2fmri.serving import synthesise_stream

    stop = threading.Event()

    def ask(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # asked twice
        stop.set()

    bundle, _ = _model(args.model_uri, _config(args))
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        count = synthesise_stream(
            bundle, stop, args.stream, out=args.out, publish=args.publish, atlas=args.atlas, unit=args.unit,
            max_interpolated=args.max_interpolated, network=args.network,
        )  # fmt: skip
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    logger.info("stream: %d volumes%s", count, f" in {args.out}" if args.out and count else "")


def _model(model_uri: str | None, config: Config) -> tuple[Bundle, str]:
    """Load the given model, or the champion of the only registered one; return its address too."""
    return _named_model(model_uri, config)[:2]


def _named_model(model_uri: str | None, config: Config) -> tuple[Bundle, str, dict[str, str]]:
    """Load a model as `_model`; also return its name and version, or its address, and its digest, for sidecars."""
    from eeg2fmri.devices import use_backend
    from eeg2fmri.tracking import load_model
    from eeg2fmri.tracking.registry import only_model

    use_backend(config.run.backend)
    name = config.registry.name
    uri = model_uri or f"models:/{name or only_model(f'--model-uri {CHAMPION}')}@{config.registry.alias}"
    bundle, version = load_model(uri, config.run.device)
    named = {"Name": version.name, "Version": str(version.version)} if version else {"URI": uri}
    return bundle, uri, {**named, "Digest": bundle.digest}


def _main(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import main_job
    from eeg2fmri.pipeline.main import summary

    config = _config(args)
    result = main_job(config, Path(args.workdir), Path(args.root) if args.root else None, args.trials,
                      workers=args.workers, scheduler=args.scheduler, allow_failures=args.allow_failures)  # fmt: skip
    print(summary(result, config), end="")


def _show_config(args: argparse.Namespace) -> None:
    from eeg2fmri.cli.settings import explained, resolved

    config = _config(args)
    print(explained(config) if args.explain else resolved(config), end="")


def _config(args: argparse.Namespace) -> Config:
    return load_config(args.config, {**parse_overrides(args.set), **setting_changes(args)})


def _with_training(config: Config, args: argparse.Namespace) -> Config:
    """Apply --epochs, --batch-size and --learning-rate to the model that is trained."""
    model = config.model(args.variant)
    values = {"epochs": args.epochs, "batch_size": args.batch_size, "learning_rate": args.learning_rate}
    given = {key: value for key, value in values.items() if value is not None}
    tree = model.model_dump(mode="json")
    if given and "training" not in tree:
        raise ConfigError(f"{', '.join(given)}: the {model.variant} model has no training loop; leave it out")
    if unknown := [key for key in given if key not in tree["training"]]:
        raise ConfigError(f"{', '.join(unknown)}: the {model.variant} model is trained without; leave it out")
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
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]  # a second command of one process says nothing twice
    logger.setLevel(level)
    logger.propagate = False


def _quiet_dependencies() -> None:
    """Keep notices of TensorFlow and MLflow off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # at 2 a machine without a GPU gets an error of CUDA
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="eeg2fmri", description="Synthesise fMRI volumes from simultaneous EEG.")
    parser.add_argument("--version", action="version", version=f"eeg2fmri {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    main_ = add_verb(verbs, "main", _main, "the whole job as one parent run", config=DEFAULT_CONFIG)
    main_.add_argument("--workdir", default="work", help="folder of dataset, store and checkpoints (default: work)")
    main_.add_argument("--root", type=optional(str), help="dataset to use instead of a simulated one")
    main_.add_argument("--trials", type=count, default=0, help="search trials before training (default: 0)")
    add_setting(main_, "--atlas", "evaluation.atlas", metavar="NIFTI")
    add_workers(main_)
    add_allow_failures(main_)
    add_device(main_)

    simulate = add_verb(verbs, "simulate", _simulate, "write a simulated BIDS dataset with known truth")
    simulate.add_argument("--out", default="work/dataset", help="folder of the dataset (default: work/dataset)")
    add_setting(simulate, "--subjects", "simulation.subjects", positive)
    add_setting(simulate, "--volumes", "simulation.volumes", positive)
    add_setting(simulate, "--coupling", "simulation.coupling", fraction)
    add_setting(simulate, "--seed", "simulation.seed", count)

    preprocess = add_verb(verbs, "preprocess", _preprocess, "turn a dataset into a store")
    preprocess.add_argument("--root", default="work/dataset", help="folder of the dataset (default: work/dataset)")
    add_dataset(preprocess)
    add_store(preprocess)
    add_workers(preprocess)
    add_allow_failures(preprocess)

    config = add_verb(verbs, "config", _show_config, "print the whole configuration, or explain every setting")
    config.add_argument("--explain", action="store_true", help="every setting with unit, range, default and source")

    store = verbs.add_parser("store", help="look into a store", description="look into a store")
    info = add_command(
        store.add_subparsers(required=True, metavar="WHAT"), "info", _store_info, "show the contents of a store"
    )
    info.add_argument("store", metavar="STORE", help="folder or URL of the store")
    info.add_argument("--json", action="store_true", help="for machines")

    inspect = add_verb(verbs, "inspect", _inspect, "list the recordings of a dataset and the faults of its files")
    inspect.add_argument(
        "root", nargs="?", default="work/dataset", help="folder of the dataset (default: work/dataset)"
    )
    add_dataset(inspect)
    inspect.add_argument("--json", type=truth, nargs="?", const=True, default=False, metavar="true",
                         help="print JSON instead of a table")  # fmt: skip
    inspect.add_argument("--full", type=truth, nargs="?", const=True, default=False, metavar="true",
                         help="read every file to its end, as preprocess does")  # fmt: skip
    inspect.add_argument("--plot", type=optional(str), metavar="PNG", help="draw one instance of the first usable one")
    add_allow_failures(inspect)
    inspect.add_argument("--channel", type=optional(str), help="EEG channel that --plot draws (default: the first)")
    inspect.add_argument("--volume", type=optional(count),
                         help="volume that --plot draws, from 0 (default: the first possible one)")  # fmt: skip

    search = add_verb(verbs, "search", _search, "Bayesian search over hyper-parameters and architectures")
    add_store(search)
    search.add_argument("--study", default="search", help="name of the study; an existing one continues")
    search.add_argument("--storage", default="sqlite:///work/optuna.db", help="Optuna storage URL")
    search.add_argument("--trials", type=positive, default=20, help="finished trials wanted (default: 20)")
    search.add_argument("--timeout", type=optional(rate), help="seconds after which no new trial starts")
    search.add_argument("--out", default="work/best.yaml", help="best configuration (default: work/best.yaml)")
    add_workers(search)
    add_device(search)

    train = add_verb(verbs, "train", _train, "train and register one model")
    add_store(train)
    train.add_argument("--workdir", default="work", help="folder of the checkpoints (default: work)")
    train.add_argument(
        "--variant", type=optional(str), help="model to train: linear, factorised, tafp-style, tafp, … (default: first)"
    )
    train.add_argument("--epochs", type=optional(positive))
    train.add_argument("--batch-size", type=optional(positive))
    train.add_argument("--learning-rate", type=optional(rate))
    add_setting(train, "--seed", "run.seed", count)
    add_setting(train, "--register-as", "registry.name")
    add_device(train)

    evaluate = add_verb(verbs, "evaluate", _evaluate, "score a model beside its nulls")
    evaluate.add_argument(
        "--model-uri", type=optional(str), metavar="URI", help="model (default: the newest of the store's data set)"
    )
    add_store(evaluate)
    evaluate.add_argument("--split", default="test", choices=("train", "validation", "test"))
    add_setting(evaluate, "--atlas", "evaluation.atlas", metavar="NIFTI")
    add_device(evaluate, limit=False)

    adapt = add_verb(verbs, "adapt", _adapt, "make a version of a model for one subject from minutes of a recording")
    adapt.add_argument("--subject", required=True, help="subject that the model has not seen, or a recording's name")
    adapt.add_argument(
        "--minutes",
        type=rate,
        default=5.0,
        help="first minutes, which adapt the model; the rest scores it (default: 5)",
    )
    adapt.add_argument(
        "--model-uri", type=optional(str), metavar="URI", help="model (default: the newest of the store's data set)"
    )
    add_store(adapt)
    add_device(adapt, limit=False)

    classify = add_verb(verbs, "classify", _classify, "predict labels of subjects with EEG only, by synthesised views")
    classify.add_argument("--root", default="work/dataset", help="folder of the dataset (default: work/dataset)")
    add_setting(classify, "--column", "classify.column")
    classify.add_argument("--model-uri", type=optional(str), metavar="URI",
                          help=f"model, e.g. {CHAMPION} (default: that of the only registered model)")  # fmt: skip
    add_setting(classify, "--atlas", "evaluation.atlas", metavar="NIFTI")
    add_dataset(classify, modalities=("eeg",))
    add_device(classify, limit=False)

    crossval = add_verb(verbs, "crossval", _crossval, "test every subject once and compare models by subject")
    add_store(crossval)
    crossval.add_argument("--workdir", default="work", help="folder of the checkpoints (default: work)")
    add_setting(crossval, "--protocol", "crossval.protocol")
    add_setting(crossval, "--folds", "crossval.folds", positive)
    add_setting(crossval, "--models", "crossval.models", metavar="A,B,…")
    crossval.add_argument("--split-file", type=optional(str), help="repeat the folds of this split.json")
    add_setting(crossval, "--atlas", "evaluation.atlas", metavar="NIFTI")
    add_workers(crossval)
    add_device(crossval)

    compare = add_command(verbs, "compare", _compare, "compare two scored models subject by subject")
    for name, which in (("first", "one"), ("second", "other")):
        compare.add_argument(name, metavar=f"RUN_{which.upper()}", help="id of a run of evaluate or crossval; "
                             "ID:VARIANT where a crossval has several models")  # fmt: skip

    promote = add_verb(verbs, "promote", _promote, "move the alias champion to a version that passes the gate")
    add_setting(promote, "--name", "registry.name")
    promote.add_argument("--version", default="latest", help="version (default: latest)")
    add_setting(promote, "--alias", "registry.alias")
    promote.add_argument("--dry-run", type=truth, nargs="?", const=True, default=False, metavar="true",
                         help="print the argument of the gate and change nothing")  # fmt: skip

    rollback = add_verb(verbs, "rollback", _rollback, "make the champion before the present one champion again")
    add_setting(rollback, "--name", "registry.name")
    add_setting(rollback, "--alias", "registry.alias")

    synthesize = add_verb(verbs, "synthesize", _synthesize, "EEG files to 4-D NIfTI files")
    synthesize.add_argument("--model-uri", type=optional(str), metavar="URI",
                            help=f"model, e.g. {CHAMPION} (default: that of the only registered model)")  # fmt: skip
    source = synthesize.add_mutually_exclusive_group(required=True)
    source.add_argument("--eeg", type=Path, nargs="+", metavar="FILE", help="EEG files, e.g. BrainVision .vhdr")
    source.add_argument("--root", type=Path, help="dataset instead, of which all EEG is synthesised")
    synthesize.add_argument("--out", type=Path, required=True,
                            help="NIfTI file to write (.nii, .nii.gz), or folder for several recordings")  # fmt: skip
    add_dataset(synthesize, modalities=())
    synthesize.add_argument(
        "--atlas", type=Path, metavar="NIFTI", help="label image: courses of its regions as a table"
    )
    synthesize.add_argument("--workers", type=positive, default=1, help="processes that share the work (default: 1)")
    add_allow_failures(synthesize)
    add_setting(synthesize, "--volume-marker", "dataset.volume_marker")
    add_device(synthesize, limit=False)

    serve = add_verb(verbs, "serve", _serve, "answer requests with a model, within the limits of serving.*")
    serve.add_argument("--model-uri", type=optional(str), metavar="URI",
                       help=f"model, e.g. {CHAMPION} (default: that of the only registered model)")  # fmt: skip
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to answer at (default: 127.0.0.1, this machine only)"
    )
    serve.add_argument("--port", type=positive, default=5001, help="port (default: 5001)")
    serve.add_argument("--allowed-hosts", type=optional(str), metavar="A,B,…",
                       help="names by which clients may call the server, besides --host and localhost")  # fmt: skip
    add_device(serve, limit=False)

    stream = add_verb(verbs, "stream", _stream, "a running stream of EEG (Lab Streaming Layer) to one volume per TR")
    stream.add_argument("--model-uri", type=optional(str), metavar="URI",
                        help=f"model, e.g. {CHAMPION} (default: that of the only registered model)")  # fmt: skip
    stream.add_argument("--stream", metavar="NAME", help="name of the stream (default: the only one of type EEG)")
    stream.add_argument("--out", type=Path, metavar="FILE", help="file to write: .nii, or .tsv with --atlas")
    stream.add_argument("--publish", metavar="NAME", help="send the volumes or courses as a stream of this name")
    stream.add_argument("--atlas", type=Path, metavar="NIFTI", help="label image: courses of its regions, no volumes")
    stream.add_argument("--unit", help="unit of the stream's numbers, if it states none: uV, mV or V")
    stream.add_argument("--max-interpolated", type=fraction, default=0.0,
                        help="share of the model's channels that may be missing (default: 0)")  # fmt: skip
    stream.add_argument("--network", action="store_true",
                        help="find and show streams beyond this machine, as lsl_api.cfg says")  # fmt: skip
    add_device(stream, limit=False)
    return parser
