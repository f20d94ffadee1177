"""The parser of the command line: verbs and their options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from eeg2fmri import __version__
from eeg2fmri.cli.arguments import (
    Parser,
    add_allow_failures,
    add_command,
    add_dataset,
    add_device,
    add_model,
    add_setting,
    add_store,
    add_verb,
    add_workers,
    count,
    fraction,
    optional,
    positive,
    rate,
    truth,
)
from eeg2fmri.cli.verbs import (
    run_adapt,
    run_classify,
    run_compare,
    run_config,
    run_crossval,
    run_evaluate,
    run_inspect,
    run_main,
    run_preprocess,
    run_promote,
    run_rollback,
    run_search,
    run_serve,
    run_simulate,
    run_store_info,
    run_stream,
    run_synthesize,
    run_train,
)

DEFAULT_CONFIG = "demo"


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line; a parsed verb has its function as `run`."""
    parser = Parser(prog="eeg2fmri", description="Synthesise fMRI volumes from simultaneous EEG.")
    parser.add_argument("--version", action="version", version=f"eeg2fmri {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (_add_first_verbs, _add_data_verbs, _add_fitting_verbs, _add_evidence_verbs, _add_file_verbs,
                _add_live_verbs, _add_subject_verbs):  # fmt: skip
        add(verbs)
    return parser


def _add_first_verbs(verbs: Any) -> None:
    """Add the verb that runs all others, and the one that shows the settings."""
    main_ = add_verb(verbs, "main", run_main, "the whole job as one parent run", config=DEFAULT_CONFIG)
    main_.add_argument("--workdir", default="work", help="folder of dataset, store and checkpoints (default: work)")
    main_.add_argument("--root", type=optional(str), help="dataset to use instead of a simulated one")
    main_.add_argument("--trials", type=count, default=0, help="search trials before training (default: 0)")
    add_setting(main_, "--atlas", "evaluation.atlas", metavar="NIFTI")
    add_workers(main_)
    add_allow_failures(main_)
    add_device(main_)

    config = add_verb(verbs, "config", run_config, "print the whole configuration, or explain every setting")
    config.add_argument("--explain", action="store_true", help="every setting with unit, range, default and source")


def _add_data_verbs(verbs: Any) -> None:
    """Add the verbs from a dataset to a store."""
    simulate = add_verb(verbs, "simulate", run_simulate, "write a simulated BIDS dataset with known truth")
    simulate.add_argument("--out", default="work/dataset", help="folder of the dataset (default: work/dataset)")
    add_setting(simulate, "--subjects", "simulation.subjects", positive)
    add_setting(simulate, "--volumes", "simulation.volumes", positive)
    add_setting(simulate, "--coupling", "simulation.coupling", fraction)
    add_setting(simulate, "--seed", "simulation.seed", count)

    preprocess = add_verb(verbs, "preprocess", run_preprocess, "turn a dataset into a store")
    preprocess.add_argument("--root", default="work/dataset", help="folder of the dataset (default: work/dataset)")
    add_dataset(preprocess)
    add_store(preprocess)
    add_workers(preprocess)
    add_allow_failures(preprocess)

    store = verbs.add_parser("store", help="look into a store", description="look into a store")
    info = add_command(
        store.add_subparsers(required=True, metavar="WHAT"), "info", run_store_info, "show the contents of a store"
    )
    info.add_argument("store", metavar="STORE", help="folder or URL of the store")
    info.add_argument("--json", action="store_true", help="for machines")

    inspect = add_verb(verbs, "inspect", run_inspect, "list the recordings of a dataset and the faults of its files")
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


def _add_fitting_verbs(verbs: Any) -> None:
    """Add the verbs that choose and fit models."""
    search = add_verb(verbs, "search", run_search, "Bayesian search over hyper-parameters and architectures")
    add_store(search)
    search.add_argument("--study", default="search", help="name of the study; an existing one continues")
    search.add_argument("--storage", default="sqlite:///work/optuna.db", help="Optuna storage URL")
    search.add_argument("--trials", type=positive, default=20, help="finished trials wanted (default: 20)")
    search.add_argument("--timeout", type=optional(rate), help="seconds after which no new trial starts")
    search.add_argument("--out", default="work/best.yaml", help="best configuration (default: work/best.yaml)")
    add_workers(search)
    add_device(search)

    train = add_verb(verbs, "train", run_train, "train and register one model")
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


