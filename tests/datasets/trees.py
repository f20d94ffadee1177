"""Writers of dataset trees that look like the public ones (names, nesting, sidecars), with small signals.

Every recording has one planted event: an impulse on all EEG channels at the onset of one BOLD volume,
which is brighter than the others. `planted` reads where it lies in both.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from eeg2fmri.datasets import Recording, load_bold, open_eeg
from eeg2fmri.testing import VOLUMES, bright_volumes, loud_eeg

TR_S = 2.0
GRID = (5, 4, 3)
NAMES = ("Fp1", "Fp2", "Cz", "Oz", "ECG")
# XP1's cap: 63 EEG channels, the ECG as number 32.
XP_NAMES = (*(f"E{i}" for i in range(1, 32)), "ECG", *(f"E{i}" for i in range(33, 65)))
XP1_RUNS = {  # task: (raw EEG, eeg_pp, BOLD) of sub-xp102 in ds002336
    "MIpost": (True, True, True),
    "MIpre": (True, True, True),
    "eegNF": (True, True, False),
    "eegfmriNF": (True, True, True),
    "fmriNF": (True, True, True),
    "motorloc": (True, False, True),
}


def impulse(
    rate: float, onset_s: float, names: tuple[str, ...] = NAMES, *, tr: float = TR_S, tail_s: float = 0.5
) -> np.ndarray:
    """(channels, samples) in µV: BOLD starts at `onset_s` of it, negative where EEG starts later."""
    return loud_eeg(len(names), rate, tr, onset_s, tail=tail_s)


def volume_markers(rate: float, onset_s: float, tr: float = TR_S) -> list[tuple[float, str]]:
    """(seconds, description) of every volume."""
    return [(round((onset_s + volume * tr) * rate) / rate, "R128") for volume in range(VOLUMES)]


def write_vhdr(
    path: Path,
    data: np.ndarray,
    rate: float,
    names: tuple[str, ...],
    events: list[tuple[float, str]],
    ending: str = "eeg",
) -> Path:
    """BrainVision files; events (seconds, ``R128`` or ``S 99``); the data file may end in .dat."""
    import pybv

    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {"R": "Response", "S": "Stimulus"}
    pybv.write_brainvision(
        data=data * 1e-6,
        sfreq=rate,
        ch_names=list(names),
        fname_base=path.stem,
        folder_out=path.parent,
        events=[
            {"onset": round(s * rate), "description": int(text[1:]), "type": kinds[text[0]]}
            for s, text in sorted(events)
        ],
        fmt="binary_float32",
        overwrite=True,
    )
    if ending != "eeg":
        path.with_suffix(".eeg").rename(path.with_suffix(f".{ending}"))
        rename_in_header(path, f"DataFile={path.stem}.eeg", f"DataFile={path.stem}.{ending}")
    return path


def rename_in_header(path: Path, old: str, new: str) -> None:
    """Change a header, which must hold `old`."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def write_bold(path: Path, *, tr: float = TR_S, unit: str = "sec", sidecar: bool = True, grid=GRID) -> Path:
    """A BOLD run of int16 voxels whose volume `MOMENT` is bright."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(bright_volumes(grid), np.diag([2.0, 3.0, 4.0, 1.0]))
    image.header.set_zooms((2, 3, 4, tr))
    image.header.set_xyzt_units("mm", unit)
    nibabel.save(image, path)
    if sidecar:
        write_json(path.with_name(path.name.split(".")[0] + ".json"), {"RepetitionTime": tr})
    return path


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_rows(path: Path, *rows: tuple) -> None:
    """A tab-separated table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def planted(recording: Recording) -> tuple[int, int]:
    """Sample of the impulse in the EEG, and volume of the event in the BOLD."""
    raw = open_eeg(recording)
    sample = int(np.abs(raw.read([0])[0]).argmax())
    return sample, int(load_bold(recording).volumes.mean(axis=(1, 2, 3)).argmax())


# --- public datasets -------------------------------------------------------------------------


def write_cn_epfl(root: Path, subjects: tuple[str, ...] = ("02", "04"), runs: int = 2) -> Path:
    """ds002158: ses-001, runs of three digits, rest without EEG, AppleDouble files, odd derivatives."""
    write_json(root / "dataset_description.json", {"Name": "CN-EPFL", "BIDSVersion": "1.1.1"})
    (root / ".bidsignore").write_text("/sub-*/ses-001/func/rejected/**\n/sub-*/ses-001/eeg/rejected/**\n/tools/** \n")
    write_json(root / "task-main_bold.json", {"RepetitionTime": 1.28, "TaskName": "main"})
    write_json(root / "task-rest_bold.json", {"RepetitionTime": 1.28, "TaskName": "rest"})
    for subject in subjects:
        folder = root / f"sub-{subject}" / "ses-001"
        (folder / "fmap").mkdir(parents=True)
        (folder / "fmap" / f"._sub-{subject}_ses-001_magnitude1.json").write_bytes(b"\0\5\x16\7")
        write_rows(folder / f"sub-{subject}_ses-001_scans.tsv", ("filename", "acq_time"), ("func/x.nii.gz", "n/a"))
        for run in range(1, runs + 1):
            base = f"sub-{subject}_ses-001_task-main_run-{run:03d}"
            markers = volume_markers(500, 1.5, 1.28)
            write_vhdr(folder / "eeg" / f"{base}_eeg.vhdr", impulse(500, 1.5, tr=1.28), 500, NAMES, markers)
            write_bold(folder / "func" / f"{base}_bold.nii.gz", tr=1.28)
            write_rows(folder / "func" / f"{base}_events.tsv", ("onset", "duration", "trial_type"), (4.4366, 0, "act"))
            derived = root / "derivatives" / "fmriprep" / f"sub-{subject}" / "ses-001" / "func"
            write_bold(derived / f"{base}_preproc.nii", tr=1.28, sidecar=False)
        write_bold(folder / "func" / f"sub-{subject}_ses-001_task-rest_run-001_bold.nii.gz", tr=1.28)
        merged = root / "derivatives" / "eegprep" / f"sub-{subject}" / "ses-001" / "eeg"
        merged.mkdir(parents=True)
        (merged / f"sub-{subject}_ses-001_task-main_eeg_preproc.set").touch()
        (merged / f"sub-{subject}_ses-001_task-main_eeg_preproc.fdt").touch()
    return root


