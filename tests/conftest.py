"""Shared fixtures: a seeded generator, and a tiny BIDS dataset in which no two axes are equal."""

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eeg2fmri.config import DataConfig

RATE_HZ = 100.0
TR_S = 0.5
LEAD_S = 1.3
VOLUMES = 22
GRID = (9, 8, 7)
CHANNELS = ("Fp1", "Fp2", "Cz", "Oz", "ECG")


SLOW_FIXTURES = {"job", "s3", "cluster", "killed", "crossed"}  # a whole job, a server, a Dask cluster, a killed fit
SLOW_TESTS = {"test_it_is_served_by_a_fresh_process"}  # of the contract that the package ships


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Tests of a slow fixture are slow, as those marked so are; files with slow tests come first.

    Workers take whole files, so a long one that comes last would leave the other worker idle.
    """
    for item in items:
        if SLOW_FIXTURES & set(item.fixturenames) or item.originalname in SLOW_TESTS:
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture
def tiny_config() -> DataConfig:
    """Settings that fit the tiny dataset: 22 volumes - 2 dropped - context 3 = 17 instances."""
    return DataConfig(frequencies=7, context=3, dropped_volumes=2, grid=GRID, channel_types=("eeg", "ecg"))


def tiny_volumes(rng: np.random.Generator, n_volumes: int = VOLUMES, grid: tuple[int, ...] = GRID) -> np.ndarray:
    """(x, y, z, volumes) intensities: a bright brain in the middle of a dark box."""
    volumes = rng.normal(20, 3, (*grid, n_volumes))
    volumes[tuple(slice(1, -1) for _ in grid)] += 800 + 100 * rng.random(tuple(n - 2 for n in grid))[..., None]
    return volumes.astype(np.float32)


def tiny_eeg(rng: np.random.Generator, n_volumes: int = VOLUMES, lead_s: float = LEAD_S) -> np.ndarray:
    """(channels, samples) in µV: noise that covers the lead, every volume and 0.4 s more."""
    return rng.normal(0, 20, (len(CHANNELS), round((lead_s + n_volumes * TR_S + 0.4) * RATE_HZ)))


def write_tiny_recording(
    root: Path,
    subject: str = "01",
    *,
    rng: np.random.Generator,
    eeg: np.ndarray | None = None,
    volumes: np.ndarray | None = None,
    lead_s: float = LEAD_S,
    markers: list[int] | None = None,
    tr_s: float = TR_S,
    rate_hz: float = RATE_HZ,
    names: tuple[str, ...] = CHANNELS,
    session: str = "",
    entities: str = "task-rest",
) -> Path:
    """Write one recording of a BIDS dataset and return its folder; what is not given is noise."""
    import nibabel
    import pybv

    volumes = tiny_volumes(rng) if volumes is None else volumes
    eeg = tiny_eeg(rng, volumes.shape[3], lead_s) if eeg is None else eeg
    if markers is None:
        markers = [round((lead_s + v * tr_s) * rate_hz) for v in range(volumes.shape[3])]
    folder = root / f"sub-{subject}" / session
    base = "_".join(part for part in (f"sub-{subject}", session, entities) if part)
    for modality in ("eeg", "func"):
        (folder / modality).mkdir(parents=True, exist_ok=True)
    pybv.write_brainvision(
        data=eeg * 1e-6,
        sfreq=rate_hz,
        ch_names=list(names),
        fname_base=f"{base}_eeg",
        folder_out=folder / "eeg",
        events=[{"onset": sample, "description": 128, "type": "Response"} for sample in markers],
        fmt="binary_float32",
        overwrite=True,
    )
    rows = [f"{name}\t{'ECG' if name == 'ECG' else 'EEG'}\tuV\n" for name in names]
    (folder / "eeg" / f"{base}_channels.tsv").write_text("name\ttype\tunits\n" + "".join(rows))
    image = nibabel.Nifti1Image(volumes, np.diag([2.0, 3.0, 4.0, 1.0]))
    image.header.set_zooms((2, 3, 4, tr_s))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, folder / "func" / f"{base}_bold.nii.gz")
    (folder / "func" / f"{base}_bold.json").write_text(json.dumps({"TaskName": "rest", "RepetitionTime": tr_s}))
    return folder


@pytest.fixture
def write_recording(rng: np.random.Generator) -> Callable[..., Path]:
    """`write_tiny_recording` with the seeded generator filled in."""

    def write(root: Path, subject: str = "01", **changes: Any) -> Path:
        return write_tiny_recording(root, subject, rng=rng, **changes)

    return write


@pytest.fixture(scope="session")
def _bids_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny") / "bids"
    for index in range(3):
        write_tiny_recording(root, f"{index + 1:02d}", rng=np.random.default_rng(index), lead_s=LEAD_S + 0.17 * index)
    return root


@pytest.fixture
def bids_root(_bids_template: Path, tmp_path: Path) -> Path:
    """A tiny BIDS dataset of three subjects that the test may change."""
    return Path(shutil.copytree(_bids_template, tmp_path / "bids"))


@pytest.fixture
def small_files() -> Callable[[int], AbstractContextManager[None]]:
    """Let no file of this process grow above so many bytes: a write then fails as it does on a full disk."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def refuses() -> Callable[[type[Exception], str], AbstractContextManager[None]]:
    """Expect exactly this kind of error, on one line, with a text that matches."""

    @contextmanager
    def check(kind: type[Exception], match: str) -> Iterator[None]:
        with pytest.raises(kind, match=match) as caught:
            yield
        assert caught.type is kind
        assert "\n" not in str(caught.value)

    return check
