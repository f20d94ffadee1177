"""Contents of a store, for people and for machines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from eeg2fmri.config import SplitConfig
from eeg2fmri.store.splits import settled
from eeg2fmri.store.store import Store, StoredRecording


def recordings_table(store: Store) -> pd.DataFrame:
    """Make a table with one row per recording."""
    return pd.DataFrame([_row(recording, store.context) for recording in store.recordings])


def describe(store: Store) -> dict[str, Any]:
    """Collect everything that `eeg2fmri store info --json` prints; JSON values."""
    return {
        "store": str(store.path),
        "dataset": store.name,
        "split": store.split.model_dump(mode="json"),
        "digest": store.digest,
        "subjects": store.subjects,
        "instances": sum(_instances(r, store.context) for r in store.recordings),
        "signal": store.signal.to_json(),
        "settings": dict(store.settings),
        "missing_channels": store.missing_channels,
        "recordings": [
            {
                **_row(r, store.context),
                "warnings": _warnings(r),
                **{k: r.attributes[k] for k in ("sources", "versions")},
            }
            for r in store.recordings
        ],
    }


def summary(store: Store) -> str:
    """Return what `eeg2fmri store info` prints."""
    signal, split = store.signal, settled(SplitConfig(), store.split)
    grid = " × ".join(map(str, signal.grid))
    frequencies = signal.frequencies
    lines = [
        f"store      {store.path}",
        f"data set   {store.name or 'not named'}",
        f"digest     {store.digest}",
        f"holds      {len(store.recordings)} recordings of {len(store.subjects)} subjects, "
        f"{describe(store)['instances']} instances of {store.context} windows",
        f"EEG        {len(signal.channels)} channels, {len(frequencies)} frequencies from "
        f"{frequencies[0]:.3g} to {frequencies[-1]:.3g} Hz",
        f"BOLD       {grid}, TR {signal.tr:g} s, space {signal.space}",
        f"settings   {', '.join(f'{key}={value}' for key, value in store.settings.items())}",
        f"split      validation {_who(split.validation)}, test {_who(split.test)}",
    ]
    lines += [f"left out   channel {c}, absent from {', '.join(n)}" for c, n in store.missing_channels.items()]
    lines += [f"look at    {r.name}: {warning}" for r in store.recordings for warning in _warnings(r)]
    return "\n".join([*lines, "", recordings_table(store).to_string(index=False)]) + "\n"


def _who(wanted: int | tuple[str, ...] | None) -> str:
    """Return a number of subjects, or their labels."""
    return " ".join(wanted) if isinstance(wanted, tuple) else str(wanted)


def _instances(recording: StoredRecording, context: int) -> int:
    """Count volumes with a whole context of EEG before them."""
    return sum(len(stretch.volumes) - context for stretch in recording.stretches(context))


def _warnings(recording: StoredRecording) -> list[str]:
    """List the remarks on its files and its alignment from preprocessing."""
    return list(recording.attributes["alignment"]["warnings"])


def _row(recording: StoredRecording, context: int) -> dict[str, Any]:
    attributes, statistics = recording.attributes, recording.statistics
    snr = np.divide(statistics.voxel_mean, statistics.voxel_sd, where=statistics.voxel_sd > 0,
                    out=np.zeros_like(statistics.voxel_mean))  # fmt: skip
    return {
        "recording": recording.name,
        "subject": recording.subject,
        "volumes": len(recording.volumes),
        "instances": _instances(recording, context),
        "left_out": len(recording.volumes) - context - _instances(recording, context),
        "source_volumes": attributes["source_volumes"],
        "channels": len(recording.own.channels),
        "sampling_rate": recording.own.sampling_rate,
        "alignment": attributes["alignment"]["source"],
        "regressors": " ".join(attributes["regressors"]),
        "markers_missing": attributes["alignment"]["markers_missing"],
        "brain_voxels": int(statistics.mask.sum()),
        "mean_intensity": statistics.mean,
        "temporal_snr": float(np.median(snr[statistics.mask])),
        "digest": recording.digest[:12],
    }
