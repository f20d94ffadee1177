"""Features of a recording: its synthesised regional courses, the model's latents, and the EEG itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eeg2fmri.config import Config
from eeg2fmri.datasets import read_atlas
from eeg2fmri.errors import DatasetError, ModelError
from eeg2fmri.evaluation import Atlas, blocks
from eeg2fmri.families import family_of
from eeg2fmri.models.linear import bands_with_bins, log_band_power
from eeg2fmri.serving import Bundle, EegFile, open_recording, region_courses
from eeg2fmri.signals import contexts, without_drift

EEG, REGIONS, LATENTS = "eeg", "regions", "latents"
LEAST_WINDOWS = 20  # of a recording: a standard deviation of fewer says nothing
LIMIT = 1 - 1e-6  # of a correlation, before Fisher's transformation
BATCH = 32  # windows at once
Kinds = Mapping[str, np.ndarray]  # kind -> features


@dataclass(frozen=True)
class Featured:
    """Features of a recording.

    features: by set and kind, (p,).  marked: volume markers give time zero.  warnings: remarks on its file that a
    person should check.  kept: an earlier call computed them.
    """

    features: Mapping[str, Kinds]
    marked: bool
    warnings: tuple[str, ...]
    kept: bool = False


def parcellation(bundle: Bundle, config: Config) -> Atlas:
    """Read the regions of `evaluation.atlas` on the grid of a model, or cut its brain into blocks.

    Raises
    ------
    DatasetError
        If the atlas cannot be used, see `read_atlas`.
    """
    mask = bundle.model.bold_statistics.mask
    if config.evaluation.atlas is None:
        return blocks(mask, np.asarray(bundle.signal.affine), config.classify.block)
    return read_atlas(Path(config.evaluation.atlas), bundle.signal, mask)


def features_of_file(bundle: Bundle, file: EegFile, atlas: Atlas, config: Config) -> Featured:
    """Compute the features of the recording in a file; volumes with a gap of the EEG in their context are left out.

    Parameters
    ----------
    bundle : the model.
    file : EEG file and its tables.
    atlas : regions on the grid of the model.
    config : its sections ``classify`` and ``evaluation``.

    Raises
    ------
    DatasetError, AlignmentError
        If the recording cannot be read, or is too short.
    ModelError
        If the model's volumes do not depend on the EEG.
    """
    opened = open_recording(bundle, file)
    whole = opened.whole
    if whole.sum() < LEAST_WINDOWS:
        raise DatasetError(
            f"{file.path}: {whole.sum()} volumes can be synthesised, at least {LEAST_WINDOWS} are needed; leave the "
            f"recording out"
        )
    windows = contexts(np.concatenate([*opened.magnitudes()]), bundle.window_shape[2])[whole]
    gaps = () if whole.all() else ("volumes with a gap of the EEG in their context are left out",)
    found = recording_features(bundle, windows, atlas, config)
    return Featured(found, opened.marked, (*opened.warnings, *gaps))


def recording_features(
    bundle: Bundle, windows: np.ndarray, atlas: Atlas, config: Config
) -> dict[str, dict[str, np.ndarray]]:
    """Compute the features of a recording, by set and kind.

    Parameters
    ----------
    bundle : the model.
    windows : (n, C, F, T) of the recording.
    atlas, config : as `features_of_file`.

    Raises
    ------
    ModelError
        If the model's volumes do not depend on the EEG.
    """
    model, tr, cutoff = bundle.model, bundle.signal.tr, config.evaluation.drift_cutoff
    batches = [windows[start : start + BATCH] for start in range(0, len(windows), BATCH)]
    courses = np.concatenate([region_courses(model.synthesise(batch), atlas.labels)[1] for batch in batches])
    if not np.ptp(courses, axis=0).any():
        raise ModelError(f"{model.config.variant}: synthesises the same volume for any EEG; give another --model-uri")
    features = {REGIONS: _dynamics(courses, tr, cutoff)}
    latents = [family_of(model.config).latents(model, batch) for batch in batches]
    if some := [each for each in latents if each is not None]:
        features[LATENTS] = _dynamics(np.concatenate(some), tr, cutoff)
    frequencies = np.asarray(bundle.signal.frequencies)
    edges = np.stack([*bands_with_bins(config.classify.bands, frequencies).values()])
    power = log_band_power(windows[..., -1:], frequencies, edges).reshape(len(windows), -1)
    features[EEG] = {"mean": power.mean(axis=0), "spread": _spread(without_drift(power, tr, cutoff))}
    return features


def _dynamics(courses: np.ndarray, tr: float, cutoff: float) -> dict[str, np.ndarray]:
    """Return the spread of courses (n, r) and the correlations of each two of them (Fisher's z)."""
    still = without_drift(courses.astype(np.float64), tr, cutoff)
    length = np.linalg.norm(still, axis=0)
    unit = np.divide(still, length, out=np.zeros_like(still), where=length > 0)
    pairs = np.triu_indices(courses.shape[1], 1)
    return {"spread": _spread(still), "correlation": np.arctanh(np.clip((unit.T @ unit)[pairs], -LIMIT, LIMIT))}


def _spread(still: np.ndarray) -> np.ndarray:
    """Return the log of the standard deviations of series (n, r) of mean 0; finite for a constant one."""
    return np.log(np.maximum(still.std(axis=0), np.finfo(np.float32).tiny))
