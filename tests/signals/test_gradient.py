import numpy as np
import pytest
from scipy import signal

from eeg2fmri.errors import AlignmentError
from eeg2fmri.signals.gradient import remove_gradient, scan_epochs, volume_locked_share

RATE, LEAD, VOLUMES = 1000.0, 700, 40


def smooth_noise(rng, n_channels, n, low=2.0, high=40.0):
    band = signal.butter(2, (low, high), "bandpass", fs=RATE, output="sos")
    return signal.sosfilt(band, rng.normal(0, 50, (n_channels, n)), axis=1)


def train(tr, volumes=VOLUMES, tail=300, lead=LEAD):
    """An artefact of some mV that repeats every TR, (n,), and the onsets of the volumes."""
    onsets = lead + tr * RATE * np.arange(volumes)
    n = int(onsets[-1] + tr * RATE) + tail
    phase = (np.arange(n) - lead) / (tr * RATE)
    artefact = sum(2000 / k * np.sin(2 * np.pi * 9 * k * phase + k) for k in (1, 2, 4))
    artefact *= (phase > -1e-9) & (phase < volumes - 1e-9)
    return artefact, onsets


def attenuation_db(artefact, left):
    return 10 * np.log10(np.mean(artefact**2) / np.mean(left**2, axis=-1))


def test_an_artefact_that_repeats_exactly_vanishes():
    artefact, onsets = train(0.3)
    epochs = scan_epochs(onsets, 0.3, RATE, len(artefact), 21)
    assert attenuation_db(artefact, remove_gradient(artefact[None].copy(), epochs)).min() > 200


def test_what_repeats_with_every_volume_is_told_from_eeg(rng):
    artefact, onsets = train(0.3)
    eeg = smooth_noise(rng, 1, len(artefact))[0]
    assert volume_locked_share(eeg, onsets, 0.3, RATE) < 2 / VOLUMES
    assert volume_locked_share(eeg + artefact, onsets, 0.3, RATE) > 0.9
    mixed = volume_locked_share(artefact * np.sqrt(eeg.var() / artefact.var()) + eeg, onsets, 0.3, RATE)
    assert mixed == pytest.approx(0.5, abs=0.1)
    assert volume_locked_share(eeg[:50], onsets, 0.3, RATE) == 0


def test_the_eeg_keeps_its_power_at_every_template_size(rng):
    artefact, onsets = train(0.3, volumes=400)
    eeg = smooth_noise(rng, 3, len(artefact))
    for template in (5, 21):
        epochs = scan_epochs(onsets, 0.3, RATE, len(artefact), template)
        cleaned = remove_gradient(eeg + artefact, epochs)
        assert np.abs(cleaned.var(axis=1) / eeg.var(axis=1) - 1).max() < 0.02


def test_a_volume_takes_the_power_preserving_part_in_its_own_template():
    _, onsets = train(0.3)
    n = len(train(0.3)[0])
    epochs = scan_epochs(onsets, 0.3, RATE, n, 5)
    eeg = np.zeros((1, n))
    pulse = LEAD + 20 * 300 + 150
    eeg[0, pulse] = 1000.0
    cleaned = remove_gradient(eeg, epochs)[0]
    own, others = 1 - np.sqrt(4 / 5), np.sqrt(4 / 5) / 4
    one = 1000 * (1 - 1 / 300)  # a moving mean over one volume is left out of the template
    found = cleaned[pulse + 300 * np.array([-3, -2, -1, 0, 1, 2, 3])]
    expected = np.array([0, -others * one, -others * one, 1000 - own * one, -others * one, -others * one, 0])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_samples_outside_the_scan_stay_as_they_are(rng):
    artefact, onsets = train(0.3)
    eeg = smooth_noise(rng, 2, len(artefact)) + artefact
    cleaned = remove_gradient(eeg.copy(), scan_epochs(onsets, 0.3, RATE, len(artefact), 21))
    np.testing.assert_array_equal(cleaned[:, :LEAD], eeg[:, :LEAD])
    np.testing.assert_array_equal(cleaned[:, -300:], eeg[:, -300:])
    assert not np.allclose(cleaned[:, LEAD : LEAD + 50], eeg[:, LEAD : LEAD + 50])


