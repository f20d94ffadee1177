"""A BIDS dataset of EEG only with labelled subjects, as small as the models of `tests.mlflow_store`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pybv

from tests.fakes import CHANNELS, SAMPLING_RATE, TR

WINDOWS = 48
LABELS = ("a", "b")


def write_labelled(root: Path, subjects: int = 12, *, effect: float = 1.0) -> Path:
    """Every second subject is a b; its alpha rhythm at Oz fluctuates more by `effect` (a factor on the log, from 0)."""
    rows = ["participant_id\tGroup\tage"]
    samples = round(WINDOWS * TR * SAMPLING_RATE)
    for number in range(subjects):
        rng = np.random.default_rng((7, number))
        subject, case = f"sub-{number + 1:02d}", number % 2
        rows.append(f"{subject}\t{LABELS[case]}\t{30 + number}")
        course = np.repeat(rng.standard_normal(WINDOWS), round(TR * SAMPLING_RATE))
        alpha = np.sin(2 * np.pi * 10 * np.arange(samples) / SAMPLING_RATE)
        eeg = 3 * rng.standard_normal((len(CHANNELS), samples))
        eeg[2] += 6 * np.exp(effect * case * course) * alpha
        folder = root / subject / "eeg"
        pybv.write_brainvision(
            data=eeg * 1e-6, sfreq=SAMPLING_RATE, ch_names=list(CHANNELS), fname_base=f"{subject}_task-rest_eeg",
            folder_out=folder, fmt="binary_float32",
        )  # fmt: skip
    # BIDS inheritance: one table for all of them.
    text = "".join(f"{name}\tEEG\tuV\n" for name in CHANNELS)
    (root / "task-rest_channels.tsv").write_text(f"name\ttype\tunits\n{text}")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root
