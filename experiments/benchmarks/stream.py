"""Latency and memory of `eeg2fmri stream` at the published size (64 × 134 × 10 EEG at 250 Hz, 64 × 64 × 30 volumes).

    python experiments/benchmarks/stream.py PART… [--minutes 30] [--volumes 30] [--out FILE.json]

- core: milliseconds from the block of samples that completes a context to the volume in its file, and to courses of 100
  regions. No LSL; blocks of 10 samples.
- lsl: mne-lsl's player replays EEG in real time in a process of its own. Milliseconds from the arrival of the block
  with the last sample to the volume in its file and in the own LSL stream. The player stamps blocks up to one block
  ahead of time, so its times give no latency. A block is read at most 10 ms after it arrives. Memory as below.
- memory: `--minutes` of EEG through the core, faster than real time, with a file that grows. Resident memory of the
  process after a sixth of it, and at the end.

"Processor" is the time that the process spends on the processor, which a busy machine does not change much. The models
are `linear`, fitted on noise, and `calhas2022` with random weights: what they have learned does not change their time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mne
import numpy as np
import psutil

from eeg2fmri.config import Calhas2022Config, DataConfig, LinearConfig
from eeg2fmri.evaluation import Atlas
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.models.fitted import FittedModel, KerasNetwork
from eeg2fmri.serving import Bundle, Courses, LiveSynthesis
from eeg2fmri.serving.live_files import GrowingImage, GrowingTable
from eeg2fmri.serving.lsl import EegStream, Outlet, use_lsl
from eeg2fmri.serving.replies import region_courses
from eeg2fmri.signals import Signal
from eeg2fmri.store import StoredRecording, Windows

RATE, TR, CONTEXT, GRID, VOLUMES = 250.0, 2.16, 10, (64, 64, 30), 40
EEG_SHAPE = (64, 134, CONTEXT)
SIGNAL = Signal(
    tr=TR,
    sampling_rate=RATE,
    channels=tuple(f"E{number}" for number in range(EEG_SHAPE[0])),
    unit="µV",
    frequencies=tuple(np.arange(1, EEG_SHAPE[1] + 1) / TR),
    grid=GRID,
    space="native",
    affine=tuple(map(tuple, np.diag([3.4, 3.4, 4.0, 1.0]).tolist())),
)
BLOCK = 10


def models() -> dict[str, Bundle]:
    """A fitted `linear`, and a network."""
    train = Windows([recording(f"sub-0{n}", n) for n in (1, 2, 3)], CONTEXT)
    linear = fit(LinearConfig(components=20), train, Windows([recording("sub-04", 4)], CONTEXT), FitSettings()).model
    config = Calhas2022Config()
    network = KerasNetwork(build(config, EEG_SHAPE, GRID, seed=3, mean_volume=linear.mean_volume).synthesiser())
    deep = FittedModel(config, network, linear.eeg_statistics, linear.bold_statistics, linear.mean_volume)
    settings = DataConfig(context=CONTEXT).model_dump(mode="json")
    return {"linear": Bundle(linear, SIGNAL, settings, {}), "calhas2022": Bundle(deep, SIGNAL, settings, {})}


def recording(subject: str, seed: int) -> StoredRecording:
    """A recording of noise in a brain that fills a third of the grid."""
    rng = np.random.default_rng(seed)
    distance = np.linalg.norm((np.indices(GRID).T - np.array(GRID) / 2) / (np.array(GRID) / 2), axis=-1).T
    mask = distance < 0.85
    volumes = (500 * mask + rng.normal(0, 10, (VOLUMES, *GRID))).astype(np.float32)
    group = {
        "spectrogram": rng.gamma(2, 0.4, (VOLUMES - 1, *EEG_SHAPE[:2])).astype(np.float32),
        "volumes": volumes,
        "mask": mask,
        "voxel_mean": volumes.mean(axis=0),
        "voxel_sd": volumes.std(axis=0),
    }
    attributes = {"name": f"{subject}_task-rest", "subject": subject, "digest": str(seed), "source_digest": str(seed),
                  "mean": float(volumes.mean()), "sd": float(volumes.std())}  # fmt: skip
    return StoredRecording(group, attributes, SIGNAL)


def raw_eeg(bundle: Bundle, seconds: float) -> np.ndarray:
    """Noise with the amplitude of the training data."""
    return np.random.default_rng(0).normal(0, 20, (len(bundle.signal.channels), round(seconds * RATE)))


def quantiles(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {"p50_ms": round(statistics.median(ordered), 1), "max_ms": round(ordered[-1], 1)}


def blocks(bundle: Bundle, seconds: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of EEG with their times; a minute of samples that is repeated."""
    minute = raw_eeg(bundle, 60).astype(np.float32)
    for start in range(0, int(seconds * RATE), BLOCK):
        rows = np.arange(start, start + BLOCK)
        yield minute[:, rows % minute.shape[1]], 5000 + rows / RATE


def regions(bundle: Bundle) -> Atlas:
    """A hundred regions that fill the brain."""
    mask = bundle.model.bold_statistics.mask
    labels = np.zeros(mask.shape, int)
    labels[mask] = 1 + np.arange(mask.sum()) * 100 // mask.sum()
    return Atlas(labels, {label: str(label) for label in range(1, 101)})


