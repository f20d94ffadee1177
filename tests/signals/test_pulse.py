import numpy as np
import pytest
from scipy import signal

from eeg2fmri.errors import DatasetError
from eeg2fmri.signals import pulse
from eeg2fmri.signals.pulse import DELAY_S, find_r_peaks, pulse_blocks, remove_pulse

RATE, SECONDS = 125.0, 60


@pytest.fixture
def beats(rng):
    """Seconds of the R peaks, irregular."""
    at = np.cumsum(rng.normal(0.9, 0.04, 80)) + 0.3
    return at[at < SECONDS - 1]


def laid_over(beats, wave, rng, spread=0.0):
    t = np.arange(int(RATE * SECONDS)) / RATE
    sizes = 1 + spread * rng.standard_normal(len(beats))
    return sum(size * wave(t - beat) for size, beat in zip(sizes, beats, strict=True))


@pytest.fixture
def ecg(beats, rng):
    clean = laid_over(
        beats, lambda t: 1000 * np.exp(-((t / 0.012) ** 2)) + 200 * np.exp(-(((t - 0.27) / 0.05) ** 2)), rng
    )
    return (clean + rng.normal(0, 20, len(clean))).astype(np.float32)


def r_peaks_of(ecg):
    return find_r_peaks(lambda start, stop: ecg[start:stop], len(ecg), RATE)


def assert_found(peaks, beats):
    off = np.abs(peaks[:, None] / RATE - beats)
    assert off.min(axis=1).max() < 0.02  # none invented
    assert (off.min(axis=0) > 0.02).sum() <= 1  # the detector may leave out the last
    assert len(np.unique(off.argmin(axis=1))) == len(peaks)  # none twice


def test_r_peaks_are_found_to_the_sample(ecg, beats):
    assert_found(r_peaks_of(ecg), beats)


@pytest.mark.parametrize("stretch", [12.0, 15.0, 20.0, 30.0])
def test_r_peaks_of_several_stretches_are_those_of_one(ecg, monkeypatch, stretch):
    whole = r_peaks_of(ecg)
    monkeypatch.setattr(pulse, "ECG_STRETCH_S", stretch)
    np.testing.assert_array_equal(r_peaks_of(ecg), whole)


