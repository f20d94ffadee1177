"""Ceilings that only a simulator knows; they stand beside each score of simulated data.

best_reachable: the subject's own BOLD as the EEG drives it, without noise: who knows the subject reaches no more.
given_amplitudes: the true amplitude of each rhythm through the canonical haemodynamic response, and a map of each
network from the other subjects' BOLD without noise. A model of unseen subjects can know no more of an unseen one than
the mean subject's response and maps, so it is judged against this.

n instances of a recording, K networks, (x, y, z) the grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eeg2fmri.models.linear import lag_shapes
from eeg2fmri.signals import contexts
from eeg2fmri.store import StoredRecording

CEILINGS = ("given_amplitudes", "best_reachable")  # the harder one last


def driven(recording: StoredRecording, context: int) -> np.ndarray:
    """Return BOLD that the EEG drives, at the instances, (n, x, y, z) in standard units, without its mean."""
    maps, courses, _ = _truth(recording)
    own = courses[context:] - courses[context:].mean(axis=0)
    return np.tensordot(own, maps / np.float32(recording.statistics.sd), axes=1)


def responses(recording: StoredRecording, context: int) -> np.ndarray:
    """Return the canonical response to the true amplitudes at the instances, (n, K) without its mean."""
    _, _, amplitudes = _truth(recording)
    found = np.stack([contexts(a[:-1], context) @ lag_shapes(context, recording.signal.tr)[:, 0] for a in amplitudes.T])
    return (found - found.mean(axis=1, keepdims=True)).T


def mean_maps(recordings: Sequence[StoredRecording], context: int) -> np.ndarray:
    """Fit a map of each network to BOLD without noise of all recordings, by least squares, (K, x, y, z) float32."""
    features: np.ndarray | float = 0.0
    targets: np.ndarray | float = 0.0
    for recording in recordings:
        x, bold = responses(recording, context), driven(recording, context)
        features = features + x.T @ x
        targets = targets + x.T @ bold.reshape(len(bold), -1)
    return np.linalg.lstsq(features, targets)[0].reshape(-1, *bold.shape[1:]).astype(np.float32)


def knows_truth(recordings: Sequence[StoredRecording]) -> bool:
    """Return whether all recordings are simulated, and their store keeps the truth."""
    return bool(recordings) and all("truth_maps" in recording.group for recording in recordings)


def _truth(recording: StoredRecording) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = recording.truth
    assert found is not None, "see `knows_truth`"
    return found