def core(found: dict[str, Bundle], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    result = {}
    for family, bundle in found.items():
        live, image = LiveSynthesis(bundle, RATE), GrowingImage(bundle, folder / f"{family}.nii", {})
        atlas = regions(bundle)
        table = GrowingTable(bundle, folder / f"{family}.tsv", Courses("blocks", atlas), {})
        volumes, cpu, courses = [], [], []
        for eeg, times in blocks(bundle, (args.volumes + 9) * TR + 1):
            start, spent = time.perf_counter(), time.process_time()
            for volume in live.push(eeg, times):
                image.add(volume)
                volumes.append(1000 * (time.perf_counter() - start))
                cpu.append(1000 * (time.process_time() - spent))
                begun = time.perf_counter()
                table.add(
                    type(volume)(volume.number, volume.time, region_courses(volume.values[None], atlas.labels)[1][0])
                )
                courses.append(1000 * (time.perf_counter() - begun))
        result[family] = {
            "volumes": len(volumes),
            "to the file": quantiles(volumes),
            "of it processor": quantiles(cpu),
            "courses more": quantiles(courses),
        }
    return result


def play(name: str, channels: tuple[str, ...], eeg: np.ndarray) -> None:
    """Replay EEG in µV."""
    use_lsl()
    from mne_lsl.player import PlayerLSL

    info = mne.create_info(list(channels), RATE, "eeg")
    player = PlayerLSL(mne.io.RawArray(eeg * 1e-6, info, verbose="error"), BLOCK, name=name, source_id=name)
    player.start()
    time.sleep(3600)


def lsl(found: dict[str, Bundle], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    result = {}
    module = use_lsl()
    for family, bundle in found.items():
        # Long enough: where a block begins at the end of its recording, the player of mne-lsl sends all of it again.
        name, eeg = f"benchmark-{os.getpid()}-{family}", raw_eeg(bundle, (args.volumes + 30) * TR)
        player = multiprocessing.get_context("spawn").Process(target=play, args=(name, bundle.signal.channels, eeg))
        player.start()
        try:
            while not module.resolve_streams(timeout=5, name=name):
                assert player.is_alive()
            source = EegStream(module, name, ("eeg",))
            live = LiveSynthesis(bundle, source.sampling_rate, source.channels)
            mask = bundle.model.bold_statistics.mask
            names = [str(voxel) for voxel in range(mask.sum())]
            image = GrowingImage(bundle, folder / f"lsl-{family}.nii", {})
            sinks = [image, Outlet(module, f"{name}-out", names, TR, mask)]
            taken, cpu, resident = [], [], []
            for samples, times in source.blocks():
                begun, spent = time.perf_counter(), time.process_time()
                for volume in live.push(samples, times):
                    for sink in sinks:
                        sink.add(volume)
                    taken.append(1000 * (time.perf_counter() - begun))
                    cpu.append(1000 * (time.process_time() - spent))
                    resident.append(psutil.Process().memory_info().rss / 2**20)
                if len(taken) >= args.volumes:
                    break
            source.close()
            for sink in sinks:
                sink.close()
        finally:
            player.terminate()
            player.join()
        result[family] = {
            "volumes": len(taken),
            "voxels sent": int(mask.sum()),
            "to file and stream": quantiles(taken),
            "of it processor": quantiles(cpu),
            **growth(resident),
        }
    return result


def growth(resident: list[float]) -> dict[str, float]:
    """Resident memory after a sixth of the volumes, and at the end."""
    early, end = resident[len(resident) // 6], resident[-1]
    return {
        "after a sixth_mib": round(early, 1),
        "end_mib": round(end, 1),
        "peak_mib": round(max(resident), 1),
        "growth_percent": round(100 * end / early - 100, 2),
    }


def memory(found: dict[str, Bundle], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    result = {}
    for family, bundle in found.items():
        live, image = LiveSynthesis(bundle, RATE), GrowingImage(bundle, folder / f"memory-{family}.nii", {})
        seconds, process, count = 60 * args.minutes, psutil.Process(), 0
        resident = []
        begun = time.perf_counter()
        for eeg, times in blocks(bundle, seconds):
            for volume in live.push(eeg, times):
                image.add(volume)
                count += 1
                resident.append(process.memory_info().rss / 2**20)
        image.close()
        result[family] = {
            "minutes": args.minutes,
            "volumes": count,
            "times real time": round(seconds / (time.perf_counter() - begun), 1),
            **growth(resident),
        }
    return result


PARTS = {"core": core, "lsl": lsl, "memory": memory}


def main() -> None:
    """Measure the parts and write them to the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--volumes", type=int, default=30)
    parser.add_argument("--families", nargs="+", default=["linear", "calhas2022"])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        found = {family: bundle for family, bundle in models().items() if family in args.families}
        for part in args.parts:
            report = json.loads(args.out.read_text()) if args.out.exists() else {}
            load = os.getloadavg()[0]
            report[part] = {**PARTS[part](found, folder, args), "load_before": load, "load_after": os.getloadavg()[0]}
            report["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__,
                                 "threads": os.environ.get("OMP_NUM_THREADS", "all")}  # fmt: skip
            args.out.write_text(json.dumps(report, indent=2) + "\n")
            print(json.dumps(report[part], indent=2), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
