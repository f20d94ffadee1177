"""How well, how fast and in how much memory raw in-scanner EEG is cleaned.

    python experiments/benchmarks/artefacts.py [--subjects 3] [--out experiments/benchmarks/artefacts.json]

The simulator's raw mode (63 EEG channels and the ECG, 5 kHz, gradient and pulse artefacts) knows the EEG
beneath the artefacts. All figures are per EEG channel, over the samples of the scan; median and worst
over the channels of all subjects.

- "attenuation_db": power of the gradient artefact over power of what is left of it. The second is
  ``clean(EEG + gradient) - clean(EEG)``: the subtraction is linear, so that is the artefact's remainder
  alone, without the little EEG that every template takes along. At 5 kHz, and of the 1 to 30 Hz part.
- "error_db_1_30_hz": the same ratio with all of ``clean(EEG + gradient) - EEG`` below the bar: the
  remainder, and the EEG that the template took along.
- "band_power_error_percent": ``100 |P_cleaned - P_clean| / P_clean``, P the Welch power of the band
  (4 s Hann windows) of the cleaned EEG and of the EEG that was there before the artefacts.

Cases: the default; head movement four times larger; a TR that ends between two samples. "pulse" goes on
from the gradient step of the default case on EEG with both artefacts; its "before" has no pulse step.
Time and memory are those of a child process that cleans a file of 300 volumes, 64 channels, reading it
with MNE as it goes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mne
import numpy as np
import scipy
from scipy import signal

from eeg2fmri.config import CleaningConfig, SimulationConfig
from eeg2fmri.signals import CleanEeg, Marks, clean_eeg
from eeg2fmri.simulation import simulate
from eeg2fmri.simulation.artefacts import RAW_FACTOR, raw_blocks
from eeg2fmri.simulation.subject import Subject, draw_subject

BANDS = {"1-30": (1, 30), "1-4": (1, 4), "4-8": (4, 8), "8-13": (8, 13), "13-30": (13, 30)}
GRADIENT = CleaningConfig(gradient=True)
TO_250_HZ = GRADIENT.model_copy(update={"sampling_rate": 250.0})
WITH_PULSE = TO_250_HZ.model_copy(update={"pulse": True})
RESOLUTION_UV = 0.5


def recorded(subject: Subject, *, gradient: float, pulse: float, movement: float = 1.0) -> np.ndarray:
    """The raw recording (64, n) in steps of 0.5 µV, with its artefacts scaled."""
    assert subject.artefacts is not None
    a = subject.artefacts
    a = dataclasses.replace(a, coupling=gradient * a.coupling, pulse=pulse * a.pulse, movement=movement * a.movement)
    blocks = [(np.rint(b / RESOLUTION_UV) * RESOLUTION_UV).astype(np.float32) for b in _blocks(subject, a)]
    return np.concatenate(blocks, axis=1)


def _blocks(subject: Subject, artefacts: Any) -> Any:
    return raw_blocks(subject.eeg_uv, subject.clock, artefacts, subject.rows)


def cleaned(eeg: np.ndarray, subject: Subject, tr: float, config: CleaningConfig) -> CleanEeg:
    """`clean_eeg` on an array; the ECG is its last channel."""
    names = [f"E{row}" for row in range(len(eeg) - 1)] + ["ECG"]
    types = ["eeg"] * (len(eeg) - 1) + ["ecg"]

    def read(picks: list[int]) -> np.ndarray:
        return eeg[picks]

    return clean_eeg(read, eeg.shape[1], subject.rate, names, types, [], Marks(subject.onsets), config)


def band_power(eeg: np.ndarray, rate: float, low: float, high: float) -> np.ndarray:
    """Welch power of a band in µV², per channel."""
    frequencies, density = signal.welch(eeg, rate, nperseg=round(4 * rate))
    return density[:, (frequencies >= low) & (frequencies <= high)].sum(axis=1) * frequencies[1]


def gradient_case(subject: Subject, tr: float, movement: float) -> dict[str, np.ndarray]:
    """Figures of the gradient step, each (63,)."""
    fine = slice(subject.onsets[0], subject.onsets[-1] + round(tr * subject.rate))
    slow = slice(fine.start // RAW_FACTOR, fine.stop // RAW_FACTOR)
    with_it = recorded(subject, gradient=1, pulse=0, movement=movement)
    without = recorded(subject, gradient=0, pulse=0)
    left = cleaned(with_it, subject, tr, GRADIENT).data - cleaned(without, subject, tr, GRADIENT).data
    artefact, left = (with_it - without)[:-1, fine], left[:-1, fine]
    result = cleaned(with_it, subject, tr, TO_250_HZ).data[:-1, slow]
    truth = subject.eeg_uv[:-1, slow]
    rate = subject.clock.rate
    in_band = band_power(artefact, subject.rate, 1, 30)
    return {
        "artefact_rms_uv": artefact.std(axis=1),
        "artefact_rms_uv_1_30_hz": np.sqrt(in_band),
        "eeg_rms_uv_1_30_hz": np.sqrt(band_power(truth, rate, 1, 30)),
        "attenuation_db": 10 * np.log10(np.mean(artefact**2, axis=1) / np.mean(left**2, axis=1)),
        "attenuation_db_1_30_hz": 10 * np.log10(in_band / band_power(left, subject.rate, 1, 30)),
        "error_db_1_30_hz": 10 * np.log10(in_band / band_power(result - truth, rate, 1, 30)),
        **band_errors(result, truth, rate),
    }


def band_errors(result: np.ndarray, truth: np.ndarray, rate: float) -> dict[str, np.ndarray]:
    """Error of band power in percent, per channel, for every band."""
    return {
        f"band_power_error_percent_{name}_hz": 100
        * np.abs(band_power(result, rate, *band) / band_power(truth, rate, *band) - 1)
        for name, band in BANDS.items()
    }


def pulse_case(subject: Subject, tr: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, float]]:
    """Figures before and after the pulse step, and how the R peaks were found."""
    both = recorded(subject, gradient=1, pulse=1)
    slow = slice(subject.onsets[0] // RAW_FACTOR, (subject.onsets[-1] + round(tr * subject.rate)) // RAW_FACTOR)
    truth, rate = subject.eeg_uv[:-1, slow], subject.clock.rate
    before = cleaned(both, subject, tr, TO_250_HZ).data[:-1, slow]
    after = cleaned(both, subject, tr, WITH_PULSE)
    found = after.r_peaks / rate
    beats = subject.beats[(subject.beats * rate > slow.start) & (subject.beats * rate < slow.stop)]
    off = np.abs(found[:, None] - beats)
    peaks = {
        "beats": len(beats),
        "missed": int((off.min(axis=0) > 0.02).sum()),
        "invented": int((off.min(axis=1) > 0.02).sum()),
        "median_offset_ms": float(1e3 * np.median(off.min(axis=1))),
    }
    figures = []
    for result in (before, after.data[:-1, slow]):
        rest = {"error_rms_uv_1_30_hz": np.sqrt(band_power(result - truth, rate, 1, 30))}
        figures.append(rest | band_errors(result, truth, rate))
    return figures[0], figures[1], peaks


def summary(figures: Sequence[dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Median and worst channel over all subjects; the lowest decibel and the highest of the rest is worst."""
    pooled = {key: np.concatenate([f[key] for f in figures]) for key in figures[0]}
    return {
        key: {
            "median": round(float(np.median(values)), 2),
            "worst": round(float(values.min() if "_db" in key else values.max()), 2),
        }
        for key, values in pooled.items()
    }


