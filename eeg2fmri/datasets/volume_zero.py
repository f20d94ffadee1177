"""Which of the scanner's markers is that of volume 0, where there are more or fewer markers than volumes."""

from __future__ import annotations

from dataclasses import dataclass

from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.files import read_merged
from eeg2fmri.datasets.markers import Train
from eeg2fmri.datasets.recording import Recording
from eeg2fmri.errors import AlignmentError

ASTRAY = 0.1  # of the markers: more of them off the rhythm are no accident
DISCARDED = ("NumberOfVolumesDiscardedByUser", "NumberOfVolumesDiscardedByScanner")


@dataclass(frozen=True)
class Found:
    """A train, where it was found, and how it is called there."""

    train: Train
    where: str
    name: str


def volume_zero(raw: RawEeg, recording: Recording, found: Found, tr: float, n_volumes: int) -> tuple[int, list[str]]:
    """Slot of volume 0, and remarks; refused where the markers do not say."""
    train = found.train
    if train.per_volume > 1 and train.n_markers != train.per_volume * len(train.slots):
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers ({train.pattern}) are not the same number in every volume, so the "
            f"first of a volume is not known; give dataset.volume_marker another marker, or restore the absent ones"
        )
    spanned = train.spanned
    if train.step > 1 and n_volumes <= spanned < n_volumes + train.step:
        spanned = n_volumes  # the last marker stands for fewer volumes than the others
    remarks = []
    if train.pattern != f"{train.n_markers} markers" and train.n_markers > 1:
        remarks.append(f"its {found.name} markers: {train.pattern}")
    if spanned > n_volumes:
        start, remark = _surplus(raw, recording, found, n_volumes)
        return start, [*remarks, remark]
    if spanned < n_volumes:
        return _missing(raw, recording, found, tr, n_volumes, remarks)
    if number := _discarded(recording).get(DISCARDED[0]):  # the scanner's own dummies seldom have markers
        remarks.append(f"its sidecar says {DISCARDED[0]}={number}, but no marker is surplus: those volumes have none")
    return 0, remarks


def _surplus(raw: RawEeg, recording: Recording, found: Found, n_volumes: int) -> tuple[int, str]:
    """Slot of volume 0 where there are more markers than volumes, and how it is known."""
    train, surplus = found.train, found.train.spanned - n_volumes
    if recording.surplus_markers != "refuse":
        where = "before the first volume" if recording.surplus_markers == "start" else "after the last volume"
        start = surplus if recording.surplus_markers == "start" else 0
        return start, f"{surplus} of its {found.name} markers are taken to lie {where} (dataset.surplus_markers)"
    discarded = _discarded(recording)
    sums = {**discarded, " and ".join(discarded): sum(discarded.values())} if len(discarded) > 1 else discarded
    for key, number in sums.items():
        if number == surplus:
            return surplus, f"{surplus} {found.name} markers before the first volume are of dummy volumes ({key})"
    fitting = [start for start, length in train.blocks() if length == n_volumes]
    if len(fitting) == 1:
        return fitting[0], (
            f"its {found.name} markers lie in {len(train.blocks())} parts; the one of {n_volumes} volumes is the run"
        )
    told = "".join(f"; its sidecar says {key}={number}" for key, number in discarded.items())
    raise AlignmentError(
        f"{raw.path}: its {found.name} markers ({train.pattern}) span {train.spanned} volumes, the BOLD file has "
        f"{n_volumes}{told}; say where the {surplus} others lie: dataset.surplus_markers.{recording.name}=start (dummy "
        f"volumes, not in the file) or end"
    )


def _discarded(recording: Recording) -> dict[str, int]:
    """Volumes that were scanned and are not in the file, by what the BOLD sidecar calls them."""
    sidecar = read_merged(recording.sidecars)
    return {key: sidecar[key] for key in DISCARDED if isinstance(sidecar.get(key), int) and sidecar[key] > 0}


def _missing(
    raw: RawEeg, recording: Recording, found: Found, tr: float, n_volumes: int, remarks: list[str]
) -> tuple[int, list[str]]:
    """Slot of volume 0 where there are fewer markers than volumes."""
    train, missing = found.train, n_volumes - found.train.spanned
    if train.astray > ASTRAY * train.n_markers:
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers ({train.pattern}) change their rhythm: EEG is missing unmarked, "
            f"or the scanner stopped in between; restore the EEG or leave the recording out"
        )
    last = (train.first + train.period * train.slots[-1]) * raw.sampling_rate
    if recording.missing_markers == "refuse":
        if raw.n_samples <= last + tr * raw.sampling_rate:
            first = train.first * raw.sampling_rate
            raise AlignmentError(
                f"{raw.path}: the EEG has samples 0 to {raw.n_samples}, but {n_volumes} volumes after its first "
                f"{found.name} need {first + n_volumes * tr * raw.sampling_rate:.0f}; it is cut short, or its first "
                f"markers are missing (dataset.missing_markers.{recording.name}=start)"
            )
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers ({train.pattern}) span {train.spanned} volumes, the BOLD file has "
            f"{n_volumes}; say which end misses them: dataset.missing_markers.{recording.name}=end (the first are "
            f"there) or start (the last are)"
        )
    remark = (
        f"{missing} volume markers are taken to be missing at the {recording.missing_markers} "
        f"(dataset.missing_markers); if it is the other end, EEG and BOLD are that far apart"
    )
    return (-missing if recording.missing_markers == "start" else 0), [*remarks, remark]
