"""BIDS: file names, inheritance, `.bidsignore`, derivatives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets.adapter import Adapter
from eeg2fmri.datasets.bidsignore import bidsignore
from eeg2fmri.datasets.recording import Skipped
from eeg2fmri.datasets.source import DERIVED, RUN_ENTITIES, VARIANTS, Source, comparable, run_name
from eeg2fmri.datasets.unread import unread_eeg, why_unread
from eeg2fmri.errors import DatasetError, nearest

EEG_SUFFIXES = (".vhdr", ".edf", ".bdf", ".set", ".fif")
BOLD_SUFFIXES = (".nii.gz", ".nii")
REFERENCES = ("sbref", "boldref", "mask", "dseg", "probseg")  # images beside a run that are none
NUMBERED = ("run", "echo")
MNI = "MNI152NLin2009cAsym"  # the space of fMRIPrep's standard output


def entities(path: Path) -> dict[str, str]:
    """Read the BIDS entities of a file name, in any order: ``sub-01_task-rest_eeg.vhdr`` gives sub and task."""
    parts = path.name.split(".")[0].split("_")
    pairs = (part.split("-", 1) for part in parts if "-" in part)
    return {key.lower(): value for key, value in pairs}


def suffix(path: Path) -> str:
    """Return the part after the entities, in lower case: ``eeg``, ``bold``, ``eeg_pp``; a prefix ``d_`` is left out."""
    parts = path.name.split(".")[0].split("_")
    return "_".join(p for i, p in enumerate(parts) if "-" not in p and not (i == 0 and p.lower() == "d")).lower()


class Bids(Adapter):
    """Any BIDS dataset of simultaneous EEG–fMRI."""

    expected = "a BIDS dataset with sub-*/eeg/*_eeg.vhdr and sub-*/func/*_bold.nii.gz"

    def __init__(self, root: Path, config: DatasetConfig) -> None:
        super().__init__(root, config)
        self._ignored = bidsignore(root)
        self._listed: dict[Path, tuple[list[Path], list[Path]]] = {}  # every file below a folder asks for it

    def eeg_files(self) -> Iterator[Source]:
        """List EEG, raw or of a derivative, in all formats that are read; report other files of EEG as skipped."""
        raw = self.eeg_choice == "raw"
        folders = list(self._eeg_folders())
        found = []
        for path in self._scan("eeg", EEG_SUFFIXES, raw, folders):
            if "split" in entities(path):
                self._skip(path, "one part of a recording that is split over several files; join them into one")
            elif suffix(path) == "eeg" or (not raw and suffix(path).startswith("eeg_")):
                found.append(path)
            else:
                self._skip(
                    path, f"named {suffix(path) or 'without a suffix'!r}, {self._eeg_ending()} is expected; rename it"
                )
        for path in unread_eeg(folders):
            if not (raw and self._ignored(self._below_root(path))):
                self._skip(path, why_unread(path))
        found = self._without_derived(found) if raw else found
        for path in sorted(found, key=lambda path: EEG_SUFFIXES.index(path.suffix.lower())):
            if source := self._source(path, self.eeg_details(path)):
                yield source

    def bold_files(self) -> Iterator[Source]:
        """List native BOLD, or a derivative's in MNI space."""
        raw = self.bold_choice == "raw"
        found = self._scan("func", BOLD_SUFFIXES, raw, self._bold_folders())
        kept = self._without_derived(found) if raw else self._preprocessed(found)
        for path in sorted(kept, key=lambda path: not path.name.lower().endswith(BOLD_SUFFIXES[0])):
            if raw and suffix(path) != "bold":
                if suffix(path) not in REFERENCES:
                    self._skip(path, f"named {suffix(path) or 'without a suffix'!r}, '_bold' is expected; rename it")
            elif source := self._source(path, self.bold_details(path)):
                yield source

    def eeg_details(self, path: Path) -> dict[str, Any]:
        """Return the fields of `Recording` that an EEG file determines.

        The clock of raw EEG is not that of a derivative, which may begin elsewhere.
        """
        tables = self._inherited(path, "eeg", "channels", ".tsv")
        events, sidecars = (
            tuple(file for file in self._inherited(path, "eeg", kind, ending) if self._same_time(file))
            for kind, ending in (("events", ".tsv"), ("eeg", ".json"))
        )
        others = self._inherited(path, "func", "events", ".tsv")
        # One table cannot serve two clocks; a table beside the EEG belongs to the EEG.
        shared = bool(events) and events[-1].parent != path.parent and events[-1] in others
        return {
            "channels_path": tables[-1] if tables else None,
            "eeg_sidecars": sidecars,
            "eeg_events_path": events[-1] if events and not shared else None,
        }

    def _same_time(self, table: Path) -> bool:
        """Return whether a table is where the chosen EEG is: in the raw dataset, or in derivatives."""
        return self.eeg_choice == "raw" or self.root / "derivatives" in table.parents

    def bold_details(self, path: Path) -> dict[str, Any]:
        """Return the fields of `Recording` that a BOLD file determines."""
        events = self._inherited(path, "func", "events", ".tsv")
        native = self.bold_choice == "raw"
        mask = path.with_name(re.sub(r"_desc-preproc_bold(?=\.nii)", "_desc-brain_mask", path.name))
        return {
            "sidecars": self._inherited(path, "func", "bold", ".json"),
            "bold_events_path": events[-1] if events else None,
            "space": entities(path).get("space", "native" if native else "unstated"),
            "mask_path": mask if not native and mask != path and (mask.exists() or mask.is_symlink()) else None,
            "confounds_path": _confounds(path, self._list(path.parent)[1]),
        }

    def _preprocessed(self, paths: list[Path]) -> list[Path]:
        """Select the images of a derivative to use; report BOLD in other spaces and of other steps as skipped."""
        images = [path for path in paths if suffix(path) in ("bold", "preproc")]
        wanted = {key: self._asked(key, default, images) for key, default in (("space", MNI), ("desc", "preproc"))}
        kept = []
        for path in images:
            names = entities(path)
            other = next((key for key, asked in wanted.items() if names.get(key, "").lower() not in asked), None)
            if suffix(path) == "preproc" or other is None:
                kept.append(path)
            elif other == "space":
                self._skip(
                    path,
                    f"BOLD in {names.get('space', 'the native space')}, not in {' or '.join(wanted['space'].values())}",
                )
            else:
                asked = " or ".join(f"desc-{label}" for label in wanted["desc"].values())
                self._skip(path, f"BOLD with {f'desc-{names[other]}' if other in names else 'no desc'}, not {asked}")
        return kept

    def _asked(self, key: str, default: str, images: list[Path]) -> dict[str, str]:
        """Return the labels of an entity that `DatasetConfig.entities` asks for, if a file has one of them."""
        asked = {label.lower().removeprefix(f"{key}-"): label for label in self.config.entities.get(key, ())}
        there = {entities(path).get(key, "").lower() for path in images}
        return asked if there & asked.keys() else {default.lower(): default}

    def _without_derived(self, paths: list[Path]) -> list[Path]:
        """Drop files of a raw dataset that were made from another of its files; report them as skipped."""
        plain = {
            (path.parent, suffix(path), _run_of(path)): path
            for path in paths
            if not entities(path).keys() & set(DERIVED)
        }
        kept = []
        for path in paths:
            origin = plain.get((path.parent, suffix(path), _run_of(path)), path)
            if origin is not path and entities(path).keys() & set(DERIVED):
                self._skip(path, f"made from {origin.name}, which is used")
            else:
                kept.append(path)
        return kept

    def _eeg_ending(self) -> str:
        return "'_eeg'" if self.eeg_choice == "raw" else "'_eeg' or '_eeg_...'"

    def _skip(self, path: Path, reason: str) -> None:
        self.skipped.append(Skipped(path, reason, self._name(path)))

    def _eeg_folders(self) -> Iterable[Path]:
        return _modality_folders(self._base(self.eeg_choice), "eeg")

    def _bold_folders(self) -> Iterable[Path]:
        return _modality_folders(self._base(self.bold_choice), "func")

    def _base(self, choice: str) -> Path:
        """Return the folder that holds the subjects: the dataset or one of its derivatives."""
        if choice == "raw":
            return self.root
        base = self.root / "derivatives" / choice
        if not base.is_dir():
            there = [p.name for p in _folders(self.root / "derivatives") if not p.name.lower().startswith("sub-")]
            hint = nearest(choice, there) or f"; there: {', '.join(there) or 'none'}"
            raise DatasetError(f"{self.root}: no derivative {choice!r} (no folder derivatives/{choice}){hint}")
        return base

    def _scan(self, kind: str, endings: tuple[str, ...], raw: bool, folders: Iterable[Path]) -> list[Path]:
        """List files with one of the endings; report raw files that `.bidsignore` names as skipped."""
        found = []
        for folder in folders:
            for path in sorted(folder.iterdir()):
                if path.name.startswith(".") or not path.name.lower().endswith(endings):
                    continue
                if raw and self._ignored(self._below_root(path)):
                    self._skip(path, "named by .bidsignore")
                else:
                    found.append(path)
        return found

    def _below_root(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _source(self, path: Path, details: dict[str, Any]) -> Source | None:
        """Label a file; report one that contradicts its folder as skipped."""
        names = entities(path)
        above = path.relative_to(self.root).parts[:-1]
        for key in ("sub", "ses"):
            folder = next((part[4:] for part in above if part.lower().startswith(f"{key}-")), None)
            if folder is not None and names.setdefault(key, folder).lower() != folder.lower():
                self.skipped.append(Skipped(path, f"named {key}-{names[key]} in the folder {key}-{folder}"))
                return None
        subject, session, task, run = (names.pop(key, "") for key in ("sub", "ses", "task", "run"))
        return Source(path, subject, session, task, run, details, names)

    def _name(self, path: Path) -> str:
        names = entities(path)
        return run_name({key: names[key] for key in RUN_ENTITIES if key in names})

    def _inherited(self, path: Path, modality: str, kind: str, ending: str) -> tuple[Path, ...]:
        """List the files that describe `path`, from the least to the most specific (BIDS inheritance).

        A derivative's file inherits from the raw dataset first.
        """
        own = _comparable(entities(path))
        inside = [folder for folder in reversed(path.parents) if folder == self.root or self.root in folder.parents]
        derived = len(inside) > 1 and inside[1].name.lower() == "derivatives"
        if derived or path.parent.name.lower() != modality:
            folders = [self.root]
            for part in ("sub-", "ses-", modality):
                folders += [p for p in self._list(folders[-1])[0] if _is_own(p, part, own)][:1]
            inside = [*folders, *(inside[1:] if derived else ())]
        found = [file for folder in inside for file in self._list(folder)[1] if file.name.endswith(f"{kind}{ending}")]
        return tuple(
            file
            for file in found
            if suffix(file) == kind
            and not file.name.startswith(".")
            and _comparable(entities(file)).items() <= own.items()
        )

    def _list(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """List the folders, and the tables and sidecars, in a folder; sorted."""
        if folder not in self._listed:
            in_derivative = self.root / "derivatives" in folder.parents  # `.bidsignore` is about the raw dataset
            tables = sorted(
                p
                for p in folder.iterdir()
                if p.suffix in (".tsv", ".json") and (in_derivative or not self._ignored(self._below_root(p)))
            )
            self._listed[folder] = _folders(folder), tables
        return self._listed[folder]


def _confounds(path: Path, tables: Iterable[Path]) -> Path | None:
    """Find the table of fMRIPrep that describes a BOLD file, in any space."""
    run = {key: value for key, value in entities(path).items() if key not in VARIANTS}
    fitting = [
        table
        for table in tables
        if suffix(table) in ("timeseries", "regressors")
        and entities(table) == {**run, "desc": "confounds"}
        and table.suffix == ".tsv"
    ]
    return fitting[-1] if fitting else None  # `timeseries` is the newer name


def _is_own(folder: Path, part: str, own: dict[str, str]) -> bool:
    """Return whether a folder is on the way from the dataset to a file with these entities."""
    name = folder.name.lower()
    if part.endswith("-"):
        return name == f"{part}{own.get(part[:-1], '')}"
    return name == part


def _comparable(names: dict[str, str]) -> dict[str, str]:
    return {key: comparable(value) if key in NUMBERED else value.lower() for key, value in names.items()}


def _run_of(path: Path) -> frozenset[tuple[str, str]]:
    """Return the entities of a file without those of a processing step."""
    return frozenset((key, label) for key, label in _comparable(entities(path)).items() if key not in DERIVED)


def _folders(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.name.startswith(".")) if parent.is_dir() else []


def _modality_folders(base: Path, modality: str) -> Iterator[Path]:
    """List ``sub-*/eeg`` and ``sub-*/ses-*/eeg`` below `base`, in any case."""
    for subject in _folders(base):
        if subject.name.lower().startswith("sub-"):
            sessions = [p for p in _folders(subject) if p.name.lower().startswith("ses-")]
            for parent in [subject, *sessions]:
                yield from (p for p in _folders(parent) if p.name.lower() == modality)
