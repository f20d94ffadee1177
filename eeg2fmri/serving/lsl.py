"""Lab Streaming Layer: EEG in, volumes or regional courses out. Needs the extra ``lsl`` (mne-lsl).

References
----------
Kothe et al. 2025, Imaging Neuroscience 3:IMAG.a.136: the Lab Streaming Layer.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eeg2fmri.datasets import microvolts
from eeg2fmri.errors import MissingExtraError, RequestError, StreamError
from eeg2fmri.serving.live import LiveVolume

# Streams of this machine only; each stream is asked at its own port, because they share the port of the group.
LOCAL = """
[ports]
IPv6 = disable
[multicast]
ResolveScope = machine
ListenAddress = 127.0.0.1
[lab]
KnownPeers = {127.0.0.1}
[log]
level = -3
"""
FIND_S, OPEN_S, SILENT_S = 5.0, 10.0, 3.0
POLL_S = 0.01  # a block of samples is read at least as often
KEPT_S = 60  # samples that are kept while a volume is computed
logger = logging.getLogger(__name__)


def use_lsl(*, network: bool = False) -> Any:
    """Return ``mne_lsl.lsl``; without `network` it finds and shows streams of this machine only.

    LSL reads its configuration once in a process.

    Raises
    ------
    MissingExtraError
        If mne-lsl is not installed.
    """
    try:
        from mne_lsl import lsl
    except ImportError as err:
        raise MissingExtraError("a live stream needs mne-lsl: pip install 'eeg2fmri[lsl]'") from err
    if not network:
        lsl.set_config_content(LOCAL)
    return lsl


class EegStream:
    """A running LSL stream of EEG.

    Parameters
    ----------
    lsl : from `use_lsl`.
    name : of the stream; ``None`` means the only one of type EEG.
    types : channels that are read, by their type in lower case; all if the stream states no types.
    unit : of its numbers, if the stream states none.

    Raises
    ------
    StreamError
        If there is no such stream, or several.
    RequestError
        If it states no channel names, no sampling rate or no unit.
    """

    def __init__(self, lsl: Any, name: str | None, types: Sequence[str], unit: str | None = None) -> None:
        info = _found(lsl, name)
        self._lsl, self._uid = lsl, info.uid
        self.name, self.sampling_rate = info.name, float(info.sfreq)
        if not self.sampling_rate or info.dtype == "string":
            raise RequestError(f"stream {self.name}: no regular samples of numbers; name a stream of EEG")
        self._inlet = lsl.StreamInlet(info, max_buffered=KEPT_S, recover=False, processing_flags=["clocksync"])
        self._inlet.open_stream(timeout=OPEN_S)
        full = self._inlet.get_sinfo(timeout=OPEN_S)
        names = full.get_channel_names()
        if names is None or None in names:
            raise RequestError(f"stream {self.name}: its channels have no names; set them in its source")
        kinds = full.get_channel_types() or [None] * len(names)
        self._rows = [row for row, kind in enumerate(kinds) if kind is None or kind.lower() in types]
        if not self._rows:
            raise RequestError(
                f"stream {self.name}: no channel of type {' or '.join(types)}, found {', '.join(sorted(set(kinds)))}; "
                f"name a stream of EEG"
            )
        self.channels = tuple(names[row] for row in self._rows)
        units = [unit] * len(names) if unit else full.get_channel_units() or [None] * len(names)
        self._factors = np.array([[_factor(self.name, names[row], units[row])] for row in self._rows])

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield samples as they arrive: (channels, n) in µV and their times, (n,) s on the clock of this machine.

        A block is empty if nothing has arrived for a moment.

        Raises
        ------
        StreamError
            If the source has ended, or cannot be reached.
        """
        most = max(1, round(self.sampling_rate * POLL_S))
        heard, said = time.monotonic(), False
        while True:
            try:
                samples, times = self._inlet.pull_chunk(timeout=POLL_S, max_samples=most)
            except RuntimeError as err:  # mne-lsl does not export its LostError
                raise self._lost() from err
            if times.size:
                heard, said = time.monotonic(), False
            elif time.monotonic() - heard > SILENT_S:  # LSL does not always notice
                if self._uid not in {info.uid for info in self._lsl.resolve_streams(timeout=FIND_S, name=self.name)}:
                    raise self._lost()
                if not said:
                    logger.warning("stream %s: no sample for %g s; waiting", self.name, SILENT_S)
                heard, said = time.monotonic(), True
            yield samples.T[self._rows] * self._factors, times.copy()

    def _lost(self) -> StreamError:
        return StreamError(f"stream {self.name} is lost: its source has ended or cannot be reached")

    def close(self) -> None:
        """Close the connection."""
        self._inlet.close_stream()


class Outlet:
    """An LSL stream of volumes or courses: one sample per TR, NaN for a volume with a gap in its context.

    Parameters
    ----------
    lsl : from `use_lsl`.
    name : of the stream.
    channels : (n,) names of its values.
    tr : s.
    mask : (x, y, z) bool, the voxels that are sent; ``None`` for courses.
    """

    def __init__(self, lsl: Any, name: str, channels: Sequence[str], tr: float, mask: np.ndarray | None) -> None:
        self._mask = mask
        self._none = np.full(len(channels), np.nan, np.float32)
        info = lsl.StreamInfo(name, "fMRI", len(channels), 1 / tr, "float32", f"eeg2fmri {name}")
        info.set_channel_names(list(channels))
        info.desc.append_child_value("repetition_time", f"{tr:.9g}")
        self._outlet = lsl.StreamOutlet(info)

    def add(self, volume: LiveVolume) -> None:
        """Send a volume, or courses (n,), with its time."""
        values = self._none if volume.values is None else volume.values
        if values.ndim == 3:
            values = values[self._mask]
        self._outlet.push_sample(values.astype(np.float32), volume.time)

    def close(self) -> None:
        """End the stream."""
        self._outlet = None


def _found(lsl: Any, name: str | None) -> Any:
    """Return the only stream of a name, or the only one of type EEG."""
    if name:
        infos = lsl.resolve_streams(timeout=FIND_S, name=name)
    else:
        infos = [info for info in lsl.resolve_streams(timeout=FIND_S) if info.stype.casefold() == "eeg"]
    if len(infos) == 1:
        return infos[0]
    kind = f"called {name}" if name else "of type EEG"
    if infos:
        names = ", ".join(sorted(info.name for info in infos))
        raise StreamError(f"{len(infos)} streams {kind} ({names}); give --stream NAME, or end the others")
    others = sorted({info.name for info in lsl.resolve_streams(timeout=FIND_S)})
    raise StreamError(
        f"no stream {kind} on this machine within {FIND_S:g} s (found {', '.join(others) or 'none'}); start it, name "
        f"it (--stream), or look further (--network)"
    )


def _factor(stream: str, channel: str, unit: str | None) -> float:
    """Return µV per number of a channel; mne-lsl writes a unit as the power of ten of its volts."""
    if unit and re.fullmatch(r"-?\d{1,2}", unit):
        return 10.0 ** (6 + int(unit))
    if unit and (factor := microvolts(unit)):
        return factor
    raise RequestError(f"stream {stream}: the unit of {channel} is {unit or 'not stated'}; give --unit uV, mV or V")
