"""BIDS files of simulated recordings: BrainVision EEG, NIfTI BOLD, sidecars and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import eeg2fmri
from eeg2fmri.config import SimulationConfig
from eeg2fmri.simulation.anatomy import ECHO_TIME_S, FLIP_ANGLE_DEG
from eeg2fmri.simulation.artefacts import AMPLIFIER_HZ, RAW_FACTOR, raw_blocks
from eeg2fmri.simulation.brainvision import write_blocks
from eeg2fmri.simulation.confounds import BLOCK_S, MOTION, TASK, framewise_displacement
from eeg2fmri.simulation.eeg import LINE_HZ
from eeg2fmri.simulation.files import write_json, write_nifti, write_tsv
from eeg2fmri.simulation.forward import CHANNELS, GROUND, REFERENCE, electrode_positions
from eeg2fmri.simulation.groups import CASE, CONTROL, EegSubject
from eeg2fmri.simulation.networks import NETWORKS
from eeg2fmri.simulation.subject import Subject
from eeg2fmri.simulation.truth import FOLDER, clean_eeg_base

BIDS_VERSION = "1.10.0"
MARKER = 128  # BrainVision writes a response of this code as R128, the usual volume trigger
README = """# Simulated simultaneous EEG-fMRI

Every file here was computed by `eeg2fmri simulate`: no person was recorded. The rhythms of {networks}
networks drive both the scalp EEG and, through a haemodynamic response, the BOLD signal of grey matter
with a coupling of {coupling}. Other activity of the regions, and fluctuations of the whole brain, move
BOLD only. Subjects differ in head, network positions, gains, rhythms and noise.

The EEG starts some seconds before the scanner; each volume is marked by `R128` at its onset. {eeg} All
slices show the networks at the onset of the volume, as after slice-timing correction. {confound}

The truth (network maps, amplitudes, noise-free BOLD, and the best score any model can reach) is in
`derivatives/simulation`.

Networks, with the reports their regions, rhythm and sign follow:

{table}
"""

GROUPS_README = """# Simulated EEG of two groups

Every file here was computed by `eeg2fmri simulate`: no person was recorded. The subjects have EEG only, from outside
the scanner: there is no BOLD, no volume marker and no residue of the scanner's artefacts.

`participants.tsv` says who is a case. In cases the rhythm of the {network} network has {size:g} times the amplitude,
and the logarithm of its amplitude fluctuates slowly {variability:g} times as much. Nothing else differs between the
groups; subjects differ in head, network positions, gains, rhythms and noise.

The amplitudes of the networks, one for each TR, are in `derivatives/simulation`:

