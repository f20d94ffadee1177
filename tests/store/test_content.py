"""What a store holds of its recordings."""

import hashlib

import nibabel
import numpy as np
import pytest

import eeg2fmri
from eeg2fmri.config import DataConfig, DatasetConfig, SplitConfig
from eeg2fmri.datasets import find_recordings, load_bold, survey
from eeg2fmri.errors import DatasetError, StoreError
from eeg2fmri.signals import current_source_density, frequencies, recording_statistics, regrid, spectrogram
from eeg2fmri.store import Windows, build_store, open_store, split_subjects
from tests.datasets.reading import load_recording
from tests.store.files import NAMES

NODDI = DataConfig(frequencies=5, grid=(4, 5, 3), channel_types=("eeg", "ecg"))


def test_a_store_holds_what_the_signals_functions_give(build, bids_root, tiny_config):
    store, seen = build()
    assert seen == [(name, False) for name in NAMES]
    recording = find_recordings(bids_root)[0][1]
    eeg = load_recording(recording, ("eeg", "ecg"))
    bold = load_bold(recording)
    stored = store.recordings[1]
    expected = spectrogram(eeg.data, 100, 0.5, onset=147, n_windows=21, n_frequencies=7)[2:]
    np.testing.assert_array_equal(stored.spectrogram, expected)
    np.testing.assert_array_equal(stored.volumes[:], bold.volumes[2:])
    statistics = recording_statistics(bold.volumes[2:], stored.mask, iqr=False)
    assert (stored.statistics.mean, stored.statistics.sd) == (statistics.mean, statistics.sd)
    brain = bold.volumes[2:][:, stored.mask]
    np.testing.assert_allclose(stored.read("global_signal"), brain.mean(axis=1), rtol=1e-6)
    steps = np.sqrt(np.mean(np.square(np.diff(brain.astype(np.float64), axis=0)), axis=1))
    np.testing.assert_allclose(stored.read("dvars"), steps, rtol=1e-5)
    assert "framewise_displacement" not in stored.attributes["arrays"]
    assert stored.attributes["source_sampling_rate"] == 100
    np.testing.assert_allclose(stored.read("marker_intervals"), np.full(21, 0.5))
    np.testing.assert_array_equal(stored.statistics.voxel_mean, statistics.voxel_mean)
    np.testing.assert_array_equal(stored.statistics.voxel_sd, statistics.voxel_sd)


def write_confounds(root, values, column="framewise_displacement", name="sub-01_task-rest"):
    path = root / "sub-01" / "func" / f"{name}_desc-confounds_timeseries.tsv"
    path.write_text("csf\t" + column + "\n" + "".join(f"1.5\t{value}\n" for value in values))
    return path


def test_framewise_displacement_is_that_of_the_kept_volumes(build, bids_root):
    build_without = build()[0].recordings[0].digest
    write_confounds(bids_root, ["n/a", *(v / 10 for v in range(1, 22))])
    stored = build()[0].recordings[0]
    np.testing.assert_allclose(stored.read("framewise_displacement"), np.arange(3, 22) / 10, rtol=1e-6)
    assert stored.digest != build_without


