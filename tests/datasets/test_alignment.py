"""The common clock: a planted event lies at the same time in EEG and BOLD, to one sample, by every rule."""

import dataclasses

import numpy as np
import pytest

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets import RawEeg, Recording, align, find_recordings, load_bold, open_eeg
from eeg2fmri.errors import AlignmentError, DatasetError
from tests.datasets.trees import (
    EVENT_VOLUME,
    NAMES,
    TR_S,
    VOLUMES,
    impulse,
    planted,
    volume_markers,
    write_bold,
    write_json,
    write_noddi,
    write_oddball,
    write_rows,
    write_vhdr,
    write_xp1,
    write_xp2,
)

RATE = 250
LEAD = 3.212
HEADER = ("onset", "duration", "trial_type")


def write_recording(root, *, markers=None, onset_s=LEAD):
    """One BIDS recording whose BOLD starts at `onset_s` of the EEG."""
    base = "sub-01_task-rest"
    marks = volume_markers(RATE, onset_s) if markers is None else markers
    write_vhdr(root / f"sub-01/eeg/{base}_eeg.vhdr", impulse(RATE, onset_s), RATE, NAMES, marks)
    write_bold(root / f"sub-01/func/{base}_bold.nii.gz")
    return root


def with_start_time(root):
    write_recording(root, markers=[])
    write_json(root / "sub-01/eeg/sub-01_task-rest_eeg.json", {"StartTime": -LEAD})


def with_start_time_after_the_scanner(root):
    write_recording(root, markers=[], onset_s=-1.3)
    write_json(root / "task-rest_eeg.json", {"StartTime": 1.3})


def with_events(root):
    write_recording(root, markers=[])
    times = [1.0, 7.5, 19.25]
    write_rows(root / "sub-01/func/sub-01_task-rest_events.tsv", HEADER, *((t, 0, "Press") for t in times))
    write_rows(
        root / "sub-01/eeg/sub-01_task-rest_events.tsv",
        HEADER,
        *((t + LEAD, 0, "press") for t in times),
        (1, 0, "blink"),
    )


def with_events_in_the_eeg_file(root):
    write_recording(root, markers=[(t + 3.2, "S7") for t in (1.0, 7.5)], onset_s=3.2)
    write_rows(root / "task-rest_events.tsv", HEADER, (1.0, 0, "S  7"), (7.5, 0, "S  7"))


def with_volumes_in_the_event_table(root):
    write_recording(root, markers=[])
    rows = [(round(s, 3), 0, "volume", "R128", round(s * RATE)) for s, _ in volume_markers(RATE, LEAD)]
    write_rows(root / "sub-01/eeg/sub-01_task-rest_events.tsv", (*HEADER, "value", "sample"), *rows)


def with_markers_missing(root, first=0, last=None, inside=()):
    kept = [m for i, m in enumerate(volume_markers(RATE, LEAD)) if i not in inside][first:last]
    return write_recording(root, markers=kept)


def xp_without_the_first_rest(root, onset_s=-2.0):
    """The marker of the first rest block is not there; the next one comes after the first task."""
    write_xp1(root, runs={"fmriNF": (False, False, True)})
    base = root / "derivatives/sub-xp102/eeg_pp/sub-xp102_task-fmriNF_eeg_pp.vhdr"
    rest = onset_s + 2
    write_vhdr(base, impulse(200, onset_s, tail_s=25), 200, NAMES, [(rest + 20, "S2"), (rest + 40, "S99")])
    (root / "task-fmriNF_channels.tsv").unlink()


