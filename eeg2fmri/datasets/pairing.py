"""Pairs of EEG and BOLD files.

Files pair by every entity that both modalities use. An entity that only one of them uses (``dir`` of BOLD, say) does
not prevent a unique match. If a match is not unique, nothing is chosen: all candidates are listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets.recording import Skipped
from eeg2fmri.datasets.source import DERIVED, Identity, Source, comparable

STRICT = ("sub", "ses", "task", "run")  # these prevent a match even if only one modality has them


@dataclass(frozen=True)
class Run:
    """Files of one modality and one run: one, or the echoes to be combined.

    keys: the entities that distinguish runs.  trouble: the reason why none of the files can be used, or empty.
    """

    sources: tuple[Source, ...]
    keys: Mapping[str, str]
    trouble: str = ""

    @property
    def first(self) -> Source:
        """Return the file that stands for the run."""
        return self.sources[0]


@dataclass
class Matches:
    """The pairs, and the files that are left out."""

    pairs: list[tuple[Run, Run]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def match(eeg: Sequence[Source], bold: Sequence[Source], config: DatasetConfig) -> Matches:
    """Pair files of the two modalities, one to one."""
    found = Matches()
    bold = _of_part(bold, config, found)
    eeg_runs = _runs(_first_of_a_name(eeg, found), "EEG", config, found)
    bold_runs = _runs(_first_of_a_name(bold, found), "BOLD", config, found)
    alias = {comparable(own): comparable(other) for own, other in config.task_alias.items()}
    groups: dict[tuple[str, ...], tuple[list[Run], list[Run]]] = {}
    for side, runs in enumerate((eeg_runs, bold_runs)):
        for run in runs:
            groups.setdefault(_group(run, alias if side == 0 else {}), ([], []))[side].append(run)
    for key in sorted(groups):
        _match_group(*groups[key], found)
    return found


def single(eeg: Sequence[Source], config: DatasetConfig) -> tuple[list[Source], list[Skipped]]:
    """Return the EEG file of each run, and the files that are left out; runs with several files are among those."""
    found = Matches()
    runs = _runs(_first_of_a_name(eeg, found), "EEG", config, found)
    for run in runs:
        if run.trouble:
            _list_all(run.sources, run.trouble, found)
    return [run.first for run in runs if not run.trouble], found.skipped


def _group(run: Run, alias: Mapping[str, str]) -> tuple[str, ...]:
    """Return subject, session and task of a run by the name of its BOLD.

    A BOLD task that is an alias of another EEG task does not pair with an EEG task of its own name.
    """
    subject, session, task = (run.keys.get(key, "") for key in ("sub", "ses", "task"))
    taken = f"{task} of the EEG only" if task in alias.values() else task
    return subject, session, alias.get(task, taken)


def _match_group(eeg: list[Run], bold: list[Run], found: Matches) -> None:
    shared = {key for run in eeg for key in run.keys} & {key for run in bold for key in run.keys} | {"run"}
    shared -= {"sub", "ses", "task"}
    names = [_without_task(run) for run in eeg]
    same = {_without_task(run): run for run in bold if names.count(_without_task(run)) == 1}
    exact = [(run, same[name]) for run, name in zip(eeg, names, strict=True) if name in same]
    left_eeg = [run for run in eeg if not any(run is one for one, _ in exact)]
    left_bold = [run for run in bold if not any(run is one for _, one in exact)]
    for pair in exact:
        _take(*pair, found)
    candidates = [(one, other) for one in left_eeg for other in left_bold if _agree(one, other, shared)]
    for one, other in candidates:
        if sum(one is a for a, _ in candidates) == 1 == sum(other is b for _, b in candidates):
            _take(one, other, found)
    for modality, side, mine, theirs, other_name in (
        ("EEG", 0, left_eeg, bold, "BOLD"),
        ("BOLD", 1, left_bold, eeg, "EEG"),
    ):
        for run in mine:
            rivals = [pair[1 - side] for pair in candidates if pair[side] is run]
            if not rivals:
                _list_all(run.sources, f"{modality} without {other_name}{_near_miss(run, theirs)}", found)
            elif len(rivals) > 1:
                found.skipped.append(Skipped(run.first.path, _ambiguous(other_name, rivals), run.first.name))
            elif sum(pair[1 - side] is rivals[0] for pair in candidates) > 1:
                others = [pair[side] for pair in candidates if pair[1 - side] is rivals[0] and pair[side] is not run]
                reason = f"{rivals[0].first.path.name} fits it as well as {_named(others)}; {_way_out([run, *others])}"
                found.skipped.append(Skipped(run.first.path, reason, run.first.name))


def _take(eeg: Run, bold: Run, found: Matches) -> None:
    """Make a pair; if one side of it is in trouble, list that side instead."""
    if not eeg.trouble and not bold.trouble:
        found.pairs.append((eeg, bold))
        return
    sides = ((eeg, bold, "BOLD"), (bold, eeg, "EEG"))
    for run, other, modality in sorted(sides, key=lambda side: not side[0].trouble):
        reason = run.trouble or f"its {modality} is not chosen ({other.first.path.name})"
        found.skipped.append(Skipped(run.first.path, reason, eeg.first.name))


def _agree(eeg: Run, bold: Run, shared: Iterable[str]) -> bool:
    return all(eeg.keys.get(key) == bold.keys.get(key) for key in shared)


def _without_task(run: Run) -> Identity:
    """Return the identity of a run in its group: a task may have another name in the other modality."""
    return tuple((key, label) for key, label in run.keys.items() if key != "task")


def _runs(sources: Sequence[Source], modality: str, config: DatasetConfig, found: Matches) -> list[Run]:
    """Group files by run; for several files of one run, give the reason why none is used."""
    by_run: dict[Identity, list[Source]] = {}
    for source in sources:
        by_run.setdefault(source.identity, []).append(source)
    runs = []
    for identity, files in by_run.items():
        keys = dict(identity)
        echoes = [file for file in files if "echo" in file.labels]
        if modality == "BOLD" and echoes:
            files, trouble = _echoes(files, echoes, config, found)
            if trouble:
                runs.append(Run(tuple(files), keys, trouble))
                continue
            if len(files) > 1:
                runs.append(Run(tuple(files), keys))
                continue
        trouble = ""
        if len(files) > 1:
            trouble = f"several {modality} files of one run ({_names(files)}); {_way_out_of_variants(files)}"
        runs.append(Run(tuple(files), keys, trouble))
    return runs


def _echoes(
    files: list[Source], echoes: list[Source], config: DatasetConfig, found: Matches
) -> tuple[list[Source], str]:
    """Choose the echoes of a run that the configuration asks for, or give the reason why there are none."""
    whole = [file for file in files if file not in echoes]
    numbers = [comparable(file.labels["echo"]) for file in echoes]
    if isinstance(config.echo, int):
        one = [file for file, number in zip(echoes, numbers, strict=True) if number == str(config.echo)]
        if not one:
            return echoes, f"no echo {config.echo} (there: {', '.join(numbers)}); set dataset.echo"
        _list_all([file for file in files if file not in one], f"echo {config.echo} is used (dataset.echo)", found)
        return one, _twice(one)
    if config.echo == "combine":
        if len(set(numbers)) != len(numbers):
            return echoes, _twice(echoes)
        if len(echoes) < 2:
            return echoes, "its only echo cannot be combined; set dataset.echo to its number"
        _list_all(whole, "the echoes of its run are combined (dataset.echo)", found)
        return sorted(echoes, key=lambda file: int(comparable(file.labels["echo"]))), ""
    if len(whole) == 1:  # combined already, as by fMRIPrep
        _list_all(echoes, f"an echo of the run of {whole[0].path.name}, which is used; or set dataset.echo", found)
        return whole, ""
    if len(echoes) > 1:
        return echoes, (
            f"{len(echoes)} echoes of one run ({_names(echoes)}); choose one with dataset.echo={numbers[0]}, or "
            f"dataset.echo=combine"
        )
    return files, ""


def _twice(files: list[Source]) -> str:
    return (
        f"several BOLD files of one run and echo ({_names(files)}); {_way_out_of_variants(files)}"
        if len(files) > 1
        else ""
    )


def _of_part(bold: Sequence[Source], config: DatasetConfig, found: Matches) -> list[Source]:
    """Choose magnitude, or the part that is asked for; a file that does not say is magnitude."""
    others = [source for source in bold if source.labels.get("part", "mag").lower() != config.part]
    for source in others:
        part = source.labels.get("part", "mag")
        reason = f"part-{part}, but part-{config.part} is used; dataset.part={part} chooses it"
        found.skipped.append(Skipped(source.path, reason, source.name))
    return [source for source in bold if source not in others]


def _first_of_a_name(sources: Sequence[Source], found: Matches) -> list[Source]:
    """Choose the first format of a name that exists in several."""
    first: dict[tuple[Path, str, Identity], Source] = {}
    for source in sources:
        stem = re.sub(r"(\.nii)?\.[^.]*$", "", source.path.name.lower())
        known = first.setdefault((source.path.parent, stem, source.identity), source)
        if known is not source:
            reason = f"a duplicate of {known.path.name}, which is read (one name in two formats)"
            found.skipped.append(Skipped(source.path, reason, source.name))
    return list(first.values())


def _list_all(files: Sequence[Source], reason: str, found: Matches) -> None:
    found.skipped.extend(Skipped(file.path, reason, file.name) for file in files)


def _near_miss(run: Run, others: Sequence[Run]) -> str:
    """Say how the other modality's runs of the same subject, session and task differ."""
    differing = [k for k in dict.fromkeys(k for r in (run, *others) for k in r.keys) if k not in ("sub", "ses", "task")]
    differing = [k for k in differing if k in run.keys or k == "run" or all(k in other.keys for other in others)]
    differing = [k for k in differing if any(other.keys.get(k) != run.keys.get(k) for other in others)]
    if not differing:
        return ""
    there = [" ".join(_label(other, key) for key in differing) for other in others]
    return f" of the same {' and '.join(differing)} (there: {', '.join(there)})"


