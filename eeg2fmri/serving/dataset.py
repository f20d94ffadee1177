"""Synthesis of many recordings into a BIDS derivative, which can be stopped and continued."""

from __future__ import annotations

import functools
import itertools
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import eeg2fmri
from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets import Source, find_eeg
from eeg2fmri.datasets.bids import entities
from eeg2fmri.datasets.source import VARIANTS
from eeg2fmri.errors import ConfigError, DiskFullError, Eeg2FmriError, counted, disk_full, one_line
from eeg2fmri.files import held, written_whole
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.files import check_interval, sidecar_path
from eeg2fmri.serving.recording import EegFile, open_recording
from eeg2fmri.serving.series import SYNTHESISED, Courses, Progress, interval_path, write_series
from eeg2fmri.serving.workers import loaded, shared

BIDS_VERSION = "1.10.0"
MAKER = "eeg2fmri synthesize"
DESCRIPTION = "dataset_description.json"
UNKNOWN_TO_BIDS = ("*_timeseries.tsv", "*_timeseries.json", "*_boldmap.nii.gz", "*_boldmap.json")  # BIDS 1.10
LOCK = ".synthesize.lock"
NATIVE = ("native", "unstated")  # spaces that are no template
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """A recording to synthesise.

    name: its entities.  image: its image below the output folder.  root: absolute, the dataset of the EEG file, or its
    folder if it is in none.
    """

    file: EegFile
    name: str
    image: Path
    root: Path


@dataclass(frozen=True)
class Done:
    """The outcome of a recording: its volumes, or an error in one line.

    kept: it was there before.  warnings: remarks that a person should check, each with its file.
    """

    name: str
    volumes: int = 0
    kept: bool = False
    warnings: tuple[tuple[Path, str], ...] = ()
    error: str = ""


def items_of_root(root: Path, config: DatasetConfig, space: str) -> tuple[list[Item], list[str]]:
    """List the EEG recordings of a dataset, with BOLD or without, and the files left out, one line per reason.

    Parameters
    ----------
    root, config : folder, layout and filters of the dataset.
    space : of the volumes, `Signal.space`.

    Raises
    ------
    DatasetError
        If there is no EEG, or a filter's label matches nothing.
    """
    sources, skipped = find_eeg(root, config)
    items = []
    for source in sources:
        file = EegFile.of(source, config.volume_marker)
        items.append(_item(source, file, root.absolute(), space))
    return items, counted((item.path, f"not used; {item.reason}") for item in skipped)


def items_of_files(paths: Sequence[Path], volume_marker: str, space: str) -> list[Item]:
    """List EEG files by the entities in their names; parameters as `items_of_root`.

    Raises
    ------
    ConfigError
        If a name has no subject, or two names have the same entities.
    """
    items = []
    for path in paths:
        names = entities(path)
        if not names.get("sub"):
            raise ConfigError(f"{path}: a name with sub-LABEL is expected for an output folder; rename the file")
        subject, session, task, run = (names.pop(key, "") for key in ("sub", "ses", "task", "run"))
        source = Source(path, subject, session, task, run, {}, names)
        items.append(_item(source, EegFile.beside(path, volume_marker), _dataset_of(path), space))
    counts = Counter(item.image for item in items)
    if double := [item for item in items if counts[item.image] > 1]:
        raise ConfigError(f"{double[0].file.path}: another EEG file has the same entities; synthesise it on its own")
    return items


def _dataset_of(path: Path) -> Path:
    """Return the nearest folder above a file that is a BIDS dataset, or the file's folder without one."""
    folders = path.absolute().parents
    return next((folder for folder in folders if (folder / DESCRIPTION).is_file()), folders[0])


def _item(source: Source, file: EegFile, root: Path, space: str) -> Item:
    """Name the image of a recording as BIDS derivatives are named."""
    labels = [f"{key}-{label}" for key, label in source.labels.items() if key not in VARIANTS]
    folder = Path(*(label for label in labels if label.startswith(("sub-", "ses-"))), "func")
    name = "_".join(labels)
    of_space = "" if space in NATIVE else f"_space-{space}"
    return Item(file, name, folder / f"{name}{of_space}{SYNTHESISED}_bold.nii.gz", root)


