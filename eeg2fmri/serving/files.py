"""Synthesised series in memory: a 4-D image and its sidecar."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eeg2fmri.datasets import AUTO
from eeg2fmri.errors import ConfigError, ModelError
from eeg2fmri.files import written_whole
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.interval import ABSENT
from eeg2fmri.serving.recording import EegFile, OpenRecording, open_recording
from eeg2fmri.signals import nifti_image

if TYPE_CHECKING:
    from nibabel import Nifti1Image


DESCRIPTION = "synthesised from EEG by eeg2fmri"  # in the header
OLD = "it is older than intervals; train it again"
INTERVAL = "BOLD around its synthesis: SD"  # in that of an interval's map
SHRINKAGE = (
    "Each volume is the mean that the model expects for this EEG. What the EEG does not determine is averaged away. So "
    "the volumes change less over time than measured BOLD. Compare time courses by correlation, and read no amplitude "
    "or noise of BOLD from them."
)


@dataclass(frozen=True)
class Synthesis:
    """A synthesised series of volumes.

    image: (x, y, z, volumes) on the grid of the model's store, RAS+.  sidecar: its BIDS JSON.
    """

    image: Nifti1Image
    sidecar: dict[str, Any]

    def write(self, out: Path) -> None:
        """Write the image, and then the sidecar beside it, each whole or not at all."""
        import nibabel

        with written_anew(out) as part:
            nibabel.save(self.image, part)
        write_sidecar(out, self.sidecar)


def check_image(out: Path) -> None:
    """Refuse a name that is not a NIfTI file's, and one of a file that this package has not made.

    An image is its own if the header says so; its sidecar is written later.

    Raises
    ------
    ConfigError
        If it is of another kind, or if another image or sidecar is there.
    """
    import nibabel

    if not out.name.endswith((".nii", ".nii.gz")):
        raise ConfigError(f"{out}: the output must end in .nii or .nii.gz")
    if out.exists():
        try:
            made = bytes(nibabel.Nifti1Image.from_filename(out).header["descrip"]).rstrip(b"\0").decode()
        except Exception:  # nibabel, gzip and zlib each raise their own for a damaged file
            made = ""
        check_own(out, made in (DESCRIPTION, INTERVAL))
    if sidecar_path(out).exists():
        check_own(sidecar_path(out), has_own_sidecar(out))


def check_own(path: Path, ours: bool) -> None:
    """Refuse a file that is not ours."""
    if not ours:
        raise ConfigError(f"{path}: it is there, and this package has not made it; give another name")


def has_own_sidecar(out: Path) -> bool:
    """Return whether the sidecar of an image or a table is one of this package."""
    try:
        found = json.loads(sidecar_path(out).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and bool(found.keys() & {"Shrinkage", "Interval"})


def stem(path: Path) -> str:
    """Return the name of an image or a table without its ending."""
    return path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".tsv")


def sidecar_path(out: Path) -> Path:
    """Return the place of the JSON sidecar of an image or a table."""
    return out.with_name(f"{stem(out)}.json")


@contextmanager
def written_anew(out: Path) -> Iterator[Path]:
    """Give another path to write an image or a table to, as `written_whole`; remove the sidecar just before the rename.

    The new sidecar is written after the rename. A process that is killed between the two leaves a file without a
    sidecar, and no file beside the sidecar of another.
    """
    with written_whole(out) as part:
        yield part
        sidecar_path(out).unlink(missing_ok=True)


def write_sidecar(out: Path, sidecar: Mapping[str, Any]) -> None:
    """Write the sidecar of an image or a table, whole or not at all."""
    with written_whole(sidecar_path(out)) as part:
        part.write_text(json.dumps(sidecar, indent=2, ensure_ascii=False), encoding="utf-8")


def synthesise_recording(bundle: Bundle, eeg_path: Path, volume_marker: str = AUTO) -> Synthesis:
    """Synthesise in memory what `synthesise_file` writes; parameters and errors as there."""
    opened = open_recording(bundle, EegFile.beside(eeg_path, volume_marker))
    opened.say_remarks()
    return Synthesis(volumes_image(bundle, np.concatenate([*opened.volumes()])), recording_sidecar(opened))


def recording_sidecar(opened: OpenRecording) -> dict[str, Any]:
    """Return the sidecar of the series of a recording."""
    sidecar = {**series_sidecar(opened.bundle, opened.zero), "Sources": [opened.path.name]}
    if not opened.whole.all():
        sidecar["VolumesWithoutEEG"] = np.flatnonzero(~opened.whole).tolist()
    return sidecar


def synthesise_samples(
    bundle: Bundle, eeg: np.ndarray, sampling_rate: float, channels: Sequence[str] | None = None
) -> Synthesis:
    """Synthesise every volume that clean EEG allows; time zero is its first sample.

    Parameters
    ----------
    bundle : the model.
    eeg, sampling_rate, channels : as `Bundle.windows`.

    Raises
    ------
    RequestError
        As `Bundle.windows`.
    """
    volumes = bundle.model.synthesise(bundle.windows(np.asarray(eeg), sampling_rate, channels))
    return Synthesis(volumes_image(bundle, volumes), series_sidecar(bundle, "the first sample of the EEG"))


def series_sidecar(bundle: Bundle, zero: str) -> dict[str, Any]:
    """Return what the sidecar of every synthesised series holds; `zero` is the place of time zero, in words."""
    tr = bundle.signal.tr
    return {
        "RepetitionTime": tr,
        "StartTime": bundle.window_shape[2] * tr,
        "Description": f"BOLD synthesised from EEG; times count from {zero}",
        "SkullStripped": True,
        "Shrinkage": SHRINKAGE,
    }


def courses_sidecar(volumes: Mapping[str, Any], atlas: Mapping[str, str]) -> dict[str, Any]:
    """Return the sidecar of a table of regional courses, from that of the volumes; `atlas` is `Courses.about`."""
    of_table = {key: value for key, value in volumes.items() if key != "SkullStripped"}
    about = f"Mean courses of regions, a row per volume, of {volumes['Description']}"
    return {**of_table, "Description": about, "Atlas": dict(atlas)}


def volumes_image(bundle: Bundle, volumes: np.ndarray) -> Nifti1Image:
    """Make a 4-D image of volumes (n, x, y, z), 0 outside the model's brain mask."""
    masked = np.moveaxis(volumes * bundle.model.bold_statistics.mask, 0, 3)
    return nifti_image(masked, bundle.signal, DESCRIPTION)


