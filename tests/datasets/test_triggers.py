"""Trigger channels: the scanner's input as a value or as a bit among others."""

import mne
import numpy as np
import pytest

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets import align, find_recordings, open_eeg
from tests.conftest import CHANNELS, LEAD_S, RATE_HZ, TR_S, VOLUMES


def write_with_status(write_recording, root, status, rng):
    """A FIF recording with a trigger channel ``Status`` and no annotation."""
    folder = write_recording(root)
    header = folder / "eeg/sub-01_task-rest_eeg.vhdr"
    for part in (header, header.with_suffix(".eeg"), header.with_suffix(".vmrk")):
        part.unlink()
    info = mne.create_info([*CHANNELS, "Status"], RATE_HZ, ["eeg"] * len(CHANNELS) + ["stim"])
    data = np.vstack([rng.normal(0, 2e-5, (len(CHANNELS), len(status))), status])
    mne.io.RawArray(data, info, verbose="error").save(header.with_suffix(".fif"), verbose="error")
    (folder / "eeg/sub-01_task-rest_channels.tsv").unlink()
    return root


@pytest.fixture
def status():
    """A scanner's pulse of 3 samples at every volume."""
    course = np.zeros(1270)
    for volume in range(VOLUMES):
        start = round((LEAD_S + volume * TR_S) * RATE_HZ)
        course[start : start + 3] = 128
    return course


def aligned(root, **settings):
    (recording,), _ = find_recordings(root, DatasetConfig(**settings))
    return align(open_eeg(recording), recording, TR_S, VOLUMES)


def test_a_value_of_the_trigger_channel_is_the_scanners(write_recording, status, rng, tmp_path):
    found = aligned(write_with_status(write_recording, tmp_path, status, rng))
    assert found.onset == pytest.approx(LEAD_S * RATE_HZ)
    assert found.source.endswith("in a trigger channel")
    assert found.markers_found == VOLUMES


def test_a_bit_is_the_scanners_where_other_inputs_are_high(write_recording, status, rng, tmp_path):
    task = np.zeros(1270)
    for k, start in enumerate((150, 290, 333, 480, 701, 930, 1055)):
        task[start : start + 60] = 1 + k % 5
    found = aligned(write_with_status(write_recording, tmp_path, status + task, rng))
    assert found.onset == pytest.approx(LEAD_S * RATE_HZ)
    assert (found.source, found.markers_found) == ("bit 7 in a trigger channel", VOLUMES)


@pytest.mark.parametrize("width", [3, round(TR_S * RATE_HZ)])
def test_a_channel_that_counts_the_volumes_is_the_scanners(width, write_recording, status, rng, tmp_path):
    for volume in range(VOLUMES):
        start = round((LEAD_S + volume * TR_S) * RATE_HZ)
        status[start : start + width] = volume + 1
    found = aligned(write_with_status(write_recording, tmp_path, status, rng))
    assert found.onset == pytest.approx(LEAD_S * RATE_HZ)
    assert (found.source, found.markers_found) == ("any value in a trigger channel", VOLUMES)


def test_a_value_can_be_given(write_recording, status, rng, tmp_path):
    found = aligned(write_with_status(write_recording, tmp_path, status, rng), volume_marker=128)
    assert (found.source, found.how) == ("128 in a trigger channel", "given")


def test_a_channel_that_the_table_calls_a_trigger_is_read_as_a_voltage(write_recording, status, rng, tmp_path):
    course = 2e-3 * (status > 0) + rng.normal(0, 1e-5, len(status))
    folder = write_recording(tmp_path)
    header = folder / "eeg/sub-01_task-rest_eeg.vhdr"
    for part in (header, header.with_suffix(".eeg"), header.with_suffix(".vmrk")):
        part.unlink()
    info = mne.create_info([*CHANNELS, "AUX1"], RATE_HZ, "eeg")
    data = np.vstack([rng.normal(0, 2e-5, (len(CHANNELS), len(course))), course])
    mne.io.RawArray(data, info, verbose="error").save(header.with_suffix(".fif"), verbose="error")
    table = folder / "eeg/sub-01_task-rest_channels.tsv"
    table.write_text(table.read_text() + "AUX1\tTRIG\tV\n")
    found = aligned(tmp_path)
    assert found.onset == pytest.approx(LEAD_S * RATE_HZ)
    assert found.source == "AUX1 high in a trigger channel"
