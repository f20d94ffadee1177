"""Recordings that a model may be scored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eeg2fmri.config import Config
from eeg2fmri.datasets import read_atlas
from eeg2fmri.errors import ConfigError, DatasetError, LeakageError, ModelError
from eeg2fmri.evaluation import Atlas, smallest_p
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Store, StoredRecording, Windows, split_store


def recordings_to_score(config: Config, store: Store, split_name: str) -> list[StoredRecording]:
    """Return the recordings of a part of the split, or their stretches without a gap.

    Raises
    ------
    ConfigError
        If there are none.
    DatasetError
        If one is too short to shuffle, or the test set is too small for `policy.level`.
    """
    recordings = store.of(split_store(store, config.split).part(split_name))
    if not recordings:
        raise ConfigError(f"split.{split_name}: no subject in it; name some for the evaluation")
    needed = 3 * store.context + 1
    scored = []
    for recording in recordings:
        stretches = [part for part in recording.stretches(store.context) if len(part.volumes) >= needed]
        scored += stretches
        if not stretches:
            raise DatasetError(
                f"{recording.name}: {len(recording.volumes)} volumes are left, scores need {needed} in a row (the "
                f"shuffled-EEG control moves windows by a context either way); leave it out of split.{split_name}"
            )
    if split_name == "test":
        _check_level(config, [len(r.volumes) - store.context for r in scored], store.context)
    return scored


def atlas_to_score(config: Config, store: Store, recordings: list[StoredRecording]) -> Atlas | None:
    """Read the regions of `evaluation.atlas` on the grid of a store, if there are any.

    Only voxels in the brain of every recording belong to a region.

    Raises
    ------
    DatasetError
        If the image cannot be used, see `read_atlas`.
    """
    if config.evaluation.atlas is None:
        return None
    brain = np.logical_and.reduce([recording.mask for recording in recordings])
    return read_atlas(Path(config.evaluation.atlas), store.signal, brain)


def _check_level(config: Config, windows: list[int], context: int) -> None:
    """Refuse a test set on which even the best model would not reach the level."""
    least = smallest_p(windows, context, config.evaluation.permutations)
    if least < config.policy.level:
        return
    needed = 2 * context + int(1 / config.policy.level) - 1
    found = " and ".join(map(str, windows))
    raise DatasetError(
        f"split.test: {found} windows allow no p-value below {least:.3f}, policy.level is {config.policy.level:g}; "
        f"test on a recording of {needed} windows, or on more recordings"
    )


def seen_windows(bundle: Bundle, store: Store, part: str) -> Windows | None:
    """Return windows of the recordings that shaped a model or chose it, as far as the store holds them; ``None``
    without any.

    Parameters
    ----------
    bundle, store : the model; a store of its recordings or of others.
    part : ``"train"`` or ``"validation"``.
    """
    digests = set(bundle.provenance["recordings"][part])
    known = [recording for recording in store.recordings if recording.source_digest in digests]
    return Windows(known, store.context) if known else None


def check_fits(bundle: Bundle, store: Store) -> None:
    """Refuse a store that differs in kind from the store of the fit.

    Raises
    ------
    ModelError
        If its signal or its settings differ.
    """
    for key in ("channels", "frequencies", "grid", "tr"):
        found, expected = getattr(store.signal, key), getattr(bundle.signal, key)
        if found != expected:
            words = f"its {key} {str(found)[:60]} differ from the model's {str(expected)[:60]}"
            raise ModelError(f"{store.path}: {words}; use its own store")
    if bundle.settings != store.settings:
        changed = [k for k in store.settings if bundle.settings.get(k) != store.settings[k]]
        raise ModelError(f"{store.path}: made with other settings ({', '.join(changed)}) than the model's store")


def check_unseen(bundle: Bundle, recordings: list[StoredRecording], split_name: str) -> None:
    """Refuse recordings that the model has seen; a validation recording may have chosen it, but not fitted it.

    Raises
    ------
    LeakageError
        If one was used to train it or, for ``"test"``, to validate it.
    """
    parts, use = {
        "train": ((), ""),
        "validation": (("train",), "train"),
        "test": (("train", "validation"), "train or validate"),
    }[split_name]
    seen = {digest for part in parts for digest in bundle.provenance["recordings"][part]}
    if known := sorted(r.name for r in recordings if r.source_digest in seen):
        raise LeakageError(f"{', '.join(known)}: used to {use} this model; evaluate on the split it was trained with")