def synthesise_dataset(
    bundle: Bundle,
    items: Sequence[Item],
    out: Path,
    *,
    model: Mapping[str, Any],
    courses: Courses | None = None,
    interval: bool = False,
    workers: int = 1,
    on_recording: Callable[[Done], None] | None = None,
    on_volumes: Progress | None = None,
) -> list[Done]:
    """Synthesise recordings into a BIDS derivative; keep those that this model made from these files before.

    A recording that cannot be used does not end the others.

    Parameters
    ----------
    bundle : the model.
    items : the recordings.
    out : folder of the derivative; it is new, empty, or was made by this function.
    model : name, version and digest of the model, for the sidecars; with another one all is made again.
    courses : regions whose mean courses are written beside the images; without their table a recording is made again.
    interval : write the map of the model's interval beside each image; without it a recording is made again.
    workers : processes that share the work.
    on_recording : called with the outcome of each recording.
    on_volumes : called after each block of volumes, with one worker only.

    Returns
    -------
    The outcomes, in the order of `items`.

    Raises
    ------
    ConfigError
        If something else is in `out`.
    ModelError
        If the interval is asked for and the model has none.
    BusyError
        If another command works in `out`.
    DiskFullError
        If there is no space left.
    """
    from eeg2fmri.store.parallel import each

    if interval:
        check_interval(bundle)
    _check_place(out)
    with ExitStack() as until_end:
        until_end.enter_context(held(out / LOCK, str(out), "synthesize", instead="give another --out"))
        links = _describe(out, items)
        where = until_end.enter_context(shared(bundle, workers))
        task = functools.partial(_synthesise, where=where, out=out.absolute(), links=links, model=dict(model),
                                 courses=courses, interval=interval,
                                 on_volumes=on_volumes if workers == 1 else None)  # fmt: skip
        done = {}
        results = until_end.enter_context(closing(each(task, items, workers=workers)))  # an error ends the workers
        for item, result in results:
            if isinstance(result, DiskFullError):
                raise result
            if isinstance(result, BaseException):
                result = Done(item.name, error=f"{item.file.path}: its worker died ({one_line(result)})")
            done[item.name] = result
            if on_recording:
                on_recording(result)
    return [done[item.name] for item in items]


def _synthesise(
    item: Item,
    *,
    where: Bundle | Path,
    out: Path,
    links: Mapping[Path, str],
    model: Mapping[str, Any],
    courses: Courses | None,
    interval: bool,
    on_volumes: Progress | None,
) -> Done:
    """Synthesise one recording, unless it is there; an error becomes part of the outcome."""
    path = out / item.image
    try:
        digest = item.file.digest()
        below = quote(item.file.path.absolute().relative_to(item.root).as_posix())
        more = {"Sources": [f"bids:{links[item.root]}:{below}"], "SourceDigest": digest, "Model": dict(model)}
        done = _is_made(path, more)
        if courses is not None:
            done = done and _is_made(courses.path(path), {**more, "Atlas": courses.about})
        if interval:
            done = done and _is_made(interval_path(path), more)
        if done:
            return Done(item.name, kept=True)
        opened = open_recording(loaded(where), item.file)
        write_series(opened, path, more, courses, on_volumes, interval=interval)
        return Done(item.name, len(opened.whole), warnings=tuple((opened.path, line) for line in opened.remarks))
    except Eeg2FmriError as err:
        if full := disk_full(err, path):
            raise full from err
        return Done(item.name, error=one_line(err))
    except Exception as err:  # the other recordings continue after any error of this one
        if full := disk_full(err, path):
            raise full from err
        logger.debug("%s", item.name, exc_info=True)
        return Done(item.name, error=f"{item.file.path}: failed ({one_line(err)}); --debug --workers 1 shows where")


def _is_made(path: Path, marks: Mapping[str, Any]) -> bool:
    """Return whether a file is there whose sidecar, which is written last, has the marks of model and source."""
    try:
        found = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return path.exists() and all(found.get(key) == value for key, value in marks.items())


def _described(out: Path) -> dict[str, Any]:
    """Read the description of a derivative of this module; empty if there is none."""
    try:
        found: dict[str, Any] = json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))
        return found if found["GeneratedBy"][0]["Name"] == MAKER else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _check_place(out: Path) -> None:
    """Refuse a folder with other content than a derivative of this module."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: a file; many recordings need a folder as --out")
    there = [path.name for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    if there and not _described(out):
        raise ConfigError(f"{out}: a folder with other content ({sorted(there)[0]}); give a new one as --out")


def _describe(out: Path, items: Sequence[Item]) -> dict[Path, str]:
    """Describe the derivative; return the names of the recordings' datasets in BIDS URIs.

    A dataset keeps the name that an earlier call gave it, because sidecars of that call use it.
    """
    links = _described(out).get("DatasetLinks", {})
    names = {os.path.realpath(out / unquote(place)): name for name, place in links.items()}
    free = (name for name in itertools.chain(["raw"], (f"raw{n}" for n in itertools.count(2))) if name not in links)
    found = {}
    for root in dict.fromkeys(item.root for item in items):
        place = os.path.realpath(root)
        if place not in names:
            names[place] = next(free)
        found[root] = names[place]
    here = os.path.realpath(out)
    content: dict[str, Any] = {
        "Name": "BOLD synthesised from EEG",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": MAKER, "Version": eeg2fmri.__version__}],
        "DatasetLinks": {name: quote(os.path.relpath(place, here)) for place, name in names.items()},
    }
    with written_whole(out / DESCRIPTION) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    if not (ignored := out / ".bidsignore").exists():
        with written_whole(ignored) as part:
            part.write_text("".join(f"{pattern}\n" for pattern in UNKNOWN_TO_BIDS), encoding="utf-8")
    return found