{table}
"""

CLEANED_README = """The EEG
stands for a recording whose gradient and pulse artefacts have been removed, with small residues."""
CONFOUND_README = {
    "none": "Head motion is\nnot simulated.",
    "pulse": "The strength\nof the pulse drifts: in the ECG, in a residual artefact of the EEG, and in BOLD.",
    "motion": "The head\nnods, with an artefact in the EEG and in BOLD; `derivatives/fmriprep` has its motion.",
    "task": "Blocks of a\ntask lower the visual rhythm and raise visual BOLD; `events.tsv` has them.",
}
RAW_README = """The EEG
is what an amplifier in the scanner records, with gradient and pulse artefacts; the EEG without them is
`desc-clean` in `derivatives/simulation`."""
FMRIPREP, SPACE = Path("derivatives") / "fmriprep", "MNI152NLin2009cAsym"  # heads lie around the template
RAW_RESOLUTION_UV = 0.5  # 16 bits then span 16 mV to either side, as gradient artefacts need


def write_subject(root: Path, label: str, subject: Subject, config: SimulationConfig) -> None:
    """Write the EEG and the BOLD run of one subject below `root`."""
    for modality in ("eeg", "func"):
        (root / label / modality).mkdir(parents=True, exist_ok=True)
    _write_eeg(root / label / "eeg", label, subject, config)
    if subject.artefacts is not None:
        _write_clean_eeg(root, label, subject, config)
    base = root / label / "func" / f"{label}_task-rest_bold"
    write_nifti(f"{base}.nii.gz", subject.volumes, subject.anatomy.affine, config.tr)
    write_json(f"{base}.json", _bold_sidecar(config))
    if subject.confound is not None:
        _write_confound(root, label, subject, config)


def write_labelled(root: Path, label: str, subject: EegSubject, config: SimulationConfig) -> None:
    """Write the EEG of a subject without BOLD below `root`."""
    (root / label / "eeg").mkdir(parents=True, exist_ok=True)
    _write_eeg(root / label / "eeg", label, subject, config)


def _write_confound(root: Path, label: str, subject: Subject, config: SimulationConfig) -> None:
    """Write what a lab has of a confound: the task's events, or fMRIPrep's output with the motion of the head."""
    confound, run = subject.confound, f"{label}_task-rest"
    assert confound is not None
    if confound.blocks is not None:
        rows = [[float(onset), BLOCK_S, TASK] for onset in confound.blocks]
        write_tsv(root / label / "func" / f"{run}_events.tsv", ("onset", "duration", "trial_type"), rows)
        write_json(root / label / "func" / f"{run}_events.json", _TASK_EVENTS)
    if confound.motion is not None:
        folder = root / FMRIPREP / label / "func"
        folder.mkdir(parents=True, exist_ok=True)
        shifts = ["n/a", *framewise_displacement(confound.motion).tolist()]
        rows = [[shift, *row] for shift, row in zip(shifts, confound.motion.tolist(), strict=True)]
        write_tsv(folder / f"{run}_desc-confounds_timeseries.tsv", ("framewise_displacement", *MOTION), rows)
        base, affine = f"{folder / run}_space-{SPACE}", subject.anatomy.affine
        write_nifti(f"{base}_desc-brain_mask.nii.gz", subject.anatomy.mask.astype("uint8"), affine)
        write_nifti(f"{base}_desc-preproc_bold.nii.gz", subject.volumes, affine, config.tr)
        write_json(f"{base}_desc-preproc_bold.json", _bold_sidecar(config) | {"SkullStripped": False})


def _write_eeg(folder: Path, label: str, subject: Subject | EegSubject, config: SimulationConfig) -> None:
    names = [*CHANNELS[: config.channels], "ECG"]
    base = folder / f"{label}_task-rest"
    if isinstance(subject, EegSubject) or subject.artefacts is None:
        _write_brainvision(base, subject.eeg_uv, names, subject.clock.rate, subject.onsets)
    else:
        blocks = raw_blocks(subject.eeg_uv, subject.clock, subject.artefacts, subject.rows)
        write_blocks(Path(f"{base}_eeg"), blocks, names, subject.rate, RAW_RESOLUTION_UV, subject.onsets)
    write_json(f"{base}_eeg.json", _eeg_sidecar(subject, config))
    write_tsv(f"{base}_channels.tsv", _CHANNEL_COLUMNS, _channel_rows(names, subject.rate))
    _write_eeg_tables(folder, label, names, subject)


def _write_clean_eeg(root: Path, label: str, subject: Subject, config: SimulationConfig) -> None:
    """Write the EEG beneath the artefacts of a raw recording."""
    names, rate = [*CHANNELS[: config.channels], "ECG"], subject.clock.rate
    base = clean_eeg_base(root, label)
    base.parent.mkdir(parents=True, exist_ok=True)
    _write_brainvision(base, subject.eeg_uv, names, rate, np.rint(subject.onsets / RAW_FACTOR))
    blinks = {"SamplingFrequency": rate, "HardwareFilters": "n/a", "SubjectArtefactDescription": "Blinks"}
    write_json(f"{base}_eeg.json", _eeg_sidecar(subject, config) | blinks)
    write_tsv(f"{base}_channels.tsv", _CHANNEL_COLUMNS, _channel_rows(names, rate))


def _write_brainvision(base: Path, eeg_uv: np.ndarray, names: list[str], rate: float, onsets: np.ndarray) -> None:
    import pybv

    pybv.write_brainvision(
        data=eeg_uv.astype("float64") * 1e-6,
        sfreq=rate,
        ch_names=names,
        ref_ch_names=[REFERENCE] * (len(names) - 1) + ["n/a"],
        fname_base=f"{base.name}_eeg",
        folder_out=base.parent,
        overwrite=True,
        events=[{"onset": int(s), "description": MARKER, "type": "Response"} for s in onsets],
        resolution=0.1,
        fmt="binary_int16",
    )


def _channel_rows(names: list[str], rate: float) -> list[list[Any]]:
    return [[n, "EEG", "uV", REFERENCE, rate] for n in names[:-1]] + [["ECG", "ECG", "uV", "n/a", rate]]


def _write_eeg_tables(folder: Path, label: str, names: list[str], subject: Subject | EegSubject) -> None:
    """Write volume markers and electrode positions of an EEG recording."""
    base, rate = folder / f"{label}_task-rest", subject.rate
    if len(subject.onsets):
        events = [[int(s) / rate, 0, "volume", f"R{MARKER}", int(s)] for s in subject.onsets]
        write_tsv(f"{base}_events.tsv", ("onset", "duration", "trial_type", "value", "sample"), events)
        write_json(f"{base}_events.json", _EVENTS)
    places = electrode_positions()
    electrodes = [[n, *(round(float(v), 3) for v in places[n])] for n in names[:-1]]
    write_tsv(folder / f"{label}_electrodes.tsv", ("name", "x", "y", "z"), electrodes)
    write_json(folder / f"{label}_coordsystem.json", _COORDINATES)


def write_root(root: Path, config: SimulationConfig, subjects: dict[str, dict[str, Any]]) -> None:
    """Write the files that describe the dataset and its truth; `subjects`: the summary of each by its label."""
    made_by = {"Name": "eeg2fmri simulate", "Version": eeg2fmri.__version__}
    common: dict[str, Any] = {"BIDSVersion": BIDS_VERSION, "GeneratedBy": [made_by], "License": "CC0"}
    title = "Simulated EEG of two groups" if config.groups else "Simulated simultaneous EEG-fMRI"
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    authors = ["eeg2fmri"]
    write_json(root / "dataset_description.json", {"Name": title, "DatasetType": "raw", "Authors": authors, **common})
    write_json(
        root / FOLDER / "dataset_description.json",
        {"Name": f"{title}: truth", "DatasetType": "derivative", "Authors": authors, **common},
    )
    if config.confound == "motion":
        description = {"Name": f"{title}: confounds", "DatasetType": "derivative", "Authors": authors, **common}
        write_json(root / FMRIPREP / "dataset_description.json", description)
        (root / FMRIPREP / ".bidsignore").write_text("**/*_timeseries.tsv\n")
    table = "\n".join(f"- {n.name} ({'+' if n.sign > 0 else '-'}): {n.reference}" for n in NETWORKS)
    column = "group" if config.groups else "temporal_snr"
    eeg = RAW_README if config.raw else CLEANED_README
    text = README.format(
        networks=len(NETWORKS),
        coupling=config.coupling,
        table=table,
        eeg=eeg,
        confound=CONFOUND_README[config.confound],
    )
    if config.groups:
        text = GROUPS_README.format(**config.groups.model_dump(), table=table)
    (root / "README.md").write_text(text, encoding="utf-8")
    (root / FOLDER / "README.md").write_text(text, encoding="utf-8")
    (root / FOLDER / ".bidsignore").write_text(
        "**/*_timeseries.tsv\n**/*_boldmap.nii.gz\n**/*_boldref.nii.gz\n**/*truth.json\n/truth.json\n"
    )
    rows = [[label, summary[column]] for label, summary in subjects.items()]
    write_tsv(root / "participants.tsv", ("participant_id", column), rows)
    write_json(root / "participants.json", {column: _PARTICIPANTS[column]})


def _eeg_sidecar(subject: Subject | EegSubject, config: SimulationConfig) -> dict[str, Any]:
    inside = isinstance(subject, Subject)
    return {
        "TaskName": "rest",
        "TaskDescription": f"Simulated rest {'inside a running' if inside else 'outside the'} scanner",
        "Instructions": "n/a",
        "InstitutionName": "n/a",
        "Manufacturer": "n/a",
        "SoftwareVersions": eeg2fmri.__version__,
        "SamplingFrequency": subject.rate,
        "EEGReference": REFERENCE,
        "EEGGround": GROUND,
        "EEGPlacementScheme": "10-05",
        "PowerLineFrequency": LINE_HZ,
        "EEGChannelCount": config.channels,
        "ECGChannelCount": 1,
        "EOGChannelCount": 0,
        "EMGChannelCount": 0,
        "MISCChannelCount": 0,
        "TriggerChannelCount": 0,
        "RecordingType": "continuous",
        "RecordingDuration": subject.clock.n / subject.clock.rate,
        "SoftwareFilters": "n/a",
        "HardwareFilters": {"Low-pass": {"CutoffHz": AMPLIFIER_HZ}} if subject.artefacts else "n/a",
        "SubjectArtefactDescription": _artefacts(subject),
    }


def _artefacts(subject: Subject | EegSubject) -> str:
    if isinstance(subject, EegSubject):
        return "Blinks"
    residues = "" if subject.artefacts else "residues of corrected "
    return f"Blinks; {residues}gradient and pulse artefacts"


def _bold_sidecar(config: SimulationConfig) -> dict[str, Any]:
    return {
        "TaskName": "rest",
        "TaskDescription": "Simulated rest",
        "RepetitionTime": config.tr,
        "EchoTime": ECHO_TIME_S,
        "FlipAngle": FLIP_ANGLE_DEG,
        "MagneticFieldStrength": 3,
        "Manufacturer": "n/a",
        "SoftwareVersions": eeg2fmri.__version__,
    }


_CHANNEL_COLUMNS = ("name", "type", "units", "reference", "sampling_frequency")
_EVENTS = {
    "trial_type": {"Description": "What happened", "Levels": {"volume": "Onset of a BOLD volume"}},
    "value": {"Description": "BrainVision marker", "Levels": {f"R{MARKER}": "Volume trigger of the scanner"}},
    "sample": {"Description": "Sample of the EEG, counted from 0"},
}
_TASK_EVENTS = {"trial_type": {"Description": "Stimulus", "Levels": {TASK: "Flickering checkerboard"}}}
_COORDINATES = {
    "EEGCoordinateSystem": "MNIColin27",
    "EEGCoordinateUnits": "mm",
    "EEGCoordinateSystemDescription": "Standard 10-05 positions on the Colin27 head",
}
_PARTICIPANTS = {
    "group": {"Description": "Simulated group", "Levels": {CONTROL: "As others", CASE: "Another rhythm"}},
    "temporal_snr": {
        "Description": "Temporal signal-to-noise ratio of thermal and physiological noise in the BOLD run"
    },
}
