"""A BrainVision recording, written block by block: a raw one would not fit in memory.

Format: BrainVision Core Data Format 1.0 (Brain Products), multiplexed 16-bit integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


def write_blocks(
    base: Path, blocks: Iterable[np.ndarray], names: Sequence[str], rate: float, resolution: float, markers: np.ndarray
) -> None:
    """Write ``<base>.eeg``, ``.vmrk`` and ``.vhdr``.

    Parameters
    ----------
    base : path of the recording without suffix.
    blocks : (channels, any number of samples) in µV, one after the other.
    names : of the channels.
    rate : Hz.
    resolution : µV per integer step; values must stay within 32,767 steps of 0.
    markers : samples (from 0) of the volume markers R128.
    """
    with open(f"{base}.eeg", "wb") as file:
        for block in blocks:
            file.write(np.rint(block.T / resolution).astype("<i2").tobytes())
    head = f"[Common Infos]\nCodepage=UTF-8\nDataFile={base.name}.eeg\n"
    rows = [f"Mk{i}=Response,R128,{sample + 1},1,0" for i, sample in enumerate(markers.tolist(), 1)]
    _write(f"{base}.vmrk", "Brain Vision Data Exchange Marker File, Version 1.0", head, "[Marker Infos]", rows)
    rows = [f"Ch{i}={name},,{resolution:g},µV" for i, name in enumerate(names, 1)]
    head += (
        f"MarkerFile={base.name}.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={len(names)}\nSamplingInterval={1e6 / rate:g}\n\n[Binary Infos]\nBinaryFormat=INT_16\n"
    )
    _write(f"{base}.vhdr", "Brain Vision Data Exchange Header File Version 1.0", head, "[Channel Infos]", rows)


def _write(path: str, title: str, head: str, section: str, rows: list[str]) -> None:
    Path(path).write_text("\n".join([title, "", head, section, *rows, ""]), encoding="utf-8")
