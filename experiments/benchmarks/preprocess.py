"""Time and memory of preprocessing NODDI-size recordings, and of reading the store in training.

    python experiments/benchmarks/preprocess.py [--rounds 5] [--out experiments/benchmarks/preprocess.json]

`TMPDIR` says where the files lie.

Recordings are synthetic and of the published size: 64 channels at 250 Hz, 300 volumes of 64 x 64 x 30,
as int16 and as float32 .nii.gz, noise everywhere (the worst case for gzip). Files are in the page cache.

Ratios are medians of ratios within a round, on the clock; those of processor time say more on a busy machine.

- "recording": the whole task of one worker (digests, reading, alignment, spectrogram, statistics, mask,
  writing the group), against reading its two files with MNE and nibabel; in turns, each in a process of
  its own that has imported everything. Peak memory is that of the task's process, imports included.
- "iqr": mean and deviation without outliers, against the published four nested loops. The loops are
  rebuilt (each value compared with either limit through `numpy.any`, as the public code does, set aside,
  put back) and run on a few volumes; their time for a recording is extrapolated from that.
- "workers": the same recordings through a Dask cluster of one worker and of two, in turns, both running
  already; and the time to start the three. The same clusters then count numbers, which tells how much of a
  second core a shared machine gives. "workers_in_memory": the same with all files in `/dev/shm`, where the
  kernel's work for the disk (80 MB a recording, done for both workers by one file system) is left out.
- "training": growth of the resident memory over one epoch of shuffled batches of four of ten recordings.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import mne
import nibabel
import numpy as np
import pybv
from distributed import Client
from nilearn.masking import compute_epi_mask  # noqa: F401  imported before anything is timed

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import Recording, find_recordings
from eeg2fmri.provenance import code_digest
from eeg2fmri.signals import recording_statistics
from eeg2fmri.store import Location, Windows, build_store, open_store
from eeg2fmri.store.parallel import local_cluster
from eeg2fmri.store.write import CODE, store_recording

CHANNELS, RATE, TR, VOLUMES, GRID = 64, 250, 2.16, 300, (64, 64, 30)
LOOPED = 2  # volumes that the loops run over
PUBLISHED_LOOPS_S = 197


def volumes(rng: np.random.Generator) -> np.ndarray:
    """(x, y, z, volumes) float32: a bright brain with noise."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in GRID), indexing="ij")
    brain = np.where(x**2 / 0.6 + y**2 / 0.7 + z**2 / 0.8 < 1, 800 + 100 * np.sin(3 * x) * y, 20).astype(np.float32)
    found = rng.standard_normal((VOLUMES, *GRID[::-1]), np.float32).T * 8
    return found + brain[..., None]


def write_recording(root: Path, subject: str, dtype: str) -> None:
    """One recording of a BIDS dataset."""
    rng = np.random.default_rng(0)
    base, folder = f"sub-{subject}_task-rest", root / f"sub-{subject}"
    for modality in ("eeg", "func"):
        (folder / modality).mkdir(parents=True)
    names = [f"E{n}" for n in range(1, CHANNELS)] + ["ECG"]
    lead, window = 2 * RATE, round(TR * RATE)
    events = [{"onset": lead + v * window, "description": 128, "type": "Response"} for v in range(VOLUMES)]
    data = rng.normal(0, 20e-6, (CHANNELS, lead + VOLUMES * window + RATE))
    pybv.write_brainvision(data=data, sfreq=RATE, ch_names=names, fname_base=f"{base}_eeg", folder_out=folder / "eeg",
                           events=events, fmt="binary_float32")  # fmt: skip
    rows = [f"{name}\t{'ECG' if name == 'ECG' else 'EEG'}\tuV\n" for name in names]
    (folder / "eeg" / f"{base}_channels.tsv").write_text("name\ttype\tunits\n" + "".join(rows))
    image = nibabel.Nifti1Image(np.asarray(np.rint(volumes(rng)), dtype), np.diag([3.0, 3, 4, 1]))
    image.header.set_zooms((3, 3, 4, TR))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, folder / "func" / f"{base}_bold.nii.gz")
    (folder / "func" / f"{base}_bold.json").write_text(json.dumps({"TaskName": "rest", "RepetitionTime": TR}))


