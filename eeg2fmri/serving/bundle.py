"""A model as plain files: everything needed to go from raw EEG to a volume, without pickle.

bundle.json      format, model configuration, signal and store settings, provenance
statistics.npz   scalings, mean volume, and the standard deviation behind an interval, if there is one
network.keras or network.npz
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eeg2fmri.config import Config, ModelConfig, parse
from eeg2fmri.datasets import likely_mistake
from eeg2fmri.errors import DatasetError, Eeg2FmriError, ModelError, RequestError, one_line
from eeg2fmri.families import FitResult, family_of
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.serving.interval import ABSENT, REFITTED, calibrate
from eeg2fmri.signals import BoldStatistics, EegStatistics, Signal, contexts, interpolate_bads, window_magnitudes

if TYPE_CHECKING:  # a served model does not read a store
    from eeg2fmri.store import Split, Store

FORMAT = 5
# People differ by less than a factor of 10; a factor of 1000 between units is outside on either side.
LARGEST_RATIO = 30.0


@dataclass(frozen=True)
class Bundle:
    """A fitted model with the settings of its EEG and of its volumes.

    signal, settings: those of the store.  provenance: split, data digest, recordings of the fit, and scores per epoch.
    digest: sha256 of the files that it was read from; empty for one that was made here.  residual_sd: (x, y, z) of the
    interval around synthesised volumes, in their unit, see `eeg2fmri.serving.interval`; ``None`` without one.
    """

    model: FittedModel
    signal: Signal
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    digest: str = ""
    residual_sd: np.ndarray | None = None

    @classmethod
    def of(cls, result: FitResult, store: Store, split: Split, drift_cutoff: float) -> Bundle:
        """Bundle a model that was fitted on the training subjects of a store, and perhaps refitted with validation.

        Its interval is that of the validation subjects, without drifts slower than `drift_cutoff` (s).
        """
        from eeg2fmri.store import Windows

        fitted, held_out = split.train, split.validation
        residual_sd, interval = None, {ABSENT: REFITTED}
        if not result.refitted:
            train, validation = (Windows(store.of(subjects), store.context) for subjects in (fitted, held_out))
            residual_sd, interval = calibrate(result.model, train, validation, drift_cutoff)
        if result.refitted:
            fitted, held_out = (*split.train, *split.validation), ()
        digests = {
            part: [recording.source_digest for recording in store.of(subjects)]
            for part, subjects in (("train", fitted), ("validation", held_out))
        }
        provenance = {
            "data_digest": store.digest,
            "subjects": {"train": split.train, "validation": split.validation},
            "recordings": digests,
            "history": {name: list(map(float, values)) for name, values in result.history.items()},
            "interval": interval,
        }
        return cls(result.model, store.signal, store.settings, provenance, residual_sd=residual_sd)

    @property
    def window_shape(self) -> tuple[int, int, int]:
        """Return (channels, frequencies, context) of one EEG window."""
        return len(self.signal.channels), len(self.signal.frequencies), int(self.settings["context"])

    def windows(
        self,
        eeg: np.ndarray,
        sampling_rate: float,
        channels: Sequence[str] | None = None,
        onset: float = 0.0,
        period: float | None = None,
        with_eeg: np.ndarray | None = None,
        first: int = 0,
    ) -> np.ndarray:
        """Compute the EEG windows of a recording, equal to the bit to those of a store with the same settings.

        Parameters
        ----------
        eeg : (channels, samples) in µV, cleaned. A current source density is made of all of its channels.
        sampling_rate : Hz; any rate that covers the model's frequencies.
        channels : names of the rows of `eeg`; ``None`` means the model's channels in its order.
        onset : sample at which the first TR starts.
        period : samples from TR to TR, if the EEG's clock is not the scanner's.
        with_eeg : (windows,) bool, windows of one TR that hold EEG, from the first one on; all by default.
        first : periods after `onset` at which the first window starts.

        Returns
        -------
        (n, C, F, T): one window per volume that can be synthesised, the first of them the volume
        that starts ``first + context`` TRs after `onset`.

        Raises
        ------
        RequestError
            If channels are missing or named twice, the EEG is shorter than the context, its sampling
            rate too low, or its unit not µV (`check_scale`).
        """
        context = self.window_shape[2]
        names = self._names(eeg, channels)
        self.check_rate(sampling_rate)
        period = period or sampling_rate * self.signal.tr
        n_windows = max(int(np.floor(round((eeg.shape[1] - onset) / period, 6))) - first, 0)
        windows = np.ones(n_windows, bool) if with_eeg is None else with_eeg[:n_windows]
        self.check_length(len(windows), eeg.shape[1] / sampling_rate)
        magnitudes = self.magnitudes(eeg, sampling_rate, names, windows, onset=onset, period=period, first=first)
        self.check_scale("eeg", magnitudes)
        return contexts(magnitudes, context)

    def magnitudes(
        self,
        eeg: np.ndarray,
        sampling_rate: float,
        channels: Sequence[str] | None,
        windows: np.ndarray,
        *,
        onset: float = 0.0,
        period: float | None = None,
        first: int = 0,
        skipped: int = 0,
    ) -> np.ndarray:
        """Compute spectral magnitudes of the model's channels in windows of one TR; the unit is not checked.

        Parameters
        ----------
        eeg, sampling_rate, channels, onset, period, first : as `windows` takes them.
        windows : (n,) bool, those with EEG; the others stay 0.
        skipped : samples of the recording before `eeg`, which may be a part of it.

        Returns
        -------
        (n, C, F) float32.

        Raises
        ------
        RequestError
            If channels are missing or named twice, or the sampling rate is too low.
        """
        names = self._names(eeg, channels)
        self.check_rate(sampling_rate)
        signal = replace(self.signal, sampling_rate=sampling_rate, channels=names)
        magnitudes = window_magnitudes(eeg, signal, windows, onset=onset, period=period, first=first, skipped=skipped)
        return magnitudes[:, self.rows(names)]

    def rows(self, names: Sequence[str]) -> list[int]:
        """Return the place of each of the model's channels among names, which hold them all."""
        places = {_matched(name): place for place, name in enumerate(names)}
        return [places[_matched(name)] for name in self.signal.channels]

    def check_rate(self, sampling_rate: float) -> None:
        """Refuse a sampling rate (Hz) without the model's frequencies."""
        needed = 2 * self.window_shape[1]
        if round(sampling_rate * self.signal.tr, 6) < needed:
            raise RequestError(
                f"sampling_rate: {sampling_rate:g} Hz is too low for the model's frequencies up to "
                f"{self.signal.frequencies[-1]:g} Hz; send at least {needed / self.signal.tr:g} Hz"
            )

    def check_length(self, windows: int, seconds: float) -> None:
        """Refuse EEG (of so many seconds) whose windows of one TR are fewer than a context."""
        tr, context = self.signal.tr, self.window_shape[2]
        if windows < context:
            raise RequestError(
                f"eeg: {seconds:.2f} s of EEG, at least {context * tr:.2f} s are needed ({context} windows of {tr:g} s)"
            )

    def n_volumes(self, samples: int, sampling_rate: float) -> int:
        """Return the number of volumes that so many samples at a rate of `check_rate` allow."""
        windows = int(np.floor(round(samples / (sampling_rate * self.signal.tr), 6)))
        return max(windows - self.window_shape[2] + 1, 0)

    def with_missing(
        self, eeg: np.ndarray, channels: Sequence[str], share: float
    ) -> tuple[np.ndarray, list[str], tuple[str, ...]]:
        """Add channels of the model that the EEG lacks, by spherical splines.

        Parameters
        ----------
        eeg : (channels, samples) in µV.
        channels : names of its rows.
        share : of the model's channels, the most that may be missing.

        Returns
        -------
        EEG with a row more for each, the names of its rows, and the names of the interpolated ones.

        Raises
        ------
        RequestError
            If more are missing, one has no 10-05 position (an ECG), or fewer than 4 others have one.
        """
        _check_once(channels)
        given = set(map(_matched, channels))
        missing = tuple(name for name in self.signal.channels if _matched(name) not in given)
        if not missing or len(channels) != len(eeg):  # `windows` refuses the latter
            return eeg, list(channels), ()
        listed, wanted = ", ".join(missing[:4]), len(self.signal.channels)
        if len(missing) > share * wanted:
            raise RequestError(
                f"channels: {listed} missing ({len(missing)} of {wanted}), max_interpolated {share:g} allows "
                f"{int(share * wanted)}; send more channels"
            )
        names = [*channels, *missing]
        more = np.vstack([eeg, np.zeros((len(missing), eeg.shape[1]), eeg.dtype)])
        try:
            return interpolate_bads(more, names, missing), names, missing
        except DatasetError as err:
            raise RequestError(
                f"channels: {listed} missing, and not to be interpolated: each needs a 10-05 position, and 4 channels "
                f"with one must be there; send every channel of the model"
            ) from err

    def check_scale(self, field: str, magnitudes: np.ndarray) -> None:
        """Refuse EEG that is `LARGEST_RATIO` times larger or smaller than the training data.

        The check compares medians over channels (and windows) of the mean magnitude; constant channels do not count.

        Parameters
        ----------
        field : of the request, for the message.
        magnitudes : (n, C, F) or (n, C, F, T), in the unit of the training data.

        Raises
        ------
        RequestError
            If the unit is not µV, or no channel changes.
        """
        each = magnitudes.mean(axis=tuple(range(2, magnitudes.ndim)), dtype=np.float64)
        if not each.any():
            raise RequestError(f"{field}: every channel is constant, expected EEG; look at the amplifier")
        usual = float(np.median(self.model.eeg_statistics.mean.mean(axis=1)))
        found = float(np.median(each[each > 0]))
        if usual > 0 and not 1 / LARGEST_RATIO <= found / usual <= LARGEST_RATIO:
            raise RequestError(
                f"{field}: {found / usual:.1g} times the amplitude of the training data; it looks like "
                f"{likely_mistake(usual / found)}; send clean EEG in µV"
            )

    def _names(self, eeg: np.ndarray, channels: Sequence[str] | None) -> tuple[str, ...]:
        """Return names of the rows of `eeg`, among them every channel of the model."""
        wanted = self.signal.channels
        if channels is None:
            if len(eeg) != len(wanted):
                raise RequestError(
                    f"eeg: {len(eeg)} channels, the model needs {len(wanted)} ({', '.join(wanted[:3])}, …); "
                    f"send them in its order or name them in `channels`"
                )
            return wanted
        if len(channels) != len(eeg):
            raise RequestError(f"channels: {len(channels)} names for {len(eeg)} rows of eeg; give one name per row")
        given = set(map(_matched, channels))
        if missing := [name for name in wanted if _matched(name) not in given]:
            raise RequestError(
                f"channels: {', '.join(missing[:4])} missing ({len(missing)} of {len(wanted)}); "
                f"send every channel of the model, or allow max_interpolated"
            )
        _check_once(channels)
        return tuple(channels)


