"""What the store holds is on the scanner's clock: a planted event is in its window, whatever the clocks do."""

import numpy as np
import pytest

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets import align, find_recordings, open_eeg, read_clean_eeg
from eeg2fmri.store.prepare import prepare
from tests.conftest import CHANNELS, LEAD_S, RATE_HZ, TR_S, tiny_volumes

VOLUMES, EVENT = 200, 180


@pytest.mark.parametrize("drift", [1e-3, -1e-3, 3e-4])
def test_windows_follow_a_drifting_clock(drift, write_recording, tiny_config, rng, tmp_path):
    """Two impulses, one sample within either end of a late window, which drift has moved by up to nine samples."""
    step = TR_S * RATE_HZ * (1 + drift)
    start = LEAD_S * RATE_HZ + EVENT * step
    eeg = rng.normal(0, 5, (len(CHANNELS), round(LEAD_S * RATE_HZ + VOLUMES * step + 40)))
    eeg[:, [round(start) + 1, round(start + step) - 2]] += 3000
    markers = [round(LEAD_S * RATE_HZ + v * step) for v in range(VOLUMES)]
    write_recording(tmp_path, eeg=eeg, volumes=tiny_volumes(rng, VOLUMES), markers=markers)
    content = prepare(find_recordings(tmp_path)[0][0], tiny_config)
    power = content.arrays["spectrogram"].mean(axis=(1, 2))
    loud = np.flatnonzero(power > 10 * np.median(power)) + tiny_config.dropped_volumes
    np.testing.assert_array_equal(loud, [EVENT])


def test_the_artefact_of_dummy_volumes_without_markers_is_removed_too(write_recording, rng, tmp_path):
    """The scanner runs three volumes before the first marker; its artefact is 50 times the EEG."""
    rate, tr, volumes, dummies = 500.0, 0.5, 30, 3
    step, lead = round(tr * rate), 1000
    n = lead + volumes * step + 200
    artefact = np.zeros(n)
    shape = 1000 * np.sin(2 * np.pi * 14 * np.arange(step) / step) * np.hanning(step)
    for volume in range(-dummies, volumes):
        artefact[lead + volume * step : lead + (volume + 1) * step] = shape
    eeg = rng.normal(0, 20, (len(CHANNELS), n))
    write_recording(tmp_path, eeg=eeg + artefact, volumes=tiny_volumes(rng, volumes), rate_hz=rate, tr_s=tr,
                    markers=[lead + v * step for v in range(volumes)])  # fmt: skip
    (recording,), _ = find_recordings(tmp_path)
    raw = open_eeg(recording)
    found = align(raw, recording, tr, volumes)
    cleaned = read_clean_eeg(raw, ("eeg",), found.onsets, CleaningConfig(gradient=True, template=11))
    before = slice(lead - dummies * step, lead)
    assert np.std(cleaned.data[:, before]) < 1.5 * np.std(eeg[:4, before])
    assert np.std(cleaned.data[:, : lead - dummies * step]) == pytest.approx(20, rel=0.1)
