"""Optimal combination of the echoes of a BOLD run.

echo_times: (echoes,) in s.  volumes of an echo: (volumes, x, y, z).  t2_star: (x, y, z) in s.

References
----------
Posse et al. 1999, Magn Reson Med 42:87-97: weights TE exp(-TE / T2*).
DuPre et al. 2021, J Open Source Softw 6:3669 (tedana): T2* is at most 0.5 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eeg2fmri.datasets.bold_run import Bold, BoldHeader
from eeg2fmri.datasets.files import read_merged
from eeg2fmri.datasets.recording import Recording
from eeg2fmri.errors import DatasetError

LONGEST_T2_STAR_S = 0.5  # of a voxel that does not decay
LONGEST_ECHO_S = 0.5  # no BOLD echo is later: a larger number is in ms


def each_echo(recording: Recording) -> list[Recording]:
    """Make one recording of each echo."""
    return [replace(recording, bold_path=e.path, sidecars=e.sidecars, echoes=()) for e in recording.echoes]


def echo_times(recording: Recording) -> np.ndarray:
    """Return echo times, (echoes,) in s, from the sidecars.

    Raises
    ------
    DatasetError
        If a sidecar has no EchoTime or an impossible one, or two echoes have the same.
    """
    times: list[float] = []
    for echo in recording.echoes:
        value = read_merged(echo.sidecars).get("EchoTime")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < LONGEST_ECHO_S:
            found = "no EchoTime" if value is None else f"EchoTime {value!r}"
            raise DatasetError(
                f"{echo.path}: {found} in its sidecar, seconds between 0 and {LONGEST_ECHO_S:g} are needed to combine "
                f"echoes; add it, or choose one echo with dataset.echo"
            )
        if value in times:
            raise DatasetError(f"{echo.path}: its EchoTime {value:g} s is that of another echo; correct one")
        times.append(float(value))
    return np.array(times)


def combined_header(recording: Recording, read: Callable[[Recording], BoldHeader]) -> BoldHeader:
    """Return the header that echoes share; refuse headers that `combined` would refuse."""
    echo_times(recording)
    headers = [read(echo) for echo in each_echo(recording)]
    for echo, header in zip(recording.echoes, headers, strict=True):
        first = headers[0]
        same = (header.grid, header.n_volumes, header.tr) == (first.grid, first.n_volumes, first.tr)
        if not same or not np.allclose(header.affine, first.affine):
            raise DatasetError(
                f"{echo.path}: its grid, volumes, TR or affine are not those of {recording.bold_path.name}; "
                f"choose one echo with dataset.echo"
            )
    return headers[0]


def combined(recording: Recording, load: Callable[[Recording], Bold]) -> Bold:
    """Combine the echoes of a run into one series of volumes, float32."""
    times = echo_times(recording)
    echoes = [load(echo) for echo in each_echo(recording)]
    means = np.stack([echo.volumes.mean(axis=0, dtype=np.float64) for echo in echoes])
    weights = echo_weights(t2_star(means, times), times).astype(np.float32)
    volumes = np.zeros(echoes[0].volumes.shape, np.float32)
    for weight, echo in zip(weights, echoes, strict=True):
        for volume, source in zip(volumes, echo.volumes, strict=True):
            volume += weight * source
    return replace(echoes[0], volumes=volumes)


def t2_star(means: np.ndarray, times: Sequence[float] | np.ndarray) -> np.ndarray:
    """Fit log(mean) = log(S0) - TE / T2* in each voxel, by least squares.

    Parameters
    ----------
    means : (echoes, x, y, z) mean volumes; voxels without signal do not decay.
    times : (echoes,) in s.

    Returns
    -------
    (x, y, z) in s, at most `LONGEST_T2_STAR_S`.
    """
    centred: Any = np.asarray(times, float) - np.mean(times)
    floor = max(float(means.max()), 1.0) * 1e-6
    slope = np.tensordot(centred, np.log(np.maximum(means, floor)), 1) / (centred**2).sum()
    return 1 / np.maximum(-slope, 1 / LONGEST_T2_STAR_S)


def echo_weights(t2_star: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Compute weights, (echoes, x, y, z): TE exp(-TE / T2*), with the sum 1 in each voxel."""
    column = times.reshape(-1, *(1,) * t2_star.ndim)
    weights = column * np.exp(-(column - times.min()) / t2_star)
    return weights / weights.sum(axis=0)
