"""Stored recordings in memory: small, no two axes equal, with a known relation of EEG to BOLD.

A course s drives one channel's alpha amplitude at window v and the volume at v + LAG.
"""

from __future__ import annotations

import numpy as np

from eeg2fmri.signals import Signal
from eeg2fmri.store import StoredRecording

TR = 0.5
SAMPLING_RATE = 64.0
CHANNELS = ("Fp1", "Cz", "Oz", "T7", "T8", "ECG")
FREQUENCIES = np.arange(1, 14, dtype=np.float64) / TR  # 2 to 26 Hz
CONTEXT = 3
GRID = (8, 7, 5)
EEG_SHAPE = (len(CHANNELS), len(FREQUENCIES), CONTEXT)
LAG = 2
SIGNAL = Signal(
    tr=TR,
    sampling_rate=SAMPLING_RATE,
    channels=CHANNELS,
    unit="µV",
    frequencies=tuple(FREQUENCIES.tolist()),
    grid=GRID,
    space="native",
    affine=tuple(map(tuple, np.diag([2.0, 3.0, 4.0, 1.0]).tolist())),
)


def recording(subject: str, seed: int, *, windows: int = 24, coupling: float = 1.0, run: int = 1) -> StoredRecording:
    """Make a recording of `windows` TRs; with ``coupling=0`` the EEG does not predict the BOLD."""
    rng = np.random.default_rng(seed)
    course = rng.standard_normal(windows)
    spectrogram = np.exp(0.2 * rng.standard_normal((windows, *EEG_SHAPE[:2])))
    alpha = (FREQUENCIES >= 8) & (FREQUENCIES < 13)
    spectrogram[:, 2, alpha] *= np.exp(coupling * course)[:, None]
    common = np.random.default_rng(0)  # anatomy and pattern are those of every subject
    anatomy, pattern = 300 * common.random(GRID), 40 * common.standard_normal(GRID)
    mask = anatomy > 90
    signal = np.roll(course, LAG)[:, None, None, None] * pattern * mask
    volumes = 500 + anatomy + signal + 4 * rng.standard_normal((windows, *GRID))
    group = {
        "spectrogram": spectrogram[:-1].astype(np.float32),
        "volumes": volumes.astype(np.float32),
        "mask": mask,
        "voxel_mean": volumes.mean(axis=0).astype(np.float32),
        "voxel_sd": volumes.std(axis=0).astype(np.float32),
    }
    attributes = {
        "name": f"{subject}_task-rest_run-{run}",
        "subject": subject,
        "digest": f"{seed}",
        "source_digest": f"source {seed}",
        "mean": float(volumes.mean()),
        "sd": float(volumes.std()),
    }
    return StoredRecording(group, attributes, SIGNAL)
