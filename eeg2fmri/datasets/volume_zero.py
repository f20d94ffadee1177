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
    if train.torn:
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers ({train.pattern}) are fewer in the first or the last volume, so the "
            f"first of a volume is not known; give dataset.volume_marker another marker, or restore the absent ones"
        )
    if train.inside > ASTRAY * len(train.slots):
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers ({train.pattern}) change their rhythm: EEG is missing unmarked, "
            f"or the scanner stopped in between; restore the EEG or leave the recording out"
        )
    spanned = train.spanned
    _check_gaps(raw, recording, found, n_volumes)
    if abs(spanned - n_volumes) > ASTRAY * n_volumes and train.n_markers == n_volumes:
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers are as many as BOLD has volumes, {n_volumes}, but at a TR of "
            f"{tr:g} s they span {spanned} ({train.pattern}); check the TR, or restore the EEG that is missing"
        )
    if train.step > 1 and n_volumes <= spanned < n_volumes + train.step:
        spanned = n_volumes  # the last marker stands for fewer volumes than the others
    remarks = [f"the first of its {found.name} markers is taken to be of volume 0"] if train.step > 1 else []
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


def _check_gaps(raw: RawEeg, recording: Recording, found: Found, n_volumes: int) -> None:
    """Refuse where a pause of the EEG is said to be of another length than the markers on both sides allow."""
    train, rate = found.train, raw.sampling_rate
    last = train.first + train.period * int(train.slots[-1])
    within = [gap for gap in raw.gaps if train.first * rate < gap[0] and gap[1] < last * rate]
    if within and train.spanned not in expected_volumes(recording, n_volumes):
        start, stop = within[0]
        raise AlignmentError(
            f"{raw.path}: with the pause of {(stop - start) / rate:.3f} s at {start / rate:.3f} s its {found.name} "
            f"markers ({train.pattern}) span {train.spanned} volumes, the BOLD file has {n_volumes}; correct the "
            f"pause's length (time of day of New Segment, duration of the boundary), or leave the recording out"
        )


def _discarded(recording: Recording) -> dict[str, int]:
    """Volumes that were scanned and are not in the file, by what the BOLD sidecar calls them."""
    sidecar = read_merged(recording.sidecars)
    numbers = {key: sidecar.get(key) for key in DISCARDED}
    return {
        key: int(number)
        for key, number in numbers.items()
        if isinstance(number, (int, float)) and not isinstance(number, bool) and number > 0 and number == int(number)
    }


def expected_volumes(recording: Recording, n_volumes: int) -> set[int]:
    """Numbers of volumes that the scanner's markers may span: the file's, and with those that were discarded."""
    discarded = _discarded(recording).values()
    return {n_volumes, *(n_volumes + number for number in discarded), n_volumes + sum(discarded)}


def _missing(
    raw: RawEeg, recording: Recording, found: Found, tr: float, n_volumes: int, remarks: list[str]
) -> tuple[int, list[str]]:
    """Slot of volume 0 where there are fewer markers than volumes."""
    train, missing = found.train, n_volumes - found.train.spanned
    last = (train.first + train.period * train.slots[-1]) * raw.sampling_rate
    if recording.missing_markers == "refuse":
        short = raw.n_samples <= last + tr * raw.sampling_rate
        cut = f"; the EEG ends with the last of them, at {raw.n_samples / raw.sampling_rate:.3f} s" if short else ""
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers ({train.pattern}) span {train.spanned} volumes, the BOLD file has "
            f"{n_volumes}{cut}; say which end misses them: dataset.missing_markers.{recording.name}=end (the first are "
            f"there) or start (the last are)"
        )
    remark = (
        f"{missing} volume markers are taken to be missing at the {recording.missing_markers} "
        f"(dataset.missing_markers); if it is the other end, EEG and BOLD are that far apart"
    )
    return (-missing if recording.missing_markers == "start" else 0), [*remarks, remark]
