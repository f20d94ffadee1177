import numpy as np
import pytest
from scipy import signal

from eeg2fmri.errors import AlignmentError
from eeg2fmri.signals.gradient import remove_gradient, scan_epochs, scanned_around, volume_locked_share

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
    epochs = scan_epochs(onsets, len(artefact), 21)
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
        epochs = scan_epochs(onsets, len(artefact), template)
        cleaned = remove_gradient(eeg + artefact, epochs)
        assert np.abs(cleaned.var(axis=1) / eeg.var(axis=1) - 1).max() < 0.02


def test_a_volume_takes_the_power_preserving_part_in_its_own_template():
    _, onsets = train(0.3)
    n = len(train(0.3)[0])
    epochs = scan_epochs(onsets, n, 5)
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
    cleaned = remove_gradient(eeg.copy(), scan_epochs(onsets, len(artefact), 21))
    np.testing.assert_array_equal(cleaned[:, :LEAD], eeg[:, :LEAD])
    np.testing.assert_array_equal(cleaned[:, -300:], eeg[:, -300:])
    assert not np.allclose(cleaned[:, LEAD : LEAD + 50], eeg[:, LEAD : LEAD + 50])


def test_slow_eeg_is_not_subtracted():
    artefact, onsets = train(0.3)
    slow = 500 + 200 * np.sin(2 * np.pi * 0.05 * np.arange(len(artefact)) / RATE)
    cleaned = remove_gradient((artefact + slow)[None], scan_epochs(onsets, len(artefact), 21))[0]
    inside = slice(LEAD + 300, -600)
    assert np.abs(cleaned - slow)[inside].max() < 5
    assert cleaned[inside].mean() == pytest.approx(slow[inside].mean(), abs=0.5)


@pytest.mark.parametrize("tr", [0.30037, 0.2995])
def test_volumes_that_begin_between_samples_are_aligned(tr, rng):
    artefact, onsets = train(tr)
    n = len(artefact)
    # A common part of a sample, by which a line through rounded markers is off, does not matter.
    epochs = scan_epochs(onsets + 0.4, n, 21)
    at = epochs.starts + epochs.shifts
    np.testing.assert_allclose(np.diff(at), tr * RATE, atol=0.01)
    left = remove_gradient(artefact[None].copy(), epochs)
    assert attenuation_db(artefact, left).min() > 30
    inner = slice(int(onsets[2]), int(onsets[-3]))
    assert attenuation_db(artefact[inner], left[:, inner]).min() > 45


@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 0), (2, 4)])
def test_volumes_without_markers_are_found_by_their_artefact(before, after, rng):
    artefact, onsets = train(0.3)
    eeg = artefact + smooth_noise(rng, 1, len(artefact))[0]
    some = onsets[before : VOLUMES - after]
    np.testing.assert_allclose(scanned_around(lambda a, b: eeg[a:b], len(eeg), some), onsets)
    quiet = smooth_noise(rng, 1, len(artefact))[0]
    np.testing.assert_array_equal(scanned_around(lambda a, b: quiet[a:b], len(quiet), some), some)


@pytest.mark.parametrize("gap", [(LEAD + 3000, LEAD + 3900), (LEAD + 3100, LEAD + 3250)])
def test_epochs_that_touch_a_gap_are_in_no_template(gap, rng):
    artefact, onsets = train(0.3)
    eeg = smooth_noise(rng, 1, len(artefact))
    torn = (eeg + artefact).copy()
    torn[0, slice(*gap)] = 0
    left = remove_gradient(torn.copy(), scan_epochs(onsets, len(artefact), 21, (gap,)))
    kept = np.ones(len(artefact), bool)
    kept[slice(*gap)] = False
    whole = remove_gradient(eeg + artefact, scan_epochs(onsets, len(artefact), 21))
    assert np.abs((left - eeg)[0, kept]).std() < 1.2 * np.abs((whole - eeg)[0, kept]).std()


def test_a_recording_that_ends_within_the_last_volume_is_cleaned_to_its_end():
    artefact, onsets = train(0.3)
    cut = artefact[: int(onsets[-1]) + 120]
    left = remove_gradient(cut[None].copy(), scan_epochs(onsets, len(cut), 21))
    assert attenuation_db(cut, left).min() > 40


def test_single_precision_is_enough():
    artefact, onsets = train(0.3)
    channel = artefact[None].astype(np.float32)
    left = remove_gradient(channel, scan_epochs(onsets, len(artefact), 21))
    assert left is channel
    assert np.abs(left).max() < 0.01


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"onsets": np.array([700.0])}, "found 1; export the EEG with its markers"),
        ({"onsets": np.array([])}, "found 0"),
        ({"template": 41}, "the mean of 41 volumes is asked for, but the EEG holds 40"),
        ({"n_samples": 5000}, "mean of 21 volumes"),
        ({"gaps": ((3000, 9000),)}, "mean of 21 volumes is asked for, but the EEG holds 19"),
    ],
)
def test_onsets_that_do_not_give_a_template_are_refused(change, match, refuses):
    good = {"onsets": 700 + 300.0 * np.arange(40), "n_samples": 13000}
    with refuses(AlignmentError, match):
        scan_epochs(**{**good, "template": 21, **change})


@pytest.mark.parametrize("tr", [0.3, 0.30037])
@pytest.mark.parametrize("template", [3, 9, 21])
@pytest.mark.parametrize("gaps", [(), ((LEAD + 3000, LEAD + 3900),)])
def test_a_part_is_cleaned_from_its_surroundings_as_from_all(rng, tr, template, gaps):
    artefact, onsets = train(tr)
    n = len(artefact) - 150  # the last epoch is cut off
    eeg = (artefact + smooth_noise(rng, 2, len(artefact)))[:, :n]
    epochs = scan_epochs(onsets, n, template, gaps)
    whole = remove_gradient(eeg.copy(), epochs)
    for first, last in (
        (0, 10),
        (LEAD - 5, LEAD + 5),
        (n - 7, n),
        (n // 2, n // 2 + 700),
        (n // 3, n // 3 + 1),
        (0, n),
    ):
        around = epochs.around(first, last)
        begin, end = (first, last) if around is None else (min(first, around.starts[0]), max(last, around.stop))
        part = eeg[:, begin:end].copy()
        if around is not None:
            remove_gradient(part, around.counted_from(begin))
        np.testing.assert_allclose(part[:, first - begin : last - begin], whole[:, first:last], rtol=1e-5, atol=1e-4)
    middle = epochs.around(n // 2, n // 2 + 1)
    assert len(middle.starts) <= template + 3 + (len(epochs.whole) - epochs.whole.sum())  # no more than it needs
