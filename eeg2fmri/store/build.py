"""Build of a store from recordings, here or on many workers.

Each recording is a group of its own. The store's attributes name the groups that belong to it. They are written in one
step after all recordings. A stopped build continues after the recordings that are finished. A reader sees the old store
until the new one is whole.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.config import DataConfig, SplitConfig
from eeg2fmri.datasets import Recording, foreign_channels, voxel_sizes
from eeg2fmri.errors import DatasetError, DiskFullError, IncompleteError, StoreError, one_line
from eeg2fmri.provenance import code_digest
from eeg2fmri.signals import Signal
from eeg2fmri.store.location import METADATA, Location
from eeg2fmri.store.parallel import each
from eeg2fmri.store.splits import SESSION, laid_over, split_sessions
from eeg2fmri.store.store import FORMAT, Store, StoredRecording, check_format, open_recording, open_store
from eeg2fmri.store.write import CODE, Outcome, digest_of, store_recording

GROUP = re.compile(r".+\.[0-9a-f]{12}")
logger = logging.getLogger(__name__)
VOXEL_TOLERANCE = 0.01  # of a voxel's edge
UNFINISHED_FILE = ".partial"  # Zarr's name for a file that it has not renamed yet


@dataclass(frozen=True)
class Built:
    """A store, and the outcome of the recordings that were asked for.

    kept: recordings that were in it before.  failures: one line for each that is not in it.
    """

    store: Store
    kept: tuple[str, ...]
    failures: Mapping[str, str]


def build_store(
    recordings: Sequence[Recording],
    where: str | Path | Location,
    config: DataConfig,
    *,
    name: str = "",
    split: SplitConfig = SplitConfig(),  # noqa: B008 - frozen
    workers: int = 1,
    scheduler: str | None = None,
    on_recording: Callable[[Outcome], None] | None = None,
) -> Built:
    """Write the store of `recordings`; keep those that it holds already.

    A recording that cannot be used, or that differs from most in TR, frequencies, space or grid, is left out.

    Parameters
    ----------
    recordings : for the store; others are removed from it, but nothing of a recording that fails today.
    where : folder or fsspec URL of the store; workers must see the same place.
    config : settings; they are part of the digest.
    name : of the data set, see `eeg2fmri.store.dataset_name`.
    split : what the store keeps for the steps after it; where it sets nothing, a store of the same data set keeps what
        it has. Neither name nor split is part of the digest.
    workers, scheduler : see `eeg2fmri.store.parallel.each`.
    on_recording : called with the outcome of each recording as it is done.

    Raises
    ------
    StoreError
        If a store made with other settings, or something else, is there.
    ConfigError, LeakageError
        If the subjects of `recordings` cannot be split so.
    DatasetError
        If no recording can be used; an old store then does not change.
    """
    location = Location.of(where)
    settings = config.model_dump(mode="json")
    found = _check_place(location, settings)
    if found.get("name", "") == name:
        split = laid_over(split, SplitConfig.model_validate(found.get("split", {})))
    if split != SplitConfig():
        sessions: dict[str, list[str]] = {}
        for r in recordings:
            sessions.setdefault(r.subject, []).append(f"{r.subject}{SESSION}{r.session}" if r.session else r.subject)
        split_sessions({subject: sorted(set(labels)) for subject, labels in sorted(sessions.items())}, split)
    if location.one_process_only and (workers > 1 or scheduler):
        raise StoreError(
            f"{location}: only this process can see it; use --workers 1, or a place that all workers can see"
        )
    task = partial(store_recording, location=location.absolute(), config=config, code=code_digest(*CODE))
    outcomes: dict[str, Outcome] = {}
    with closing(each(task, recordings, workers=workers, scheduler=scheduler)) as results:  # an error ends the workers
        for recording, result in results:
            if isinstance(result, DiskFullError):
                raise result
            outcome = result if isinstance(result, Outcome) else _died(recording, result)
            outcomes[recording.name] = outcome
            for line in outcome.warnings:
                logger.warning("%s", line)
            if on_recording:
                on_recording(outcome)
    about = {"name": name, "split": split.model_dump(mode="json"), "settings": settings}
    return _finish(location, about, {r.name: r for r in recordings}, outcomes)


def say_left_out(built: Built, *, allow_failures: bool) -> None:
    """Log the channels and recordings that a store lacks, one line each.

    Raises
    ------
    IncompleteError
        If a recording failed, unless that is allowed.
    """
    store = built.store
    if absent := store.missing_channels:
        names = "; ".join(f"{channel} (not in {', '.join(recordings)})" for channel, recordings in absent.items())
        logger.warning("channels: %d are common to all recordings, without %s", len(store.signal.channels), names)
    for line in built.failures.values():
        logger.error("%s", line)
    failed, made = len(built.failures), len(store.recordings)
    if failed and not allow_failures:
        raise IncompleteError(
            f"{failed} of {failed + made} recordings cannot be used ({', '.join(built.failures)}); the store "
            f"{store.path} holds the others; correct these, or continue without them (--allow-failures)"
        )


def _died(recording: Recording, error: BaseException) -> Outcome:
    return Outcome(
        recording.name,
        error=f"{recording.eeg_path}: its worker died each time ({one_line(error)}); give workers more memory",
    )


def _finish(
    location: Location, about: Mapping[str, Any], recordings: Mapping[str, Recording], outcomes: dict[str, Outcome]
) -> Built:
    """Name the finished groups in the store's attributes; then remove the groups that nothing asked for.

    about: attributes that say what the store is of: name, split and settings.
    """
    failures = {name: outcome.error for name, outcome in sorted(outcomes.items()) if outcome.error}
    usable = {
        name: open_recording(location.child(outcome.group).open("r"))
        for name, outcome in sorted(outcomes.items())
        if not outcome.error
    }
    for name, line in _of_other_kinds(usable, own_grids=about["settings"]["grid"] is None).items():
        failures[name] = f"{recordings[name].bold_path}: {line}"
        del usable[name]
    for name, line in foreign_channels({name: _eeg_channels(its) for name, its in usable.items()}).items():
        failures[name] = f"{recordings[name].eeg_path}: {line}"
        del usable[name]
    if not usable:
        first, *others_failed = [*failures.values()] or ["there is none"]
        for line in others_failed:
            logger.error("%s", line)
        raise DatasetError(f"{location}: none of {len(outcomes)} recordings can be used; the first: {first}")
    attributes = {
        "format": FORMAT,
        "digest": digest_of(FORMAT, sorted((name, r.digest) for name, r in usable.items())),
        **about,
        "recordings": [outcomes[name].group for name in usable],
        "signal": replace(next(iter(usable.values())).own, channels=_common_channels(usable)).to_json(),
    }
    if location.metadata() != attributes:
        location.write_attributes(attributes)
    asked_for = {outcome.group for outcome in outcomes.values()} | {METADATA}
    for name in sorted(set(location.entries()) - asked_for):
        recording = name.rpartition(".")[0] if GROUP.fullmatch(name) else ""
        if recording in outcomes and outcomes[recording].error:
            continue  # a recording that was read once stays, even if its files are not available today
        if recording and recording not in usable:
            logger.warning("%s: %s leaves the store, which holds the recordings asked for last", location, name)
        location.child(name).remove()
    kept = tuple(name for name in usable if outcomes[name].kept)
    return Built(open_store(location), kept, failures)


def _of_other_kinds(usable: Mapping[str, StoredRecording], *, own_grids: bool) -> dict[str, str]:
    """Explain why recordings with another signal than most (of equals, the first's) are left out."""
    signals = {name: recording.own for name, recording in usable.items()}
    kinds: list[list[str]] = []
    for name, signal in signals.items():
        for members in kinds:
            if not _difference(signal, signals[members[0]], own_grids=own_grids):
                members.append(name)
                break
        else:
            kinds.append([name])
    most = max(kinds, key=len, default=[])
    return {
        name: f"{_difference(signals[name], signals[most[0]], own_grids=own_grids)} in {len(most)} of {len(signals)} "
        f"recordings; a store holds recordings of one kind, so put this one into another store"
        f"{_advice(signals[name], signals[most[0]])}"
        for members in kinds
        if members is not most
        for name in members
    }


def _difference(one: Signal, other: Signal, *, own_grids: bool) -> str:
    """Explain why two recordings cannot share a store; empty if they can.

    own_grids: volumes keep their own grid, so their voxels must have one size.
    """
    if abs(one.tr - other.tr) > 1e-3:
        return f"TR is {one.tr:g} s, but {other.tr:g} s"
    if not np.allclose(one.frequencies, other.frequencies, rtol=1e-3):
        return f"frequencies reach {one.frequencies[-1]:g} Hz, but {other.frequencies[-1]:g} Hz"
    if one.space != other.space:
        return f"space is {one.space}, but {other.space}"
    if own_grids and _other_voxels(one, other):
        return f"grid is {_grid_text(one)}, but {_grid_text(other)}"
    return ""


def _other_voxels(one: Signal, other: Signal) -> bool:
    """Return whether grids or voxel sizes of two recordings differ."""
    alike = np.allclose(_voxel_mm(one), _voxel_mm(other), rtol=VOXEL_TOLERANCE, atol=0)
    return one.grid != other.grid or not alike


def _voxel_mm(signal: Signal) -> np.ndarray:
    return voxel_sizes(np.asarray(signal.affine))


def _grid_text(signal: Signal) -> str:
    sizes = "×".join(f"{size:.3g}" for size in _voxel_mm(signal))
    return f"{'×'.join(map(str, signal.grid))} of {sizes} mm"


def _advice(one: Signal, other: Signal) -> str:
    """Name a setting that helps recordings that differ."""
    return ", or set data.grid to bring all to one grid" if _other_voxels(one, other) else ""


def _eeg_channels(recording: StoredRecording) -> list[str]:
    """Return names of a recording's EEG channels."""
    types = recording.attributes["types"]
    return [name for name, kind in zip(recording.own.channels, types, strict=True) if kind == "eeg"]


def _common_channels(usable: Mapping[str, StoredRecording]) -> tuple[str, ...]:
    """Return channels that every recording has, in the order of the first."""
    own = {name: recording.own.channels for name, recording in usable.items()}
    first = next(iter(own.values()))
    common = tuple(channel for channel in first if all(channel in channels for channels in own.values()))
    if not set(common) & {channel for recording in usable.values() for channel in _eeg_channels(recording)}:
        odd = min(own, key=lambda name: len(set(own[name]) & set(first)))
        raise DatasetError(
            f"{odd}: no EEG channel in common with {next(iter(own))} ({', '.join(own[odd][:3])}, …, expected "
            f"{', '.join(first[:3])}, …); rename its channels or leave it out"
        )
    return common


def _check_place(location: Location, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return attributes of the store that is there; empty if there is none. What else is there is
    refused.
    """
    if location.is_file():
        raise StoreError(f"{location}: a file, not a folder; give another --store")
    found = location.metadata()
    if found is None:
        if not all(GROUP.fullmatch(name) or name.endswith(UNFINISHED_FILE) for name in location.entries()):
            raise StoreError(f"{location}: a folder that is not a store; give another --store")
        return {}
    if "format" not in found:
        raise StoreError(f"{location}: a folder that is not a store; give another --store")
    check_format(location, found)
    there = found["settings"]
    changed = [f"{k}={there.get(k)} there, {settings[k]} asked for" for k in settings if there.get(k) != settings[k]]
    if changed:
        raise StoreError(
            f"{location}: made with other settings ({'; '.join(changed)}); give another --store or delete it"
        )
    return found