def _check_once(channels: Sequence[str]) -> None:
    """Refuse a name that two rows have."""
    counts = Counter(map(_matched, channels))
    if double := [name for name in channels if counts[_matched(name)] > 1]:
        raise RequestError(f"channels: {double[0]!r:.40} named twice; give every row of eeg a name of its own")


def _matched(name: str) -> str:
    """Return a channel's name as it is compared: case does not count, as in the 10-05 system."""
    return name.strip().casefold()


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Write a bundle into an existing empty folder."""
    model = bundle.model
    content = {
        "format": FORMAT,
        "model": model.config.model_dump(mode="json"),
        "signal": bundle.signal.to_json(),
        "settings": dict(bundle.settings),
        "provenance": dict(bundle.provenance),
        "bold": {"mean": model.bold_statistics.mean, "sd": model.bold_statistics.sd},
    }
    (folder / "bundle.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    interval: dict[str, Any] = {} if bundle.residual_sd is None else {"residual_sd": bundle.residual_sd}
    np.savez(
        folder / "statistics.npz",
        eeg_mean=model.eeg_statistics.mean,
        eeg_sd=model.eeg_statistics.sd,
        voxel_mean=model.bold_statistics.voxel_mean,
        voxel_sd=model.bold_statistics.voxel_sd,
        mask=model.bold_statistics.mask,
        mean_volume=model.mean_volume,
        **interval,
    )
    family_of(model.config).save(folder, model.network)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle.

    Raises
    ------
    ModelError
        If there is none in `folder`, it is damaged, or it has another format.
    """
    path = folder / "bundle.json"
    if not path.exists():
        raise ModelError(f"{folder}: there is no eeg2fmri model (bundle.json is missing); give another folder")
    try:
        return _read(folder, json.loads(path.read_text(encoding="utf-8")))
    except (Eeg2FmriError, ImportError, MemoryError):
        raise
    except Exception as err:  # NumPy, zipfile, zlib, h5py and Keras each raise their own for a damaged file
        raise ModelError(f"{folder}: the model cannot be read ({one_line(err)}); fetch it again") from err


