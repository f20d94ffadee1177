"""Building a store from recordings: each is written once, whole or not at all.

The store grows under ``PATH.part`` and takes its name when every recording is in it. A build that
was stopped goes on from the recordings that are finished.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import Recording, align, check_fetched, load_bold, open_eeg, read_eeg
from eeg2fmri.errors import DatasetError, StoreError
from eeg2fmri.provenance import code_digest
from eeg2fmri.store.prepare import prepare
from eeg2fmri.store.store import FORMAT, Store, open_store

Progress = Callable[[str, bool], None]
CODE = ("datasets", "signals", "store")  # what a store depends on, besides settings and files


def build_store(
    recordings: Sequence[Recording], path: Path, config: DataConfig, *, on_recording: Progress | None = None
) -> Store:
    """Write the store of `recordings` at `path`, keeping recordings that are there already.

    Parameters
    ----------
    recordings : what to put in; all must agree on TR, sampling rate, channels and frequencies.
    path : folder of the store.
    config : settings; they are part of the digest.
    on_recording : called with a recording's name and whether it was there already.

    Raises
    ------
    StoreError
        If a store made with other settings lies at `path`.
    DatasetError, AlignmentError, ConfigError
        If a recording cannot be used; `path` is then left as it was.
    """
    import zarr

    settings = config.model_dump(mode="json")
    _check_settings(path, settings)
    shutil.rmtree(_beside(path, "replaced"), ignore_errors=True)
    sources = {r.name: _digest([_sha256(f) for f in r.files]) for r in recordings}
    code = code_digest(CODE)
    rules = {r.name: r.rules for r in recordings}
    digests = {name: _digest(settings, code, rules[name], source) for name, source in sources.items()}
    whole = _digest(FORMAT, sorted(digests.items()))
    if _finished(path, whole):
        for recording in recordings:
            _report(on_recording, recording.name, True)
        return open_store(path)
    part = _working_copy(path, settings)
    for recording in recordings:
        done = _recording_digest(part / recording.name) == digests[recording.name]
        if not done:
            marks = {"digest": digests[recording.name], "source_digest": sources[recording.name]}
            _write_recording(recording, part, config, marks)
        _report(on_recording, recording.name, done)
    for stale in {p.name for p in part.iterdir() if p.is_dir()} - digests.keys():
        shutil.rmtree(part / stale)
    root = zarr.open_group(part, mode="a")
    root.attrs.update(
        {"format": FORMAT, "digest": whole, "recordings": sorted(digests), "signal": _common_signal(root, digests)}
    )
    _replace(path, part)
    return open_store(path)


def _write_recording(recording: Recording, part: Path, config: DataConfig, marks: dict[str, str]) -> None:
    import zarr

    raw = open_eeg(recording)
    eeg, bold = read_eeg(raw, config.channel_types), load_bold(recording)
    content = prepare(eeg, bold, align(raw, recording, bold.tr, len(bold.volumes)), recording, config)
    unfinished = part / f".{recording.name}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    group = zarr.open_group(unfinished, mode="w")
    for name, values in content["arrays"].items():
        chunks = (1, *values.shape[1:]) if name == "volumes" else values.shape
        group.create_array(name, data=values, chunks=chunks, compressors=None)
    group.attrs.update({**content["attributes"], **marks, "sources": _sources(recording)})
    shutil.rmtree(part / recording.name, ignore_errors=True)
    unfinished.rename(part / recording.name)


def _working_copy(path: Path, settings: dict[str, Any]) -> Path:
    """The unfinished store at ``PATH.part``: a stopped build's, the finished store's, or a new one."""
    import zarr

    part = path.with_name(path.name + ".part")
    if part.exists() and _settings(part) != settings:
        shutil.rmtree(part)
    if not part.exists():
        if path.exists():
            copy = _beside(path, "copy")  # it takes its name when it is whole
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(path, copy, copy_function=_link)
            copy.rename(part)
        else:
            part.parent.mkdir(parents=True, exist_ok=True)
    for unfinished in part.glob(".*.part"):
        shutil.rmtree(unfinished)
    zarr.open_group(part, mode="a").attrs["settings"] = settings
    return part


def _link(source: str, target: str) -> None:
    """Hard links spare a copy; metadata is rewritten later and must not be shared."""
    if source.endswith("zarr.json"):
        shutil.copy2(source, target)
    else:
        Path(target).hardlink_to(source)


def _replace(path: Path, part: Path) -> None:
    """Give the finished `part` the name `path`, which never holds half a store."""
    old = _beside(path, "replaced")
    if path.exists():
        path.rename(old)
    part.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise StoreError(f"{path}: a file, not a folder; give another --store")
    found = _settings(path)
    if found is None:
        if any(path.iterdir()):
            raise StoreError(f"{path}: a folder that is not a store; give another --store")
        path.rmdir()
        return
    changed = [f"{k}={found.get(k)} there, {settings[k]} asked for" for k in settings if found.get(k) != settings[k]]
    if changed:
        raise StoreError(f"{path}: made with other settings ({'; '.join(changed)}); give another --store or delete it")


def _settings(path: Path) -> dict[str, Any] | None:
    return _attributes(path).get("settings")


def _recording_digest(path: Path) -> str | None:
    return _attributes(path).get("digest")


def _finished(path: Path, digest: str) -> bool:
    return path.exists() and _attributes(path).get("digest") == digest


def _attributes(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((path / "zarr.json").read_text())["attributes"])
    except (OSError, ValueError, KeyError, TypeError):  # absent, or damaged: nothing of it can be used
        return {}


def _common_signal(root: Any, names: dict[str, str]) -> dict[str, Any]:
    """What every recording shares; a recording that differs from the first is refused."""
    signals = {name: root[name].attrs["signal"] for name in sorted(names)}
    affines = [root[name].attrs["affine"] for name in sorted(names)]
    first, *others = signals
    for name in others:
        for key, value in signals[first].items():
            if signals[name][key] != value:
                raise DatasetError(
                    f"{name}: {key} is {_short(signals[name][key])}, but {_short(value)} in {first}; "
                    f"a store holds recordings of one kind, put these into separate stores"
                )
    return {**signals[first], "affine": affines[0]}


def _short(value: Any) -> str:
    return f"{len(value)} values ({', '.join(map(str, value[:3]))}, …)" if isinstance(value, list) else str(value)


def _sources(recording: Recording) -> list[dict[str, Any]]:
    return [{"file": f.name, "bytes": f.stat().st_size, "sha256": _sha256(f)} for f in recording.files]


def _sha256(path: Path) -> str:
    check_fetched(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise DatasetError(f"{path}: cannot be read ({err.strerror})") from err


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _report(on_recording: Progress | None, name: str, done: bool) -> None:
    if on_recording:
        on_recording(name, done)
