"""The verbs of the command line: each configures and calls one function."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from eeg2fmri.cli.arguments import CHAMPION, setting_changes
from eeg2fmri.config import Config, load_config, parse_overrides
from eeg2fmri.errors import ConfigError, GateRefusal, holds_password
from eeg2fmri.server import check_storage

if TYPE_CHECKING:
    from eeg2fmri.serving import Bundle

logger = logging.getLogger("eeg2fmri")


def run_simulate(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import simulate_step

    simulate_step(config_of(args), Path(args.out))


def run_preprocess(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import preprocess_step

    preprocess_step(config_of(args), Path(args.root), args.store, workers=args.workers,
                    scheduler=args.scheduler, allow_failures=args.allow_failures)  # fmt: skip


def run_store_info(args: argparse.Namespace) -> None:
    from eeg2fmri.store import describe, open_store, summary

    store = open_store(args.store)
    print(json.dumps(describe(store), indent=2) + "\n" if args.json else summary(store), end="")


def run_inspect(args: argparse.Namespace) -> None:
    from eeg2fmri.cli.inspect import inspect, plot_instance

    config = config_of(args)
    if args.json and args.plot is not None:
        raise ConfigError(f"--json and --plot {args.plot}: give only one of them")
    if args.plot is not None:
        plot_instance(Path(args.root), config, Path(args.plot), args.channel, args.volume)
    elif args.channel is not None or args.volume is not None:
        raise ConfigError("--channel and --volume say what --plot draws; give --plot FILE.png")
    else:
        inspect(Path(args.root), config, as_json=args.json, allow_failures=args.allow_failures,
                strict=bool(args.config or args.set), full=args.full)  # fmt: skip


def run_search(args: argparse.Namespace) -> None:
    _check_password(args.storage)
    check_storage(args.storage)  # before the seconds that the imports take
    from eeg2fmri.search import search_step
    from eeg2fmri.store import open_store

    config = config_of(args)
    search_step(config, open_store(args.store), study=args.study, storage=_storage(args.storage),
                trials=args.trials, timeout=args.timeout, out=Path(args.out), workers=args.workers,
                scheduler=args.scheduler)  # fmt: skip


def run_train(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import train_step
    from eeg2fmri.store import open_store

    config = _with_training(config_of(args), args)
    train_step(config, args.variant, open_store(args.store), Path(args.workdir))


def run_evaluate(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import evaluate_step
    from eeg2fmri.store import open_store

    evaluate_step(config_of(args), args.model_uri, open_store(args.store), args.split)


def run_adapt(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import adapt_step
    from eeg2fmri.store import open_store

    result = adapt_step(config_of(args), args.model_uri, open_store(args.store), args.subject, args.minutes)
    print(result.verdict)


def run_classify(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import classify_step

    result = classify_step(config_of(args), args.model_uri, Path(args.root), Path(args.workdir), workers=args.workers)
    print(result.text)


def run_crossval(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import crossval_step
    from eeg2fmri.pipeline.crossed import summary
    from eeg2fmri.store import open_store

    split_file = Path(args.split_file) if args.split_file else None
    result = crossval_step(config_of(args), open_store(args.store), Path(args.workdir), workers=args.workers,
                           scheduler=args.scheduler, split_file=split_file)  # fmt: skip
    print(summary(result))


def run_compare(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import compare_step

    print(compare_step(args.first, args.second)[0])


def run_promote(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import promote_step
    from eeg2fmri.pipeline.promote import weigh

    version = None if args.version == "latest" else args.version
    if not args.dry_run:
        promote_step(config_of(args), version)
        return
    decision, text = weigh(config_of(args), version)
    print(text, end="")
    if not decision.argument.passes:
        raise GateRefusal("; ".join(decision.argument.reasons))


def run_rollback(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import rollback_step

    rollback_step(config_of(args))


def run_synthesize(args: argparse.Namespace) -> None:
    from eeg2fmri.cli.synthesize import check_output, synthesize_file, synthesize_many
    from eeg2fmri.serving import check_interval

    config = config_of(args)
    files = [file for file in args.eeg or () if file]
    if bool(files) == bool(args.root):
        raise ConfigError(f"--eeg and --root: {'both' if files else 'none'} given, one expected; give either of them")
    check_output(args.out, one=len(files) == 1, atlas=args.atlas, interval=args.interval)
    bundle, _, model = _named_model(args.model_uri, config)
    if args.interval:
        check_interval(bundle)
    if len(files) == 1:
        synthesize_file(bundle, config, model, files[0], args.out, atlas=args.atlas, interval=args.interval)
    else:
        synthesize_many(bundle, config, model, args.root or files, args.out,
                        atlas=args.atlas, interval=args.interval, workers=args.workers,
                        allow_failures=args.allow_failures)  # fmt: skip


def run_serve(args: argparse.Namespace) -> None:
    from eeg2fmri.serving.http import LOCAL, serve, server_app

    config = config_of(args)
    bundle, uri = _model(args.model_uri, config)
    hosts = [*LOCAL, args.host, *filter(None, (args.allowed_hosts or "").split(","))]
    logger.info("serve: %s at http://%s:%d, described at /docs", uri, args.host, args.port)
    serve(server_app(bundle, config.serving, hosts), args.host, args.port)


def run_stream(args: argparse.Namespace) -> None:
    from eeg2fmri.serving import check_receivers, synthesise_stream

    check_receivers(args.out, args.publish, args.atlas)
    stop = threading.Event()

    def ask(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # asked twice
        stop.set()

    bundle, _, model = _named_model(args.model_uri, config_of(args))
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        count = synthesise_stream(
            bundle, stop, args.stream, out=args.out, publish=args.publish, atlas=args.atlas, unit=args.unit,
            max_interpolated=args.max_interpolated, network=args.network, model=model,
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
    from eeg2fmri.devices import return_freed_memory, use_backend
    from eeg2fmri.tracking import load_model
    from eeg2fmri.tracking.registry import only_model

    use_backend(config.run.backend)
    return_freed_memory()
    name = config.registry.name
    uri = model_uri or f"models:/{name or only_model(f'--model-uri {CHAMPION}')}@{config.registry.alias}"
    bundle, version = load_model(uri, config.run.device)
    named = {"Name": version.name, "Version": str(version.version)} if version else {"URI": uri}
    return bundle, uri, {**named, "Digest": bundle.digest}


def run_main(args: argparse.Namespace) -> None:
    from eeg2fmri.pipeline import main_job
    from eeg2fmri.pipeline.main import summary

    config = config_of(args)
    result = main_job(config, Path(args.workdir), Path(args.root) if args.root else None, args.trials,
                      workers=args.workers, scheduler=args.scheduler, allow_failures=args.allow_failures)  # fmt: skip
    print(summary(result, config), end="")


def run_config(args: argparse.Namespace) -> None:
    from eeg2fmri.cli.settings import explained, resolved

    config = config_of(args)
    print(explained(config) if args.explain else resolved(config), end="")


def config_of(args: argparse.Namespace) -> Config:
    """Load the configuration that a command line asks for."""
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


def _check_password(storage: str) -> None:
    """Refuse a password that `mlflow run` was given: it has printed its parameters, and a run keeps them."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id and holds_password(storage):
        raise ConfigError(
            f"storage {storage}: mlflow run has printed the password, and run {run_id} keeps it; change the password, "
            f"and give it as PGPASSWORD or in ~/.pgpass"
        )


def _storage(text: str) -> str:
    if text.startswith("sqlite:///"):
        Path(text.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return text
