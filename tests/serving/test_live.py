"""Synthesis while EEG arrives: the volumes of a file, in bounded memory; gaps, clocks, and refusals."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pybv
import pytest

from eeg2fmri.errors import MissingExtraError, RequestError, StreamError
from eeg2fmri.serving import LiveSynthesis, synthesise_samples
from eeg2fmri.serving.files import synthesise_recording
from eeg2fmri.serving.lsl import use_lsl
from tests.fakes import CHANNELS, CONTEXT, SAMPLING_RATE, TR

STEP = round(TR * SAMPLING_RATE)
BEGIN = 7200.25  # s on the clock of the stream


@pytest.fixture
def signal(rng):
    return rng.normal(0, 20, (len(CHANNELS), 9 * STEP + 1)).astype(np.float32)


def clock(n, rate=SAMPLING_RATE):
    return BEGIN + np.arange(n) / rate


def streamed(live, eeg, times, size=5):
    """The volumes of EEG that arrives in blocks, each with the time of the last sample before it."""
    found = []
    for start in range(0, eeg.shape[1], size):
        block = slice(start, start + size)
        found += [(volume, times[block][-1]) for volume in live.push(eeg[:, block], times[block])]
    return found


def volumes(found):
    return np.stack([volume.values for volume, _ in found])


def in_file(synthesis):
    return np.moveaxis(np.asarray(synthesis.image.dataobj), 3, 0)


@pytest.mark.parametrize("rate", [SAMPLING_RATE, 65.0])  # of the latter every second window starts between samples
@pytest.mark.parametrize("size", [1, 7, STEP, 10_000])
def test_volumes_are_those_of_the_same_samples_at_once(bundle, signal, size, rate):
    found = streamed(LiveSynthesis(bundle, rate, CHANNELS), signal, clock(signal.shape[1], rate), size)
    expected = in_file(synthesise_samples(bundle, signal, rate, CHANNELS))
    assert len(found) == len(expected) == int(signal.shape[1] / rate / TR) - CONTEXT + 1
    np.testing.assert_allclose(volumes(found), expected, rtol=1e-5, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0 or bundle.model.config.family == "mean"


def test_a_volume_is_due_with_the_last_sample_of_its_context(bundles, signal):
    found = streamed(LiveSynthesis(bundles["linear"], SAMPLING_RATE), signal, clock(signal.shape[1]), 1)
    for number, (volume, arrived) in enumerate(found):
        assert volume.number == number
        assert volume.time == pytest.approx(BEGIN + (CONTEXT + number) * TR)
        assert arrived == pytest.approx(volume.time - 1 / SAMPLING_RATE)


def test_channels_are_matched_and_interpolated_as_in_a_request(bundles, signal):
    bundle = bundles["linear"]
    kept = [4, 0, 1, 2, 5]  # T7 is missing
    names = [CHANNELS[row].upper() for row in kept]
    live = LiveSynthesis(bundle, SAMPLING_RATE, names, max_interpolated=0.2)
    found = streamed(live, signal[kept], clock(signal.shape[1]))
    whole, every, _ = bundle.with_missing(signal[kept], names, 0.2)
    np.testing.assert_allclose(
        volumes(found), in_file(synthesise_samples(bundle, whole, SAMPLING_RATE, every)), rtol=1e-5, atol=1e-4
    )
    assert live.interpolated == ("T7",)


def test_gaps_are_those_of_a_file(bundles, signal, tmp_path):
    """A pause of 1.5 TR within the third window; the file knows it by the time of day of its second segment."""
    cut, pause = 2 * STEP + 3, int(1.5 * STEP)
    pybv.write_brainvision(data=signal * 1e-6, sfreq=SAMPLING_RATE, ch_names=list(CHANNELS), fmt="binary_float32",
                           fname_base="a_eeg", folder_out=tmp_path)  # fmt: skip
    marks = tmp_path / "a_eeg.vmrk"
    later = f"202401011200{(cut + pause) / SAMPLING_RATE:09.6f}".replace(".", "")
    lines = [line for line in marks.read_text(encoding="utf-8").splitlines() if not line.startswith("Mk")]
    lines += ["Mk1=New Segment,,1,1,0,20240101120000000000", f"Mk2=New Segment,,{cut + 1},1,0,{later}"]
    marks.write_text("\n".join(lines) + "\n", encoding="utf-8")
    expected = synthesise_recording(bundles["linear"], tmp_path / "a_eeg.vhdr")

    times = clock(signal.shape[1])
    times[cut:] += pause / SAMPLING_RATE
    found = streamed(LiveSynthesis(bundles["linear"], SAMPLING_RATE, CHANNELS), signal, times)
    without = [volume.number for volume, _ in found if volume.values is None]
    assert without == expected.sidecar["VolumesWithoutEEG"]
    kept = [(volume, arrived) for volume, arrived in found if volume.values is not None]
    numbers = [volume.number for volume, _ in kept]
    assert len(found) == expected.image.shape[3] > len(numbers) > 0
    np.testing.assert_allclose(volumes(kept), in_file(expected)[numbers], rtol=1e-4, atol=1e-3)


def test_windows_follow_the_times_of_a_clock_that_drifts(bundles, rng):
    """The source states 64 Hz and samples at 64.6 Hz: without following, the last volume were 0.6 s late."""
    eeg, times = rng.normal(0, 20, (len(CHANNELS), 130 * STEP)), clock(130 * STEP, 64.6)
    found = streamed(LiveSynthesis(bundles["mean"], SAMPLING_RATE), eeg, times, 1)
    late = [arrived + 1 / 64.6 - volume.time for volume, arrived in found]
    assert np.abs(late).max() < 2.5 / SAMPLING_RATE
    assert len(found) == int((times[-1] - BEGIN) / TR) - CONTEXT + 1
    assert all(volume.values is not None for volume, _ in found)


def test_times_of_arrival_are_no_gaps(bundles, signal, rng):
    times = clock(signal.shape[1]) + np.repeat(rng.uniform(0, 0.04, signal.shape[1] // 8 + 1), 8)[: signal.shape[1]]
    found = streamed(LiveSynthesis(bundles["linear"], SAMPLING_RATE), signal, times, 8)
    assert len(found) >= 6
    assert all(volume.values is not None for volume, _ in found)


def test_a_block_that_is_late_once_costs_its_window(bundles, rng):
    eeg, times = rng.normal(0, 20, (len(CHANNELS), 20 * STEP)), clock(20 * STEP)
    times[5 * STEP : 5 * STEP + 8] += 0.3
    found = streamed(LiveSynthesis(bundles["linear"], SAMPLING_RATE), eeg, times, 8)
    without = [volume.number for volume, _ in found if volume.values is None]
    assert without == [3, 4, 5]  # those with window 5 in their context
    assert len(found) == 20 - CONTEXT + 1
    assert found[-1][0].time == pytest.approx(BEGIN + 20 * TR)


def test_a_sample_that_is_not_finite_costs_its_window(bundles, signal):
    signal[1, 4 * STEP + 5] = np.nan
    found = streamed(LiveSynthesis(bundles["linear"], SAMPLING_RATE), signal, clock(signal.shape[1]))
    assert [volume.number for volume, _ in found if volume.values is None] == [2, 3, 4]


@pytest.mark.parametrize("channels", [CHANNELS, CHANNELS[1:], (*CHANNELS, "counter")])
@pytest.mark.parametrize("first", [0, 4])
def test_an_amplifier_that_is_off_gives_no_volumes(bundles, rng, signal, channels, first):
    """It repeats the last sample, on the offset of a DC-coupled amplifier; a counter goes on."""
    signal += rng.uniform(-2.5e5, 2.5e5, (len(CHANNELS), 1)).astype(np.float32)
    signal[:, first * STEP : (first + 1) * STEP] = signal[:, [first * STEP]]
    rows = dict(zip(CHANNELS, signal, strict=True)) | {"counter": np.arange(signal.shape[1], dtype=np.float32)}
    live = LiveSynthesis(bundles["linear"], SAMPLING_RATE, channels, max_interpolated=0.2)
    found = streamed(live, np.stack([rows[name] for name in channels]), clock(signal.shape[1]))
    expected = [number for number in range(len(found)) if number <= first < number + CONTEXT]
    assert [volume.number for volume, _ in found if volume.values is None] == expected


def test_a_source_that_begins_without_numbers_is_waited_for(bundles, signal):
    signal[:, : CONTEXT * STEP] = np.nan
    found = streamed(LiveSynthesis(bundles["linear"], SAMPLING_RATE), signal, clock(signal.shape[1]))
    assert [volume.values is None for volume, _ in found] == [True] * CONTEXT + [False] * (len(found) - CONTEXT)


def test_memory_does_not_grow(bundle_of_mean, rng):
    live = LiveSynthesis(bundle_of_mean, SAMPLING_RATE)
    block = rng.normal(0, 20, (len(CHANNELS), STEP)).astype(np.float32)

    def follow(first, last):
        for tr in range(first, last):
            for volume in live.push(block, BEGIN + tr * TR + np.arange(STEP) / SAMPLING_RATE):
                assert volume.values is not None

    follow(0, 50)
    tracemalloc.start()
    follow(50, 100)
    before = tracemalloc.get_traced_memory()[0]
    follow(100, 1000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 10_000


FAULTS = {
    "rows": (lambda eeg, times: (eeg[:5], times), RequestError, r"eeg: shape \(5, 289\) with 289 times, expected \(6"),
    "times": (lambda eeg, times: (eeg, times[1:]), RequestError, "with 288 times"),
    "no time": (lambda eeg, times: (eeg, times * np.nan), StreamError, "a sample has no time"),
    "volts": (lambda eeg, times: (eeg * 1e-6, times), RequestError, r"eeg: 3e-06 times the amplitude"),
    "off": (lambda eeg, times: (0 * eeg + 37.123, times), RequestError, "eeg: every channel is constant.*amplifier"),
    "clock back": (
        lambda eeg, times: (eeg, np.where(times > BEGIN + 1, times - 9, times)),
        StreamError,
        r"the clock of the stream goes back by 9\.0 s; start again",
    ),
    "a long pause": (
        lambda eeg, times: (eeg, np.where(times > BEGIN + 1, times + 4000, times)),
        StreamError,
        "pauses for 4000 s",
    ),
    "another rate": (
        lambda eeg, times: (eeg, BEGIN + (times - BEGIN) * 1.9),
        StreamError,
        r"32 samples take 0\.920 s by their times, the stream states 64 Hz",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_that_cannot_be_used_is_refused(bundles, signal, fault, refuses):
    make, error, words = FAULTS[fault]
    with refuses(error, words):
        list(LiveSynthesis(bundles["linear"], SAMPLING_RATE).push(*make(signal, clock(signal.shape[1]))))


@pytest.mark.parametrize(
    ("rate", "channels", "words"),
    [
        (40.0, CHANNELS, "40 Hz is too low"),
        (SAMPLING_RATE, CHANNELS[:5], "channels: ECG missing"),
        (SAMPLING_RATE, (*CHANNELS, "cz"), "named twice"),
    ],
)
def test_channels_and_rate_are_refused_before_the_first_sample(bundles, rate, channels, words, refuses):
    with refuses(RequestError, words):
        LiveSynthesis(bundles["linear"], rate, channels)


def test_without_mne_lsl_the_extra_is_named(monkeypatch, refuses):
    monkeypatch.setitem(sys.modules, "mne_lsl", None)
    with refuses(MissingExtraError, r"a live stream needs mne-lsl: pip install 'eeg2fmri\[lsl\]'"):
        use_lsl()
