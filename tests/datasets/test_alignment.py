"""The common clock: a planted event lies at the same time in EEG and BOLD, to one sample, by every rule."""

import dataclasses

import numpy as np
import pytest

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets import RawEeg, Recording, align, find_recordings, load_bold, open_eeg
from eeg2fmri.errors import AlignmentError, DatasetError
from eeg2fmri.testing import MOMENT, VOLUMES
from tests.datasets.trees import (
    NAMES,
    TR_S,
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
    "file start": (lambda r: write_recording(r, onset_s=0), {"alignment": "file-start"}, "file start"),
    "xp offset": (
        lambda r: write_xp1(r, runs={"fmriNF": (True, True, True)}), {"name": "xp1"},
        "xp offset, 2.000 s by the raw EEG"),
    "xp2": (write_xp2, {"name": "xp2"}, "xp offset"),
    "xp, raw": (lambda r: write_xp1(r, runs={"fmriNF": (True, True, True)}), {"name": "xp1", "eeg": "raw"}, "R128"),
    "xp without S 99": (xp_without_the_first_rest, {"name": "xp1"}, "xp offset, S 99 from S  2"),
    "xp without S 99, late": (
        lambda r: xp_without_the_first_rest(r, 4.4), {"name": "xp1"}, "xp offset, S 99 from S  2"),
    "oddball": (lambda r: write_oddball(r, ("001",)), {"name": "oddball"}, "scanner start"),
    "noddi": (lambda r: write_noddi(r, ("32",)), {"name": "noddi"}, "Scan Start"),
    "noddi, raw": (
        lambda r: write_noddi(r, ("32",)), {"name": "noddi", "eeg": "raw"}, "Scan Start of 32_rest.vhdr"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_planted_event_is_at_the_same_time_in_both(case, tmp_path):
    write, settings, source = CASES[case]
    write(tmp_path)
    recording = find_recordings(tmp_path, DatasetConfig(**settings))[0][0]
    raw, bold = open_eeg(recording), load_bold(recording)
    found = align(raw, recording, bold.tr, len(bold.volumes))
    sample, volume = planted(recording)
    assert volume == MOMENT
    assert abs(found.onset + volume * bold.tr * raw.sampling_rate - sample) <= 1
    assert found.source == source
    assert bool(found.warnings) == (case in WARNED), found.warnings


WARNED = {
    "StartTime after the scanner", "xp offset", "xp2", "xp without S 99",
    "xp without S 99, late", "last missing",
    "first missing", "gaps",
}  # fmt: skip


def test_missing_markers_are_counted(tmp_path):
    with_markers_missing(tmp_path, last=-2, inside=(3,))
    recording = find_recordings(tmp_path, DatasetConfig(missing_markers="end"))[0][0]
    found = align(open_eeg(recording), recording, TR_S, VOLUMES)
    assert (found.markers_found, found.markers_missing) == (VOLUMES - 3, 3)
    pattern, warning = found.warnings
    assert pattern == "its R128 markers: 10 markers, 1 absent between the first and the last"
    assert warning.startswith("2 volume markers are assumed to be missing at the end (dataset.missing_markers")


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

    def make(markers, n_volumes=12, tr=0.5, events=(), breaks=(), gaps=(), **changes):
        path = tmp_path / "x.vhdr"
        marks = ((float(sample) / 100, "Response/R128") for sample in markers)
        raw = RawEeg(path, 100.0, 1000, ("Cz",), ("eeg",), (), (*marks, *events), gaps, breaks)
        recording = dataclasses.replace(Recording("sub-01", "sub-01", path, tmp_path / "x.nii"), **changes)
        return align(raw, recording, tr, n_volumes)

    return make


def test_bold_starts_at_the_first_marker(clock):
    found = clock(MARKERS)
    assert (found.onset, found.period) == pytest.approx((37, 50))
    assert (found.source, found.how, found.markers_found, found.markers_missing) == ("R128", "known name", 12, 0)
    np.testing.assert_allclose(found.onsets, MARKERS)


@pytest.mark.parametrize("missing", [[4], [3, 4, 9]])
def test_gaps_are_filled_by_the_tr(missing, clock):
    found = clock(np.delete(MARKERS, missing))
    assert (found.onset, found.markers_missing) == (pytest.approx(37), len(missing))
    assert found.warnings == (
        f"its R128 markers: {12 - len(missing)} markers, {len(missing)} absent between the first and the last",
    )


@pytest.mark.parametrize("missing", [[11], [10, 11], [0], [0, 1, 5]])
def test_markers_missing_at_an_end_are_not_guessed_over(missing, clock, refuses):
    with refuses(
        AlignmentError, r"x\.vhdr: its R128 markers .* span \d+ volumes, the BOLD file has 12; say at which end"
    ):
        clock(np.delete(MARKERS, missing))


def test_a_marker_may_be_off_by_what_a_sample_is_long(clock):
    assert clock(MARKERS + np.resize([0, 1, 0, 0], 12)).onset == pytest.approx(37, abs=0.5)


@pytest.mark.parametrize("drift", [3e-4, -3e-4])
def test_drifting_clocks_are_followed_to_the_last_volume(drift, clock):
    period = 50 * (1 + drift)
    found = clock(np.rint(37 + period * np.arange(400)), 400)
    assert found.onset + 399 * found.period == pytest.approx(37 + 399 * period, abs=0.3)
    assert "the clocks of EEG and scanner drift by" in found.warnings[0]


def test_forced_markers_that_are_not_there_are_refused(clock, refuses):
    with refuses(AlignmentError, r"x\.vhdr: no marker has the rhythm of the volumes.*; export the recording with its"):
        clock([], alignment="markers")


@pytest.mark.parametrize(
    ("rule", "reason"), [("start-time", "no StartTime"), ("events", "EEG and BOLD share no event")]
)
def test_a_forced_rule_without_what_it_needs_is_refused(rule, reason, clock, refuses):
    with refuses(AlignmentError, rf"x\.vhdr: {reason}"):
        clock(MARKERS, alignment=rule)


def test_without_a_clock_there_is_no_recording(clock, refuses):
    events = [(0.5, "Stimulus/S 10"), (1.7, "Stimulus/S 10")]
    with refuses(AlignmentError, r"share no clock: .*\(0\.5 s; the markers are Stimulus/S 10 \(2\)\).*file-start"):
        clock([], events=events)


def test_a_rhythm_that_changes_is_refused_whatever_the_settings(clock, refuses):
    markers = MARKERS.copy()
    markers[5:] += 20
    for end in ("refuse", "end", "start"):
        with refuses(AlignmentError, r"markers change their rhythm; the parts span 5 and 7 volumes, one of 14 is"):
            clock(markers, 14, missing_markers=end)


def test_the_spacing_of_another_tr_is_refused(clock, refuses):
    with refuses(AlignmentError, r"its R128 markers \(12\) are 0\.5000 s apart, expected the TR 0\.6 s"):
        clock(MARKERS, tr=0.6, volume_marker="R128")
    with refuses(AlignmentError, r"share no clock: no marker has the rhythm of the volumes \(0\.6 s;"):
        clock(MARKERS, tr=0.6)


def test_a_marker_written_twice_counts_once(clock):
    found = clock(np.insert(MARKERS, 7, MARKERS[7] + 1))
    assert (found.onset, found.markers_found) == (pytest.approx(37), 12)
    assert found.warnings == ("its R128 markers: 13 markers, 1 doubled",)


@pytest.mark.parametrize("markers", [MARKERS, np.delete(MARKERS, 5)])
def test_more_markers_than_volumes_are_refused(markers, clock, refuses):
    with refuses(
        AlignmentError, r"span 12 volumes, the BOLD file has 11; say where the 1 others are: set dataset\.surplus"
    ):
        clock(markers, 11)


@pytest.mark.parametrize(("end", "onset"), [("start", 137), ("end", 37)])
def test_the_end_that_has_surplus_markers_can_be_said(end, onset, clock):
    found = clock(MARKERS, 10, surplus_markers=end)
    assert (found.onset, found.markers_found, found.markers_missing) == (pytest.approx(onset), 10, 0)
    assert "2 of its R128 markers are assumed to be" in found.warnings[0]
    np.testing.assert_allclose(found.onsets, MARKERS)  # the scanner ran: its artefact is in the EEG


@pytest.mark.parametrize("key", ["NumberOfVolumesDiscardedByUser", "NumberOfVolumesDiscardedByScanner"])
def test_discarded_volumes_explain_surplus_markers(key, clock, tmp_path):
    write_json(tmp_path / "bold.json", {key: 2})
    found = clock(MARKERS, 10, sidecars=(tmp_path / "bold.json",))
    assert found.onset == pytest.approx(137)
    assert found.warnings == (f"2 R128 markers before the first volume are of dummy volumes ({key})",)


def test_discarded_volumes_without_markers_are_noted(clock, tmp_path):
    write_json(tmp_path / "bold.json", {"NumberOfVolumesDiscardedByUser": 2})
    found = clock(MARKERS, sidecars=(tmp_path / "bold.json",))
    assert found.onset == pytest.approx(37)
    assert found.warnings[0].startswith("its sidecar says NumberOfVolumesDiscardedByUser=2, but no marker is surplus")


def test_an_aborted_run_before_the_run_is_left_out(clock):
    found = clock(np.r_[MARKERS[:2], MARKERS + 300], 12)
    assert (found.onset, found.markers_found) == (pytest.approx(337), 12)
    assert "are in 2 parts; the one of 12 volumes is the run" in found.warnings[-1]


@pytest.mark.parametrize("lost", [[3], [3, 4], [3, 4, 5]])
def test_lost_markers_do_not_part_the_run_from_dummies(lost, clock, refuses):
    markers = np.delete(37 + 50.0 * np.arange(16), lost)
    volumes = 15 - lost[-1]  # as many follow the lost ones
    with refuses(AlignmentError, rf"span 16 volumes, the BOLD file has {volumes}; say where the \d+ others are"):
        clock(markers, volumes)


def test_eeg_that_ends_early_is_told(clock):
    *_, warning = clock(MARKERS, 25, missing_markers="end").warnings
    assert warning == "no EEG for the last 6 of 25 volumes"


# --- which marker is the scanner's -----------------------------------------------------------


def others(name, samples):
    return [(float(sample) / 100, name) for sample in samples]


@pytest.mark.parametrize(
    "name", ["Toggle/T  1", "V  1", "S128", "R149", "Scanner/Scan Start", "TREV", "Volume", "Volume/", "Foo/Bar"]
)
def test_the_marker_in_the_rhythm_of_the_volumes_is_the_scanners(name, clock):
    stimuli = others("Stimulus/S  5", [40, 133, 171, 250, 390])
    found = clock([], events=[*others(name, MARKERS), *stimuli])
    assert (found.onset, found.source) == (pytest.approx(37), name.strip("/").rpartition("/")[2])
    assert found.how == ("spacing" if name == "Foo/Bar" else "known name")


@pytest.mark.parametrize("name", ["SyncStatus/Sync On", "Sync On", "Pulse Artifact/R", "New Segment/", "Comment/tick"])
def test_markers_of_the_amplifier_are_never_the_scanners(name, clock, refuses):
    with refuses(AlignmentError, "share no clock"):
        clock([], events=others(name, MARKERS))
    assert clock(MARKERS, events=others(name, MARKERS - 20)).onset == pytest.approx(37)


def test_a_known_name_wins_over_a_stimulus_at_every_volume(clock):
    found = clock(MARKERS, events=others("Stimulus/S  1", MARKERS + 15))
    assert (found.source, found.runner_up) == ("R128", "S  1: 12 markers")


def test_the_more_common_of_two_known_names_is_not_left_for_one_that_fits(clock, refuses):
    events = others("Toggle/T  1", MARKERS + 15)
    with refuses(AlignmentError, r"R128 markers \(11 markers\) span 11 volumes, the BOLD file has 12; say at which"):
        clock(MARKERS[1:], events=events)
    assert clock(MARKERS[:1], events=events).source == "T  1"  # one marker is no rhythm


def test_an_event_that_bold_lists_too_is_not_the_scanners(clock, tmp_path):
    table = tmp_path / "events.tsv"
    write_rows(table, HEADER, *((round(k * 0.5 + 0.1, 2), 0, "flash") for k in range(12)))
    found = clock([], events=others("Stimulus/flash", MARKERS), bold_events_path=table)
    assert (found.onset, found.source) == (pytest.approx(27), "events")


def test_an_event_that_bold_lists_under_another_name_is_not_the_scanners(clock, tmp_path, refuses):
    table = tmp_path / "events.tsv"
    write_rows(table, HEADER, *((round(k * 0.5 + 0.1, 2), 0, "flash") for k in range(12)))
    reason = r"S  7 has the rhythm .*, and BOLD's own table lists it as an event; .*dataset\.volume_marker='S  7'"
    with refuses(AlignmentError, reason):
        clock([], events=others("Stimulus/S  7", MARKERS), bold_events_path=table)
    rest = others("Stimulus/S  7", np.r_[MARKERS, 637])  # one more than the table lists
    assert clock([], events=rest, bold_events_path=table, surplus_markers="end").onset == pytest.approx(37)


def test_two_runs_of_the_same_length_in_one_file_are_refused(clock, refuses):
    with refuses(AlignmentError, r"change their rhythm; the parts span 8 and 8 volumes, one of 8 is expected"):
        clock(np.r_[MARKERS[:8], MARKERS[:8] + 523], 8)


def test_start_time_and_shared_events_that_contradict_each_other_are_refused(tmp_path, refuses):
    with_events(tmp_path)
    write_json(tmp_path / "sub-01/eeg/sub-01_task-rest_eeg.json", {"StartTime": 0})
    with refuses(AlignmentError, r"StartTime of its sidecar and the events that both list differ by 3\.212 s"):
        aligned(tmp_path)


def test_markers_copied_from_bolds_table_are_no_clock(tmp_path, refuses):
    """Volumes at 0, 2, 4 s in both tables, in one of them with fewer decimals."""
    write_recording(tmp_path, markers=[])
    for folder, text in (("func", "{:.7f}"), ("eeg", "{:.3f}")):
        rows = [(text.format(TR_S * v + 0.00012), 0, "R128") for v in range(VOLUMES)]
        write_rows(tmp_path / f"sub-01/{folder}/sub-01_task-rest_events.tsv", HEADER, *rows)
    with refuses(AlignmentError, r"lists the same onsets as that of BOLD: a copy is no clock"):
        aligned(tmp_path)


def test_two_unknown_markers_that_fit_are_refused_and_named(clock, refuses):
    events = [*others("Stimulus/A", MARKERS), *others("Stimulus/B", MARKERS + 15)]
    with refuses(AlignmentError, r"(A|B) \(12 markers\) and (A|B) \(12 markers\) both have the rhythm of the volumes"):
        clock([], events=events)
    assert clock([], events=events, volume_marker="B").onset == pytest.approx(52)


def test_a_stimulus_in_the_rhythm_of_some_volumes_is_no_clock(clock, refuses):
    reason = r"share no certain clock: S  1 has the rhythm .*spans 9, the BOLD file has 12; .*volume_marker='S  1'"
    with refuses(AlignmentError, reason):
        clock([], events=others("Stimulus/S  1", MARKERS[2:11]))


def test_a_given_name_is_taken_as_it_is(clock, refuses):
    events = others("Sync On", MARKERS)
    found = clock([], events=events, volume_marker="Sync On")
    assert (found.onset, found.how) == (pytest.approx(37), "given")
    with refuses(AlignmentError, r"no R129 marker .*share no clock \(did you mean R128\?\)|no R129 marker.*R128"):
        clock(MARKERS, volume_marker="R129")


def test_a_marker_may_be_a_number(clock):
    assert DatasetConfig(volume_marker=10).volume_marker == "10"
    events = [*others("Stimulus/10", MARKERS), *others("Stimulus/S 10", MARKERS + 20)]
    assert clock([], events=events, volume_marker="10").onset == pytest.approx(37)


def test_markers_of_slices_start_a_volume_every_so_many(clock):
    slices = (MARKERS[:, None] + 10 * np.arange(5)).ravel()
    found = clock(slices)
    assert (found.onset, found.period, found.markers_found) == (pytest.approx(37), pytest.approx(50), 12)
    assert found.warnings == ("its R128 markers: 60 markers, 5 in every volume",)


def test_slices_whose_first_marker_is_missing_are_refused(clock, refuses):
    slices = (MARKERS[:, None] + 10 * np.arange(5)).ravel()
    for kept in (slices[1:], slices[2:], slices[:-1]):
        with refuses(
            AlignmentError,
            "the first or the last volume lacks some R128 markers .*, so the first marker of a volume is unknown",
        ):
            clock(kept)


@pytest.mark.parametrize("lost", [5, 17, 20, 54])
def test_a_lost_marker_of_slices_within_the_run_moves_nothing(lost, clock):
    slices = np.delete((MARKERS[:, None] + 10 * np.arange(5)).ravel(), lost)
    assert clock(slices).onset == pytest.approx(37)


def test_pairs_of_markers_start_a_volume_with_the_first_of_each(clock):
    assert clock(np.sort(np.r_[MARKERS, MARKERS + 3])).onset == pytest.approx(37)


def test_one_marker_per_two_volumes_is_enough(clock):
    for n_volumes in (11, 12):
        found = clock(MARKERS[::2], n_volumes)
        assert (found.onset, found.period, found.markers_missing) == (pytest.approx(37), pytest.approx(50), 0)
        assert found.warnings == (
            "the first of its R128 markers is assumed to mark volume 0",
            "its R128 markers: 6 markers, one per 2 volumes",
        )


def test_a_start_time_that_contradicts_the_markers_is_told(clock, tmp_path):
    write_json(tmp_path / "eeg.json", {"StartTime": -1.37})
    (warning,) = clock(MARKERS, eeg_sidecars=(tmp_path / "eeg.json",)).warnings
    assert warning == "StartTime of its sidecar and the volume markers differ by 1.000 s; the markers are used"
    write_json(tmp_path / "eeg.json", {"StartTime": -0.37})
    assert not clock(MARKERS, eeg_sidecars=(tmp_path / "eeg.json",)).warnings


# --- breaks and gaps -------------------------------------------------------------------------


def test_a_break_of_unknown_length_within_the_run_is_refused(clock, refuses):
    with refuses(
        AlignmentError, r"a boundary at 2\.000 s interrupts the EEG within its R128 markers for an unknown time"
    ):
        clock(MARKERS, breaks=((200, "boundary"),))
    assert clock(MARKERS, breaks=((20, "boundary"), (700, "boundary"))).onset == pytest.approx(37)


def test_a_break_before_the_run_matters_where_the_file_start_is_the_clock(clock, refuses):
    with refuses(AlignmentError, r"a boundary at 0\.200 s interrupts the EEG"):
        clock([], alignment="file-start", breaks=((20, "boundary"),), n_volumes=10)


def test_windows_that_touch_a_gap_are_told(clock):
    (warning,) = clock(MARKERS, gaps=((210, 260),)).warnings
    assert warning == "0.500 s of EEG are missing within the run: 2 windows are left out"


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


def test_a_rate_that_the_sidecar_contradicts_is_refused_where_no_marker_tells(tmp_path, refuses):
    with_start_time(tmp_path)
    write_json(tmp_path / "sub-01/eeg/sub-01_task-rest_eeg.json", {"StartTime": -LEAD, "SamplingFrequency": 5000})
    with refuses(AlignmentError, rf"the file says {RATE:g} Hz and its sidecar 5000 Hz"):
        aligned(tmp_path)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(1.0 + LEAD, 0, "press")], r"1 events 'press', sub-01_task-rest_events\.tsv lists 3"),
        ([(t + LEAD, 0, "press") for t in (1.0, 7.9, 19.25)], r"3\.212 s apart, but one differs by 0\.400 s"),
    ],
)
def test_events_that_contradict_each_other_are_refused(rows, reason, tmp_path, refuses):
    with_events(tmp_path)
    write_rows(tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv", HEADER, *rows)
    with refuses(AlignmentError, reason):
        aligned(tmp_path)


def test_a_table_that_both_inherit_is_no_clock(tmp_path, refuses):
    write_recording(tmp_path, markers=[])
    write_rows(tmp_path / "task-rest_events.tsv", HEADER, (1.0, 0, "press"))
    with refuses(AlignmentError, "share no clock"):
        aligned(tmp_path)


def test_a_table_copied_from_bold_to_eeg_is_no_clock(tmp_path, refuses):
    with_events(tmp_path)
    table = (tmp_path / "sub-01/func/sub-01_task-rest_events.tsv").read_bytes()
    (tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv").write_bytes(table)
    with refuses(AlignmentError, r"lists the same onsets as that of BOLD: a copy is no clock; add the volume markers"):
        aligned(tmp_path)


def test_markers_of_the_table_are_listed_where_there_is_no_clock(tmp_path, refuses):
    write_recording(tmp_path, markers=[])
    rows = [(1000 * s, 0, "R128") for s, _ in volume_markers(RATE, LEAD)]  # milliseconds
    write_rows(tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv", HEADER, *rows)
    with refuses(AlignmentError, rf"the markers are R128 in events\.tsv \({VOLUMES}\)"):
        aligned(tmp_path)


@pytest.mark.parametrize("decimals", [2, 3])
def test_a_copy_with_fewer_decimals_is_no_clock(decimals, tmp_path, refuses):
    write_recording(tmp_path, markers=[])
    for folder, rounded in (("func", 4), ("eeg", decimals)):
        rows = [(round(t + 0.0046, rounded), 0, "press") for t in (1.0, 7.5, 19.25)]
        write_rows(tmp_path / f"sub-01/{folder}/sub-01_task-rest_events.tsv", HEADER, *rows)
    with refuses(AlignmentError, r"lists the same onsets as that of BOLD: a copy is no clock"):
        aligned(tmp_path)


def test_markers_of_the_file_count_where_its_table_is_a_copy_or_contradicts_them(tmp_path):
    for name, shift in (("copy", 0.0), ("other", 5.0)):
        root = tmp_path / name
        write_recording(root, markers=[(t + 3.2, "S7") for t in (1.0, 7.5)], onset_s=3.2)
        for folder, late in (("eeg", shift), ("func", 0.0)):
            rows = [(t + late, 0, "S  7") for t in (1.0, 7.5)]
            write_rows(root / f"sub-01/{folder}/sub-01_task-rest_events.tsv", HEADER, *rows)
        found = aligned(root)
        assert (found.onset, found.source) == (pytest.approx(3.2 * RATE), "events")
        assert len(found.warnings) == 1


def test_a_table_that_contradicts_the_volume_markers_of_the_file_is_told(tmp_path):
    write_recording(tmp_path)
    rows = [(s - 3, 0, "R128") for s, _ in volume_markers(RATE, LEAD)]
    write_rows(tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv", HEADER, *rows)
    found = aligned(tmp_path)
    assert found.onset == pytest.approx(LEAD * RATE)
    assert "lists 'r128' up to 3.000 s away from the EEG file's markers" in found.warnings[0]


@pytest.mark.parametrize("onset", ["3,212", "soon", "n/a", "inf"])
def test_an_onset_that_is_no_number_is_refused(onset, tmp_path, refuses):
    with_volumes_in_the_event_table(tmp_path)
    table = tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv"
    table.write_text(table.read_text().replace("\n5.212\t", f"\n{onset}\t"))
    with refuses(DatasetError, rf"row 3 has the onset '{onset}', seconds are expected"):
        aligned(tmp_path)


def test_a_sample_column_that_counts_from_1_gives_the_same(tmp_path):
    write_recording(tmp_path, markers=[])
    rows = [(round(s, 3), 0, "R128", round(s * RATE) + 1) for s, _ in volume_markers(RATE, LEAD)]
    write_rows(tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv", (*HEADER, "sample"), *rows)
    assert aligned(tmp_path).onset == pytest.approx(LEAD * RATE)


def test_a_numbered_marker_in_a_table_and_its_type_are_one(tmp_path):
    write_recording(tmp_path, markers=[])
    rows = [(s, 0, 10, "Response") for s, _ in volume_markers(RATE, LEAD)]
    write_rows(tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv", (*HEADER, "type"), *rows)
    found = aligned(tmp_path)
    assert (found.onset, found.source) == (pytest.approx(LEAD * RATE), "10 in events.tsv")


def test_another_volume_marker(tmp_path):
    write_recording(tmp_path, markers=[(s, "S1") for s, _ in volume_markers(RATE, LEAD)])
    (recording,), _ = find_recordings(tmp_path, DatasetConfig(volume_marker="S 1"))
    found = align(open_eeg(recording), recording, TR_S, VOLUMES)
    assert (found.source, found.onset) == ("S 1", pytest.approx(LEAD * RATE))


def test_a_sample_column_that_contradicts_the_onsets_is_refused(tmp_path, refuses):
    write_recording(tmp_path, markers=[])
    rows = [(s, 0, "R128", round(s * RATE) + 5000) for s, _ in volume_markers(RATE, LEAD)]
    table = tmp_path / "sub-01/eeg/sub-01_task-rest_events.tsv"
    write_rows(table, ("onset", "duration", "value", "sample"), *rows)
    with refuses(DatasetError, r"row 2 has sample 5803 and onset 3\.212 s, which are 20\.000 s apart at 250 Hz"):
        aligned(tmp_path)


def test_xp_without_any_marker_is_told(clock):
    found = clock([], alignment="xp")
    assert (found.onset, found.source) == (-200, "xp offset")
    assert "no S 99 or S  2 marker" in found.warnings[0]


@pytest.mark.parametrize("surplus", [0, 10])
def test_the_raw_table_of_an_xp_run_says_how_far_the_scanner_is_ahead(surplus, tmp_path):
    """As in sub-xp101, task eegfmriNF: S 99 follows the first R128 by 2.742 s, and more R128 than volumes are there."""
    write_xp1(tmp_path, runs={"fmriNF": (False, True, True)})
    rows = [(f"{29.9608 + TR_S * v:.4f}", 0, "Response/R128", 149804 + 10000 * v) for v in range(VOLUMES + surplus)]
    blocks = [("32.7032", 0, "Stimulus/S 99", 163516), ("52.7152", 0, "Stimulus/S  2", 263576)]
    table = tmp_path / "sub-xp102/eeg/sub-xp102_task-fmriNF_events.tsv"
    write_rows(table, (*HEADER, "sample"), (0.0, 0, "New Segment/", 0), *rows, *blocks)
    (recording,), _ = find_recordings(tmp_path, DatasetConfig(name="xp1"))
    found = align(open_eeg(recording), recording, TR_S, VOLUMES)
    assert found.onset / 200 == pytest.approx(-2.7424)
    assert found.source == "xp offset, 2.742 s by the raw EEG"
    assert table in recording.files


def test_an_xp_run_without_raw_markers_says_how_uncertain_its_clock_is(tmp_path):
    write_xp2(tmp_path)
    recording = find_recordings(tmp_path, DatasetConfig(name="xp2"))[0][0]
    (warning,) = (line for line in align(open_eeg(recording), recording, 1.0, VOLUMES).warnings if "uncertain" in line)
    assert warning.startswith(
        "the scanner is assumed to start 2 s before the first rest block, uncertain by one TR (1 s)"
    )


def test_markers_of_raw_eeg_say_nothing_of_a_derivative_that_begins_elsewhere(tmp_path, refuses):
    """The raw EEG's table lists its volume markers; the cleaned EEG was cut to begin a second later."""
    with_volumes_in_the_event_table(tmp_path)
    derived = tmp_path / "derivatives/clean/sub-01/eeg/sub-01_task-rest_eeg.vhdr"
    write_vhdr(derived, impulse(RATE, LEAD - 1), RATE, NAMES, [])
    (recording,), _ = find_recordings(tmp_path, DatasetConfig(eeg="clean"))
    with refuses(AlignmentError, "share no clock"):
        align(open_eeg(recording), recording, TR_S, VOLUMES)
    write_rows(derived.with_name("sub-01_task-rest_events.tsv"), HEADER,
               *((round(s - 1, 3), 0, "R128") for s, _ in volume_markers(RATE, LEAD)))  # fmt: skip
    (recording,), _ = find_recordings(tmp_path, DatasetConfig(eeg="clean"))
    found = align(open_eeg(recording), recording, TR_S, VOLUMES)
    assert found.onset == pytest.approx((LEAD - 1) * RATE)
