import mne
import numpy as np
import pytest

from eeg2fmri.errors import DatasetError
from eeg2fmri.signals.bads import interpolate_bads

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz"]


@pytest.fixture
def smooth(rng):
    """A potential that varies smoothly over the head, (13, 50)."""
    positions = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    places = np.stack([positions[name] for name in NAMES])
    return (places / 0.09) @ rng.normal(0, 20, (3, 50)) + rng.normal(0, 1, 50)


def test_a_bad_channel_is_rebuilt_from_its_neighbours(smooth):
    eeg = smooth.astype(np.float32)
    eeg[4] = 1e5
    found = interpolate_bads(eeg, NAMES, ["C3"])
    assert np.corrcoef(found[4], smooth[4])[0, 1] > 0.95
    np.testing.assert_array_equal(np.delete(found, 4, axis=0), np.delete(smooth, 4, axis=0).astype(np.float32))


def test_it_equals_the_interpolation_of_mne(smooth):
    info = mne.create_info(NAMES, 100.0, "eeg").set_montage("colin27_1005")
    info["bads"] = ["Cz", "O1"]
    expected = mne.io.RawArray(smooth.copy(), info, verbose="error").interpolate_bads(verbose="error").get_data()
    np.testing.assert_allclose(interpolate_bads(smooth.copy(), NAMES, ["Cz", "O1"]), expected, rtol=1e-6)


def test_names_in_other_case_are_known_and_strangers_take_no_part(smooth):
    names = [name.upper() for name in NAMES[:-1]] + ["E99"]
    eeg = smooth.copy()
    eeg[-1] = np.nan
    assert np.isfinite(interpolate_bads(eeg, names, ["FP1"])[0]).all()


def test_without_bad_channels_nothing_happens(smooth):
    assert interpolate_bads(smooth, ["X"] * len(smooth), []) is smooth


@pytest.mark.parametrize(
    ("names", "bads", "match"),
    [
        ([*NAMES[:-1], "E99"], ["Cz", "E99"], "channel E99 is marked bad and has no 10-05 position"),
        (NAMES, NAMES[3:], "3 good EEG channels .* besides 10 bad ones"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused(smooth, names, bads, match, refuses):
    with refuses(DatasetError, match):
        interpolate_bads(smooth, names, bads)
