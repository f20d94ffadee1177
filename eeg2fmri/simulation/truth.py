"""Truth of a simulated dataset: networks, noise-free BOLD, and the best reachable score.

The noise-free, EEG-driven part of a BOLD series is stored as maps, courses and mean image; `read_truth` combines them
again. Symbols: T volumes, grid (x, y, z).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.fft import dct

from eeg2fmri.errors import DatasetError
from eeg2fmri.signals import drift_waves
from eeg2fmri.simulation.groups import EegSubject
from eeg2fmri.simulation.networks import NETWORKS
from eeg2fmri.simulation.subject import Subject

FORMAT = 2  # of truth.json
FOLDER = Path("derivatives") / "simulation"
NAMES = tuple(network.name for network in NETWORKS)


def power_of_waves(measured: np.ndarray, driven: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return share of each frequency in the sums of squares that the best score is made of.

    Parameters
    ----------
    measured, driven : (T, x, y, z) in one unit.
    mask : (x, y, z) bool.

    Returns
    -------
    (2, T): sums over `mask` of the squares of what `driven` leaves unexplained, and of `measured`; a column for each
    cosine of the discrete cosine transform, the constant first.
    """
    power = np.zeros((2, len(measured)))
    for i in range(mask.shape[0]):  # slab by slab: a full-size run need not fit in memory as float64
        inside = (series[:, i][:, mask[i]].astype("float64") for series in (measured, driven))
        slab, guess = (dct(series, axis=0, norm="ortho") for series in inside)
        power += np.square([slab - guess, slab]).sum(2)
    return power


def best_r2_temporal(power: np.ndarray, tr: float, cutoff: float) -> float:
    """Score that a perfect reading of the EEG would reach: 1 - SSE / SST of series without drifts.

    Parameters
    ----------
    power : (2, T) from `power_of_waves`.
    tr : seconds between volumes.
    cutoff : seconds; slower changes do not count, as in `signals.without_drift`.
    """
    drifts = drift_waves(power.shape[1], tr, cutoff).shape[1]
    unexplained, variance = power[:, drifts:].sum(1)
    return float(1 - unexplained / variance)


def driven_bold(baseline: np.ndarray, maps: np.ndarray, driven: np.ndarray) -> np.ndarray:
    """Compute EEG-driven BOLD in intensity units, (T, x, y, z) float32.

    Parameters
    ----------
    baseline : (x, y, z) mean image.
    maps : (K, x, y, z), each with a maximum of 1.
    driven : (K, T) in % of the local mean at the maximum of the map.
    """
    return np.tensordot(driven.T.astype("float32"), local_maps(baseline, maps), axes=1)