def volumes_header(bundle: Bundle, n_volumes: int) -> bytes:
    """Return what a NIfTI file of so many float32 volumes begins with; the volumes follow, x fastest."""
    empty = np.broadcast_to(np.float32(0), (*bundle.signal.grid, n_volumes))
    header = nifti_image(empty, bundle.signal, DESCRIPTION).header
    header.set_slope_inter(1, 0)
    header.set_data_offset(header.single_vox_offset)
    return bytes(header.binaryblock) + bytes(header.single_vox_offset - header.sizeof_hdr)


def check_interval(bundle: Bundle) -> np.ndarray:
    """Return the standard deviation behind a model's interval, (x, y, z) in the unit of its volumes.

    Raises
    ------
    ModelError
        If it has none, with the reason.
    """
    if bundle.residual_sd is None:
        reason = bundle.provenance.get("interval", {}).get(ABSENT, OLD)
        raise ModelError(f"the model has no interval: {reason}, or leave the interval out")
    return bundle.residual_sd


def interval_sidecar(bundle: Bundle) -> dict[str, Any]:
    """Return what the sidecar of the map says of the interval."""
    found = bundle.provenance["interval"]
    shares = list(found["coverage"].values())
    level, cutoff = f"{100 * found['level']:g} %", f"{found['drift_cutoff']:g} s"
    return {
        "Description": "Standard deviation over time of measured minus synthesised BOLD in validation subjects",
        "Units": "arbitrary",
        "Interval": (
            f"Remove the mean volume and drifts slower than {cutoff} from measured and synthesised BOLD. Then {level} "
            f"of the measured values are within the synthesised ones ± Multiplier × this map. {level} is an average "
            f"over people, voxels and volumes. It need not hold in each person: people differ. It does not hold "
            f"for the mean of a region. Values have the unit of the synthesised volumes. The map is what the "
            f"model does not explain of BOLD, usually nearly all."
        ),
        "Level": found["level"],
        "Multiplier": found["multiplier"],
        "HighPassCutoff": found["drift_cutoff"],
        "ValidationSubjects": len(shares),
        "Coverage": {"Mean": float(np.mean(shares)), "Least": min(shares), "Most": max(shares)},
    }