def _read(folder: Path, content: Any) -> Bundle:
    """Read a bundle whose ``bundle.json`` holds `content`."""
    path = folder / "bundle.json"
    if (found := content.get("format")) != FORMAT:
        raise ModelError(f"{path}: model format {found}, this version reads {FORMAT}; train it again")
    config = parse(Config, {"models": [content["model"]]}, str(path)).models[0]
    model, residual_sd = _read_model(folder, config, content["bold"])
    signal, digest = Signal.from_json(content["signal"]), _digest(folder)
    return Bundle(model, signal, content["settings"], content["provenance"], digest, residual_sd)


def _read_model(folder: Path, config: ModelConfig, bold: Mapping[str, float]) -> tuple[FittedModel, np.ndarray | None]:
    """Read the model, and the standard deviation behind its interval if there is one."""
    with np.load(folder / "statistics.npz", allow_pickle=False) as arrays:
        model = FittedModel(
            config=config,
            network=family_of(config).load(folder),
            eeg_statistics=EegStatistics(arrays["eeg_mean"], arrays["eeg_sd"]),
            bold_statistics=BoldStatistics(
                bold["mean"], bold["sd"], arrays["voxel_mean"], arrays["voxel_sd"], arrays["mask"]
            ),
            mean_volume=arrays["mean_volume"],
        )
        return model, arrays.get("residual_sd")


def _digest(folder: Path) -> str:
    """Compute the digest (sha256) of the names and contents of the files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
