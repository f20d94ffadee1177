"""The marker of volume 0, if there are more or fewer markers than volumes."""

from __future__ import annotations

from dataclasses import dataclass

from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.files import read_merged
from eeg2fmri.datasets.marker_trains import Train
from eeg2fmri.datasets.recording import Recording
from eeg2fmri.errors import AlignmentError

ASTRAY = 0.1  # of the markers: if more of them are off the rhythm, that is no accident
DISCARDED = ("NumberOfVolumesDiscardedByUser", "NumberOfVolumesDiscardedByScanner")


@dataclass(frozen=True)
class Found:
    """A train, its source, and its name there."""

    train: Train
    where: str
    name: str


def volume_zero(raw: RawEeg, recording: Recording, found: Found, tr: float, n_volumes: int) -> tuple[int, list[str]]:
    """Find the slot of volume 0, with remarks; refuse markers that do not determine it."""
    train = found.train
    if train.torn:
        raise AlignmentError(
            f"{raw.path}: the first or the last volume lacks some {found.name} markers ({train.pattern}), so the "
            f"first marker of a volume is unknown; set dataset.volume_marker to another marker, or restore the "
            f"missing ones"
        )
    if train.inside > ASTRAY * len(train.slots):
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers ({train.pattern}) change their rhythm: EEG is missing without a "
            f"marker, or the scanner stopped in between; restore the EEG or leave the recording out"
        )
    spanned = train.spanned
    _check_gaps(raw, recording, found, n_volumes)
    if abs(spanned - n_volumes) > ASTRAY * n_volumes and train.n_markers == n_volumes:
        raise AlignmentError(
            f"{raw.path}: it has {n_volumes} {found.name} markers, as many as volumes, but they span {spanned} "
            f"volumes at a TR of {tr:g} s ({train.pattern}); check the TR, or restore the missing EEG"
        )
    if train.step > 1 and n_volumes <= spanned < n_volumes + train.step:
        spanned = n_volumes  # the last marker stands for fewer volumes than the others
    remarks = [f"the first of its {found.name} markers is assumed to mark volume 0"] if train.step > 1 else []
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
    """Find the slot of volume 0 if there are more markers than volumes, and say how it is known."""
    train, surplus = found.train, found.train.spanned - n_volumes
    if recording.surplus_markers != "refuse":
        where = "before the first volume" if recording.surplus_markers == "start" else "after the last volume"
        start = surplus if recording.surplus_markers == "start" else 0
        return start, f"{surplus} of its {found.name} markers are assumed to be {where} (dataset.surplus_markers)"
    discarded = _discarded(recording)
    sums = {**discarded, " and ".join(discarded): sum(discarded.values())} if len(discarded) > 1 else discarded
    for key, number in sums.items():
        if number == surplus:
            return surplus, f"{surplus} {found.name} markers before the first volume are of dummy volumes ({key})"
    fitting = [start for start, length in train.blocks() if length == n_volumes]
    if len(fitting) == 1:
        return fitting[0], (
            f"its {found.name} markers are in {len(train.blocks())} parts; the one of {n_volumes} volumes is the run"
        )
    told = "".join(f"; its sidecar says {key}={number}" for key, number in discarded.items())
    raise AlignmentError(
        f"{raw.path}: its {found.name} markers ({train.pattern}) span {train.spanned} volumes, the BOLD file has "
        f"{n_volumes}{told}; say where the {surplus} others are: set dataset.surplus_markers.{recording.name}=start "
        f"(dummy volumes, not in the file) or end"
    )


def _check_gaps(raw: RawEeg, recording: Recording, found: Found, n_volumes: int) -> None:
    """Refuse a pause of the EEG if the markers on both sides show another length."""
    train, rate = found.train, raw.sampling_rate
    last = train.first + train.period * int(train.slots[-1])
    within = [gap for gap in raw.gaps if train.first * rate < gap[0] and gap[1] < last * rate]
    if within and train.spanned not in expected_volumes(recording, n_volumes):
        start, stop = within[0]
        raise AlignmentError(
            f"{raw.path}: the pause of {(stop - start) / rate:.3f} s at {start / rate:.3f} s does not fit: with it "
            f"its {found.name} markers ({train.pattern}) span {train.spanned} volumes, the BOLD file has {n_volumes}; "
            f"correct the pause's length (time of day of New Segment, duration of the boundary), or leave the "
            f"recording out"
        )


def _discarded(recording: Recording) -> dict[str, int]:
    """Return the volumes that were scanned and are not in the file, by their key in the BOLD sidecar."""
    sidecar = read_merged(recording.sidecars)
    numbers = {key: sidecar.get(key) for key in DISCARDED}
    return {
        key: int(number)
        for key, number in numbers.items()
        if isinstance(number, (int, float)) and not isinstance(number, bool) and number > 0 and number == int(number)
    }


def expected_volumes(recording: Recording, n_volumes: int) -> set[int]:
    """Return the numbers of volumes that the markers may span: the file's, also with discarded volumes."""
    discarded = _discarded(recording).values()
    return {n_volumes, *(n_volumes + number for number in discarded), n_volumes + sum(discarded)}


def _missing(
    raw: RawEeg, recording: Recording, found: Found, tr: float, n_volumes: int, remarks: list[str]
) -> tuple[int, list[str]]:
    """Find the slot of volume 0 if there are fewer markers than volumes."""
    train, missing = found.train, n_volumes - found.train.spanned
    last = (train.first + train.period * train.slots[-1]) * raw.sampling_rate
    if recording.missing_markers == "refuse":
        short = raw.n_samples <= last + tr * raw.sampling_rate
        cut = f"; the EEG ends with the last of them, at {raw.n_samples / raw.sampling_rate:.3f} s" if short else ""
        raise AlignmentError(
            f"{raw.path}: its {found.name} markers ({train.pattern}) span {train.spanned} volumes, the BOLD file has "
            f"{n_volumes}{cut}; say at which end they are missing: set dataset.missing_markers.{recording.name}=end "
            f"(the first are there) or start (the last are)"
        )
    remark = (
        f"{missing} volume markers are assumed to be missing at the {recording.missing_markers} "
        f"(dataset.missing_markers); if it is the other end, EEG and BOLD are shifted by as many volumes"
    )
    return (-missing if recording.missing_markers == "start" else 0), [*remarks, remark]