def _add_evidence_verbs(verbs: Any) -> None:
    """Add the verbs that score models, and move an alias by the scores."""
    evaluate = add_verb(verbs, "evaluate", run_evaluate, "score a model beside its nulls")
    add_model(evaluate, "the newest of the store's data set")
    add_store(evaluate)
    evaluate.add_argument("--split", default="test", choices=("train", "validation", "test"))
    add_setting(evaluate, "--atlas", "evaluation.atlas", metavar="NIFTI")
    add_device(evaluate, limit=False)

    crossval = add_verb(verbs, "crossval", run_crossval, "test every subject once and compare models by subject")
    add_store(crossval)
    crossval.add_argument("--workdir", default="work", help="folder of the checkpoints (default: work)")
    add_setting(crossval, "--protocol", "crossval.protocol")
    add_setting(crossval, "--folds", "crossval.folds", positive)
    add_setting(crossval, "--models", "crossval.models", metavar="A,B,…")
    crossval.add_argument("--split-file", type=optional(str), help="repeat the folds of this split.json")
    add_setting(crossval, "--atlas", "evaluation.atlas", metavar="NIFTI")
    add_workers(crossval)
    add_device(crossval)

    compare = add_command(verbs, "compare", run_compare, "compare two scored models subject by subject")
    for name, which in (("first", "one"), ("second", "other")):
        compare.add_argument(name, metavar=f"RUN_{which.upper()}", help="id of a run of evaluate or crossval; "
                             "ID:VARIANT where a crossval has several models")  # fmt: skip

    promote = add_verb(verbs, "promote", run_promote, "move the alias champion to a version that passes the gate")
    add_setting(promote, "--name", "registry.name")
    promote.add_argument("--version", default="latest", help="version (default: latest)")
    add_setting(promote, "--alias", "registry.alias")
    promote.add_argument("--dry-run", type=truth, nargs="?", const=True, default=False, metavar="true",
                         help="print the argument of the gate and change nothing")  # fmt: skip

    rollback = add_verb(verbs, "rollback", run_rollback, "make the champion before the present one champion again")
    add_setting(rollback, "--name", "registry.name")
    add_setting(rollback, "--alias", "registry.alias")


def _add_file_verbs(verbs: Any) -> None:
    """Add the verb that makes volumes of files."""
    synthesize = add_verb(verbs, "synthesize", run_synthesize, "EEG files to 4-D NIfTI files")
    add_model(synthesize)
    synthesize.add_argument("--eeg", type=optional(Path), nargs="+", metavar="FILE",
                            help="EEG files, e.g. BrainVision .vhdr")  # fmt: skip
    synthesize.add_argument("--root", type=optional(Path), help="dataset instead, of which all EEG is synthesised")
    synthesize.add_argument("--out", type=Path, required=True,
                            help="NIfTI file to write (.nii, .nii.gz), or folder for several recordings")  # fmt: skip
    add_dataset(synthesize, modalities=())
    synthesize.add_argument("--atlas", type=optional(Path), metavar="NIFTI",
                            help="label image: courses of its regions as a table")  # fmt: skip
    synthesize.add_argument("--interval", type=truth, nargs="?", const=True, default=False,
                            help="map of the 90 %% interval around the volumes beside each image")  # fmt: skip
    synthesize.add_argument("--workers", type=positive, default=1, help="processes that share the work (default: 1)")
    add_allow_failures(synthesize)
    add_setting(synthesize, "--volume-marker", "dataset.volume_marker")
    add_device(synthesize, limit=False)


def _add_live_verbs(verbs: Any) -> None:
    """Add the verbs that make volumes when they are asked for, or when EEG comes."""
    serve = add_verb(verbs, "serve", run_serve, "answer requests with a model, within the limits of serving.*")
    add_model(serve)
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to answer at (default: 127.0.0.1, this machine only)"
    )
    serve.add_argument("--port", type=positive, default=5001, help="port (default: 5001)")
    serve.add_argument("--allowed-hosts", type=optional(str), metavar="A,B,…",
                       help="names by which clients may call the server, besides --host and localhost")  # fmt: skip
    add_device(serve, limit=False)

    stream = add_verb(verbs, "stream", run_stream, "a running stream of EEG (Lab Streaming Layer) to one volume per TR")
    add_model(stream)
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


def _add_subject_verbs(verbs: Any) -> None:
    """Add the verbs that use a model for one subject, or for labels of subjects."""
    adapt = add_verb(verbs, "adapt", run_adapt, "make a version of a model for one subject from minutes of a recording")
    adapt.add_argument("--subject", required=True, help="subject that the model has not seen, or a recording's name")
    adapt.add_argument(
        "--minutes",
        type=rate,
        default=5.0,
        help="first minutes, which adapt the model; the rest scores it (default: 5)",
    )
    add_model(adapt, "the champion of the store's data set")
    add_store(adapt)
    add_device(adapt, limit=False)

    classify = add_verb(
        verbs, "classify", run_classify, "predict labels of subjects with EEG only, by synthesised views"
    )
    classify.add_argument("--root", default="work/dataset", help="folder of the dataset (default: work/dataset)")
    classify.add_argument(
        "--workdir", default="work", help="folder that keeps the recordings' features (default: work)"
    )
    add_setting(classify, "--column", "classify.column")
    add_model(classify)
    add_setting(classify, "--atlas", "evaluation.atlas", metavar="NIFTI")
    add_dataset(classify, modalities=("eeg",))
    classify.add_argument("--workers", type=positive, default=1, help="processes that share the work (default: 1)")
    add_device(classify, limit=False)
