"""A BIDS dataset of EEG only with labelled subjects, as small as the models of `tests.mlflow_store`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pybv

from eeg2fmri.config import DataConfig
from eeg2fmri.models.linear import LinearNetwork
from eeg2fmri.serving import Bundle
from tests.fakes import CHANNELS, CONTEXT, SAMPLING_RATE, TR
from tests.mlflow_store import linear_bundle

WINDOWS = 48
LABELS = ("a", "b")
ALPHA = 2  # delta and theta come before it; gamma has no bin


def labelled_bundle() -> Bundle:
    """A linear model that reads every channel of the dataset; its first component follows alpha power at Oz only."""
    settings = DataConfig(context=CONTEXT, channel_types=("eeg", "ecg")).model_dump(mode="json")
    bundle = linear_bundle()
    network = bundle.model.network
    assert isinstance(network, LinearNetwork)
    weights = np.zeros((*network.power_mean.shape, network.lag_shapes.shape[1], len(network.components)))
    weights[2, ALPHA, 0, 0] = 1.0
    network = replace(network, coefficients=weights.reshape(network.coefficients.shape))
    return replace(bundle, model=replace(bundle.model, network=network), settings=settings)


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
    text = "".join(f"{name}\t{'ECG' if name == 'ECG' else 'EEG'}\tuV\n" for name in CHANNELS)
    (root / "task-rest_channels.tsv").write_text(f"name\ttype\tunits\n{text}")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root
