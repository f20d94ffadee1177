"""Fits of both families on planted data: learning, choosing, stopping, repeating and resuming."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eeg2fmri.config import LinearConfig, MeanConfig
from eeg2fmri.errors import ConfigError, LeakageError, ModelError, SpecError
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.models.architectures import encoders
from eeg2fmri.store import Windows
from eeg2fmri.training.pairs import PairData
from tests.fakes import CONTEXT, EEG_SHAPE, GRID, deep_config, recording

ROOT = Path(__file__).parents[2]
UNTIMED = ("train/loss", "train/mae", "train/cosine", "val/loss", "val/mae", "val/cosine", "val/r2_temporal")
CPU = FitSettings(device="cpu")


def learn(config, train, validation, settings=CPU, on_epoch=None):
    return fit(config, train, validation, settings, on_epoch)


def untimed(history):
    return {key: pytest.approx(history[key], abs=1e-5) for key in UNTIMED}


def score(model, windows):
    """`r2_temporal` of a fitted model, the mean over recordings."""
    each = []
    for number, r in enumerate(windows.recordings):
        rows = windows.indices(number)
        synthesised = model.standard_units(model.synthesise(windows.eeg(rows)))
        each.append(r2_temporal(windows.standardised(rows, "recording"), synthesised, r.mask))
    return float(np.mean(each))


@pytest.fixture(scope="module")
def deep(train, validation):
    """A fit of three epochs, and what it reported."""
    reported = []
    settings = FitSettings(seed=5, device="cpu")
    result = learn(deep_config(), train, validation, settings, lambda *args: reported.append(args))
    return result, reported


class TestDeep:
    def test_loss_falls(self, deep):
        losses = deep[0].history["train/loss"]
        assert len(losses) == 3
        assert losses[2] < losses[1] < losses[0]

    @pytest.mark.slow
    def test_without_specification_the_encoders_fit_the_shapes_and_are_written_out(self, train, validation):
        result = learn(deep_config(eeg=None, fmri=None, epochs=1), train, validation)
        config = result.model.config
        assert (config.eeg, config.fmri) == encoders(deep_config(eeg=None, fmri=None), EEG_SHAPE, GRID)
        assert result.facts["eeg_encoder"] == str(config.eeg)
        assert result.facts["fmri_encoder"] == str(config.fmri)
        assert np.isfinite(result.history["val/r2_temporal"]).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("shuffle", [True, False])
    def test_windows_are_shuffled_if_that_is_configured(self, train, validation, monkeypatch, shuffle):
        from eeg2fmri.training import deep

        made = []
        monkeypatch.setattr(deep, "PairData", lambda *a, **k: made.append(PairData(*a, **k)) or made[-1])
        learn(deep_config(epochs=1, shuffle=shuffle), train, validation)
        assert np.array_equal(made[0].order, np.arange(len(train))) is not shuffle

    def test_every_epoch_is_reported_with_an_example(self, deep):
        result, reported = deep
        assert [epoch for epoch, _, _ in reported] == [0, 1, 2]
        for epoch, metrics, (measured, synthesised, dynamics) in reported:
            assert metrics == {key: values[epoch] for key, values in result.history.items()}
            assert measured.shape == synthesised.shape == dynamics.correlation.shape == GRID
        assert {*UNTIMED, "train/learning_rate", "train/samples_per_second"} == set(result.history)
        assert result.history["train/samples_per_second"][1] > 0

    def test_facts(self, deep):
        result, _ = deep
        assert result.facts["device"] == "cpu"
        assert result.facts["backend"] == "tensorflow"
        assert result.facts["best_epoch"] == result.best_epoch + 1  # as figures and messages count
        assert result.facts["parameters"] > result.model.network.model.count_params()

    def test_scores_and_model_are_those_of_the_best_epoch_on_validation_subjects(self, deep, validation):
        result, _ = deep
        series = result.history["val/r2_temporal"]
        assert result.best_epoch == int(np.argmax(series))
        assert score(result.model, validation) == pytest.approx(series[result.best_epoch], abs=1e-4)

    def test_statistics_and_mean_volume_are_those_of_the_training_subjects(self, deep, train):
        model = deep[0].model
        np.testing.assert_array_equal(model.eeg_statistics.mean, train.eeg_statistics().mean)
        np.testing.assert_array_equal(model.bold_statistics.voxel_mean, train.bold_statistics().voxel_mean)
        np.testing.assert_array_equal(model.mean_volume, train.mean_volume("recording"))

    @pytest.mark.slow
    def test_same_seed_same_history_and_another_seed_differs(self, deep, train, validation):
        result, _ = deep
        config = deep_config(epochs=2)
        again = learn(config, train, validation, FitSettings(seed=5, device="cpu"))
        other = learn(config, train, validation, FitSettings(seed=6, device="cpu"))
        first = {key: values[:2] for key, values in result.history.items()}
        assert {key: again.history[key] for key in UNTIMED} == untimed(first)
        assert other.history["train/loss"] != pytest.approx(first["train/loss"], abs=1e-5)

    @pytest.mark.slow
    def test_validation_subjects_choose_but_do_not_teach(self, deep, train):
        result, _ = deep
        others = Windows([recording("sub-07", 7, coupling=0.0)], CONTEXT)
        again = learn(deep_config(), train, others, FitSettings(seed=5, device="cpu"))
        assert again.history["train/loss"] == pytest.approx(result.history["train/loss"], abs=1e-5)
        assert again.history["val/loss"] != pytest.approx(result.history["val/loss"], abs=1e-3)
        assert again.model.bold_statistics.mean == result.model.bold_statistics.mean

    @pytest.mark.slow
    def test_starts_at_the_mean_volume(self, train, validation):
        null = np.abs(train.standardised(np.arange(len(train)), "recording") - train.mean_volume("recording")).mean()
        first = {
            flag: learn(deep_config(start_at_mean=flag, epochs=1, learning_rate=1e-9), train, validation).history[
                "train/mae"
            ][0]
            for flag in (True, False)
        }
        assert first[True] < null + 0.2
        assert first[False] > null + 0.3


@pytest.mark.slow
class TestPrecision:
    @pytest.fixture
    def anywhere(self, monkeypatch):
        from eeg2fmri.training import backend

        monkeypatch.setattr(backend, "check_precision", lambda *_: None)

    @pytest.fixture(scope="class")
    def exact(self, train, validation):
        """Losses in float32, without max-pooling: TensorFlow has none in float16 on a CPU."""
        config = deep_config(epochs=2, max_pool=False)
        return learn(config, train, validation, FitSettings(seed=5, device="cpu")).history["train/loss"]

    @pytest.mark.usefixtures("anywhere")
    @pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
    def test_learns_in_half_precision_and_serves_in_float32(self, exact, train, validation, precision):
        import keras

        config = deep_config(epochs=2, max_pool=False, precision=precision)
        result = learn(config, train, validation, FitSettings(seed=5, device="cpu"))
        assert result.history["train/loss"] == pytest.approx(exact, rel=0.1)
        assert result.history["train/loss"] != pytest.approx(exact, rel=1e-6)
        network = result.model.network.model
        policies = {layer.dtype_policy.name for layer in network._flatten_layers() if layer is not network}
        assert policies == {"float32"}
        assert keras.config.dtype_policy().name == "float32"
        best = result.history["val/mae"][result.best_epoch]
        assert validation_mae(result.model, validation) == pytest.approx(best, rel=0.02)

    def test_is_refused_on_a_cpu_before_anything_starts(self, train, validation, tmp_path):
        settings = FitSettings(device="cpu", checkpoints=tmp_path)
        with pytest.raises(ConfigError, match="mixed_float16 needs a GPU"):
            learn(deep_config(precision="mixed_float16"), train, validation, settings)
        assert not list(tmp_path.iterdir())


def test_each_encoder_runs_once_in_a_step(train, monkeypatch):
    from eeg2fmri.models.calhas2022 import build
    from eeg2fmri.models.layers import ResidualBlock, TopographicalAttention
    from eeg2fmri.training.pairs import pair_model
    from tests.fakes import EEG_SHAPE

    model = pair_model(build(deep_config(), EEG_SHAPE, GRID))
    model.compile(optimizer="sgd", run_eagerly=True)
    batch = {"eeg": train.eeg(np.arange(4)), "fmri": train.standardised(np.arange(4), "recording")}
    model.train_on_batch(batch)
    calls = []
    for layer in (ResidualBlock, TopographicalAttention):
        original = layer.call

        def counted(self, *args, original=original, **kwargs):
            calls.append(type(self).__name__)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(layer, "call", counted)
    model.train_on_batch(batch)
    assert sorted(calls) == ["ResidualBlock", "ResidualBlock", "TopographicalAttention"]


@pytest.mark.slow
class TestChoiceOfTheEpoch:
    """The monitored series is planted, so that the best epoch is neither the first nor the last."""

    @pytest.fixture
    def planted(self, monkeypatch):
        from eeg2fmri.training import deep

        def plant(*series):
            left, original = list(series), deep.validate

            def scored(*args):
                scores, example = original(*args)
                return {**scores, "val/r2_temporal": left.pop(0)}, example

            monkeypatch.setattr(deep, "validate", scored)

        return plant

    def test_best_weights_are_restored(self, planted, train, validation):
        planted(0.1, 0.4, 0.3, 0.2)
        result = learn(deep_config(epochs=4, learning_rate=0.1), train, validation)
        assert result.best_epoch == 1
        errors = [validation_mae(result.model, validation), *result.history["val/mae"]]
        assert errors[0] == pytest.approx(errors[2], abs=1e-4)
        assert all(abs(errors[0] - errors[i]) > 1e-3 for i in (1, 3, 4))

    def test_stops_after_patience_epochs_without_a_better_one(self, planted, train, validation):
        planted(0.1, 0.4, 0.3, 0.2, 0.1)
        result = learn(deep_config(epochs=9, patience=3), train, validation)
        assert len(result.history["val/r2_temporal"]) == 5
        assert result.best_epoch == 1


def validation_mae(model, windows):
    rows = np.arange(len(windows))
    synthesised = model.standard_units(model.synthesise(windows.eeg(rows)))
    return float(np.abs(windows.standardised(rows, "recording") - synthesised).mean())


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.fakes import CONTEXT, FREQUENCIES, deep_config, recording
from eeg2fmri.store import Windows
from eeg2fmri.families import FitSettings, fit

train = Windows([recording(f"sub-0{{n}}", n) for n in (1, 2, 3)], CONTEXT)
validation = Windows([recording("sub-04", 4), recording("sub-04", 5, windows=17, run=2)], CONTEXT)

def after(epoch, metrics, example):
    print(epoch, flush=True)
    if epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)

settings = FitSettings(seed=5, device="cpu", checkpoints=Path({folder!r}), key="k1")
fit(deep_config(epochs=4), train, validation, settings, after)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed") / "checkpoints"
    script = KILLED.format(root=str(ROOT), folder=str(folder))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.split() == ["0", "1"]
    assert [p.name for p in folder.iterdir()] == ["epoch-2"]
    return folder


@pytest.mark.slow
class TestResume:
    def test_another_key_is_refused(self, killed, train, validation):
        settings = FitSettings(seed=5, device="cpu", checkpoints=killed, key="k2")
        with pytest.raises(ModelError, match="another configuration"):
            learn(deep_config(epochs=4), train, validation, settings)

    def test_goes_on_as_if_never_killed(self, killed, train, validation):
        reported = []
        settings = FitSettings(seed=5, device="cpu", checkpoints=killed, key="k1")
        config = deep_config(epochs=4)
        resumed = learn(config, train, validation, settings, lambda *args: reported.append(args))
        assert [epoch for epoch, _, _ in reported] == [0, 1, 2, 3]
        assert [example is None for _, _, example in reported] == [True, True, False, False]
        whole = learn(config, train, validation, FitSettings(seed=5, device="cpu"))
        assert {key: resumed.history[key] for key in UNTIMED} == untimed(whole.history)
        assert resumed.best_epoch == whole.best_epoch
        assert score(resumed.model, validation) == pytest.approx(score(whole.model, validation), abs=1e-5)

    def test_a_finished_fit_is_not_repeated(self, tmp_path, train, validation):
        settings = FitSettings(seed=5, device="cpu", checkpoints=tmp_path, key="k1")
        first = learn(deep_config(epochs=2), train, validation, settings)
        again = learn(deep_config(epochs=2), train, validation, settings)
        assert again.history == first.history
        eeg = validation.eeg(np.arange(3))
        np.testing.assert_array_equal(again.model.synthesise(eeg), first.model.synthesise(eeg))


@pytest.fixture(scope="module")
def linear():
    """A fit on longer recordings; every lag is free, since the planted one is no haemodynamic response."""
    reported = []
    train = Windows([recording(f"sub-0{n}", n, windows=60) for n in (1, 2, 3)], CONTEXT)
    validation = Windows([recording("sub-04", 4, windows=60)], CONTEXT)
    config = LinearConfig(components=8)
    return learn(config, train, validation, on_epoch=lambda *args: reported.append(args)), reported, train, validation


class TestLinear:
    def test_finds_the_planted_relation(self, linear):
        model = linear[0].model
        assert score(model, Windows([recording("sub-05", 5, windows=60)], CONTEXT)) > 0.6
        assert score(model, Windows([recording("sub-06", 6, windows=60, coupling=0.0)], CONTEXT)) < 0.1

    def test_scores_are_those_of_the_validation_subjects(self, linear):
        result, _, _, validation = linear
        assert result.history["val/r2_temporal"] == [pytest.approx(score(result.model, validation), abs=1e-5)]
        assert result.history["val/mae"] == [pytest.approx(validation_mae(result.model, validation), abs=1e-5)]

    def test_statistics_and_mean_volume_are_those_of_the_training_subjects(self, linear):
        result, _, train, _ = linear
        assert result.model.bold_statistics.mean == train.bold_statistics().mean
        np.testing.assert_array_equal(result.model.mean_volume, train.mean_volume("recording"))

    def test_reports_its_only_step_with_an_example(self, linear):
        result, ((number, metrics, (measured, synthesised, dynamics)),), *_ = linear
        assert number == result.best_epoch == 0
        assert metrics == {key: value for key, (value,) in result.history.items()}
        assert measured.shape == synthesised.shape == dynamics.correlation.shape == GRID

    @pytest.mark.parametrize("n", [1, 4])
    def test_predicts_volumes(self, linear, n):
        result, _, _, validation = linear
        volumes = result.model.network.predict(validation.eeg(np.arange(n)))
        assert volumes.shape == (n, *GRID)
        assert volumes.dtype == np.float32


class TestMean:
    def test_predicts_the_mean_training_volume_for_any_eeg(self, train, validation):
        reported = []
        result = learn(MeanConfig(), train, validation, on_epoch=lambda *args: reported.append(args))
        volumes = result.model.synthesise(validation.eeg(np.arange(3)))
        np.testing.assert_array_equal(volumes[0], volumes[2])
        np.testing.assert_allclose(result.model.standard_units(volumes[1]), train.mean_volume("recording"), atol=1e-5)
        assert score(result.model, validation) == 0
        assert result.history["val/r2_temporal"] == [0]
        assert len(reported) == 1


class TestRefusals:
    @pytest.mark.parametrize("config", [deep_config(), LinearConfig(), MeanConfig()], ids=["deep", "linear", "mean"])
    def test_subject_in_both_parts(self, train, config):
        both = Windows([recording("sub-08", 8), recording("sub-02", 12, run=2)], CONTEXT)
        with pytest.raises(LeakageError, match=r"sub-02 in train and in validation"):
            learn(config, train, both)

    @pytest.mark.slow
    def test_batch_larger_than_the_training_set(self, train, validation):
        with pytest.raises(ConfigError, match=r"training\.batch_size 64 is larger .* 63"):
            learn(deep_config(batch_size=64), train, validation)
        assert learn(deep_config(batch_size=63, epochs=1), train, validation).history["train/loss"]

    def test_validation_that_is_too_short_to_be_scored(self, train):
        short = Windows([recording("sub-08", 8, windows=CONTEXT + 1)], CONTEXT)
        with pytest.raises(ConfigError, match=r"sub-08_.* validates with 1 volume, at least 2 are needed"):
            learn(MeanConfig(), train, short)

    @pytest.mark.parametrize("config", [deep_config(), LinearConfig()])
    def test_gpu_without_gpu(self, config, train, validation, monkeypatch):
        import tensorflow as tf

        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
        with pytest.raises(ConfigError, match="no GPU"):
            learn(config, train, validation, FitSettings(device="gpu"))

    def test_architecture_that_does_not_fit(self, train, validation):
        from eeg2fmri.config import BlockSpec

        long = BlockSpec(kernels=((2, 14, 2),), strides=((1, 1, 1),))
        with pytest.raises(SpecError, match="frequency"):
            learn(deep_config(eeg=long), train, validation)
