"""Meaning of the arrays of a recording: clock, channels, frequencies, grid and space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

POTENTIAL, DENSITY = "µV", "mV/m²"  # units of a spectrogram: of the potentials, or of their current source density


@dataclass(frozen=True)
class Signal:
    """The meaning of EEG windows (C, F, T) and volumes (x, y, z).

    tr: s.  sampling_rate: of the EEG, Hz.  channels: (C,) names.  unit: of the spectrogram, `POTENTIAL` or `DENSITY`.
    frequencies: (F,) Hz.  grid: (x, y, z).  space: template or ``"native"``.  affine: (4, 4), voxels to mm.
    """

    tr: float
    sampling_rate: float
    channels: tuple[str, ...]
    unit: str
    frequencies: tuple[float, ...]
    grid: tuple[int, int, int]
    space: str
    affine: tuple[tuple[float, ...], ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Signal:
        """Make one from the values of a store or a bundle; ignore other values.

        Raises
        ------
        KeyError
            If one is missing.
        """
        return cls(**{field.name: _frozen(values[field.name]) for field in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """Return the inverse of `from_json`: lists instead of tuples."""
        return {name: _thawed(value) for name, value in asdict(self).items()}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def _thawed(value: Any) -> Any:
    return list(map(_thawed, value)) if isinstance(value, tuple) else value