def local_maps(baseline: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Compute intensity units for 1 % at the maximum of each map, (K, x, y, z) float32; see `driven_bold`."""
    return (maps * (baseline / 100)).astype("float32")


def read_truth(dataset: Path | str, subject: str) -> np.ndarray:
    """Read the noise-free BOLD change that the EEG of a subject drives.

    Parameters
    ----------
    dataset : root of a simulated dataset.
    subject : label such as ``"01"`` or ``"sub-01"``.

    Returns
    -------
    (T, x, y, z) float32, in the intensity unit of the subject's BOLD file, mean 0 over time.
    """
    found = read_networks(dataset, subject)
    return np.tensordot(found.driven.astype("float32"), found.maps, axes=1)


@dataclass(frozen=True)
class Truth:
    """Networks that the EEG of a subject drives, of T volumes and K networks.

    maps: (K, x, y, z) float32 in intensity units for 1 % at the maximum of the map.  driven: (T, K) in %.
    amplitudes: (T, K) of the rhythms, mean 1.
    """

    maps: np.ndarray
    driven: np.ndarray
    amplitudes: np.ndarray


def read_networks(dataset: Path | str, subject: str) -> Truth:
    """Read maps, courses and amplitudes of a subject's networks; parameters as `read_truth`."""
    maps = np.moveaxis(_image(dataset, subject, "desc-networks_probseg.nii.gz"), -1, 0)
    baseline = _image(dataset, subject, "desc-noisefree_boldref.nii.gz")
    path = _path(dataset, subject, "desc-driven_timeseries.tsv")
    driven = np.loadtxt(path, delimiter="\t", skiprows=1, ndmin=2)
    return Truth(local_maps(baseline, maps), driven, read_amplitudes(dataset, subject))


def simulated_root(eeg: Path) -> Path | None:
    """Return the simulated dataset that an EEG file of a subject's folder lies in; ``None`` if it is in none."""
    root = eeg.parents[2] if len(eeg.parents) > 2 else eeg.parent
    return root if (root / FOLDER / "truth.json").is_file() else None


def read_amplitudes(dataset: Path | str, subject: str) -> np.ndarray:
    """Read EEG amplitudes of the networks at the volumes, (T, K), of mean 1."""
    path = _path(dataset, subject, "desc-amplitude_timeseries.tsv")
    if not path.is_file():
        raise DatasetError(f"{path} is missing: only a dataset made by `simulate` knows its truth")
    return np.loadtxt(path, delimiter="\t", skiprows=1, ndmin=2)


def read_mask(dataset: Path | str, subject: str) -> np.ndarray:
    """Read the brain mask (x, y, z) bool in which the best score of a subject was computed."""
    return _image(dataset, subject, "desc-brain_mask.nii.gz") > 0


def read_true_eeg(dataset: Path | str, subject: str) -> tuple[np.ndarray, float]:
    """Read the EEG of a raw simulation without its gradient and pulse artefacts.

    Returns
    -------
    (channels, n) in µV, the ECG last, and the sampling rate in Hz; its sample k has the time of
    sample ``k * RAW_FACTOR`` of the raw recording.
    """
    import mne

    path = clean_eeg_base(dataset, subject).with_name(f"{clean_eeg_base(dataset, subject).name}_eeg.vhdr")
    if not path.is_file():
        raise DatasetError(f"{path} is missing: only a dataset made with simulation.raw has clean EEG beside it")
    raw = mne.io.read_raw_brainvision(path, verbose="error")
    return raw.get_data() * 1e6, float(raw.info["sfreq"])


def read_best_r2(dataset: Path | str, cutoff: float) -> dict[str, float]:
    """Return best reachable `r2_temporal` by subject label, such as ``{"sub-01": 0.02}``.

    Parameters
    ----------
    dataset : root of a simulated dataset.
    cutoff : seconds; drifts slower than this do not count (`evaluation.drift_cutoff`).
    """
    path = Path(dataset) / FOLDER / "truth.json"
    if not path.is_file():
        raise DatasetError(f"{path} is missing: only a dataset made by `simulate` knows its truth")
    content = json.loads(path.read_text())
    if content.get("format") != FORMAT:
        raise DatasetError(f"{path}: format {content.get('format')}, this version reads {FORMAT}; simulate it again")
    tr = content["config"]["tr"]
    return {s: best_r2_temporal(np.array(power), tr, cutoff) for s, power in content["power_of_waves"].items()}


def write_truth(root: Path, label: str, subject: Subject) -> dict[str, Any]:
    """Write a subject's truth below `root` / derivatives; the JSON of its summary comes last."""
    from eeg2fmri.simulation import files

    base = _path(root, label, "")
    base.parent.mkdir(parents=True, exist_ok=True)
    prefix, anatomy, networks = str(base), subject.anatomy, subject.networks
    files.write_nifti(f"{prefix}desc-brain_mask.nii.gz", anatomy.mask.astype("uint8"), anatomy.affine)
    files.write_nifti(f"{prefix}desc-noisefree_boldref.nii.gz", anatomy.baseline, anatomy.affine)
    files.write_nifti(f"{prefix}desc-networks_probseg.nii.gz", np.moveaxis(subject.maps, 0, -1), anatomy.affine)
    files.write_json(f"{prefix}desc-networks_probseg.json", {"LabelMap": list(NAMES)})
    tables = {"amplitude": networks.at_volumes, "network": networks.courses, "driven": networks.driven}
    for name, table in tables.items():
        files.write_tsv(f"{prefix}desc-{name}_timeseries.tsv", NAMES, table.T.tolist())
    if subject.confound is not None:
        files.write_tsv(
            f"{prefix}desc-confound_timeseries.tsv", ("confound",), subject.confound.course[:, None].tolist()
        )
        files.write_nifti(f"{prefix}desc-confound_boldmap.nii.gz", subject.confound.map, anatomy.affine)
    driven = driven_bold(anatomy.baseline, subject.maps, networks.driven)
    summary = {
        "power_of_waves": power_of_waves(np.moveaxis(subject.volumes, -1, 0), driven, anatomy.mask).tolist(),
        "temporal_snr": subject.noise.tsnr,
        "peak_percent": dict(zip(NAMES, networks.percent.tolist(), strict=True)),
        "eeg_seconds_before_first_volume": subject.clock.start / subject.clock.rate,
    }
    if subject.artefacts is not None:
        summary["r_peaks_s"] = subject.beats.tolist()
    files.write_json(summary_path(root, label), summary)
    return summary


def write_labelled_truth(root: Path, label: str, subject: EegSubject) -> dict[str, Any]:
    """Do as `write_truth` for a subject without BOLD: amplitudes, and the group in the summary."""
    from eeg2fmri.simulation import files

    path = _path(root, label, "desc-amplitude_timeseries.tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_tsv(path, NAMES, subject.amplitudes.T.tolist())
    summary = {"group": subject.group}
    files.write_json(summary_path(root, label), summary)
    return summary


def clean_eeg_base(dataset: Path | str, subject: str) -> Path:
    """Return the path of the EEG beneath the artefacts of a raw recording, up to ``_eeg.vhdr``."""
    label = subject if subject.startswith("sub-") else f"sub-{subject}"
    return Path(dataset) / FOLDER / label / "eeg" / f"{label}_task-rest_desc-clean"


def summary_path(root: Path, label: str) -> Path:
    """Return the path of the summary of a subject's truth; it exists once the subject is complete."""
    return root / FOLDER / label / f"{label}_truth.json"


def _path(dataset: Path | str, subject: str, ending: str) -> Path:
    label = subject if subject.startswith("sub-") else f"sub-{subject}"
    return Path(dataset) / FOLDER / label / "func" / f"{label}_task-rest_{ending}"


def _image(dataset: Path | str, subject: str, ending: str) -> np.ndarray:
    import nibabel as nib

    path = _path(dataset, subject, ending)
    if not path.is_file():
        raise DatasetError(f"{path} is missing: only a dataset made by `simulate` knows its truth")
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)
