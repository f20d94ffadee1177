"""Electrodes of the 10-05 system, and the surface Laplacian from their positions.

References
----------
Perrin et al. 1989, Electroenceph. Clin. Neurophysiol. 72:184: spherical splines and their Laplacian.
Kayser & Tenke 2015, Int. J. Psychophysiol. 97:189: the Laplacian as a reference-free view of local generators.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from eeg2fmri.errors import DatasetError

FEWEST = 4  # fewest channels for a spherical spline


@functools.cache
def montage() -> Any:
    """Return the positions of the 10-05 system, as MNE has them."""
    import mne

    built_in = mne.channels.get_builtin_montages()
    name = "colin27_1005" if "colin27_1005" in built_in else "standard_1005"  # renamed in MNE 1.13
    return mne.channels.make_standard_montage(name)


def known(names: Sequence[str]) -> list[int]:
    """Return rows of the names that are positions of the 10-05 system; case does not count."""
    positions = {name.lower() for name in montage().ch_names}
    return [row for row, name in enumerate(names) if name.lower() in positions]


def check_positions(names: Sequence[str]) -> None:
    """Refuse EEG channels that have no surface Laplacian.

    Raises
    ------
    DatasetError
        If a channel has no 10-05 position, or there are fewer than 4 channels.
    """
    rows = known(names)
    if unknown := [name for row, name in enumerate(names) if row not in rows]:
        raise DatasetError(
            f"{unknown[0]} is no 10-05 position, so data.current_source_density is not possible; rename the channel, "
            f"give it another type, or set it to false"
        )
    if len(rows) < FEWEST:
        raise DatasetError(
            f"{len(rows)} channels have a 10-05 position, a surface Laplacian needs at least {FEWEST}; rename the "
            f"channels or set data.current_source_density=false"
        )


def current_source_density(eeg: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Compute the surface Laplacian of channels with a 10-05 position, in mV/m²; other channels do not change.

    It uses spherical splines with MNE's smoothing (lambda 1e-5, stiffness 4). It removes signals that many electrodes
    share, of distant sources and of the reference; differences between neighbours remain.

    Parameters
    ----------
    eeg : (channels, n) in µV.
    names : of the channels; the density at a channel depends on the other channels.

    Returns
    -------
    (channels, n), of the same type.

    Raises
    ------
    DatasetError
        If fewer than 4 channels have a position.
    """
    rows = known(names)
    check_positions([names[row] for row in rows])
    density = eeg.copy()
    density[rows] = _laplacian(tuple(names[row] for row in rows)).astype(eeg.dtype) @ eeg[rows]
    return density


@functools.lru_cache(maxsize=8)
def _laplacian(names: tuple[str, ...]) -> np.ndarray:
    """Return the response to one µV at each channel, (channels, channels) in mV/m²."""
    import mne

    info = mne.create_info(list(names), 1.0, "eeg").set_montage(montage(), match_case=False)
    units = mne.io.RawArray(np.eye(len(names)), info, verbose="error")
    laplacian: np.ndarray = mne.preprocessing.compute_current_source_density(units, verbose="error").get_data()
    return laplacian * 1e-3
