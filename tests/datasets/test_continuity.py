"""Time that is missing in a file: put back where its length is known, refused within the run where it is not."""

import json

import mne
import numpy as np
import pytest

from eeg2fmri.config import DataConfig, DatasetConfig
from eeg2fmri.datasets import find_recordings, open_eeg, open_eeg_file
from eeg2fmri.datasets.continuity import Cut, boundaries, segments, timeline
from eeg2fmri.errors import AlignmentError, DatasetError
from eeg2fmri.store import Windows, build_store
from tests.conftest import CHANNELS, GRID, LEAD_S, RATE_HZ, TR_S, VOLUMES, tiny_volumes

CUT = round((LEAD_S + 9.4 * TR_S) * RATE_HZ)  # within window 9
PAUSE = 137  # samples: windows 9 to 12 touch it
EVENT = 16
CONFIG = DataConfig(frequencies=7, context=2, dropped_volumes=0, grid=GRID)


@pytest.fixture
def signal(rng):
    """EEG and BOLD whose window and volume `EVENT` stand out, with the pause cut out of the EEG."""
    eeg = rng.normal(0, 20, (len(CHANNELS), round((LEAD_S + VOLUMES * TR_S + 0.4) * RATE_HZ)))
    start = round((LEAD_S + EVENT * TR_S) * RATE_HZ)
    eeg[:, start : start + round(TR_S * RATE_HZ)] *= 8
    volumes = tiny_volumes(rng)
    volumes[..., EVENT] *= 1.4
    return np.delete(eeg, slice(CUT, CUT + PAUSE), axis=1), volumes


def kept_markers():
    samples = [round((LEAD_S + v * TR_S) * RATE_HZ) for v in range(VOLUMES)]
    return [s if s < CUT else s - PAUSE for s in samples if not CUT <= s < CUT + PAUSE]


def with_segments(header, second):
    """Mark two segments in a BrainVision marker file; `second` is the time of day at which the second begins."""
    marks = header.with_suffix(".vmrk")
    lines = marks.read_text(encoding="utf-8").splitlines()
    number = sum(line.startswith("Mk") for line in lines)
    lines.append(f"Mk{number + 1}=New Segment,,1,1,0,20240101120000000000")
    lines.append(f"Mk{number + 2}=New Segment,,{CUT + 1},1,0{second}")
    marks.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return header


def clock_of(sample):
    return f",20240101120{sample / RATE_HZ:010.6f}".replace(".", "")


def write(write_recording, root, signal, second, *, markers=None, **changes):
    eeg, volumes = signal
    markers = kept_markers() if markers is None else markers
    folder = write_recording(root, eeg=eeg, volumes=volumes, markers=markers, **changes)
    with_segments(folder / "eeg/sub-01_task-rest_eeg.vhdr", second)
    return folder


def check_store(root, where):
    built = build_store(find_recordings(root)[0], where, CONFIG)
    (recording,) = built.store.recordings
    spectra = recording.spectrogram[:, :4].mean(axis=(1, 2))
    brightness = [recording.volumes[v].mean() for v in range(VOLUMES)]
    assert int(spectra.argmax()) == int(np.argmax(brightness)) == EVENT
    assert recording.attributes["gap_windows"] == [9, 10, 11, 12]
    assert not spectra[9:13].any()
    windows = Windows(built.store.recordings, CONFIG.context)
    left_out = {v for v in range(2, VOLUMES) if {v - 1, v - 2} & {9, 10, 11, 12}}
    assert len(windows) == VOLUMES - 2 - len(left_out)
    np.testing.assert_array_equal(
        windows.eeg(np.arange(len(windows))),
        np.stack([recording.spectrogram[v - 2 : v].transpose(1, 2, 0) for v in range(2, VOLUMES) if v not in left_out]),
    )
    np.testing.assert_array_equal(
        windows.volumes(np.arange(len(windows))),
        np.stack([recording.volumes[v] for v in range(2, VOLUMES) if v not in left_out]),
    )
    return recording


def test_a_pause_of_known_length_is_put_back(write_recording, signal, tmp_path):
    write(write_recording, tmp_path / "bids", signal, clock_of(CUT + PAUSE))
    recording = check_store(tmp_path / "bids", tmp_path / "store")
    assert recording.attributes["alignment"]["markers_missing"] == VOLUMES - len(kept_markers())
    assert any("1.370 s of EEG are missing within the run: 4 windows are left out" in line
               for line in recording.attributes["alignment"]["warnings"])  # fmt: skip


