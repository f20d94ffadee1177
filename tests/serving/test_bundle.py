"""A model as plain files, and the windows it makes of raw EEG."""

from __future__ import annotations

import json
import shutil
import tracemalloc
import zipfile

import numpy as np
import pytest

from eeg2fmri.config import VARIANTS, find_family
from eeg2fmri.errors import ConfigError, ModelError, RequestError
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.models.fitted import FittedModel, KerasNetwork
from eeg2fmri.serving import Bundle, load_bundle, save_bundle
from eeg2fmri.signals import spectrogram
from tests.fakes import CHANNELS, CONTEXT, EEG_SHAPE, GRID, SAMPLING_RATE, TR, deep_config

FAMILIES = ("deep", "linear", "mean")


class TestFiles:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_saved_and_loaded_gives_identical_volumes(self, bundles, folders, family, windows):
        loaded = load_bundle(folders[family])
        expected = bundles[family].model.synthesise(windows)
        np.testing.assert_array_equal(loaded.model.synthesise(windows), expected)
        assert loaded.window_shape == EEG_SHAPE

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_every_variant_survives_in_safe_mode(self, bundles, variant, windows, tmp_path):
        model = bundles["deep"].model
        config = deep_config(variant=variant)
        network = KerasNetwork(build(config, EEG_SHAPE, GRID, mean_volume=model.mean_volume).synthesiser())
        saved = FittedModel(config, network, model.eeg_statistics, model.bold_statistics, model.mean_volume)
        save_bundle(tmp_path, Bundle(saved, bundles["deep"].signal, bundles["deep"].settings, {}))
        np.testing.assert_array_equal(load_bundle(tmp_path).model.synthesise(windows), saved.synthesise(windows))

    def test_scalings_come_back(self, other_scalings, windows, tmp_path):
        save_bundle(tmp_path, other_scalings)
        loaded = load_bundle(tmp_path)
        assert loaded.model.config == other_scalings.model.config
        np.testing.assert_array_equal(loaded.model.synthesise(windows), other_scalings.model.synthesise(windows))

    @pytest.mark.parametrize("family", FAMILIES)
    def test_settings_and_provenance_come_back(self, bundles, folders, family):
        loaded, saved = load_bundle(folders[family]), bundles[family]
        assert (loaded.signal, loaded.settings, loaded.provenance) == (saved.signal, saved.settings, saved.provenance)
        assert loaded.model.config == saved.model.config
        for part in ("eeg_statistics", "bold_statistics"):
            for key, value in vars(getattr(saved.model, part)).items():
                np.testing.assert_array_equal(getattr(getattr(loaded.model, part), key), value)
        np.testing.assert_array_equal(loaded.model.mean_volume, saved.model.mean_volume)

    @pytest.mark.parametrize(
        ("family", "files"),
        [
            ("deep", ["bundle.json", "network.keras", "statistics.npz"]),
            ("linear", ["bundle.json", "network.npz", "statistics.npz"]),
            ("mean", ["bundle.json", "network.npz", "statistics.npz"]),
        ],
    )
    def test_no_pickle_and_no_code(self, folders, family, files):
        assert sorted(p.name for p in folders[family].iterdir()) == files
        for path in folders[family].glob("*.npz"):
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays.files)
        if family == "deep":
            with zipfile.ZipFile(folders[family] / "network.keras") as archive:
                assert not [n for n in archive.namelist() if n.endswith((".pkl", ".pickle", ".py"))]
                assert "lambda" not in archive.read("config.json").decode().lower()

    def test_a_lambda_in_the_network_is_refused(self, folders, tmp_path):
        import keras

        folder = shutil.copytree(folders["deep"], tmp_path / "bundle")
        eeg = keras.Input(EEG_SHAPE)
        keras.Model(eeg, keras.layers.Lambda(lambda x: x + 1)(eeg)).save(folder / "network.keras")
        with pytest.raises(ModelError, match=r"cannot be read \(.*[Ll]ambda.*\)"):
            load_bundle(folder)

    def test_the_file_of_a_network_is_not_held_in_memory(self, tmp_path):
        """`keras.saving.load_model` would hold it, 128 MiB; here NumPy and the archive hold a layer of it, 16 MiB."""
        import keras

        network = keras.Sequential([keras.Input((2048,)), *(keras.layers.Dense(2048) for _ in range(8))])
        network.save(tmp_path / "network.keras")
        tracemalloc.start()
        loaded = find_family("calhas2022").load(tmp_path).model
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        for found, saved in zip(loaded.get_weights(), network.get_weights(), strict=True):
            np.testing.assert_array_equal(found, saved)
        assert peak < 96 * 2**20  # layers that were read may wait for the garbage collector

    def test_another_format_is_refused(self, folders, tmp_path):
        folder = shutil.copytree(folders["linear"], tmp_path / "bundle")
        content = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps(content | {"format": 99}))
        with pytest.raises(ModelError, match="format 99, this version reads 5"):
            load_bundle(folder)

    def test_device_of_the_environment_counts_for_keras_networks(self, folders, monkeypatch):
        monkeypatch.setenv("EEG2FMRI_DEVICE", "tpu")
        load_bundle(folders["linear"])
        with pytest.raises(ConfigError, match="device 'tpu' is not known; expected auto, cpu or gpu"):
            load_bundle(folders["deep"])
        monkeypatch.setenv("EEG2FMRI_DEVICE", "cpu")
        load_bundle(folders["deep"])

    def test_an_empty_folder_is_refused(self, tmp_path):
        with pytest.raises(ModelError, match=r"bundle\.json is missing"):
            load_bundle(tmp_path)

    def test_a_changed_configuration_is_refused(self, folders, tmp_path):
        folder = shutil.copytree(folders["linear"], tmp_path / "bundle")
        content = json.loads((folder / "bundle.json").read_text())
        content["model"]["componets"] = 3
        (folder / "bundle.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match="did you mean 'components'"):
            load_bundle(folder)

    @pytest.mark.parametrize(("family", "file"), [("mean", "network.npz"), ("deep", "network.keras")])
    def test_a_missing_network_is_refused(self, folders, family, file, tmp_path, refuses):
        folder = shutil.copytree(folders[family], tmp_path / "bundle")
        (folder / file).unlink()
        with refuses(ModelError, rf"{file}: it is missing, .* fetch the model again"):
            load_bundle(folder)

    @pytest.mark.parametrize("left", [0.0, 0.6, 0.99])
    @pytest.mark.parametrize(
        ("family", "file"),
        [
            ("linear", "statistics.npz"),
            ("linear", "network.npz"),
            ("linear", "bundle.json"),
            ("deep", "statistics.npz"),
            ("deep", "network.keras"),
        ],
    )
    def test_a_damaged_file_is_refused(self, folders, family, file, left, tmp_path, refuses):
        shutil.copytree(folders[family], tmp_path / "copy")
        path = tmp_path / "copy" / file
        path.write_bytes(path.read_bytes()[: int(left * path.stat().st_size)])
        with refuses(ModelError, r"copy: the model cannot be read \(.+\); fetch it again"):
            load_bundle(tmp_path / "copy")

    @pytest.mark.parametrize("key", ["model", "bold", "signal", "settings", "provenance", None])
    def test_an_incomplete_description_is_refused(self, folders, key, tmp_path, refuses):
        folder = shutil.copytree(folders["linear"], tmp_path / "copy")
        content = json.loads((folder / "bundle.json").read_text())
        content.pop(key, None)
        (folder / "bundle.json").write_text(json.dumps(content if key else []))
        with refuses(ModelError, rf"copy: the model cannot be read \(.*{key or 'list'}.*\); fetch it again"):
            load_bundle(folder)

    def test_the_network_of_another_family_is_refused(self, folders, tmp_path, refuses):
        folder = shutil.copytree(folders["linear"], tmp_path / "bundle")
        shutil.copy(folders["mean"] / "network.npz", folder)
        with refuses(ModelError, r"no array frequencies, .*, found mean_volume; train it again"):
            load_bundle(folder)


class TestWindows:
    """Only the linear bundle: windows do not depend on the family."""

    @pytest.fixture
    def bundle(self, bundles):
        return bundles["linear"]

    def test_are_the_stores_spectrogram(self, bundle, eeg):
        magnitude = spectrogram(eeg, SAMPLING_RATE, TR, onset=0, n_windows=5, n_frequencies=EEG_SHAPE[1])
        windows = bundle.windows(eeg, SAMPLING_RATE)
        assert windows.shape == (3, *EEG_SHAPE)
        for n in range(3):
            np.testing.assert_array_equal(windows[n], np.moveaxis(magnitude[n : n + CONTEXT], 0, -1))

    def test_onset_moves_the_first_window(self, bundle, eeg):
        step = round(TR * SAMPLING_RATE)
        later = bundle.windows(eeg, SAMPLING_RATE, onset=step)
        np.testing.assert_array_equal(later, bundle.windows(eeg, SAMPLING_RATE)[1:])

    def test_channels_are_put_in_order_by_name_and_others_left_out(self, bundle, eeg, rng):
        order = rng.permutation(len(CHANNELS))
        names = [CHANNELS[i] for i in order]
        mixed = np.insert(eeg[order], 2, rng.normal(size=eeg.shape[1]), axis=0)
        windows = bundle.windows(mixed, SAMPLING_RATE, [*names[:2], "EOG", *names[2:]])
        np.testing.assert_array_equal(windows, bundle.windows(eeg, SAMPLING_RATE))

    @pytest.mark.parametrize("sampling_rate", [64.0, 100.0, 500.0])
    def test_another_rate_has_the_same_frequencies(self, bundle, sampling_rate):
        time = np.arange(round(4 * TR * sampling_rate)) / sampling_rate
        tone = np.tile(30 * np.sin(2 * np.pi * 10 * time), (len(CHANNELS), 1))
        windows = bundle.windows(tone.astype(np.float32), sampling_rate)
        assert windows.shape == (2, *EEG_SHAPE)
        assert (windows.argmax(axis=2) == 4).all()  # the fifth bin of 2 Hz each
        np.testing.assert_allclose(windows[:, :, 4], 15, rtol=1e-4)

    @pytest.mark.parametrize(("samples", "n"), [(3 * 32, 1), (4 * 32 - 1, 1), (4 * 32, 2)])
    def test_one_window_for_every_volume_that_can_be_synthesised(self, bundle, samples, n):
        eeg = np.resize(np.float32([30, -10, 40, -10, -50]), (len(CHANNELS), samples))
        assert len(bundle.windows(eeg, SAMPLING_RATE)) == n

    def test_shorter_than_the_context(self, bundle, eeg):
        with pytest.raises(RequestError, match=r"1\.48 s of EEG, at least 1\.50 s .*3 windows"):
            bundle.windows(eeg[:, :95], SAMPLING_RATE)

    def test_rate_without_the_models_frequencies(self, bundle, eeg):
        with pytest.raises(RequestError, match=r"sampling_rate: 48 Hz .* 26 Hz"):
            bundle.windows(eeg, 48.0)

    @pytest.mark.parametrize("rate", [1e-300, 5e-324, 1e-6])
    def test_absurdly_low_rate(self, bundle, eeg, rate):
        with pytest.raises(RequestError, match="sampling_rate"):
            bundle.windows(eeg, rate)

    def test_missing_channels(self, bundle, eeg):
        with pytest.raises(RequestError, match=r"channels: Oz, ECG missing \(2 of 6\)"):
            bundle.windows(eeg[:4], SAMPLING_RATE, ["Fp1", "Cz", "T7", "T8"])

    def test_twice_the_same_channel(self, bundle, eeg):
        with pytest.raises(RequestError, match=r"channels: 'Oz' named twice"):
            bundle.windows(np.vstack([eeg, eeg[:1]]), SAMPLING_RATE, [*CHANNELS, "Oz"])

    def test_names_for_other_rows(self, bundle, eeg):
        with pytest.raises(RequestError, match="channels: 5 names for 6 rows"):
            bundle.windows(eeg, SAMPLING_RATE, CHANNELS[:5])

    def test_other_number_of_channels_without_names(self, bundle, eeg):
        with pytest.raises(RequestError, match="eeg: 5 channels, the model needs 6"):
            bundle.windows(eeg[:5], SAMPLING_RATE)
