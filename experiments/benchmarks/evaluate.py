"""Time of an evaluation at full size: two test subjects of 287 windows, all scores, nulls and baselines.

    python experiments/benchmarks/evaluate.py [--trained 8] [--out experiments/benchmarks/evaluate.json]

A store of random numbers at NODDI's size (64 × 134 EEG, 64 × 64 × 30 volumes of whole numbers, a quarter of them
brain) holds the training subjects, one who validates and two who are tested. Scored is the family `mean`, whose
synthesis takes no time: a family that thinks adds its own, for the model, and again for every swap.

- seconds: wall clock; cpu_seconds: of the process. Where the load is above the cores, only the latter is the code's.
- "nulls": model, mean volume, shuffled EEG and 1,999 draws of the null.  "regressions": and arousal, motion and
  pulse, task.  "all": and swapped EEG, the family `linear`, the subject's mean. Fits are included.
- "regions": as "nulls", and 100 regions of an atlas.
- "voxels": of "nulls", the variance of every voxel over all shifts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import zarr

from eeg2fmri.config import BASELINES, EvaluationConfig, MeanConfig
from eeg2fmri.evaluation import Atlas, shift_variance_map
from eeg2fmri.families import fit
from eeg2fmri.scoring import score_windows
from eeg2fmri.signals import Signal, drift_waves
from eeg2fmri.store import StoredRecording, Windows

EEG, GRID, CONTEXT, TR, VOLUMES = (64, 134), (64, 64, 30), 10, 2.16, 297
KINDS = {"motion": [f"m{n}" for n in range(12)], "pulse": [f"p{n}" for n in range(4)], "task": ["face", "house"]}


def stored(folder: Path, number: int) -> StoredRecording:
    """One recording of random numbers, written and read as a store's."""
    rng, name = np.random.default_rng(number), f"sub-{number:02d}"
    mask = np.zeros(GRID, bool)
    mask[12:52, 10:54, 6:24] = True
    group = zarr.open_group(folder / name, mode="w")
    arrays = {
        "spectrogram": np.exp(rng.standard_normal((VOLUMES - 1, *EEG), dtype=np.float32)),
        "mask": mask,
        "voxel_mean": np.full(GRID, 500, np.float32),
        "voxel_sd": np.full(GRID, 100, np.float32),
        **{kind: rng.standard_normal((VOLUMES, len(names)), dtype=np.float32) for kind, names in KINDS.items()},
    }
    for key, values in arrays.items():
        group.create_array(key, data=values, chunks=values.shape, compressors=None)
    volumes = group.create_array(
        "volumes", shape=(VOLUMES, *GRID), chunks=(1, *GRID), shards=(8, *GRID), dtype="int16", compressors=None
    )
    for first in range(0, VOLUMES, 8):
        part = 500 + 100 * rng.standard_normal((min(8, VOLUMES - first), *GRID), dtype=np.float32)
        volumes[first : first + 8] = part.astype(np.int16)
    attributes = {"name": name, "subject": name, "digest": name, "source_digest": name, "mean": 500.0, "sd": 100.0,
                  "regressors": KINDS}  # fmt: skip
    signal = Signal(
        tr=TR, sampling_rate=250.0, channels=tuple(f"E{row}" for row in range(EEG[0])), unit="µV",
        frequencies=tuple(k / TR for k in range(1, EEG[1] + 1)), grid=GRID, space="native",
        affine=tuple(map(tuple, np.eye(4).tolist())),
    )  # fmt: skip
    return StoredRecording(zarr.open_group(folder / name, mode="r"), attributes, signal)


def timed(
    model: Any, test: Windows, train: Windows, validation: Windows, *baselines: str, atlas: Atlas | None = None
) -> dict[str, float]:
    """Seconds of an evaluation with these baselines."""
    config = EvaluationConfig(baselines=baselines)
    wall, cpu = time.perf_counter(), time.process_time()
    scored = score_windows(model, test, config, train, validation, atlas)
    assert not scored.absent
    found = {
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "conditions": len(scored.overall),
    }
    print(found, flush=True)
    return found


def slabs(mask: np.ndarray, regions: int = 100) -> Atlas:
    """Return regions of equally many voxels."""
    labels = np.zeros(mask.shape, int)
    labels[mask] = 1 + np.arange(mask.sum()) * regions // mask.sum()
    return Atlas(labels, {n: str(n) for n in range(1, regions + 1)})


def voxels(test: Windows) -> dict[str, float]:
    """Seconds of the part of "nulls" that tests voxels; the time of a synthesis is left out."""
    pairs = [(test.standardised(test.indices(n), "recording"), r.mask) for n, r in enumerate(test.recordings)]
    wall, cpu = time.perf_counter(), time.process_time()
    for measured, mask in pairs:
        shift_variance_map(measured, measured[::-1], mask, drift_waves(len(measured), TR, 128.0))
    return {"seconds": round(time.perf_counter() - wall, 1), "cpu_seconds": round(time.process_time() - cpu, 1)}


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trained", type=int, default=8, help="training subjects")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        everyone = [stored(Path(folder), number) for number in range(args.trained + 3)]
        train, validation, test = (Windows(part, CONTEXT) for part in (everyone[:-3], everyone[-3:-2], everyone[-2:]))
        model = fit(MeanConfig(), train, validation).model
        ways = {"nulls": (), "regressions": ("arousal", "motion_pulse", "task"), "all": BASELINES}
        result = {name: timed(model, test, train, validation, *baselines) for name, baselines in ways.items()}
        result["regions"] = timed(model, test, train, validation, atlas=slabs(test.recordings[0].mask))
        result["voxels"] = voxels(test)
        windows = [len(test.indices(0)), len(test.indices(1))]
    report = {
        **result,
        "windows": windows,
        "training_subjects": args.trained,
        "permutations": EvaluationConfig().permutations,
        "cores": os.cpu_count(),
        "load_at_the_end": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    args.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
