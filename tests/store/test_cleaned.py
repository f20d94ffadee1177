"""EEG is cleaned, the mask that came with the volumes is used, and warnings reach the process that asked."""

import json
import logging

import nibabel
import numpy as np
import pytest

from eeg2fmri.config import CleaningConfig, DatasetConfig, SimulationConfig
from eeg2fmri.datasets import align, find_recordings, open_eeg, read_bold_header
from eeg2fmri.errors import DatasetError
from eeg2fmri.simulation import simulate
from eeg2fmri.store import build_store
from eeg2fmri.store.prepare import prepare, read_signals
from tests.conftest import GRID

RAW = SimulationConfig(subjects=1, volumes=12, grid=GRID, tr=0.6, channels=6, raw=True)
CLEANING = CleaningConfig(gradient=True, template=5, sampling_rate=250.0, pulse=True)


@pytest.fixture(scope="module")
def raw_root(tmp_path_factory):
    """One subject as the amplifier in the scanner records it."""
    return simulate(RAW, tmp_path_factory.mktemp("raw") / "bids")


@pytest.mark.parametrize("types", [("eeg", "ecg"), ("eeg",)])
def test_raw_eeg_is_cleaned_with_the_ecg_whether_it_is_kept_or_not(types, raw_root, tiny_config, tmp_path):
    config = tiny_config.model_copy(update={"cleaning": CLEANING, "channel_types": types})
    built = build_store(find_recordings(raw_root)[0], tmp_path / "store", config)
    assert not built.failures
    (recording,) = built.store.recordings
    channels = 6 + ("ecg" in types)
    assert built.store.signal.sampling_rate == 250
    assert built.store.signal.channels[:6] == recording.own.channels[:6]
    assert recording.spectrogram.shape == (RAW.volumes - config.dropped_volumes - 1, channels, config.frequencies)
    before, after = recording.read("spectrum_before"), recording.read("spectrum_after")
    assert before.shape == after.shape == (channels, len(recording.read("spectrum_frequencies")))
    assert after[:6].sum() < 0.1 * before[:6].sum()  # nearly all of it was artefact
    beats = np.diff(recording.read("r_peaks"))
    assert ((beats > 0.4) & (beats < 1.6)).all()
    onset = recording.attributes["alignment"]["onset_s"]
    (signals,) = (read_signals(r, config) for r in find_recordings(raw_root)[0])
    assert signals.onset / signals.sampling_rate == pytest.approx(onset)


def test_what_cannot_be_cleaned_names_its_file(build, tiny_config, refuses):
    cleaning = CleaningConfig(gradient=True, template=23)
    with refuses(DatasetError, r"sub-01_task-rest_eeg\.vhdr: data\.cleaning\.template: the mean of 23 volumes"):
        build(config=tiny_config.model_copy(update={"cleaning": cleaning}))


@pytest.mark.parametrize(("end", "kept"), [("end", slice(0, -3)), ("start", slice(3, None))])
def test_volumes_without_markers_have_an_onset_for_the_gradient_artefact(end, kept, write_recording, tmp_path):
    markers = [130 + 50 * v for v in range(22)]
    write_recording(tmp_path / "bids", markers=markers[kept])
    recording = find_recordings(tmp_path / "bids", DatasetConfig(missing_markers=end))[0][0]
    raw = open_eeg(recording)
    np.testing.assert_allclose(align(raw, recording, 0.5, 22).onsets, markers, atol=1e-6)


def test_without_markers_there_are_no_onsets(write_recording, tmp_path):
    write_recording(tmp_path / "bids", markers=[])
    recording = find_recordings(tmp_path / "bids", DatasetConfig(alignment="file-start"))[0][0]
    assert not len(align(open_eeg(recording), recording, 0.5, 22).onsets)


