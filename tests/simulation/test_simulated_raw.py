import json
import shutil
import subprocess
import sysconfig

import mne
import numpy as np
import pytest
from scipy import signal

from eeg2fmri.config import CleaningConfig
from eeg2fmri.errors import DatasetError
from eeg2fmri.signals import Marks, clean_eeg
from eeg2fmri.simulation import read_true_eeg, simulate
from eeg2fmri.simulation.artefacts import RAW_FACTOR

EEG = "sub-01/eeg/sub-01_task-rest_eeg"


@pytest.fixture(scope="module")
def raw_config(tiny):
    # A TR that ends between two samples of the raw recording, and a rate that keeps it small.
    return tiny.model_copy(
        update={"raw": True, "subjects": 1, "channels": 4, "volumes": 30, "tr": 1.00013, "sampling_rate": 100.0}
    )


@pytest.fixture(scope="module")
def raw_dataset(raw_config, tmp_path_factory):
    return simulate(raw_config, tmp_path_factory.mktemp("raw") / "bids")


@pytest.fixture(scope="module")
def recording(raw_dataset):
    return mne.io.read_raw_brainvision(raw_dataset / f"{EEG}.vhdr", preload=True, verbose="error")


def markers(recording):
    found = recording.annotations
    return found.onset[found.description == "Response/R128"] * recording.info["sfreq"]


def test_the_recording_is_20_times_faster_and_marks_the_nearest_samples(raw_dataset, recording, raw_config):
    clean, rate = read_true_eeg(raw_dataset, "01")
    assert (rate, recording.info["sfreq"]) == (100.0, 2000.0)
    assert recording.n_times == RAW_FACTOR * clean.shape[1]
    assert recording.ch_names == ["Fp1", "Fp2", "F3", "F4", "ECG"]
    at = markers(recording)
    np.testing.assert_allclose(at, at[0] + np.rint(2000 * raw_config.tr * np.arange(30)), atol=1e-6)
    assert json.loads((raw_dataset / f"{EEG}.json").read_text())["SamplingFrequency"] == 2000.0


def test_the_artefacts_have_the_published_size(raw_dataset, recording):
    clean, _ = read_true_eeg(raw_dataset, "01")
    slow = signal.resample_poly(recording.get_data() * 1e6, 1, RAW_FACTOR, axis=1)
    first = int(markers(recording)[0])
    peaks = np.abs(recording.get_data()[:, first:]).max(axis=1) * 1e3
    assert ((peaks > 0.5) & (peaks < 15)).all()  # mV
    before = slice(50, first // RAW_FACTOR - 50)
    pulse = (slow - clean)[:-1, before]  # the scanner does not run yet
    assert (np.abs(pulse).max(axis=1) < 300).all()
    assert np.abs(pulse).max() > 20
    np.testing.assert_allclose(slow[-1, before], clean[-1, before], atol=15)  # no pulse artefact in the ECG lead


def test_the_eeg_beneath_is_that_of_the_cleaned_simulation_without_residues(raw_dataset, raw_config, tmp_path):
    plain = simulate(raw_config.model_copy(update={"raw": False}), tmp_path / "plain")
    with_residues = mne.io.read_raw_brainvision(plain / f"{EEG}.vhdr", preload=True, verbose="error").get_data() * 1e6
    clean, _ = read_true_eeg(raw_dataset, "01")
    assert with_residues.shape == clean.shape
    assert np.abs(with_residues - clean)[:-1].max() < 30
    assert np.corrcoef(with_residues[0], clean[0])[0, 1] > 0.95
    np.testing.assert_array_equal(with_residues[-1], clean[-1])


def test_cleaning_brings_the_eeg_back(raw_dataset, recording, raw_config):
    """In small: >= 20 dB and <= 5 % of 12 to 30 Hz power (slower EEG holds the pulse artefact).

    The bars, 30 dB and 1 to 30 Hz at 5 kHz, are measured by ``experiments/benchmarks/artefacts.py``.
    """
    data = (recording.get_data() * 1e6).astype(np.float32)
    clean, rate = read_true_eeg(raw_dataset, "01")
    at, types = markers(recording), ["eeg"] * 4 + ["ecg"]

    def cleaned(signals):
        config = CleaningConfig(gradient=True, sampling_rate=rate)
        read = lambda picks: signals[picks]  # noqa: E731
        return clean_eeg(read, data.shape[1], 2000.0, recording.ch_names, types, [], Marks(at), config).data

    scan = slice(int(at[0] / RAW_FACTOR) + 1, int(at[-1] / RAW_FACTOR))
    found, truth = cleaned(data)[:4, scan], clean[:4, scan]
    frequencies, before = signal.welch(signal.resample_poly(data[:4], 1, 20, axis=1)[:, scan], rate, nperseg=400)
    after, wanted = (signal.welch(x, rate, nperseg=400)[1] for x in (found, truth))
    high = (frequencies >= 12) & (frequencies <= 30)
    assert np.abs(after[:, high].sum(axis=1) / wanted[:, high].sum(axis=1) - 1).max() < 0.05
    error = signal.welch(found - truth, rate, nperseg=400)[1]
    assert (before[:, high].sum(axis=1) > 100 * error[:, high].sum(axis=1)).all()


@pytest.mark.parametrize("part", [".", "derivatives/simulation"])
def test_the_bids_validator_finds_no_error(raw_dataset, part):
    found = shutil.which("bids-validator-deno", path=sysconfig.get_path("scripts"))
    assert found, "bids-validator-deno is missing: pip install '.[dev]'"
    command = [found, "--format", "json", str(raw_dataset / part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [i for i in json.loads(done.stdout)["issues"]["issues"] if i["severity"] == "error"] == []


def test_a_dataset_without_raw_eeg_has_no_clean_eeg_beside_it(dataset, refuses):
    with refuses(DatasetError, "only a dataset made with simulation.raw"):
        read_true_eeg(dataset, "01")
