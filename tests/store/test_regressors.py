"""What the store keeps of motion, heart and task: planted, read back, and absent without a failure."""

import numpy as np
import pytest

from eeg2fmri.datasets import find_recordings
from eeg2fmri.signals import event_response
from eeg2fmri.store import build_store, summary
from tests.conftest import LEAD_S, TR_S, VOLUMES, tiny_eeg

DROPPED = 2
TIMES = TR_S * np.arange(VOLUMES)
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


@pytest.fixture
def stored(tmp_path, tiny_config):
    """The recording of a dataset as the store has it."""

    def read(root):
        built = build_store(find_recordings(root)[0], tmp_path / "store", tiny_config)
        assert not built.failures
        return built.store.recordings[0]

    return read


def with_ecg(rng, period_s):
    """EEG whose last channel beats every `period_s` seconds from the start of the file."""
    eeg = tiny_eeg(rng)
    eeg[-1] = rng.normal(0, 2, eeg.shape[1])
    samples = np.arange(20, eeg.shape[1], round(period_s * 100))
    for offset, height in ((-1, 300), (0, 900), (1, 300)):
        eeg[-1, samples + offset] += height
    return eeg


def confounds(folder, columns, rows):
    path = folder / "func" / "sub-01_task-rest_desc-confounds_timeseries.tsv"
    lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def test_motion_is_that_of_the_kept_volumes(write_recording, rng, stored, tmp_path):
    values = rng.normal(size=(VOLUMES, 6)).round(4)
    folder = write_recording(tmp_path / "bids")
    confounds(folder, ("framewise_displacement", *MOTION), [["n/a" if v == 0 else 0.1, *values[v]] for v in range(22)])
    recording = stored(tmp_path / "bids")
    motion = recording.regressors("motion")
    assert list(motion) == [*MOTION, *(f"{name}_change" for name in MOTION)]
    for column, name in enumerate(MOTION):
        np.testing.assert_allclose(motion[name], values[DROPPED:, column], rtol=1e-5)
        np.testing.assert_allclose(motion[f"{name}_change"], np.diff(values[:, column])[DROPPED - 1 :], atol=1e-5)


def test_the_pulse_is_read_from_the_ecg(write_recording, rng, stored, tmp_path):
    write_recording(tmp_path / "bids", eeg=with_ecg(rng, 0.8))
    pulse = stored(tmp_path / "bids").regressors("pulse")
    assert list(pulse) == ["heart_rate", "heart_rate_response", "pulse_amplitude", "pulse_amplitude_response"]
    np.testing.assert_allclose(pulse["heart_rate"], np.full(VOLUMES - DROPPED, 75), rtol=1e-3)
    np.testing.assert_allclose(pulse["pulse_amplitude"], np.ones(VOLUMES - DROPPED), rtol=0.02)


def events(folder, modality, rows, columns="onset\tduration\ttrial_type"):
    path = folder / modality / "sub-01_task-rest_events.tsv"
    path.write_text(columns + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows))


def test_the_task_counts_from_the_first_volume(write_recording, stored, tmp_path):
    folder = write_recording(tmp_path / "bids")
    rows = [(1.0, 2.0, "face"), (3.5, "n/a", "house"), (6.0, 2.0, "face"), (7.0, 0, "button_left"), (0, 0, "R128")]
    events(folder, "func", rows)
    task = stored(tmp_path / "bids").regressors("task")
    assert list(task) == ["face", "house"]
    face = event_response(np.array([1.0, 6.0]), np.array([2.0, 2.0]), TIMES)
    house = event_response(np.array([3.5]), np.array([0.0]), TIMES)
    np.testing.assert_allclose(task["face"], face[DROPPED:], rtol=1e-6)
    np.testing.assert_allclose(task["house"], house[DROPPED:], rtol=1e-6)


def test_the_task_of_the_eeg_is_put_on_the_clock_of_bold(write_recording, stored, tmp_path):
    folder = write_recording(tmp_path / "bids")
    markers = [(LEAD_S + TR_S * v, 0, "volume", "R128", 130 + 50 * v) for v in range(VOLUMES)]
    rows = [*markers, (LEAD_S + 4.0, 1.5, "tone", "n/a", 530)]
    events(folder, "eeg", rows, "onset\tduration\ttrial_type\tvalue\tsample")
    task = stored(tmp_path / "bids").regressors("task")
    assert list(task) == ["tone"]
    expected = event_response(np.array([4.0]), np.array([1.5]), TIMES)
    np.testing.assert_allclose(task["tone"], expected[DROPPED:], atol=1e-6)


def test_a_stretch_has_its_part_of_them(write_recording, rng, stored, tmp_path):
    write_recording(tmp_path / "bids", eeg=with_ecg(rng, 0.8))
    recording = stored(tmp_path / "bids")
    recording.attributes["gap_windows"] = [7]
    first, second = recording.stretches(3)
    whole = recording.regressors("pulse")["heart_rate"]
    for part in (first, second):
        start, count = part.part
        np.testing.assert_array_equal(part.regressors("pulse")["heart_rate"], whole[start : start + count])


def test_what_is_absent_is_no_failure_and_its_reason_is_kept(write_recording, stored, tmp_path, rng):
    folder = write_recording(tmp_path / "bids", names=("Fp1", "Fp2", "Cz", "Oz", "Pz"))
    confounds(folder, ("framewise_displacement",), [[0.1]] * VOLUMES)
    events(folder, "func", [(1.0, "long", "face")])
    recording = stored(tmp_path / "bids")
    assert recording.attributes["regressors"] == {}
    for kind in ("motion", "pulse", "task"):
        assert recording.regressors(kind) == {}
    reasons = recording.attributes["no_regressors"]
    assert reasons["motion"].startswith("sub-01_task-rest_desc-confounds_timeseries.tsv: a column trans_x is expected")
    assert reasons["pulse"] == "sub-01_task-rest_eeg.vhdr: no good ECG channel"
    assert reasons["task"] == "a trial has the duration 'long', seconds are expected"
    assert str(tmp_path) not in str(reasons)


def test_an_ecg_in_which_the_scanner_runs_gives_no_beats(write_recording, rng, stored, tmp_path):
    eeg = with_ecg(rng, 0.8)
    pattern = rng.normal(0, 3000, 50)
    for volume in range(VOLUMES):
        eeg[-1, 130 + 50 * volume : 180 + 50 * volume] += pattern
    write_recording(tmp_path / "bids", eeg=eeg)
    recording = stored(tmp_path / "bids")
    assert recording.regressors("pulse") == {}


def test_the_summary_lists_them(write_recording, rng, tmp_path, tiny_config):
    write_recording(tmp_path / "bids", eeg=with_ecg(rng, 0.8))
    store = build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", tiny_config).store
    assert "regressors" in summary(store)
    assert "pulse" in summary(store)