def test_a_pause_matters_without_volume_markers_too(write_recording, signal, tmp_path):
    folder = write(write_recording, tmp_path / "bids", signal, clock_of(CUT + PAUSE), markers=[])
    (folder / "eeg/sub-01_task-rest_eeg.json").write_text(json.dumps({"StartTime": -LEAD_S}))
    check_store(tmp_path / "bids", tmp_path / "store")


@pytest.mark.parametrize("second", ["", ",0", ",00000000000000000000"])
def test_a_pause_of_unknown_length_within_the_run_is_refused(second, write_recording, signal, tmp_path, refuses):
    write(write_recording, tmp_path / "bids", signal, second)
    with refuses(DatasetError, r"a New Segment at 6\.000 s interrupts the EEG within its R128 markers"):
        build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", CONFIG)


def test_a_pause_of_unknown_length_before_the_run_does_not_matter(write_recording, rng, tmp_path):
    folder = write_recording(tmp_path / "bids")
    header = folder / "eeg/sub-01_task-rest_eeg.vhdr"
    text = header.with_suffix(".vmrk").read_text(encoding="utf-8")
    header.with_suffix(".vmrk").write_text(text + "Mk99=New Segment,,51,1,0\n", encoding="utf-8")
    assert open_eeg_file(header).breaks == ((50, "New Segment"),)
    (recording,) = build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", CONFIG).store.recordings
    assert recording.attributes["gap_windows"] == []


