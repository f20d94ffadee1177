"""The command ``eeg2fmri VERB``: parse, run, return an exit status."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

from eeg2fmri.cli.parser import make_parser
from eeg2fmri.errors import Eeg2FmriError, ModelError, StoreError, disk_full, one_line, without_secrets
from eeg2fmri.server import check_place, check_server, needs_server

logger = logging.getLogger("eeg2fmri")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return 0 when done, 1 for a failure or a refused `promote`, 2 for bad input.

    `main` returns 0 if the gate refuses: the job is done, and its summary says so.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        make_parser().print_help()
        return 0
    args = make_parser().parse_args(given)
    _set_up_logging(args)
    # A batch system ends a job with SIGTERM: stop as Ctrl-C does, so that runs are closed and can continue.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _check_servers(args)
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


def _check_servers(args: argparse.Namespace) -> None:
    """Refuse servers that do not answer, before the seconds that the imports of a verb take."""
    if needs_server(args.verb, getattr(args, "model_uri", None)):
        check_server()
    for option, error in (("store", StoreError), ("model_uri", ModelError)):
        if address := getattr(args, option, None):
            check_place(address, error)


def _say_where(args: argparse.Namespace) -> None:
    """Print the traceback of the error that is handled, if --debug asks for it."""
    if args.debug:
        print(without_secrets(traceback.format_exc()), file=sys.stderr)


class _Handler(logging.StreamHandler[TextIO]):
    """A handler that writes above a progress bar, which takes the place of ``sys.stderr`` while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Formatter(logging.Formatter):
    """A formatter that shows no password of an address."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def _set_up_logging(args: argparse.Namespace) -> None:
    if not args.verbose:
        _quiet_dependencies()
    level = logging.DEBUG if args.verbose else logging.WARNING if args.quiet else logging.INFO
    handler = _Handler()
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]  # a second command of one process says nothing twice
    logger.setLevel(level)
    logger.propagate = False


def _quiet_dependencies() -> None:
    """Keep notices of TensorFlow and MLflow off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # at 2 a machine without a GPU gets an error of CUDA
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # a search makes many networks, and it warns of that
    # MLflow prints the trace of a database's error, which it raises too.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
