"""Electrodes on a drawn head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FEWEST_ELECTRODES = 4  # fewer make no map of the scalp


def electrodes(channels: Sequence[str]) -> tuple[list[int], Any]:
    """Return which channels have a place in the 10-05 system, and MNE's description of these."""
    import mne

    # The montage's name changes with MNE 1.13.
    named = mne.channels.get_builtin_montages()
    montage = mne.channels.make_standard_montage("colin27_1005" if "colin27_1005" in named else "standard_1005")
    spelling = {name.lower(): name for name in montage.ch_names}
    known = [index for index, name in enumerate(channels) if name.lower() in spelling]
    info = mne.create_info([spelling[channels[index].lower()] for index in known], 1.0, "eeg")
    return known, info.set_montage(montage)