@pytest.mark.parametrize(
    ("values", "column", "reason"),
    [
        (["n/a", *[0.1] * 20], "framewise_displacement", "21 rows, one for each of the 22 volumes is expected"),
        (["n/a", "n/a", *[0.1] * 20], "framewise_displacement", "of volume 1 is 'n/a', a number of mm"),
        ([*[0.1] * 21, "-1"], "framewise_displacement", "of volume 21 is '-1', a number of mm"),
        ([0.1] * 22, "dvars", "a column framewise_displacement is expected"),
    ],
)
def test_confounds_that_do_not_fit_are_refused_by_inspect_too(bids_root, tiny_config, tmp_path, values, column, reason):
    path = write_confounds(bids_root, values, column)
    failure = build_store(find_recordings(bids_root)[0], tmp_path / "store", tiny_config).failures["sub-01_task-rest"]
    assert failure.startswith(f"{path}: ")
    assert reason in failure
    seen = survey(bids_root, DatasetConfig(), tiny_config)
    assert [row.status for row in seen.rows] == ["failed", "usable", "usable"]
    assert next(problem for where, problem in seen.problems if where == str(path)) in failure


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "float32"])
def test_whole_numbers_stay_whole_on_the_disk(kind, build, bids_root, write_recording, rng, tmp_path):
    volumes = rng.integers(0, 9, (9, 8, 7, 22))
    volumes[1:-1, 1:-1, 1:-1] += 200
    write_recording(bids_root, volumes=volumes.astype(kind))
    (stored,) = build(subjects=("sub-01",))[0].recordings
    (chunk,) = tmp_path.glob("store/sub-01*/volumes/c.0.0.0.0")
    assert chunk.stat().st_size == 8 * (9 * 8 * 7 * np.dtype(kind).itemsize + 16) + 4  # volumes, index, checksum
    assert stored.volumes[3].dtype == np.float32
    np.testing.assert_array_equal(stored.volumes[:], np.moveaxis(volumes, 3, 0)[2:])
    floats = recording_statistics(stored.volumes[:], stored.mask, iqr=False)
    assert stored.statistics.mean == pytest.approx(floats.mean, rel=1e-12)
    assert stored.statistics.sd == pytest.approx(floats.sd, rel=1e-12)
    np.testing.assert_allclose(stored.statistics.voxel_sd, floats.voxel_sd, rtol=1e-6)


@pytest.mark.parametrize("kind", ["uint8", "int16"])
def test_a_lost_volume_of_whole_numbers_is_refused(kind, build, bids_root, write_recording, rng, tmp_path, refuses):
    volumes = rng.integers(0, 9, (9, 8, 7, 22))
    volumes[1:-1, 1:-1, 1:-1] += 200
    volumes[..., 9] = 1  # a volume without a brain is there all the same
    write_recording(bids_root, volumes=volumes.astype(kind))
    (stored,) = build(subjects=("sub-01",))[0].recordings
    (chunk,) = tmp_path.glob("store/sub-01*/volumes/c.1.0.0.0")
    chunk.unlink()
    assert (stored.volumes[7] == 1).all()
    with refuses(StoreError, "sub-01_task-rest/volumes: a chunk is missing"):
        stored.volumes[4:9]


def test_the_mask_is_the_bright_part(build):
    brain = np.zeros((9, 8, 7), bool)
    brain[1:-1, 1:-1, 1:-1] = True
    for recording in build()[0].recordings:
        np.testing.assert_array_equal(recording.mask, brain)


def test_a_store_opens_as_it_was_built(build, tmp_path, tiny_config):
    built, _ = build()
    opened = open_store(tmp_path / "store")
    assert opened.digest == built.digest
    assert opened.settings == tiny_config.model_dump(mode="json")
    assert opened.subjects == ["sub-01", "sub-02", "sub-03"]
    assert opened.context == 3
    assert [r.name for r in opened.of(("sub-03", "sub-01"))] == [NAMES[0], NAMES[2]]
    assert opened.signal.tr == 0.5
    assert opened.signal.sampling_rate == 100
    assert opened.signal.channels == ("Fp1", "Fp2", "Cz", "Oz", "ECG")
    assert opened.signal.frequencies == tuple(frequencies(100, 0.5, 7))
    assert opened.signal.grid == (9, 8, 7)
    for one, other in zip(opened.recordings, built.recordings, strict=True):
        assert one.digest == other.digest
        np.testing.assert_array_equal(one.spectrogram, other.spectrogram)
        np.testing.assert_array_equal(one.volumes[:], other.volumes[:])
    source = opened.recordings[0].attributes["sources"][0]
    assert source["file"] == "sub-01_task-rest_eeg.vhdr"
    assert opened.signal.space == "native"