def write_xp1(root: Path, subject: str = "xp102", runs: dict[str, tuple[bool, bool, bool]] | None = None) -> Path:
    """ds002336: raw EEG with volume markers, `eeg_pp` from the first rest block on, sidecars at the root."""
    write_json(root / "dataset_description.json", {"Name": "XP1", "BIDSVersion": "1.2.0"})
    (root / ".bidsignore").write_text("*channels.json\n")
    for task, (raw, derived, bold) in (XP1_RUNS if runs is None else runs).items():
        write_json(root / f"task-{task}_bold.json", {"RepetitionTime": 2, "TaskName": task})
        write_json(root / f"task-{task}_eeg.json", {"TaskName": task, "SamplingFrequency": 5000})
        rows = [f"{'ECG’' if name == 'ECG' else repr(name)}   {'ECG' if name == 'ECG' else 'EEG'}   microV\n"
                for name in XP_NAMES]  # fmt: skip
        (root / f"task-{task}_channels.tsv").write_text("name   type   units\n" + "".join(rows), encoding="utf-8")
        write_rows(
            root / f"task-{task}_events.tsv", ("onset", "duration", "trial_type"), (2, 20, "Rest"), (22, 20, "ME")
        )
        base = f"sub-{subject}_task-{task}"
        blocks = [(0.0, "S99"), (20.0, "S2")]
        if raw:
            write_vhdr(root / f"sub-{subject}/eeg/{base}_eeg.vhdr", impulse(250, 3.2, XP_NAMES), 250, XP_NAMES,
                       [*volume_markers(250, 3.2), *((s + 5.2, text) for s, text in blocks)])  # fmt: skip
        if derived:
            write_vhdr(root / f"derivatives/sub-{subject}/eeg_pp/{base}_eeg_pp.vhdr", impulse(200, -2, XP_NAMES), 200,
                       XP_NAMES, blocks, ending="dat")  # fmt: skip
            scores = root / f"derivatives/sub-{subject}/NF_bold/d_{base}_NFbold_scores.mat"
            scores.parent.mkdir(parents=True, exist_ok=True)
            scores.touch()
        if bold:
            write_bold(root / f"sub-{subject}/func/{base}_bold.nii.gz")
    return root


def write_xp2(root: Path, subject: str = "xp201") -> Path:
    """ds002338: as XP1 with runs, TR 1 s, and derivatives prefixed ``d_``."""
    for run in (1, 2):
        base = f"sub-{subject}_task-1dNF_run-{run:02d}"
        derived = root / f"derivatives/sub-{subject}/eeg_pp/d_{base}_eeg_pp.vhdr"
        write_vhdr(derived, impulse(200, -2, tr=1.0, tail_s=14), 200, NAMES, [(0.0, "S99"), (20.0, "S2")], ending="dat")
        write_bold(root / f"sub-{subject}/func/{base}_bold.nii.gz", tr=1.0)
    return root


def write_noddi(root: Path, subjects: tuple[str, ...] = ("32", "35", "43"), *, merged: bool = False) -> Path:
    """OSF 94c5t: two EEG folders or a merged one, no sidecar; only the export has volume markers, late in the file."""
    for index, subject in enumerate(subjects):
        folder = root / ("EEG" if merged else f"EEG{index % 2 + 1}") / subject
        for kind, rate in (("export", 250), ("raw", 500)):
            header = folder / kind / f"{subject}_rest.vhdr"
            marks = volume_markers(rate, 4, 2.16) if kind == "export" else []
            write_vhdr(header, impulse(rate, 4, tr=2.16), rate, NAMES, marks)
            text = header.with_suffix(".vmrk").read_text(encoding="utf-8")
            text = text.replace("Response,R128", "Scanner,Scan Start").replace("Mk1=New Segment,,1,1,0,0", "")
            began = f"Mk0=New Segment,,1,1,0,2013042416352{index}500000\n"
            header.with_suffix(".vmrk").write_text(text.rstrip("\n") + "\n" + began, encoding="utf-8")
        bold = root / "fMRI" / subject / f"{subject}_fmri_rest_with_cross.nii.gz"
        write_bold(bold, tr=2.16, sidecar=False)
        (bold.parent / f"{subject}_T1.nii.gz").touch()
    return root


def write_oddball(root: Path, subjects: tuple[str, ...] = ("001", "002"), runs: int = 1) -> Path:
    """ds000116, legacy: MATLAB EEG that the scanner started, no sidecar."""
    import scipy.io

    for subject in subjects:
        for task in ("001", "002"):
            for run in range(1, runs + 1):
                name = f"task{task}_run{run:03d}"
                eeg, bold = root / f"sub{subject}" / "EEG" / name, root / f"sub{subject}" / "BOLD" / name
                eeg.mkdir(parents=True)
                for kind, variable, n in (("noGA", "data_noGA", 49), ("rereferenced", "data_reref", 34)):
                    data = impulse(1000, 0, tuple(map(str, range(n))))
                    scipy.io.savemat(eeg / f"EEG_{kind}.mat", {variable: data})
                write_bold(bold / "bold.nii.gz", sidecar=False)
                (bold / "QA").mkdir()
    return root
