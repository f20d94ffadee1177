"""Features of subjects: those of their recordings, which are kept, so that a stopped call continues."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from eeg2fmri.classification.features import Featured, features_of_file
from eeg2fmri.classification.labelled import Labelled
from eeg2fmri.config import Config, family_path
from eeg2fmri.datasets import Source
from eeg2fmri.errors import Eeg2FmriError, IncompleteError, ModelError, counted, one_line
from eeg2fmri.evaluation import Atlas
from eeg2fmri.files import written_whole
from eeg2fmri.provenance import code_digest
from eeg2fmri.serving import Bundle, EegFile, loaded, shared
from eeg2fmri.store.parallel import each

logger = logging.getLogger(__name__)
CODE = ("eeg2fmri.classification.features:features_of_file", "eeg2fmri.serving:load_bundle")
FOLDER = "features"  # of a working folder
MARKED, WARNINGS = "marked", "warnings"  # arrays of a file of features, besides the features: SET/KIND


def subject_features(
    bundle: Bundle,
    found: Labelled,
    atlas: Atlas,
    config: Config,
    *,
    workdir: Path | None = None,
    workers: int = 1,
    on_recording: Callable[[Featured], None] = lambda _: None,
) -> dict[str, dict[str, np.ndarray]]:
    """Compute the features of every subject, by set and kind, (subjects, p).

    Parameters
    ----------
    bundle : the model.
    found : recordings of the subjects; those of one subject are averaged.
    atlas : regions on the grid of the model.
    config : its sections ``classify``, ``dataset`` and ``evaluation``.
    workdir : a folder that keeps the features of each recording, ``features/NAME.KEY.npz``. They are used again if the
        model, the files of the recording, the regions, the settings of features and the code are the same.
    workers : processes that share the work.
    on_recording : called with the features of each recording as they are done.

    Raises
    ------
    DatasetError, AlignmentError
        If a recording cannot be read, or is too short.
    IncompleteError
        If a worker dies again and again; what is finished is kept.
    ModelError
        If the model's volumes do not depend on the EEG, or `workdir` is given and the model was not read from files.
    """
    common = "" if workdir is None else _digest_of_all(bundle, atlas, config)
    done: dict[str, Featured] = {}
    with shared(bundle, workers) as where:
        task = functools.partial(_featured, where=where, atlas=atlas, config=config, common=common,
                                 folder=workdir and workdir.absolute() / FOLDER)  # fmt: skip
        with closing(each(task, found.recordings, workers=workers)) as results:  # an error ends the workers
            for source, result in results:
                if isinstance(result, Eeg2FmriError):
                    raise result
                if isinstance(result, BaseException):
                    raise IncompleteError(f"{source.path}: {_failed(result)}; finished recordings are kept") from result
                done[source.name] = result
                on_recording(result)
    _say(found.recordings, done)
    own: dict[str, list[Featured]] = {subject: [] for subject in found.labels}
    for source in found.recordings:
        own[f"sub-{source.subject}"].append(done[source.name])
    some = next(iter(done.values())).features
    return {
        name: {
            kind: np.stack([np.mean([one.features[name][kind] for one in few], axis=0) for few in own.values()])
            for kind in kinds
        }
        for name, kinds in some.items()
    }


def _featured(
    source: Source, *, where: Bundle | Path, atlas: Atlas, config: Config, common: str, folder: Path | None
) -> Featured:
    """Compute the features of a recording, or read them if an earlier call kept them."""
    file = EegFile.of(source, config.dataset.volume_marker)
    if folder is None:
        return features_of_file(loaded(where), file, atlas, config)
    key = hashlib.sha256(f"{common} {file.digest()}".encode()).hexdigest()
    path = folder / f"{source.name}.{key[:16]}.npz"
    if (kept := _read(path)) is not None:
        return kept
    computed = features_of_file(loaded(where), file, atlas, config)
    _write(path, computed)
    return computed


def _digest_of_all(bundle: Bundle, atlas: Atlas, config: Config) -> str:
    """Compute the digest (sha256) of all that the features of a recording depend on, besides its own files."""
    if not bundle.digest:
        raise ModelError(
            "the model was fitted in this process and has no digest, by which its features are found again; save and "
            "load it, or leave workdir out"
        )
    code = code_digest(*CODE, family_path(bundle.model.config.family))
    bands = config.classify.model_dump(mode="json")["bands"]
    content = json.dumps([code, bundle.digest, atlas.digest, bands, config.evaluation.drift_cutoff])
    return hashlib.sha256(content.encode()).hexdigest()


def _failed(error: BaseException) -> str:
    """Say how a recording failed in another process, and what to do."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return f"its worker died each time ({one_line(error)}); give fewer --workers"
    return f"failed ({one_line(error)}); --workers 1 --debug shows where"


def _say(recordings: Sequence[Source], done: dict[str, Featured]) -> None:
    """Log remarks on recordings, each once, and how many have their time zero at the start of the file."""
    for line in counted((source.path, text) for source in recordings for text in done[source.name].warnings):
        logger.warning("%s", line)
    if unmarked := sum(not one.marked for one in done.values()):
        logger.info("%d of %d recordings have no volume marker: their time zero is the start of the file", unmarked,
                    len(done))  # fmt: skip
    if kept := sum(one.kept for one in done.values()):
        logger.info("features of %d of %d recordings were there", kept, len(done))


def _write(path: Path, computed: Featured) -> None:
    arrays = {f"{name}/{kind}": value for name, kinds in computed.features.items() for kind, value in kinds.items()}
    about = {MARKED: np.array(computed.marked), WARNINGS: np.array(computed.warnings, str)}
    with written_whole(path) as part:
        np.savez_compressed(part, allow_pickle=False, **arrays, **about)


def _read(path: Path) -> Featured | None:
    """Read the features that were kept of a recording; ``None`` if there are none, or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {full: file[full] for full in file.files}  # to read an array compares its name and its checksum
        marked, warnings = bool(arrays.pop(MARKED)), tuple(map(str, arrays.pop(WARNINGS)))
        features: dict[str, dict[str, np.ndarray]] = {}
        for full, values in arrays.items():
            name, kind = full.split("/")
            features.setdefault(name, {})[kind] = values
    except Exception:  # NumPy, zipfile and zlib each raise their own for a damaged file
        return None
    return Featured(features, marked, warnings, kept=True)
