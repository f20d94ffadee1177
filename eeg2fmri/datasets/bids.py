"""Simultaneous EEG–fMRI recordings of a BIDS dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eeg2fmri.datasets.recording import Recording
from eeg2fmri.errors import DatasetError

EEG_SUFFIXES = (".vhdr", ".edf", ".bdf", ".set", ".fif")
PAIRING = ("sub", "ses", "task", "run")


@dataclass(frozen=True)
class Skipped:
    """A file that belongs to no pair, and why."""

    path: Path
    reason: str


def entities(path: Path) -> dict[str, str]:
    """BIDS entities of a file name: ``sub-01_task-rest_eeg.vhdr`` gives sub and task."""
    parts = path.name.split(".")[0].split("_")
    return dict(part.split("-", 1) for part in parts if "-" in part)


def find_recordings(root: Path) -> tuple[list[Recording], list[Skipped]]:
    """Pair EEG and BOLD files by subject, session, task and run.

    Parameters
    ----------
    root : folder of the dataset.

    Returns
    -------
    recordings, sorted by name, and the files that have no partner.

    Raises
    ------
    DatasetError
        If `root` is missing or holds no pair.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such dataset folder; give the folder that holds dataset_description.json")
    eeg, skipped = _by_key(root, [f"eeg/*_eeg{suffix}" for suffix in EEG_SUFFIXES])
    bold, others = _by_key(root, ["func/*_bold.nii.gz", "func/*_bold.nii"])
    recordings = [_recording(root, eeg[key], bold[key]) for key in sorted(eeg.keys() & bold.keys())]
    skipped += others
    skipped += [Skipped(eeg[key], "EEG without BOLD") for key in sorted(eeg.keys() - bold.keys())]
    skipped += [Skipped(bold[key], "BOLD without EEG") for key in sorted(bold.keys() - eeg.keys())]
    if not recordings:
        raise DatasetError(
            f"{root}: no recording with both EEG and BOLD (found {len(eeg)} EEG and {len(bold)} BOLD files); "
            f"a BIDS dataset with sub-*/eeg/*_eeg.vhdr and sub-*/func/*_bold.nii.gz is expected"
        )
    return recordings, skipped


def _by_key(root: Path, patterns: list[str]) -> tuple[dict[tuple[str, ...], Path], list[Skipped]]:
    """Files by their pairing entities; of several with the same ones the first is taken."""
    found: dict[tuple[str, ...], Path] = {}
    skipped: list[Skipped] = []
    for pattern in patterns:
        for path in sorted([*root.glob(f"sub-*/{pattern}"), *root.glob(f"sub-*/ses-*/{pattern}")]):
            if path.name.startswith("._"):
                continue
            names = entities(path)
            key = tuple(names.get(entity, "") for entity in PAIRING)
            if key in found:
                skipped.append(Skipped(path, f"same subject, session, task and run as {found[key].name}"))
            found.setdefault(key, path)
    return found, skipped


def _recording(root: Path, eeg: Path, bold: Path) -> Recording:
    names = entities(eeg)
    channels = eeg.with_name(eeg.name.rsplit("_", 1)[0] + "_channels.tsv")
    return Recording(
        subject=f"sub-{names['sub']}",
        name="_".join(f"{entity}-{names[entity]}" for entity in PAIRING if entity in names),
        eeg_path=eeg,
        bold_path=bold,
        channels_path=channels if channels.exists() else None,
        sidecars=_sidecars(root, bold),
        space=entities(bold).get("space", "native"),
    )


def _sidecars(root: Path, bold: Path) -> tuple[Path, ...]:
    """JSON files that describe `bold`, from the least to the most specific (BIDS inheritance)."""
    own = entities(bold)
    folders = [folder for folder in reversed(bold.parents) if folder == root or root in folder.parents]
    found = [path for folder in folders for path in sorted(folder.glob("*bold.json"))]
    return tuple(p for p in found if not p.name.startswith("._") and entities(p).items() <= own.items())
