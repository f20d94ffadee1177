"""Task of one worker: to write one recording into a store."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import Recording, check_fetched
from eeg2fmri.errors import DatasetError, Eeg2FmriError, StoreError, disk_full, one_line
from eeg2fmri.provenance import code_digest, package_versions
from eeg2fmri.store.array import lost_value
from eeg2fmri.store.location import Location
from eeg2fmri.store.prepare import Prepared, prepare

# Entry points of the code that a recording depends on, besides settings and files.
CODE = ("eeg2fmri.store.prepare:prepare", "eeg2fmri.store.write:_write")
PACKAGES = ("eeg2fmri", "mne", "nibabel", "nilearn", "numpy", "scipy", "zarr")
VOLUMES_A_FILE = 8  # a recording is about forty files rather than 300, and a batch reads no more than its volumes
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Outcome of the task for a recording.

    group: its group in the store.  kept: it was there before.  error: one line, empty if it is in.
    warnings: remarks that a person should check, one line each.
    """

    name: str
    group: str = ""
    kept: bool = False
    error: str = ""
    warnings: tuple[str, ...] = ()


def store_recording(recording: Recording, *, location: Location, config: DataConfig, code: str) -> Outcome:
    """Write the recording into the store, unless it is there; an error becomes part of the outcome.

    The group's name is a digest of its sources, and its attributes are written last. So a group with attributes is
    whole, and the task may be stopped anywhere and repeated. Only a full disk ends the whole job.

    Parameters
    ----------
    recording, config : the files, and the settings of preprocessing.
    location : of the store.
    code : digest of `CODE` where the job was started.
    """
    try:
        if code_digest(*CODE) != code:
            raise StoreError("the worker runs another version of eeg2fmri than the job; install the same on both")
        sources = [_source(path) for path in recording.files]
        source = digest_of([entry["sha256"] for entry in sources])
        digest = digest_of(config.model_dump(mode="json"), code, recording.rules, source)
        group = f"{recording.name}.{digest[:12]}"
        if is_whole(location.child(group), digest):
            return Outcome(recording.name, group, kept=True)
        content = prepare(recording, config)
        marks = {
            "digest": digest,
            "source_digest": source,
            "sources": sources,
            "settings": config.model_dump(mode="json"),
            "versions": package_versions(PACKAGES),
        }
        _write(location.child(group), content, marks)
        warnings = content.attributes["alignment"]["warnings"]
        return Outcome(recording.name, group, warnings=tuple(f"{recording.eeg_path}: {line}" for line in warnings))
    except Eeg2FmriError as err:
        if full := disk_full(err, location):
            raise full from err
        return Outcome(recording.name, error=one_line(err))
    except Exception as err:  # the other recordings continue after any error of this one
        if full := disk_full(err, location):
            raise full from err
        logger.debug("%s", recording.name, exc_info=True)
        return Outcome(
            recording.name, error=f"{recording.eeg_path}: failed ({one_line(err)}); --debug --workers 1 shows where"
        )


def is_whole(location: Location, digest: str) -> bool:
    """Return whether the group of a recording exists, with this digest and every chunk of its arrays."""
    try:
        group = location.open("r")
        arrays = dict(group.arrays())
        # Zarr counts a last shard as full, so its count may exceed the number of chunks.
        whole = all(array.nchunks_initialized >= array.nchunks for array in arrays.values())
        return whole and group.attrs.get("digest") == digest and sorted(arrays) == group.attrs["arrays"]
    except (StoreError, ValueError, KeyError, OSError):  # absent or damaged: written again
        return False


def digest_of(*parts: Any) -> str:
    """Compute the digest (sha256) of JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _write(location: Location, content: Prepared, marks: dict[str, Any]) -> None:
    group = location.open("w")
    for name, values in content.arrays.items():
        by_volume = name == "volumes"
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=(1, *values.shape[1:]) if by_volume else tuple(max(1, n) for n in values.shape),
            shards=(VOLUMES_A_FILE, *values.shape[1:]) if by_volume else None,
            chunk_key_encoding={"name": "default", "separator": "."},  # one folder per array, not three per volume
            compressors=None,  # noise hardly compresses, and batches are read at the speed of the disk
            fill_value=lost_value(values.dtype),
            config={"write_empty_chunks": True},
        )
        step = VOLUMES_A_FILE if by_volume else max(1, len(values))
        for start in range(0, len(values), step):
            array[start : start + step] = values[start : start + step]
    group.attrs.put(
        {**content.attributes, "signal": content.signal.to_json(), **marks, "arrays": sorted(content.arrays)}
    )


def _source(path: Path) -> dict[str, Any]:
    check_fetched(path)
    try:
        with path.open("rb") as file:
            return {
                "file": path.name,
                "bytes": path.stat().st_size,
                "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            }
    except OSError as err:
        raise DatasetError(f"{path}: cannot be read ({err.strerror}); fetch it again") from err
