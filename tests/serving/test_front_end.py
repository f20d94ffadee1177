"""A model is served the windows that it was trained on: one recording through the store and through each served way."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from eeg2fmri.config import CleaningConfig, MeanConfig
from eeg2fmri.datasets import align, find_recordings, open_eeg, read_clean_eeg
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.serving import Bundle, save_bundle, synthesise_file
from eeg2fmri.serving.arrays import encode
from eeg2fmri.serving.pyfunc import SynthesiserModel
from eeg2fmri.store import Windows, build_store
from tests.conftest import GRID, VOLUMES

NAMES = ("Fp1", "Fp2", "T7", "Cz", "T8", "Oz", "ECG")
SETTINGS = {
    "potentials": {},
    "density": {"current_source_density": True},
    "cleaned": {"cleaning": CleaningConfig(gradient=True, template=5, sampling_rate=50, average_reference=True)},
    "cleaned density": {
        "current_source_density": True, "cleaning": CleaningConfig(gradient=True, template=5, sampling_rate=50),
    },
}  # fmt: skip
CLOCKS = {  # TR in s; onset and period of the volumes in samples of 10 ms
    "whole samples": (0.5, 130.0, 50.0),
    "between samples": (0.5037, 130.4, 50.37),
    "on the half": (0.503, 130.0, 50.3),
    "drifting": (0.5, 130.0, 50.02),
    "from the first sample": (0.546, 0.0, 54.6),
    "from before the EEG": (0.5, -12.0, 50.0),
}


@pytest.fixture
def given(monkeypatch):
    """The windows that models were given, one array for each time that one was asked."""
    arrays = []

    def synthesise(model, eeg):
        arrays.append(np.array(eeg))
        return np.ones((len(eeg), *GRID), np.float32)

    monkeypatch.setattr(FittedModel, "synthesise", synthesise)
    return arrays


@pytest.fixture
def study(write_recording, tiny_config, rng, tmp_path):
    """A store of three recordings, two of which have a channel more than the third; and what serves it."""

    def made(settings, clock):
        tr, onset, period = CLOCKS[clock]
        times = onset + period * np.arange(VOLUMES)
        n_samples = round(times[-1] + 2 * period)
        for subject, names in (("01", NAMES), ("02", NAMES), ("03", tuple(np.delete(NAMES, 1)))):
            eeg = rng.normal(0, 20, (len(names), n_samples))
            folder = write_recording(tmp_path / "bids", subject, eeg=eeg, names=names, markers=[], tr_s=tr)
            rows = "".join(f"{time / 100:.6f}\t0\tR128\n" for time in times)
            (folder / "eeg" / f"sub-{subject}_task-rest_events.tsv").write_text("onset\tduration\ttrial_type\n" + rows)
        config = tiny_config.model_copy(update=SETTINGS[settings])
        recordings = find_recordings(tmp_path / "bids")[0]
        built = build_store(recordings, tmp_path / "store", config)
        assert not built.failures
        store = built.store
        parts = [Windows([recording], store.context) for recording in store.recordings]
        bundle = Bundle(fit(MeanConfig(), *parts[:2], FitSettings()).model, store.signal, store.settings, {})
        return SimpleNamespace(config=config, recording=recordings[0], windows=parts[0], bundle=bundle)

    return made


def of_store(windows):
    return windows.eeg(np.arange(len(windows)))


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_file_gives_the_windows_of_the_store(settings, clock, study, given, tmp_path):
    made = study(settings, clock)
    synthesise_file(made.bundle, made.recording.eeg_path, tmp_path / "bold.nii")
    served = given[-1]
    dropped, expected = made.config.dropped_volumes - (CLOCKS[clock][1] < 0), of_store(made.windows)
    np.testing.assert_array_equal(served[dropped : dropped + len(expected)], expected)
    assert len(np.unique(expected)) > expected.size / 4  # no constant


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_request_gives_the_windows_of_the_store(settings, study, given, tmp_path):
    """Its EEG is what the store's settings made of it, from the first volume on."""
    made = study(settings, "whole samples")
    raw = open_eeg(made.recording)
    found = align(raw, made.recording, 0.5, VOLUMES)
    eeg = read_clean_eeg(raw, made.config.channel_types, found.onsets, made.config.cleaning)
    sent = eeg.data[:, round(found.onset / eeg.factor) :]
    model = SynthesiserModel()
    (tmp_path / "bundle").mkdir()
    save_bundle(tmp_path / "bundle", made.bundle)
    model.load_context(SimpleNamespace(artifacts={"bundle": str(tmp_path / "bundle")}, model_config={}))
    model.predict([{"eeg_npy": encode(sent), "sampling_rate": eeg.sampling_rate, "channels": list(eeg.channels)}])
    served = given[-1]
    dropped, expected = made.config.dropped_volumes, of_store(made.windows)
    np.testing.assert_array_equal(served[dropped : dropped + len(expected)], expected)
