import shutil

import numpy as np
import pytest

from eeg2fmri.config import SplitConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.errors import StoreError
from eeg2fmri.signals import bold_scaling
from eeg2fmri.store import Windows, build_store, split_windows

KINDS = ("recording", "volume", "voxel", "psc")


@pytest.fixture(scope="module")
def store(tmp_path_factory, _bids_template):
    from eeg2fmri.config import DataConfig

    config = DataConfig(frequencies=7, context=3, dropped_volumes=2, grid=(9, 8, 7))
    return build_store(find_recordings(_bids_template)[0], tmp_path_factory.mktemp("windows") / "store", config).store


@pytest.fixture
def windows(store):
    return Windows(store.recordings, store.context)


def test_there_is_one_instance_for_each_volume_with_a_whole_context(windows):
    assert len(windows) == 3 * (20 - 3)
    np.testing.assert_array_equal(windows.owner, np.repeat([0, 1, 2], 17))
    np.testing.assert_array_equal(windows.volume, np.tile(np.arange(3, 20), 3))
    np.testing.assert_array_equal(windows.indices(1), np.arange(17, 34))


def test_contexts_are_views_on_the_spectrograms(windows, store):
    for contexts, recording in zip(windows._contexts, store.recordings, strict=True):
        assert np.shares_memory(contexts, recording.spectrogram)


def test_batches_equal_a_naive_construction(windows, store):
    spectrograms = [r.spectrogram for r in store.recordings]
    volumes = [r.volumes[:] for r in store.recordings]
    pairs = [
        (np.stack([s[v - 3], s[v - 2], s[v - 1]], axis=-1), y[v])
        for s, y in zip(spectrograms, volumes, strict=True)
        for v in range(3, 20)
    ]
    order = np.array([40, 0, 16, 17, 50, 33, 34, 40])
    x, y = windows.eeg(order), windows.volumes(order)
    assert x.shape == (8, 4, 7, 3)
    assert y.shape == (8, 9, 8, 7)
    np.testing.assert_array_equal(x, np.stack([pairs[i][0] for i in order]))
    np.testing.assert_array_equal(y, np.stack([pairs[i][1] for i in order]))


@pytest.mark.parametrize("run", [2, 32])
def test_volumes_that_are_read_together_are_those_read_alone(windows, run, monkeypatch):
    monkeypatch.setattr("eeg2fmri.store.windows.RUN", run)
    order = np.array([3, 4, 5, 15, 16, 17, 18, 2, 1, 0, 0, 50])  # over an end, backwards, and twice
    alone = [windows.volumes(np.array([i]))[0] for i in order]
    np.testing.assert_array_equal(windows.volumes(order), alone)
    scaled = [windows.standardised(np.array([i]), "recording")[0] for i in order]
    np.testing.assert_array_equal(windows.standardised(order, "recording"), scaled)


def test_a_longer_context_gives_fewer_instances(store):
    windows = Windows(store.recordings[:1], 5)
    assert len(windows) == 15
    np.testing.assert_array_equal(windows.eeg(np.array([0]))[0, ..., 4], store.recordings[0].spectrogram[4])