def test_markers_of_an_event_table_are_judged_too(write_recording, tmp_path, tiny_config):
    folder = write_recording(tmp_path / "bids", markers=[])
    rows = "".join(f"{1.3 + 0.5 * v:.3f}\t0\tR128\n" for v in range(22))
    (folder / "eeg/sub-01_task-rest_events.tsv").write_text("onset\tduration\ttrial_type\n" + rows)
    content = prepare(find_recordings(tmp_path / "bids")[0][0], tiny_config)
    assert content.attributes["alignment"]["source"] == "R128 in events.tsv"
    assert content.attributes["alignment"]["first_marker"] == 0
    np.testing.assert_allclose(content.arrays["marker_intervals"], np.full(21, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_warnings_are_said_once_by_this_process_and_kept(workers, write_recording, build, tmp_path, caplog):
    for subject in ("01", "02"):
        write_recording(tmp_path / "free", subject, markers=[130 + 50 * v for v in range(22) if v != 7])
    with caplog.at_level(logging.WARNING, "eeg2fmri"):
        store, _ = build(root=tmp_path / "free", workers=workers)
        build(root=tmp_path / "free")
    said = [r.getMessage() for r in caplog.records if "1 absent between" in r.getMessage()]
    assert len(said) == 2
    assert all(f"sub-0{n}_task-rest_eeg.vhdr: its R128 markers" in "".join(said) for n in (1, 2))
    (line,) = store.recordings[0].attributes["alignment"]["warnings"]
    assert said[0].endswith(line) or said[1].endswith(line)


def _with_mask(root, write_recording, mask):
    """A recording whose BOLD fMRIPrep made, with a mask of its own."""
    write_recording(root)
    source, folder = root / "sub-01/func", root / "derivatives/fmriprep/sub-01/func"
    folder.mkdir(parents=True)
    (folder.parents[1] / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.8.0"}))
    stem = "sub-01_task-rest_space-MNI152NLin2009cAsym_desc"
    (folder / f"{stem}-preproc_bold.nii.gz").write_bytes((source / "sub-01_task-rest_bold.nii.gz").read_bytes())
    (folder / f"{stem}-preproc_bold.json").write_text(json.dumps({"RepetitionTime": 0.5}))
    nibabel.save(
        nibabel.Nifti1Image(mask.astype(np.uint8), np.diag([2.0, 3.0, 4.0, 1.0])), folder / f"{stem}-brain_mask.nii.gz"
    )
    return find_recordings(root, DatasetConfig(bold="fmriprep"))[0]


def test_the_mask_of_fmriprep_is_the_brain_mask(write_recording, tmp_path, tiny_config):
    mask = np.zeros(GRID, bool)
    mask[2:6, 1:5, 3:6] = True
    recordings = _with_mask(tmp_path / "bids", write_recording, mask)
    (stored,) = build_store(recordings, tmp_path / "store", tiny_config).store.recordings
    np.testing.assert_array_equal(stored.mask, mask)
    double = tiny_config.model_copy(update={"grid": (18, 16, 14)})
    (stored,) = build_store(recordings, tmp_path / "double", double).store.recordings
    overlap = stored.mask & np.kron(mask, np.ones((2, 2, 2), bool))
    assert 2 * overlap.sum() / (stored.mask.sum() + 8 * mask.sum()) > 0.9


def test_fmriprep_output_without_its_mask_is_told(write_recording, tmp_path, tiny_config):
    recordings = _with_mask(tmp_path / "bids", write_recording, np.ones(GRID, bool))
    recordings[0].mask_path.unlink()
    recordings = find_recordings(tmp_path / "bids", DatasetConfig(bold="fmriprep"))[0]
    (line,) = prepare(recordings[0], tiny_config).attributes["alignment"]["warnings"]
    assert line.startswith("no brain mask beside sub-01_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz")


@pytest.mark.parametrize("gradient", [False, True])
def test_raw_eeg_that_is_not_cleaned_is_told(gradient, raw_root, tiny_config):
    cleaning = CleaningConfig(gradient=gradient, sampling_rate=100, template=5)
    config = tiny_config.model_copy(update={"cleaning": cleaning})
    warnings = prepare(find_recordings(raw_root)[0][0], config).attributes["alignment"]["warnings"]
    assert [line for line in warnings if "the gradient artefact is still in it" in line] == warnings
    assert len(warnings) == (not gradient)


@pytest.mark.parametrize(
    ("mask", "text", "in_header"),
    [
        (np.ones((9, 8, 6)), r"brain_mask\.nii\.gz: its shape is \(9, 8, 6\), the volumes have \(9, 8, 7\)", True),
        (np.zeros(GRID), r"brain_mask\.nii\.gz: no voxel of the mask is brain", False),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(mask, text, in_header, write_recording, tmp_path, tiny_config, refuses):
    recordings = _with_mask(tmp_path / "bids", write_recording, mask)
    with refuses(DatasetError, text):
        build_store(recordings, tmp_path / "store", tiny_config)
    if in_header:  # as `inspect` asks
        with refuses(DatasetError, text):
            read_bold_header(recordings[0])