def test_a_spectrogram_of_the_current_source_density(build, bids_root, tiny_config, refuses, tmp_path):
    config = tiny_config.model_copy(update={"current_source_density": True})
    store, _ = build(config=config, subjects=("sub-02",))
    recording = find_recordings(bids_root)[0][1]
    eeg = load_recording(recording, ("eeg", "ecg"))
    density = current_source_density(eeg.data, eeg.channels)
    expected = spectrogram(density, 100, 0.5, onset=147, n_windows=21, n_frequencies=7)[2:]
    np.testing.assert_array_equal(store.recordings[0].spectrogram, expected)
    assert store.signal.unit == "mV/m²"
    assert build(tmp_path / "plain", subjects=("sub-02",))[0].signal.unit == "µV"
    for path in bids_root.glob("sub-02/eeg/*"):
        if path.suffix in (".vhdr", ".tsv"):
            path.write_text(path.read_text().replace("Oz", "E17"))
    built = build.built(path=tmp_path / "other", config=config, subjects=("sub-02", "sub-03"))
    assert "E17 is no 10-05 position" in built.failures["sub-02_task-rest"]


def test_iqr_changes_the_statistics_only(build, bids_root, write_recording, rng, tmp_path, tiny_config):
    volumes = rng.normal(20, 3, (9, 8, 7, 22)).astype(np.float32)
    volumes[1:-1, 1:-1, 1:-1] += 800
    volumes[4, 3, 2, 5] = 1e5
    write_recording(bids_root, volumes=volumes)
    plain, tukey = build()[0], build(tmp_path / "iqr", tiny_config.model_copy(update={"iqr": True}))[0]
    values = plain.recordings[0].volumes[:]
    np.testing.assert_array_equal(values, tukey.recordings[0].volumes[:])
    expected = recording_statistics(values, plain.recordings[0].mask, iqr=True)
    assert tukey.recordings[0].statistics.sd == expected.sd < 0.9 * plain.recordings[0].statistics.sd


def test_another_grid_covers_the_same_field_of_view(build, tmp_path, tiny_config):
    store, _ = build(tmp_path / "small", tiny_config.model_copy(update={"grid": (6, 5, 4)}))
    volumes = store.recordings[0].volumes[:]
    source = nibabel.load(tmp_path / "bids/sub-01/func/sub-01_task-rest_bold.nii.gz")
    expected = regrid(np.moveaxis(np.asarray(source.dataobj), 3, 0)[2:], (6, 5, 4))
    np.testing.assert_allclose(volumes, expected, rtol=1e-6)
    affine = np.asarray(store.signal.affine)
    for old, new in (((-0.5, -0.5, -0.5), (-0.5, -0.5, -0.5)), ((8.5, 7.5, 6.5), (5.5, 4.5, 3.5))):
        np.testing.assert_allclose(affine @ [*new, 1], source.affine @ [*old, 1], atol=1e-9)


def _write_noddi_like(root, write_recording, rng, n_subjects):
    """300 volumes at TR 2.16 s; 2 channels at 25 Hz on a tiny grid keep it light."""
    volumes = rng.normal(20, 3, (4, 5, 3, 300)).astype(np.float32)
    volumes[1:3, 1:4, 1:2] += 700
    for index in range(n_subjects):
        write_recording(
            root,
            f"{index + 1:02d}",
            eeg=rng.normal(0, 20, (2, 100 + 300 * 54)),
            volumes=volumes,
            lead_s=2,
            tr_s=2.16,
            rate_hz=25.0,
            names=("Cz", "ECG"),
        )


def test_a_published_size_recording_gives_287_instances(write_recording, rng, tmp_path):
    _write_noddi_like(tmp_path / "bids", write_recording, rng, 1)
    store = build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", NODDI).store
    assert store.recordings[0].volumes.shape == (297, 4, 5, 3)
    assert store.recordings[0].spectrogram.shape == (296, 2, 5)
    assert len(Windows(store.recordings, store.context)) == 287


def test_ten_published_size_subjects_give_2296_and_574_instances(write_recording, rng, tmp_path):
    _write_noddi_like(tmp_path / "bids", write_recording, rng, 10)
    store = build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", NODDI).store
    split = split_subjects(store.subjects, SplitConfig(validation=1, test=2))
    counts = [len(Windows(store.of(s), store.context)) for s in (split.train + split.validation, split.test)]
    assert counts == [2296, 574]