def accuracy(subjects: int, volumes: int) -> dict[str, Any]:
    """Figures of every case."""
    config = SimulationConfig(volumes=volumes, grid=(9, 8, 30), raw=True)
    cases = {
        "default": (config.tr, 1.0),
        "movement x4": (config.tr, 4.0),
        "TR of 10800.3 samples": (10800.3 / 5000, 1.0),
    }
    gradient: dict[str, list[Any]] = {name: [] for name in cases}
    before, after, peaks = [], [], []
    for index in range(subjects):
        for name, (tr, movement) in cases.items():
            subject = draw_subject(config.model_copy(update={"tr": tr}), index)
            gradient[name].append(gradient_case(subject, tr, movement))
            if name == "default":
                for figures, case in zip((before, after, peaks), pulse_case(subject, tr), strict=True):
                    figures.append(case)
    return {
        "gradient": {name: summary(figures) for name, figures in gradient.items()},
        "pulse": {"before": summary(before), "after": summary(after), "r_peaks": peaks},
    }


def measure(path: Path) -> dict[str, float]:
    """Clean a file in this process, reading as few channels at a time as `clean_eeg` asks for."""
    raw = mne.io.read_raw_brainvision(path, verbose="error")
    step = 200_000

    def read(picks: list[int]) -> np.ndarray:
        out = np.empty((len(picks), raw.n_times), np.float32)
        for first in range(0, raw.n_times, step):
            last = min(first + step, raw.n_times)
            out[:, first:last] = raw.get_data(picks, first, last) * 1e6
        return out

    imported = _peak_mib()
    rate = float(raw.info["sfreq"])
    markers = raw.annotations.onset * rate
    types = ["eeg"] * (len(raw.ch_names) - 1) + ["ecg"]
    start = time.process_time()
    read(list(range(8)))
    reading = (time.process_time() - start) * len(types) / 8
    start, cpu = time.perf_counter(), time.process_time()
    clean_eeg(read, raw.n_times, rate, raw.ch_names, types, [], Marks(markers), WITH_PULSE)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    minutes = raw.n_times / rate / 60
    return {
        "minutes_of_eeg": round(minutes, 2),
        "seconds_per_minute_of_eeg": round(seconds / minutes, 2),
        "cpu_seconds_per_minute_of_eeg": round(cpu / minutes, 2),
        "cpu_seconds_per_minute_of_reading_8_channels_at_a_time": round(reading / minutes, 2),
        "peak_mib": _peak_mib(),
        "peak_mib_before_cleaning": imported,
    }


def _peak_mib() -> int:
    """Largest resident memory of this process since it started its program (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


def cost(volumes: int) -> dict[str, float]:
    """Time and memory of cleaning one file, in a child process."""
    with tempfile.TemporaryDirectory() as folder:
        root = simulate(SimulationConfig(subjects=1, volumes=volumes, grid=(9, 8, 30), raw=True), Path(folder) / "raw")
        path = root / "sub-01" / "eeg" / "sub-01_task-rest_eeg.vhdr"
        command = [sys.executable, __file__, "--measure", str(path)]
        return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=3)
    parser.add_argument("--volumes", type=int, default=100, help="of the recordings whose accuracy is measured")
    parser.add_argument("--long", type=int, default=300, help="volumes of the recording whose time is measured")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    result = {
        **accuracy(args.subjects, args.volumes),
        "cost": cost(args.long),
        "subjects": args.subjects,
        "volumes": args.volumes,
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), "mne": mne.__version__, "scipy": scipy.__version__},
    }
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