def test_samples_across_a_pause_are_a_straight_line(write_recording, signal, tmp_path):
    folder = write(write_recording, tmp_path / "bids", signal, clock_of(CUT + PAUSE))
    raw = open_eeg_file(folder / "eeg/sub-01_task-rest_eeg.vhdr")
    eeg = signal[0]
    assert (raw.n_samples, raw.gaps) == (eeg.shape[1] + PAUSE, ((CUT, CUT + PAUSE),))
    whole = raw.read([1, 3])
    np.testing.assert_allclose(whole[:, :CUT], eeg[[1, 3], :CUT], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(whole[:, CUT + PAUSE :], eeg[[1, 3], CUT:], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.diff(whole[:, CUT - 1 : CUT + PAUSE + 1], 2), 0, atol=1e-3)
    np.testing.assert_array_equal(raw.read([1, 3], CUT - 5, CUT + 40), whole[:, CUT - 5 : CUT + 40])


def test_a_segment_that_begins_before_the_other_ends_is_refused(write_recording, signal, tmp_path, refuses):
    folder = write(write_recording, tmp_path / "bids", signal, clock_of(CUT - 20))
    with refuses(DatasetError, r"the New Segment at 6\.000 s begins 0\.200 s before the end of the EEG before it"):
        open_eeg_file(folder / "eeg/sub-01_task-rest_eeg.vhdr")


def test_segments_that_follow_each_other_are_no_pause():
    text = "Mk1=New Segment,,1,1,0,20240101120000000000\nMk2=New Segment,,501,1,0,20240101120005000400\n"
    assert segments(text, 100.0) == []
    later = text.replace("20240101120005000400", "20240101120006000400")
    assert segments(later, 100.0) == [Cut(500, pytest.approx(1.0004), "New Segment")]


def test_pauses_of_hours_are_refused(tmp_path, refuses):
    with refuses(DatasetError, r"its pauses last 4000 s in all, at most 3600 s are read; export each BOLD run"):
        timeline(tmp_path / "x.vhdr", 1000, 100.0, [Cut(500, 4000.0, "New Segment")], ())


# --- EEGLAB, FIF, EDF+D ----------------------------------------------------------------------


def as_eeglab(folder, eeg, boundary_s):
    """Replace a BrainVision recording by an EEGLAB one with a boundary of that duration."""
    import eeglabio

    header = folder / "eeg/sub-01_task-rest_eeg.vhdr"
    for part in (header, header.with_suffix(".eeg"), header.with_suffix(".vmrk")):
        part.unlink()
    marks = [(sample / RATE_HZ, 0.0, "R128") for sample in kept_markers()]
    onsets, durations, texts = zip(*marks, ((CUT - 0.5) / RATE_HZ, boundary_s, "boundary"), strict=True)
    eeglabio.raw.export_set(
        str(header.with_suffix(".set")), eeg * 1e-6, RATE_HZ, list(CHANNELS),
        annotations=[np.array(texts), np.array(onsets), np.array(durations)],
    )  # fmt: skip


def test_a_boundary_of_eeglab_lasts_as_long_as_what_was_cut_out(write_recording, signal, tmp_path):
    folder = write_recording(tmp_path / "bids", eeg=signal[0], volumes=signal[1], markers=kept_markers())
    as_eeglab(folder, signal[0], PAUSE / RATE_HZ)
    check_store(tmp_path / "bids", tmp_path / "store")


def test_a_boundary_of_eeglab_without_a_duration_is_refused(write_recording, signal, tmp_path, refuses):
    folder = write_recording(tmp_path / "bids", eeg=signal[0], volumes=signal[1], markers=kept_markers())
    as_eeglab(folder, signal[0], 0.0)
    with refuses(DatasetError, r"a boundary at 6\.000 s interrupts the EEG within its R128 markers"):
        build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", CONFIG)


def as_fif(folder, raw):
    header = folder / "eeg/sub-01_task-rest_eeg.vhdr"
    for part in (header, header.with_suffix(".eeg"), header.with_suffix(".vmrk")):
        part.unlink()
    raw.save(header.with_suffix(".fif"), verbose="error")


def test_recordings_that_mne_joined_are_refused_within_the_run(write_recording, rng, tmp_path, refuses):
    folder = write_recording(tmp_path / "bids")
    eeg = rng.normal(0, 2e-5, (len(CHANNELS), 1270))
    info = mne.create_info(list(CHANNELS), RATE_HZ, "eeg")
    halves = [mne.io.RawArray(part, info, verbose="error") for part in (eeg[:, :600], eeg[:, 600:])]
    for half, first, last in ((halves[0], 0, 9), (halves[1], 10, VOLUMES)):
        start = 0 if first == 0 else 6.0
        onsets = [LEAD_S + v * TR_S - start for v in range(first, last)]
        half.set_annotations(mne.Annotations(onsets, 0, "R128"))
    as_fif(folder, mne.concatenate_raws(halves, verbose="error"))
    with refuses(DatasetError, r"a (BAD|EDGE) boundary at 6\.000 s interrupts the EEG"):
        build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", CONFIG)


def test_samples_that_a_fif_file_skipped_are_a_gap(write_recording, rng, tmp_path):
    folder = write_recording(tmp_path / "bids")
    raw = mne.io.RawArray(rng.normal(0, 2e-5, (len(CHANNELS), 1270)), mne.create_info(list(CHANNELS), RATE_HZ, "eeg"),
                          verbose="error")  # fmt: skip
    onsets = [LEAD_S + v * TR_S for v in range(VOLUMES)]
    raw.set_annotations(mne.Annotations([*onsets, 6.0], [0] * VOLUMES + [1.3], ["R128"] * VOLUMES + ["BAD_ACQ_SKIP"]))
    as_fif(folder, raw)
    (found,), _ = find_recordings(tmp_path / "bids")
    assert open_eeg(found).gaps == ((600, 730),)
    (recording,) = build_store([found], tmp_path / "store", CONFIG).store.recordings
    assert recording.attributes["gap_windows"] == [9, 10, 11]


def write_edf_plus(path, eeg, onsets_s, marks):
    """EDF+ by hand, records of 0.5 s that begin at `onsets_s`; marks are (seconds, text)."""
    size, n_records, width = round(0.5 * RATE_HZ), len(onsets_s), 40
    names = [*CHANNELS, "EDF Annotations"]
    fields = [
        [name.ljust(16) for name in names],
        [" " * 80] * len(names),
        ["uV".ljust(8)] * len(CHANNELS) + [" " * 8],
        [text.ljust(8) for text in ["-3276.8"] * len(CHANNELS) + ["-1"]],
        [text.ljust(8) for text in ["3276.7"] * len(CHANNELS) + ["1"]],
        ["-32768".ljust(8)] * len(names),
        ["32767".ljust(8)] * len(names),
        [" " * 80] * len(names),
        [str(n).ljust(8) for n in [size] * len(CHANNELS) + [width]],
        [" " * 32] * len(names),
    ]
    head = "0".ljust(8) + "X X X X".ljust(80) + "Startdate 01-JAN-2024 X X X".ljust(80) + "01.01.24" + "12.00.00"
    head += str(256 * (len(names) + 1)).ljust(8) + "EDF+D".ljust(44) + str(n_records).ljust(8) + "0.5".ljust(8)
    head += str(len(names)).ljust(4) + "".join("".join(field) for field in fields)
    blocks = [head.encode("ascii")]
    for record, onset in enumerate(onsets_s):
        blocks.append(np.rint(eeg[:, record * size : (record + 1) * size] * 10).astype("<i2").tobytes())
        texts = f"+{onset:g}\x14\x14\0" + "".join(
            f"+{s:.4f}\x14{text}\x14\0" for s, text in marks if onset <= s < onset + 0.5
        )
        blocks.append(texts.encode("ascii").ljust(2 * width, b"\0"))
    path.write_bytes(b"".join(blocks))


def test_records_of_an_edf_file_that_do_not_follow_each_other_are_a_gap(write_recording, rng, tmp_path):
    """EDF+D: after record 11, at 6 s, 1.3 s are missing."""
    folder = write_recording(tmp_path / "bids")
    header = folder / "eeg/sub-01_task-rest_eeg.vhdr"
    for part in (header, header.with_suffix(".eeg"), header.with_suffix(".vmrk")):
        part.unlink()
    onsets = [0.5 * k if k < 12 else 0.5 * k + 1.3 for k in range(24)]
    marks = [(LEAD_S + v * TR_S, "R128") for v in range(VOLUMES)]
    write_edf_plus(header.with_suffix(".edf"), rng.normal(0, 20, (len(CHANNELS), 1200)), onsets, marks)
    (found,), _ = find_recordings(tmp_path / "bids")
    raw = open_eeg(found)
    assert (raw.gaps, raw.n_samples) == (((600, 730),), 1330)
    (recording,) = build_store([found], tmp_path / "store", CONFIG).store.recordings
    assert recording.attributes["gap_windows"] == [9, 10, 11]
    assert recording.attributes["alignment"]["onset_s"] == pytest.approx(LEAD_S)


def test_no_volume_without_a_gap_is_refused(write_recording, signal, tmp_path, refuses):
    write(write_recording, tmp_path / "bids", signal, clock_of(CUT + PAUSE))
    config = CONFIG.model_copy(update={"context": 10})
    with refuses(DatasetError, r"no volume has 10 EEG windows before it \(17 of 21 windows have EEG\)"):
        build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", config)
    assert issubclass(AlignmentError, DatasetError)


def test_a_pause_that_the_markers_contradict_is_refused_whatever_the_settings(
    write_recording, signal, tmp_path, refuses
):
    """The time of day of the second segment is three volumes late."""
    write(write_recording, tmp_path / "bids", signal, clock_of(CUT + PAUSE + 150))
    for end in ("refuse", "end", "start"):
        recordings, _ = find_recordings(tmp_path / "bids", DatasetConfig(missing_markers=end, surplus_markers=end))
        with refuses(
            DatasetError,
            r"the pause of 2\.870 s at 6\.000 s does not fit: with it its R128 markers .* correct the pause",
        ):
            build_store(recordings, tmp_path / "store", CONFIG)


def test_cuts_at_one_place_add_up_and_lost_samples_are_counted():
    events = [(2.995, 1.0, "boundary"), (2.995, 0.7, "boundary"), (5.0, 0.0, "LostSamples: 30"), (7.0, 0.5, "-99"),
              (8.995, 1.0, "boundary"), (8.995, 0.0, "boundary")]  # fmt: skip
    cuts, _ = boundaries(events, 100.0)
    assert [(cut.sample, cut.seconds) for cut in cuts] == [
        (300, pytest.approx(1.7)), (500, pytest.approx(0.3)), (700, 0.5), (900, None)]  # fmt: skip


def test_a_cropped_fif_file_without_a_date_counts_from_its_first_sample(tmp_path, rng):
    raw = mne.io.RawArray(rng.normal(0, 2e-5, (1, 1000)), mne.create_info(["Cz"], RATE_HZ, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations([7.0], [0], ["R128"]))
    raw.crop(4.0).save(tmp_path / "x_eeg.fif", verbose="error")
    assert open_eeg_file(tmp_path / "x_eeg.fif").events == ((pytest.approx(3.0), "R128"),)
