"""Bad channels, rebuilt from their neighbours.

References
----------
Perrin et al. 1989, Electroenceph. Clin. Neurophysiol. 72:184: spherical splines.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eeg2fmri.errors import DatasetError
from eeg2fmri.signals.montage import FEWEST, known, montage


def interpolate_bads(eeg: np.ndarray, names: Sequence[str], bads: Sequence[str]) -> np.ndarray:
    """Replace bad EEG channels by spherical splines through the good ones (MNE).

    Positions are those of the 10-05 system by name; good channels without one are not used.

    Parameters
    ----------
    eeg : (channels, n) in µV, changed in place.
    names : of all the EEG channels.
    bads : of the bad ones.

    Returns
    -------
    `eeg`.

    Raises
    ------
    DatasetError
        If the position of a bad channel is not known, or fewer than 4 good ones have one.
    """
    import mne

    if not bads:
        return eeg
    positioned = {names[row] for row in known(names)}
    if unknown := [name for name in bads if name not in positioned]:
        raise DatasetError(
            f"channel {unknown[0]} is marked bad and has no 10-05 position, so it cannot be interpolated; rename it, "
            f"drop it from the recording, or set data.cleaning.interpolate_bads=false"
        )
    good = [name for name in names if name in positioned and name not in bads]
    if len(good) < FEWEST:
        raise DatasetError(
            f"{len(good)} good EEG channels with a 10-05 position are left besides {len(bads)} bad ones, at least "
            f"{FEWEST} are needed; drop the recording or set data.cleaning.interpolate_bads=false"
        )
    used = [*good, *bads]
    # Interpolation is linear: the response to one unit in each good channel gives its matrix.
    units = np.eye(len(used), len(good))
    info = mne.create_info(used, 1.0, "eeg").set_montage(montage(), match_case=False)
    info["bads"] = list(bads)
    raw = mne.io.RawArray(units, info, verbose="error").interpolate_bads(verbose="error")
    weights = raw.get_data()[len(good) :].astype(eeg.dtype)
    rows = {name: row for row, name in enumerate(names)}
    eeg[[rows[n] for n in bads]] = weights @ eeg[[rows[n] for n in good]]
    return eeg
