import numpy as np
import pytest

from eeg2fmri.simulation import amplitudes, eeg
from eeg2fmri.simulation.anatomy import draw_anatomy
from eeg2fmri.simulation.forward import CHANNELS, electrode_positions, leadfield
from eeg2fmri.simulation.networks import NETWORKS, place

RATE, SECONDS = 125.0, 40
NAMES = [n.name for n in NETWORKS]


@pytest.fixture(scope="module")
def placements():
    rng = np.random.default_rng(11)
    anatomy = draw_anatomy((9, 8, 7), 2.16, rng)
    return [place(n, anatomy, rng) for n in NETWORKS]


@pytest.fixture(scope="module")
def recording(placements):
    clock = eeg.Clock(RATE, 500, int(RATE * SECONDS))
    level = np.ones((len(NETWORKS), clock.n))
    return eeg.draw_eeg(placements, level, clock, eeg.Scanner(30.0, 30 / 2.16), np.random.default_rng(3))[0]


def power(signal, low, high):
    spectrum = np.abs(np.fft.rfft(signal - signal.mean(axis=-1, keepdims=True))) ** 2
    f = np.fft.rfftfreq(signal.shape[-1], 1 / RATE)
    return spectrum[..., (f >= low) & (f <= high)].mean(axis=-1)


def test_cap_is_the_63_electrodes_of_the_10_05_system():
    assert len(set(CHANNELS)) == 63
    assert {"FCz", "AFz"}.isdisjoint(CHANNELS)
    assert electrode_positions()["Oz"][1] < -100


def test_a_dipole_is_seen_most_by_the_electrode_above_it():
    field = leadfield(np.array([[-40.0, -25.0, 55.0]]), np.array([[-0.55, -0.3, 0.78]]))
    assert field.shape == (63, 1)
    assert CHANNELS[int(np.abs(field[:, 0]).argmax())] in {"C3", "CP3", "C1", "CP1"}


def test_alpha_is_posterior_and_has_the_published_size(recording):
    alpha = dict(zip(CHANNELS, power(recording[:63], 7, 13), strict=True))
    back = np.mean([alpha[c] for c in ("O1", "Oz", "O2", "PO7", "PO8")])
    front = np.mean([alpha[c] for c in ("F3", "Fz", "F4", "Fpz")])
    assert back > 5 * front
    assert 8 < recording[CHANNELS.index("Oz")].std() < 40


def test_power_of_a_band_follows_its_network_only(placements):
    n = int(RATE * SECONDS)
    quiet, loud = np.ones((len(NETWORKS), n)), np.ones((len(NETWORKS), n))
    loud[NAMES.index("visual")] = 3.0
    first, second = (
        g @ s for g, s in (eeg.draw_rhythms(placements, a, RATE, np.random.default_rng(2)) for a in (quiet, loud))
    )
    oz, fz = CHANNELS.index("Oz"), CHANNELS.index("Fpz")
    assert power(second[oz], 7, 13) > 5 * power(first[oz], 7, 13)
    assert power(second[fz], 30, 45) == pytest.approx(power(first[fz], 30, 45), rel=0.05)


def test_background_falls_with_frequency(recording):
    fpz = recording[CHANNELS.index("F5")]
    assert power(fpz, 1, 3) > 10 * power(fpz, 25, 27)
    assert power(fpz, 25, 27) > 10 * power(fpz, 60.5, 62.5)  # beyond the anti-aliasing filter


def test_blinks_are_frontal(recording):
    assert recording[CHANNELS.index("Fp1")].max() > 60
    assert abs(recording[CHANNELS.index("Pz")]).max() < 60


def test_ecg_beats_about_once_a_second(recording):
    ecg = recording[-1]
    peaks = np.flatnonzero((ecg[1:-1] > 600) & (ecg[1:-1] >= ecg[:-2]) & (ecg[1:-1] > ecg[2:]))
    assert 0.8 < len(peaks) / SECONDS < 1.4


def test_an_amplitude_that_stands_still_has_mean_one():
    assert amplitudes.draw_amplitude(300_000, np.random.default_rng(1)).mean() == pytest.approx(1, abs=0.05)