def test_a_beat_between_two_stretches_is_found_once(beats, ecg, monkeypatch):
    """The edge is moved over a beat, sample by sample."""
    monkeypatch.setattr(pulse, "ECG_STRETCH_S", SECONDS / 2)
    middle = round(beats[len(beats) // 2] * RATE)
    for edge in range(middle - 4, middle + 5):
        assert_found(r_peaks_of(ecg[: 2 * edge]), beats[beats < 2 * edge / RATE])


@pytest.mark.parametrize("start", [0.0, 10.0])
def test_r_peaks_are_found_beside_a_movement(ecg, beats, rng, monkeypatch, start):
    """In the first three seconds of a stretch and its margin, where the detector of MNE sets its threshold."""
    monkeypatch.setattr(pulse, "ECG_STRETCH_S", 20.0)
    band = signal.butter(2, (1, 10), "bandpass", fs=RATE, output="sos")
    moved = slice(int(start * RATE), int((start + 3) * RATE))
    ecg[moved] += 30_000 * signal.sosfilt(band, rng.standard_normal(int(3 * RATE)))
    peaks = r_peaks_of(ecg) / RATE
    apart = [(at < start - 1) | (at > start + 4) for at in (peaks, beats)]
    assert_found(RATE * peaks[apart[0]], beats[apart[1]])


@pytest.mark.parametrize("off", ["noise", "constant", "zeros"])
def test_an_electrode_that_is_off_for_a_while_has_no_beats(ecg, beats, rng, monkeypatch, off):
    monkeypatch.setattr(pulse, "ECG_STRETCH_S", 10.0)
    monkeypatch.setattr(pulse, "MARGIN_S", 1.0)
    ecg[int(19 * RATE) : int(31 * RATE)] = {"noise": rng.normal(0, 20, int(12 * RATE)), "constant": 1234.5, "zeros": 0}[
        off
    ]
    peaks = r_peaks_of(ecg) / RATE
    assert not ((peaks > 19.1) & (peaks < 30.9)).any()
    apart = [(at < 19) | (at > 31) for at in (peaks, beats)]
    assert_found(RATE * peaks[apart[0]], beats[apart[1]])


def test_r_peaks_are_found_while_they_become_lower(ecg, beats, monkeypatch):
    """With one threshold for the whole recording, some of the last beats would be lost."""
    monkeypatch.setattr(pulse, "ECG_STRETCH_S", 15.0)
    ecg *= np.linspace(1, 0.3, len(ecg), dtype=np.float32)
    assert_found(r_peaks_of(ecg), beats)


@pytest.mark.parametrize("trace", [np.zeros(7500), np.full(7500, 1234.5), np.ones(200)])
def test_an_ecg_without_beats_is_refused(trace, refuses):
    with refuses(DatasetError, "0 heart beats found.*check the ECG channel"):
        r_peaks_of(trace.astype(np.float32))


def test_the_artefact_goes_and_the_eeg_stays(beats, rng):
    artefact = laid_over(
        beats, lambda t: 80 * np.sin(9 * (t - DELAY_S)) * np.exp(-(((t - DELAY_S) / 0.12) ** 2)), rng, 0.2
    )
    band = signal.butter(2, (1, 40), "bandpass", fs=RATE, output="sos")
    eeg = signal.sosfilt(band, rng.normal(0, 15, (2, len(artefact))), axis=1)
    found = remove_pulse((eeg + artefact).astype(np.float32), RATE, beats * RATE, 2)
    inside = slice(int(2 * RATE), int(-3 * RATE))
    assert ((found - eeg)[:, inside] ** 2).mean() < 0.1 * (artefact[inside] ** 2).mean()
    assert np.corrcoef(found[0, inside], eeg[0, inside])[0, 1] > 0.9


def test_beats_that_are_all_alike_leave_nothing():
    """An artefact that is subtracted a sample too early or too late leaves a quarter of this one."""
    t, beats = np.arange(int(RATE * SECONDS)) / RATE, np.arange(0.52, SECONDS - 1, 0.88)
    artefact = 80 * sum(np.sin(25 * s) * np.exp(-((s / 0.1) ** 2)) for s in (t - beat - DELAY_S for beat in beats))
    left = remove_pulse(artefact[None].astype(np.float32), RATE, beats * RATE, 4)[0]
    assert left[200:-200].std() < 0.01 * artefact.std()


def test_slow_eeg_and_offset_stay(beats):
    t = np.arange(int(RATE * SECONDS)) / RATE
    slow = (300 + 100 * np.sin(2 * np.pi * 0.05 * t))[None]
    found = remove_pulse(slow.astype(np.float32), RATE, beats * RATE, 2)
    assert np.abs(found - slow)[:, 1000:-1000].max() < 3


def test_an_artefact_that_changes_is_removed_where_it_is(rng, monkeypatch):
    """Its form is another one in each quarter, and one component cannot follow: components of each quarter fit it."""
    t = np.arange(int(RATE * 220)) / RATE
    beats = np.arange(0.52, 218, 0.88)
    artefact = np.zeros(len(t))
    for quarter, part in enumerate(np.array_split(beats, 4)):
        for beat in part:
            after = t - beat - DELAY_S
            artefact += 80 * np.sin((8 + 9 * quarter) * after) * np.exp(-((after / 0.1) ** 2))
    eeg = rng.normal(0, 2, (1, len(t)))
    inside, left = slice(int(2 * RATE), int(-4 * RATE)), {}
    for beats_of_a_block in (60, 1000):
        monkeypatch.setattr(pulse, "BLOCK_BEATS", beats_of_a_block)
        found = remove_pulse((eeg + artefact).astype(np.float32), RATE, beats * RATE, 1)
        left[beats_of_a_block] = (found - eeg)[0, inside].std()
    assert left[60] < 0.5 * left[1000], left


def test_blocks_follow_each_other_and_end_between_beats():
    r_peaks = np.sort(np.random.default_rng(1).uniform(0, 1e6, 4000))
    blocks = pulse_blocks(r_peaks, RATE, 1_000_000)
    assert len(blocks) == 13
    assert [block.stop for block in blocks[:-1]] == [block.start for block in blocks[1:]]
    for block in blocks:
        assert 0 <= block.first <= block.start < block.stop <= block.last <= 1_000_000
        at = block.r_peaks + DELAY_S * RATE
        assert 300 <= ((at > block.start) & (at < block.stop)).sum() <= 310


def test_a_pause_of_the_ecg_between_two_blocks(rng, monkeypatch):
    """Beats of the other block are far away then, outside the samples that a block needs."""
    monkeypatch.setattr(pulse, "BLOCK_BEATS", 60)
    early = np.arange(0.52, 53, 0.88)
    beats = np.concatenate([early, early + 93])
    eeg = rng.normal(0, 5, (1, int(RATE * 150))).astype(np.float32)
    found = remove_pulse(eeg.copy(), RATE, beats * RATE, 2)
    pause = slice(int(56 * RATE), int(90 * RATE))
    np.testing.assert_array_equal(found[:, pause], eeg[:, pause])
    assert np.abs(found - eeg)[:, : int(50 * RATE)].max() > 1


def test_a_recording_may_end_at_any_sample_of_a_beat(rng):
    beats = np.arange(0.52, 30, 0.88)
    eeg = rng.normal(0, 5, (1, int(RATE * 32))).astype(np.float32)
    for end in range(int(beats[-2] * RATE), eeg.shape[1]):
        found = remove_pulse(eeg[:, :end].copy(), RATE, beats * RATE, 1)
        assert np.isfinite(found).all()
