"""EEG in MATLAB files of the auditory and visual oddball dataset (OpenfMRI ds000116).

The array is (channels, samples) in µV at 1000 Hz. The layout of its channels is documented, their
names are not: 1–43 bipolar EEG, 44–45 EOG, 46–47 ECG, 48–49 events; 34 EEG channels when rereferenced.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.errors import DatasetError, one_line

SAMPLING_RATE_HZ = 1000.0
LAYOUTS = {
    49: (("eeg", 43), ("eog", 2), ("ecg", 2), ("trig", 2)),
    34: (("eeg", 34),),
}
Reader = Callable[[list[int], int, int], np.ndarray]
_Array = Callable[[str, list[int], int, int], np.ndarray]


def open_matlab(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], int, Reader]:
    """Return names, types, number of samples, and a reader of (channels, samples) float32 in µV.

    Raises
    ------
    DatasetError
        If the file is damaged, or does not hold one array with a documented number of channels.
    """
    import h5py
    import scipy.io

    def damaged(err: Exception) -> DatasetError:
        return DatasetError(f"{path}: not a readable MATLAB file ({one_line(err)}); fetch it again")

    try:
        if h5py.is_hdf5(path):
            shapes, array = _version_73(path)
        else:
            shapes = {name: tuple(shape) for name, shape, _ in scipy.io.whosmat(path)}
            array = _version_5(path)
    except Exception as err:  # scipy and h5py each raise many kinds of error for a damaged file
        raise damaged(err) from err
    fitting = [name for name, shape in shapes.items() if len(shape) == 2 and shape[0] in LAYOUTS]
    if len(fitting) != 1:
        raise DatasetError(f"{path}: one array of 49 or 34 channels is expected, found {shapes}; fetch it again")
    n_channels, n_samples = shapes[fitting[0]]
    types = [kind for kind, count in LAYOUTS[n_channels] for _ in range(count)]
    names = [f"{kind.upper()}{types[: i + 1].count(kind):02d}" for i, kind in enumerate(types)]

    def read(picks: list[int], start: int, stop: int) -> np.ndarray:
        try:
            return array(fitting[0], picks, start, stop)
        except Exception as err:
            raise damaged(err) from err

    return tuple(names), tuple(types), n_samples, read


def _version_5(path: Path) -> _Array:
    """Read a version 5 file, which is only possible as a whole; do it once, on first use."""
    whole: dict[str, np.ndarray] = {}

    def array(name: str, picks: list[int], start: int, stop: int) -> np.ndarray:
        import scipy.io

        if name not in whole:
            content: dict[str, Any] = scipy.io.loadmat(path, variable_names=[name])
            whole[name] = content[name].astype(np.float32)
        return whole[name][picks, start:stop]

    return array


def _version_73(path: Path) -> tuple[dict[str, tuple[int, ...]], _Array]:
    """Read from a version 7.3 file (HDF5, axes reversed) only the channels and samples that are asked for."""
    import h5py

    with h5py.File(path) as file:
        shapes = {name: item.shape[::-1] for name, item in file.items() if isinstance(item, h5py.Dataset)}

    def array(name: str, picks: list[int], start: int, stop: int) -> np.ndarray:
        with h5py.File(path) as file:
            return np.asarray(file[name][start:stop], np.float32).T[picks]

    return shapes, array