def test_slow_eeg_is_not_subtracted():
    artefact, onsets = train(0.3)
    slow = 500 + 200 * np.sin(2 * np.pi * 0.05 * np.arange(len(artefact)) / RATE)
    cleaned = remove_gradient((artefact + slow)[None], scan_epochs(onsets, 0.3, RATE, len(artefact), 21))[0]
    inside = slice(LEAD + 300, -600)
    assert np.abs(cleaned - slow)[inside].max() < 5
    assert cleaned[inside].mean() == pytest.approx(slow[inside].mean(), abs=0.5)


@pytest.mark.parametrize("tr", [0.30037, 0.2995])
def test_volumes_that_begin_between_samples_are_aligned(tr, rng):
    artefact, onsets = train(tr)
    n = len(artefact)
    markers = np.rint(onsets)
    epochs = scan_epochs(markers, tr, RATE, n, 21)
    # The line through rounded markers is off by a common part of a sample, which does not matter.
    at = epochs.starts + epochs.shifts
    np.testing.assert_allclose(np.diff(at), tr * RATE, atol=0.01)
    left = remove_gradient(artefact[None].copy(), epochs)
    assert attenuation_db(artefact, left).min() > 30
    inner = slice(int(onsets[2]), int(onsets[-3]))
    assert attenuation_db(artefact[inner], left[:, inner]).min() > 45


def test_clock_drift_is_read_off_the_markers():
    artefact, onsets = train(0.3 * (1 + 5e-4), volumes=60)
    epochs = scan_epochs(np.rint(onsets), 0.3, RATE, len(artefact), 21)
    np.testing.assert_allclose(np.diff(epochs.starts + epochs.shifts), 300.15, atol=5e-3)


def test_a_marker_that_is_a_sample_late_does_not_misalign_the_others():
    artefact, onsets = train(0.3)
    onsets[-2] += 1
    epochs = scan_epochs(onsets, 0.3, RATE, len(artefact), 21)
    np.testing.assert_array_equal(epochs.starts, LEAD + 300 * np.arange(VOLUMES))
    assert not epochs.shifts.any()


def test_missing_markers_are_filled_in():
    artefact, onsets = train(0.3)
    some = np.delete(onsets, [5, 6, 17])
    found = scan_epochs(some, 0.3, RATE, len(artefact), 21)
    whole = scan_epochs(onsets, 0.3, RATE, len(artefact), 21)
    np.testing.assert_array_equal(found.starts, whole.starts)


def test_a_recording_that_ends_within_the_last_volume_is_cleaned_to_its_end():
    artefact, onsets = train(0.3)
    cut = artefact[: int(onsets[-1]) + 120]
    left = remove_gradient(cut[None].copy(), scan_epochs(onsets, 0.3, RATE, len(cut), 21))
    assert attenuation_db(cut, left).min() > 40


def test_single_precision_is_enough():
    artefact, onsets = train(0.3)
    channel = artefact[None].astype(np.float32)
    left = remove_gradient(channel, scan_epochs(onsets, 0.3, RATE, len(artefact), 21))
    assert left is channel
    assert np.abs(left).max() < 0.01


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"markers": np.array([700.0])}, "found 1; export the EEG with its markers"),
        ({"markers": np.array([])}, "found 0"),
        ({"tr": 0.37}, "markers are 0.3000 s apart, the TR is 0.37 s"),
        ({"markers": 700 + 300 * np.r_[0:20, 20.03, 21:40]}, "volume marker 21 lies 8"),
        ({"markers": 700 + 300 * np.r_[0:20, 19, 20:40]}, "off the regular train|marker"),
        ({"template": 41}, "the mean of 41 volumes is asked for, and the EEG holds 40"),
        ({"n_samples": 5000}, "mean of 21 volumes"),
        ({"markers": 300.0 * np.arange(40) - 500}, "from sample -500"),
    ],
)
def test_markers_that_do_not_give_the_volumes_are_refused(change, match, refuses):
    good = {"markers": 700 + 300.0 * np.arange(40), "tr": 0.3, "sampling_rate": RATE, "n_samples": 13000}
    with refuses(AlignmentError, match):
        scan_epochs(**{**good, "template": 21, **change})
