"""The surface Laplacian."""

import mne
import numpy as np
import pytest

from eeg2fmri.errors import DatasetError
from eeg2fmri.signals import check_positions, current_source_density

NAMES = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T7", "T8", "P7", "P8", "Fz", "Cz")


def test_is_what_mne_makes_of_the_same_montage(rng):
    eeg = rng.normal(0, 20, (len(NAMES), 50))
    montage = mne.channels.make_standard_montage("colin27_1005")
    info = mne.create_info(list(NAMES), 100.0, "eeg").set_montage(montage)
    raw = mne.io.RawArray(eeg * 1e-6, info, verbose="error")
    expected = mne.preprocessing.compute_current_source_density(raw, verbose="error").get_data() * 1e3  # V/m² to mV/m²
    np.testing.assert_allclose(current_source_density(eeg, NAMES), expected, rtol=1e-9)


def test_neither_the_reference_nor_the_order_matters_and_other_channels_stay(rng):
    eeg = rng.normal(0, 20, (len(NAMES) + 1, 50)).astype(np.float32)
    names = ["ECG", *NAMES]
    found = current_source_density(eeg, names)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], eeg[0])
    shifted = np.vstack([eeg[:1], eeg[1:] + rng.normal(0, 50, 50).astype(np.float32)])
    np.testing.assert_allclose(current_source_density(shifted, names), found, atol=2e-4 * np.abs(found).max())
    back = current_source_density(eeg[::-1], names[::-1])[::-1]
    np.testing.assert_allclose(back, found, rtol=1e-4, atol=1e-4)


def test_a_local_source_is_seen_more_locally():
    """Of a potential around C3 that falls off over several electrodes, the density keeps less at the neighbours."""
    positions = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    distance = np.array([np.linalg.norm(positions[name] - positions["C3"]) for name in NAMES])
    potential = 10 * np.exp(-((distance / 0.07) ** 2))[:, None]
    density = np.abs(current_source_density(potential, NAMES)[:, 0])
    row = NAMES.index("C3")
    assert density.argmax() == row
    near = [NAMES.index(name) for name in ("F3", "P3", "Cz", "T7")]
    assert density[near].mean() / density[row] < 0.7 * potential[near].mean() / potential[row, 0]


def test_too_few_positions_are_refused(rng, refuses):
    with refuses(DatasetError, "2 channels have a 10-05 position, a surface Laplacian needs at least 4"):
        current_source_density(rng.normal(size=(4, 9)), ["fp1", "E17", "Cz", "ECG"])


@pytest.mark.parametrize("names", [("Fp1", "Fp2", "Cz", "Oz")])
def test_four_will_do(names, rng):
    assert np.isfinite(current_source_density(rng.normal(size=(4, 9)), names)).all()


def test_a_channel_without_a_position_is_refused_by_name(refuses):
    with refuses(DatasetError, r"E17 is no 10-05 position, so data\.current_source_density is not possible; rename"):
        check_positions(["fp1", "Fp2", "E17", "Cz", "Oz"])
    check_positions(["fp1", "Fp2", "Cz", "Oz"])