CASES = {
    "R128": (write_recording, {}, "R128"),
    "gaps": (lambda r: with_markers_missing(r, inside=(3, 7, 8)), {}, "R128"),
    "last missing": (lambda r: with_markers_missing(r, last=-2), {"missing_markers": "end"}, "R128"),
    "first missing": (lambda r: with_markers_missing(r, first=3), {"missing_markers": "start"}, "R128"),
    "R128 in the event table": (with_volumes_in_the_event_table, {}, "R128 in events.tsv"),
    "StartTime": (with_start_time, {}, "StartTime"),
    "StartTime after the scanner": (with_start_time_after_the_scanner, {}, "StartTime"),
    "events": (with_events, {}, "events"),
    "events in the EEG file": (with_events_in_the_eeg_file, {}, "events"),
    "file start": (lambda r: write_recording(r, markers=[], onset_s=0), {}, "file start"),
    "file start, forced": (lambda r: write_recording(r, onset_s=0), {"alignment": "file-start"}, "file start"),
    "xp offset": (lambda r: write_xp1(r, runs={"fmriNF": (True, True, True)}), {"name": "xp1"}, "xp offset"),
    "xp2": (write_xp2, {"name": "xp2"}, "xp offset"),
    "xp, raw": (lambda r: write_xp1(r, runs={"fmriNF": (True, True, True)}), {"name": "xp1", "eeg": "raw"}, "R128"),
    "xp without S 99": (xp_without_the_first_rest, {"name": "xp1"}, "xp offset, S 99 from S  2"),
    "xp without S 99, late": (
        lambda r: xp_without_the_first_rest(r, 4.4), {"name": "xp1"}, "xp offset, S 99 from S  2"),
    "oddball": (lambda r: write_oddball(r, ("001",)), {"name": "oddball"}, "scanner start"),
    "noddi": (lambda r: write_noddi(r, ("32",)), {"name": "noddi"}, "R128"),
    "noddi, raw": (lambda r: write_noddi(r, ("32",)), {"name": "noddi", "eeg": "raw"}, "R128"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_planted_event_is_at_the_same_time_in_both(case, tmp_path):
    write, settings, source = CASES[case]
    write(tmp_path)
    recording = find_recordings(tmp_path, DatasetConfig(**settings))[0][0]
    raw, bold = open_eeg(recording), load_bold(recording)
    found = align(raw, recording, bold.tr, len(bold.volumes))
    sample, volume = planted(recording)
    assert volume == EVENT_VOLUME
    assert abs(found.onset + volume * bold.tr * raw.sampling_rate - sample) <= 1
    assert found.source == source
    assert bool(found.warnings) == (case in WARNED), found.warnings


WARNED = {
    "StartTime after the scanner", "file start", "xp without S 99, late", "last missing", "first missing",
}  # fmt: skip


def test_missing_markers_are_counted(tmp_path):
    with_markers_missing(tmp_path, last=-2, inside=(3,))
    recording = find_recordings(tmp_path, DatasetConfig(missing_markers="end"))[0][0]
    found = align(open_eeg(recording), recording, TR_S, VOLUMES)
    assert (found.markers_found, found.markers_missing) == (VOLUMES - 3, 3)
    (warning,) = found.warnings
    assert warning.startswith("2 volume markers are taken to be missing at the end (dataset.missing_markers")


def test_the_end_that_misses_markers_is_said_of_a_recording_by_its_name(tmp_path, refuses):
    with_markers_missing(tmp_path, last=-2)
    name = find_recordings(tmp_path, DatasetConfig())[0][0].name
    for said, end in (({name: "end"}, "end"), ({"all": "start"}, "start"), ({"all": "start", name: "end"}, "end")):
        (found,) = find_recordings(tmp_path, DatasetConfig(missing_markers=said))[0]
        assert found.missing_markers == end
    with refuses(DatasetError, rf"dataset\.missing_markers: .* has no recording 'sub-99'; there: {name}"):
        find_recordings(tmp_path, DatasetConfig(missing_markers={"sub-99": "end"}))


# --- rules on markers, without files ---------------------------------------------------------

MARKERS = 37 + 50.0 * np.arange(12)


@pytest.fixture
def clock(tmp_path):
    """Align markers of a 100 Hz recording of TR 0.5 s."""

    def make(markers, n_volumes=12, tr=0.5, events=(), **changes):
        path = tmp_path / "x.vhdr"
        raw = RawEeg(path, 100.0, 1000, ("Cz",), ("eeg",), (), np.asarray(markers, float), tuple(events))
        recording = dataclasses.replace(Recording("sub-01", "sub-01", path, tmp_path / "x.nii"), **changes)
        return align(raw, recording, tr, n_volumes)

    return make


def test_bold_starts_at_the_first_marker(clock):
    found = clock(MARKERS)
    assert (found.onset, found.source, found.markers_found, found.markers_missing) == (37, "R128", 12, 0)


@pytest.mark.parametrize("missing", [[], [4], [3, 4, 9]])
def test_gaps_are_filled_by_the_tr(missing, clock):
    found = clock(np.delete(MARKERS, missing))
    assert (found.onset, found.markers_missing) == (37, len(missing))


@pytest.mark.parametrize("missing", [[11], [10, 11], [0], [0, 1, 5]])
def test_markers_missing_at_an_end_are_not_guessed_over(missing, clock, refuses):
    with refuses(AlignmentError, r"x\.vhdr: its volume markers span \d+ volumes, the BOLD file has 12; say which end"):
        clock(np.delete(MARKERS, missing))


def test_markers_may_be_off_by_two_samples(clock):
    assert clock(MARKERS + np.resize([0, 2, 0, 0], 12)).onset == 37


def test_drifting_clocks_are_told(clock):
    found = clock(37 + 50.3 * np.arange(12))
    assert found.warnings == ("the clocks of EEG and scanner drift by 3.3 samples",)


def test_forced_markers_that_are_not_there_are_refused(clock, refuses):
    with refuses(AlignmentError, r"x\.vhdr: no R128 volume marker.*; export the recording with its markers"):
        clock([], alignment="markers")


@pytest.mark.parametrize(("rule", "reason"), [("start-time", "no StartTime"), ("events", "no event that EEG and BOLD")])
def test_a_forced_rule_without_what_it_needs_is_refused(rule, reason, clock, refuses):
    with refuses(AlignmentError, rf"x\.vhdr: {reason}"):
        clock(MARKERS, alignment=rule)


def test_a_spacing_that_is_no_multiple_of_the_tr_is_refused(clock, refuses):
    markers = MARKERS.copy()
    markers[5:] += 20
    with refuses(
        AlignmentError, r"x\.vhdr: R128 markers 5 and 6 are 0\.700 s apart, expected a multiple of the TR 0\.5"
    ):
        clock(markers, 14)


def test_the_spacing_of_another_tr_is_refused(clock, refuses):
    with refuses(AlignmentError, r"R128 markers 1 and 2 are 0\.500 s apart, expected a multiple of the TR 0\.6"):
        clock(MARKERS, tr=0.6)


def test_a_marker_written_twice_is_refused_and_named(clock, refuses):
    markers = MARKERS + np.resize([0, 1, 0, 0], 12)
    with refuses(AlignmentError, r"R128 markers 8 and 9 are 0\.000 s apart"):
        clock(np.insert(markers, 7, markers[7]), 14)


@pytest.mark.parametrize("markers", [MARKERS, np.delete(MARKERS, 5)])
def test_more_markers_than_volumes_are_refused(markers, clock, refuses):
    with refuses(AlignmentError, r"span 12 volumes, the BOLD file has 11; remove the markers"):
        clock(markers, 11)


def test_eeg_that_ends_early_is_told(clock):
    *_, warning = clock(MARKERS, 25, missing_markers="end").warnings
    assert warning == "no EEG for the last 6 of 25 volumes"


def test_a_rest_block_far_from_its_task_is_refused(clock, refuses):
    with refuses(AlignmentError, r"the first S  2 is 31\.000 s after the first S 99, expected 20 s"):
        clock([], alignment="xp", events=[(0.0, "Stimulus/S 99"), (31.0, "Stimulus/S  2")])


# --- contradictions in sidecars --------------------------------------------------------------


def aligned(root):
    (recording,), _ = find_recordings(root)
    return align(open_eeg(recording), recording, TR_S, VOLUMES)


def test_a_start_time_that_is_no_number_is_refused(tmp_path, refuses):
    with_start_time(tmp_path)
    write_json(tmp_path / "sub-01/eeg/sub-01_task-rest_eeg.json", {"StartTime": "soon"})
    with refuses(AlignmentError, r"StartTime is 'soon' in its sidecar, seconds are expected"):
        aligned(tmp_path)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(1.0 + LEAD, 0, "press")], r"1 events 'press', sub-01_task-rest_events\.tsv has 3"),
        ([(t + LEAD, 0, "press") for t in (1.0, 7.9, 19.25)], r"3\.212 s apart, but one differs by 0\.400 s"),
    ],
)
def test_events_that_contradict_each_other_are_refused(rows, reason, tmp_path, refuses):
    with_events(tmp_path)
    write_rows(tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv", HEADER, *rows)
    with refuses(AlignmentError, reason):
        aligned(tmp_path)


def test_a_table_that_both_inherit_is_no_clock(tmp_path):
    write_recording(tmp_path, markers=[])
    write_rows(tmp_path / "task-rest_events.tsv", HEADER, (1.0, 0, "press"))
    assert aligned(tmp_path).source == "file start"


def test_another_volume_marker(tmp_path):
    write_recording(tmp_path, markers=[(s, "S1") for s, _ in volume_markers(RATE, LEAD)])
    (recording,), _ = find_recordings(tmp_path, DatasetConfig(volume_marker="S 1"))
    found = align(open_eeg(recording), recording, TR_S, VOLUMES)
    assert (found.source, found.onset) == ("S 1", LEAD * RATE)


def test_a_sample_column_that_counts_otherwise_is_not_used(tmp_path):
    write_recording(tmp_path, markers=[])
    rows = [(s, 0, "R128", round(s * RATE) + 5000) for s, _ in volume_markers(RATE, LEAD)]
    table = tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv"
    write_rows(table, ("onset", "duration", "value", "sample"), *rows)
    assert aligned(tmp_path).onset == pytest.approx(LEAD * RATE)


def test_xp_without_any_marker_is_told(clock):
    found = clock([], alignment="xp")
    assert (found.onset, found.source) == (-200, "xp offset")
    assert "no S 99 or S  2 marker" in found.warnings[0]