@pytest.mark.parametrize("v", [3, 11, 19])
def test_the_context_ends_before_the_volume_starts(v, write_recording, rng, tmp_path, tiny_config):
    """EEG from the onset of volume `v` on changes nothing for `v`; the sample before it does."""
    eeg, volumes = rng.normal(0, 20, (5, 1300)), rng.normal(20, 3, (9, 8, 7, 22)).astype(np.float32)
    volumes[1:-1, 1:-1, 1:-1] += 900
    onset = 130 + 50 * (v + tiny_config.dropped_volumes)
    later, earlier = eeg.copy(), eeg.copy()
    later[:, onset:] = rng.normal(0, 80, later[:, onset:].shape)
    earlier[:, onset - 1] += 500
    seen = []
    for name, signal in (("whole", eeg), ("later", later), ("earlier", earlier)):
        write_recording(tmp_path / name, eeg=signal, volumes=volumes)
        store = build_store(find_recordings(tmp_path / name)[0], tmp_path / f"{name}-store", tiny_config).store
        windows = Windows(store.recordings, store.context)
        seen.append(windows.eeg(np.flatnonzero(windows.volume <= v)))
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0][:-1], seen[2][:-1])
    np.testing.assert_array_equal(seen[0][-1, ..., :2], seen[2][-1, ..., :2])
    assert np.abs(seen[0][-1, ..., 2] - seen[2][-1, ..., 2]).min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_volumes_are_standardised_by_their_own_recording(kind, windows, store):
    order = np.array([2, 20, 45])
    found = windows.standardised(order, kind)
    assert found.dtype == np.float32
    for index, one in zip(order, found, strict=True):
        recording = store.recordings[windows.owner[index]]
        whole = bold_scaling(kind).standardise(recording.volumes[:], recording.statistics)
        np.testing.assert_allclose(one, whole[windows.volume[index]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_volume_is_that_of_the_instances(kind, windows):
    expected = windows.standardised(np.arange(len(windows)), kind).mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(windows.mean_volume(kind), expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_those_of_these_recordings(store):
    windows = Windows(store.recordings[:2], store.context)
    first, second = (r.statistics for r in store.recordings[:2])
    bold = windows.bold_statistics()
    assert bold.mean == pytest.approx((first.mean + second.mean) / 2)
    assert bold.sd == pytest.approx((first.sd + second.sd) / 2)
    np.testing.assert_allclose(bold.voxel_mean, (first.voxel_mean + second.voxel_mean) / 2)
    np.testing.assert_allclose(bold.voxel_sd, (first.voxel_sd + second.voxel_sd) / 2)
    spectra = np.concatenate([r.spectrogram for r in store.recordings[:2]]).astype(np.float64)
    eeg = windows.eeg_statistics()
    np.testing.assert_allclose(eeg.mean, spectra.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(eeg.sd, spectra.std(axis=0), rtol=1e-6)


def test_the_common_mask_is_where_most_recordings_have_brain(store):
    masks = [r.mask.copy() for r in store.recordings]
    masks[0][4, 3, 2] = False
    masks[1][2, 3, 4] = masks[2][2, 3, 4] = False
    windows = Windows([_with_mask(r, m) for r, m in zip(store.recordings, masks, strict=True)], store.context)
    common = windows.bold_statistics().mask
    assert common[4, 3, 2]
    assert not common[2, 3, 4]
    assert common.sum() == masks[0].sum()


def _with_mask(recording, mask):
    copy = type(recording)(recording.group, recording.attributes, recording.own)
    copy.__dict__["mask"] = mask
    return copy


def test_training_statistics_do_not_see_the_other_subjects(write_recording, rng, bids_root, tmp_path, tiny_config):
    changed = shutil.copytree(bids_root, tmp_path / "changed")
    volumes = rng.normal(50, 9, (9, 8, 7, 22)).astype(np.float32)
    volumes[2:-1, 1:-2, 1:-1] += 4000
    write_recording(changed, "03", eeg=rng.normal(0, 300, (5, 1400)), volumes=volumes)
    stores = [
        build_store(find_recordings(root)[0], tmp_path / f"{root.name}-store", tiny_config).store
        for root in (bids_root, changed)
    ]
    assert stores[0].digest != stores[1].digest

    def numbers(subjects):
        for store in stores:
            windows = Windows(store.of(subjects), store.context)
            bold, eeg = windows.bold_statistics(), windows.eeg_statistics()
            yield [bold.mean, bold.sd, bold.voxel_mean, bold.voxel_sd, bold.mask, eeg.mean, eeg.sd,
                   *(windows.mean_volume(kind) for kind in KINDS)]  # fmt: skip

    for one, other in zip(*numbers(("sub-01", "sub-02")), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(*numbers(("sub-01", "sub-03")), strict=True):
        assert not np.array_equal(one, other)  # the change is one that would be seen


def test_a_store_is_split_into_windows_by_subject(store):
    parts = split_windows(store, SplitConfig(validation=1, test=("01",)))
    assert [[r.subject for r in part.recordings] for part in parts] == [["sub-02"], ["sub-03"], ["sub-01"]]
    assert {part.context for part in parts} == {3}


def test_frequencies_of_a_store_are_an_array(store):
    np.testing.assert_allclose(store.signal.frequencies, np.arange(1, 8) / 0.5)


def test_no_recording_is_refused(refuses):
    with refuses(StoreError, "no recording in this part of the split; name its subjects"):
        Windows([], 3)
