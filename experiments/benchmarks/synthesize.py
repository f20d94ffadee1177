"""Time and memory of `eeg2fmri synthesize` for a long recording: 64 channels at 1 kHz, 64 × 64 × 30 volumes, TR 2.16 s.

    python experiments/benchmarks/synthesize.py [--minutes 5 60] [--families linear calhas2022] [--out FILE.json]

The command runs as a user starts it, with a model that MLflow has saved, so imports and loading count. The weights of
the models are random, because time and memory do not depend on them. The EEG is noise as float32; every voxel is in
the brain, and the volumes of such models are noise too, which is the worst case for gzip. Files are in the page cache.

Peak memory is the largest resident set of the process, read every 20 ms (VmHWM of Linux). It is not that of getrusage:
a new process inherits there the peak of the process that has started it. Cached pages of files are not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np
import pybv

from eeg2fmri.config import Calhas2022Config, DataConfig, LinearConfig
from eeg2fmri.models.fitted import FittedModel, KerasNetwork, Network
from eeg2fmri.models.linear import LinearNetwork, bands_with_bins, lag_shapes
from eeg2fmri.serving import Bundle
from eeg2fmri.signals import BoldStatistics, EegStatistics, Signal
from eeg2fmri.tracking.registry import pyfunc_model

CHANNELS = tuple(f"E{n}" for n in range(1, 65))
RATE, TR, GRID = 1000, 2.16, (64, 64, 30)
SETTINGS = DataConfig()
SHAPE = len(CHANNELS), SETTINGS.frequencies, SETTINGS.context
FREQUENCIES = np.arange(1, SHAPE[1] + 1) / TR
COMPONENTS = 50


def network(family: str, rng: np.random.Generator, mean: np.ndarray) -> tuple[Any, Network]:
    """Configuration and network of a family with random weights."""
    if family == "calhas2022":
        from eeg2fmri.models.calhas2022 import build

        config = Calhas2022Config()
        return config, KerasNetwork(build(config, SHAPE, GRID, seed=1, mean_volume=mean).synthesiser())
    linear, shapes = LinearConfig(), lag_shapes(SHAPE[2], TR)
    bands = np.stack([*bands_with_bins(linear.bands, FREQUENCIES).values()])
    power = np.zeros((len(CHANNELS), len(bands)))
    return linear, LinearNetwork(
        FREQUENCIES, bands, power, power + 1, shapes,
        rng.standard_normal((power.size * shapes.shape[1], COMPONENTS)).astype(np.float32),
        rng.standard_normal((COMPONENTS, mean.size)).astype(np.float32), mean.ravel(), np.array(GRID),
    )  # fmt: skip


def save_model(family: str, folder: Path) -> Path:
    """Save a model as MLflow keeps it."""
    rng = np.random.default_rng(0)
    mean = rng.random(GRID, np.float32)
    config, net = network(family, rng, mean)
    level = np.full(SHAPE[:2], 20 / np.sqrt(RATE * TR), np.float32)  # of white noise of 20 µV
    bold = BoldStatistics(500.0, 100.0, 500 * mean, mean + 1, np.ones(GRID, bool))
    model = FittedModel(config, net, EegStatistics(level, level / 2), bold, mean)
    affine = tuple(map(tuple, np.diag([3.0, 3.0, 4.0, 1.0]).tolist()))
    signal = Signal(TR, RATE, CHANNELS, "µV", tuple(FREQUENCIES.tolist()), GRID, "native", affine)
    bundle = Bundle(model, signal, SETTINGS.model_dump(mode="json"), {})
    (folder / "bundle").mkdir(parents=True)
    mlflow.pyfunc.save_model(folder / "model", **pyfunc_model(bundle, folder / "bundle", np.ones(SHAPE, np.float32)))
    return folder / "model"


def write_eeg(folder: Path, minutes: float) -> Path:
    """Write noise of 20 µV with a marker per TR, a minute at a time."""
    rng = np.random.default_rng(0)
    pybv.write_brainvision(data=rng.normal(0, 20e-6, (len(CHANNELS), RATE)), sfreq=RATE, ch_names=list(CHANNELS),
                           fname_base="sub-01_task-rest_eeg", folder_out=folder, fmt="binary_float32", resolution=1.0,
                           events=[{"onset": 0, "description": 128, "type": "Response"}])  # fmt: skip
    header = folder / "sub-01_task-rest_eeg.vhdr"
    block = (20 * rng.standard_normal((60 * RATE, len(CHANNELS)), np.float32)).astype("<f4").tobytes()
    with header.with_suffix(".eeg").open("wb") as file:
        for _ in range(int(minutes)):
            file.write(block)
    marks = header.with_suffix(".vmrk")
    text = [line for line in marks.read_text(encoding="utf-8").splitlines() if "R128" not in line]
    onsets = np.arange(int(minutes * 60 / TR)) * TR * RATE
    text += [f"Mk{n + 2}=Response,R128,{round(onset) + 1},1,0" for n, onset in enumerate(onsets)]
    marks.write_text("\n".join(text) + "\n", encoding="utf-8")
    return header


def peak_mib(pid: int) -> float:
    """Largest resident set so far of a process; 0 of one that has just ended."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def measure(model: Path, eeg: Path, out: Path, minutes: float) -> dict[str, float]:
    """Run the command; return seconds, times real time and peak memory in MiB."""
    command = [sys.executable, "-m", "eeg2fmri", "synthesize", "--model-uri", str(model), "--eeg", str(eeg)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--out", str(out), "--set", "run.device=cpu"])
    ended, peak = 0, 0.0
    while not ended:
        peak = max(peak, peak_mib(process.pid))
        time.sleep(0.02)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"synthesize ends with {os.waitstatus_to_exitcode(status)}")
    found = {
        "minutes": minutes,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "times_real_time": minutes * 60 / seconds,
        "peak_mib": peak,
        "mib_written": out.stat().st_size / 2**20,
    }
    return {name: round(value, 2) for name, value in found.items()}


def main() -> None:
    """Measure each family and length, and write the JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="+", default=[5, 60])
    parser.add_argument("--families", nargs="+", default=["linear", "calhas2022"])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    about = {"machine": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0)),
             "load": round(os.getloadavg()[0], 1), "python": platform.python_version()}  # fmt: skip
    results: dict[str, Any] = {"about": about}
    for minutes in args.minutes:
        with tempfile.TemporaryDirectory() as folder:
            eeg = write_eeg(Path(folder) / "eeg", minutes)
            for family in args.families:
                model = save_model(family, Path(folder) / family)
                for ending in ("nii", "nii.gz"):
                    out = Path(folder) / f"bold.{ending}"
                    results.setdefault(family, {}).setdefault(ending, []).append(measure(model, eeg, out, minutes))
                    out.unlink()
                    args.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
                    print(family, ending, results[family][ending][-1], flush=True)


if __name__ == "__main__":
    main()