def test_the_first_marker_is_time_zero_whatever_the_lead(write_recording, rng, tmp_path, tiny_config):
    event, leads = 9, (0.0, 0.37, 1.93)
    for index, lead in enumerate(leads):
        eeg = rng.normal(0, 0.5, (5, round((lead + 11.4) * 100)))
        eeg[[0, 1, 3, 4]] *= 40
        start = round((lead + event * 0.5) * 100)
        eeg[2, start : start + 50] += 80 * np.sin(2 * np.pi * 10 * np.arange(50) / 100)
        volumes = np.full((9, 8, 7, 22), 20.0, np.float32)
        volumes[1:-1, 1:-1, 1:-1] = 800 + rng.normal(0, 2, (7, 6, 5, 22))
        volumes[4, 3, 2, event] += 300
        write_recording(tmp_path / "bids", f"{index + 1:02d}", eeg=eeg, volumes=volumes, lead_s=lead)
    store = build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", tiny_config).store
    shifted = event - tiny_config.dropped_volumes
    for recording in store.recordings:
        rhythm = recording.spectrogram[:, 2, 4]  # 10 Hz is the fifth bin at TR 0.5 s
        assert rhythm.argmax() == shifted
        assert rhythm[shifted] == pytest.approx(40, rel=0.01)
        assert np.delete(rhythm, shifted).max() < 1
        assert recording.volumes[:, 4, 3, 2].argmax() == shifted


def test_a_missing_later_marker_moves_nothing(write_recording, rng, tmp_path, tiny_config):
    eeg, volumes = rng.normal(0, 20, (5, 1270)), rng.normal(500, 20, (9, 8, 7, 22)).astype(np.float32)
    volumes[1:-1, 1:-1, 1:-1] += 5000
    markers = [130 + 50 * v for v in range(22)]
    for name, kept in (("whole", markers), ("gaps", markers[:4] + markers[6:-2])):
        write_recording(tmp_path / name, eeg=eeg, volumes=volumes, markers=kept)
    with pytest.raises(DatasetError, match="span 20 volumes, the BOLD file has 22"):
        build_store(find_recordings(tmp_path / "gaps")[0], tmp_path / "refused", tiny_config)
    lenient = DatasetConfig(missing_markers="end")
    one, other = (
        build_store(find_recordings(tmp_path / n, lenient)[0], tmp_path / f"{n}-store", tiny_config).store
        for n in ("whole", "gaps")
    )
    np.testing.assert_array_equal(one.recordings[0].spectrogram, other.recordings[0].spectrogram)


def test_no_window_is_asked_of_eeg_that_ends_within_the_last_volume(write_recording, rng, tmp_path, tiny_config):
    """No context reads the window of the last volume."""
    eeg, volumes = rng.normal(0, 20, (5, 130 + 50 * 22)), rng.normal(20, 3, (9, 8, 7, 22)).astype(np.float32)
    volumes[1:-1, 1:-1, 1:-1] += 900
    contexts = []
    for name, end in (("whole", None), ("short", -49)):
        write_recording(tmp_path / name, eeg=eeg[:, :end], volumes=volumes)
        store = build_store(find_recordings(tmp_path / name)[0], tmp_path / f"{name}-store", tiny_config).store
        windows = Windows(store.recordings, store.context)
        contexts.append(windows.eeg(np.arange(len(windows))))
    np.testing.assert_array_equal(*contexts)
    assert len(contexts[0]) == 17


def test_where_a_recording_comes_from(build, bids_root, tiny_config):
    attributes = build()[0].recordings[1].attributes
    sources = {entry["file"]: entry for entry in attributes["sources"]}
    for path in (bids_root / "sub-02").glob("*/*"):
        assert sources[path.name]["bytes"] == path.stat().st_size
        assert sources[path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert attributes["settings"] == tiny_config.model_dump(mode="json")
    assert attributes["versions"]["eeg2fmri"] == eeg2fmri.__version__
    assert attributes["versions"].keys() == {"eeg2fmri", "mne", "nibabel", "nilearn", "numpy", "scipy", "zarr"}
    assert attributes["alignment"] == {
        "source": "R128", "how": "known name", "runner_up": "", "onset_s": pytest.approx(1.47), "first_marker": 0,
        "markers_found": 22, "markers_missing": 0, "warnings": [],
    }  # fmt: skip