def _label(run: Run, key: str) -> str:
    label = run.first.labels.get(key)
    return f"{key}-{label}" if label else f"no {key}"


def _ambiguous(modality: str, rivals: Sequence[Run]) -> str:
    return f"{len(rivals)} {modality} files fit it ({_named(rivals)}); {_way_out(rivals)}"


def _named(runs: Sequence[Run]) -> str:
    return _names([run.first for run in runs])


def _names(files: Sequence[Source]) -> str:
    return ", ".join(file.path.name for file in files)


def _way_out(runs: Sequence[Run]) -> str:
    return _way_out_of([run.first for run in runs], [k for r in runs for k in r.keys if k not in STRICT])


def _way_out_of_variants(files: Sequence[Source]) -> str:
    return _way_out_of(files, DERIVED)


def _way_out_of(files: Sequence[Source], keys: Iterable[str]) -> str:
    """Name the setting that chooses one of the files."""
    differing = [key for key in dict.fromkeys(keys) if len({file.labels.get(key) for file in files}) > 1]
    one = max(files, key=lambda file: sum(key in file.labels for key in differing))
    asked = [f"{key}: {one.labels[key]}" for key in differing if key in one.labels]
    if not asked:
        return "give them distinct names, or keep only one"
    return f"choose one, e.g. dataset.entities={{{', '.join(asked)}}}"