def write_copies(root: Path, original: Path, n: int) -> list[Recording]:
    """Recordings of `n` subjects whose files are links to those of the first subject of a dataset."""
    for number in range(1, n + 1):
        for source in original.glob("sub-01/*/*"):
            target = (
                root / f"sub-{number:02d}" / source.parent.name / source.name.replace("sub-01", f"sub-{number:02d}")
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(source)
        for header in root.glob(f"sub-{number:02d}/eeg/*.v*"):  # they name their companions
            text = header.read_text(encoding="utf-8").replace("sub-01", f"sub-{number:02d}")
            header.unlink()
            header.write_text(text, encoding="utf-8")
    return find_recordings(root)[0]


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of the processor, and peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def measured(call: Callable[[], Any]) -> Cost:
    """What a call costs in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu, resident("VmHWM"))


def read_files(recording: Recording) -> Cost:
    """Decompress and read both files."""

    def read() -> None:
        mne.io.read_raw(recording.eeg_path, preload=True, verbose="error")
        image: Any = nibabel.load(recording.bold_path)
        np.asanyarray(image.dataobj)

    return measured(read)


def preprocess(recording: Recording, store: Path) -> Cost:
    """The whole task of a worker."""

    def task() -> None:
        outcome = store_recording(recording, location=Location.of(store), config=DataConfig(), code=code_digest(*CODE))
        assert not outcome.error, outcome.error

    shutil.rmtree(store, ignore_errors=True)
    return measured(task)


def resident(what: str) -> float:
    """Resident memory of this process in MiB: ``VmRSS`` now, or ``VmHWM``, its peak.

    ``ru_maxrss`` would start at the parent's.
    """
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) / 1024


def process() -> ProcessPoolExecutor:
    """One fresh process."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def time_recording(folder: Path, dtype: str, rounds: int) -> dict[str, Any]:
    """The task of a worker against reading the files, in turns."""
    write_recording(folder / dtype, "01", dtype)
    (recording,), _ = find_recordings(folder / dtype)
    costs: dict[str, list[Cost]] = {"read": [], "task": []}
    with process() as reader, process() as worker:
        for _ in range(rounds + 1):
            costs["read"].append(reader.submit(read_files, recording).result())
            costs["task"].append(worker.submit(preprocess, recording, folder / "one").result())
    read, task = costs["read"][1:], costs["task"][1:]  # the first warms up
    return {
        "read_s": [c.wall_s for c in read],
        "task_s": [c.wall_s for c in task],
        "median_ratio": median_ratio([c.wall_s for c in task], [c.wall_s for c in read]),
        "median_ratio_of_processor_time": median_ratio([c.cpu_s for c in task], [c.cpu_s for c in read]),
        "peak_mib": max(c.peak_mib for c in task),
    }


def loops(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Outliers by four nested loops: set aside, scaled without, put back."""
    work, aside = values.copy(), []
    for a in range(work.shape[0]):
        for b in range(work.shape[1]):
            for c in range(work.shape[2]):
                for d in range(work.shape[3]):
                    if np.any(work[a, b, c, d] > high) or np.any(work[a, b, c, d] < low):
                        aside.append(((a, b, c, d), work[a, b, c, d]))
                        work[a, b, c, d] = np.nan
    mean, sd = float(np.nanmean(work)), float(np.nanstd(work))
    for index, value in aside:
        work[index] = value
    return mean, sd


def time_iqr(rounds: int) -> dict[str, Any]:
    """Statistics without outliers, against nested loops."""
    values = np.moveaxis(volumes(np.random.default_rng(1)), 3, 0)
    first, third = np.quantile(values[:LOOPED], (0.25, 0.75))
    reach = 1.5 * (third - first)
    looped, vectorised = [], []
    mask = np.ones(GRID, bool)
    for _ in range(rounds):
        start = time.perf_counter()
        loops(values[:LOOPED], first - reach, third + reach)
        looped.append((time.perf_counter() - start) * VOLUMES / LOOPED)
        start = time.perf_counter()
        recording_statistics(values, mask, iqr=True)
        vectorised.append(time.perf_counter() - start)
    plain = statistics.median(vectorised)
    return {
        "loops_s_extrapolated": looped,
        "looped_volumes": LOOPED,
        "vectorised_s": vectorised,
        "median_ratio": median_ratio(looped, vectorised),
        "ratio_to_published_197_s_on_another_machine": PUBLISHED_LOOPS_S / plain,
    }


def count(_: int) -> int:
    """Work for the processor alone, that no memory, disk or other task can slow down."""
    return sum(range(30_000_000))


def median_ratio(one: list[float], two: list[float]) -> float:
    """Median of the ratios within a round."""
    return statistics.median(a / b for a, b in zip(one, two, strict=True))


def time_workers(folder: Path, recordings: list[Recording], rounds: int) -> dict[str, Any]:
    """A cluster of one worker against a cluster of two."""
    start = time.perf_counter()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    counting: dict[int, list[float]] = {1: [], 2: []}
    with local_cluster(2) as two, local_cluster(1) as one:
        started = time.perf_counter() - start
        for turn, (n, cluster) in itertools.product(range(rounds + 1), ((1, one), (2, two))):
            store = folder / "workers"
            shutil.rmtree(store, ignore_errors=True)
            os.sync()  # no turn pays for what the one before left to write
            start = time.perf_counter()
            built = build_store(recordings, store, DataConfig(), scheduler=cluster.scheduler_address)
            assert not built.failures
            middle = time.perf_counter()
            with Client(cluster) as client:
                client.gather(client.map(count, range(len(recordings)), pure=False))
            if turn:  # the first warms up
                seconds[n].append(middle - start)
                counting[n].append(time.perf_counter() - middle)
        with Client(two) as client:
            peaks = client.run(resident, "VmHWM").values()
    return {
        "recordings": len(recordings),
        "one_s": seconds[1],
        "two_s": seconds[2],
        "median_ratio": median_ratio(seconds[1], seconds[2]),
        "peak_mib": max(peaks),
        "median_ratio_of_counting": median_ratio(counting[1], counting[2]),
        "start_of_three_workers_s": started,
    }


def train(store: Path) -> dict[str, float]:
    """Memory over one epoch of shuffled batches."""
    before = resident("VmRSS")
    opened = open_store(store)
    windows = Windows(opened.recordings, opened.context)
    order = np.random.default_rng(0).permutation(len(windows))
    start = time.perf_counter()
    for first in range(0, len(order), 4):
        batch = order[first : first + 4]
        windows.eeg(batch)
        windows.standardised(batch, "recording")
    seconds = time.perf_counter() - start
    return {
        "recordings": len(opened.recordings),
        "instances": len(windows),
        "before_mib": before,
        "peak_mib": resident("VmHWM"),
        "data_mib": resident("VmHWM") - before,
        "samples_per_second": len(order) / seconds,
    }


def main() -> None:
    """Run everything and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {dtype: time_recording(folder, dtype, args.rounds) for dtype in ("int16", "float32")}
        recordings = write_copies(folder / "ten", folder / "int16", 10)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
            in_memory = shutil.copytree(folder / "ten", Path(memory) / "ten")
            workers_in_memory = time_workers(Path(memory), find_recordings(in_memory)[0], args.rounds)
        result = {
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "load_before": os.getloadavg()[0],
            "recording": found,
            "iqr": time_iqr(args.rounds),
            "workers": time_workers(folder, recordings, args.rounds),
            "workers_in_memory": workers_in_memory,
        }
        build_store(recordings, folder / "store", DataConfig())
        with process() as trainer:
            result["training"] = trainer.submit(train, folder / "store").result()
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
