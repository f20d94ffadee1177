"""Validation scores, checkpoints and the choice of the best epoch, each on its own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from rich.progress import Progress, TextColumn

from eeg2fmri.errors import DiskFullError, DivergenceError, ModelError
from eeg2fmri.evaluation import middle_change, r2_temporal
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.models.fitted import FittedModel, KerasNetwork
from eeg2fmri.signals import without_drift
from eeg2fmri.store import Windows
from eeg2fmri.training.callbacks import ProgressBar
from eeg2fmri.training.epochs import Checkpoints, Progressing
from eeg2fmri.training.pairs import pair_model
from eeg2fmri.training.validation import validate
from tests.fakes import CONTEXT, EEG_SHAPE, GRID, TR, deep_config, recording


class TestProgressing:
    @pytest.mark.parametrize(
        ("series", "best"), [([0.1, 0.3, 0.2], 1), ([-0.5, -0.4, -0.4], 1), ([-0.5, -0.6, -0.1], 2)]
    )
    def test_best_epoch_by_the_deciding_score_alone(self, series, best):
        state = Progressing()
        improved = [state.add({"val/r2_temporal": value, "val/loss": -i}) for i, value in enumerate(series)]
        assert state.best_epoch == best
        assert max(i for i, flag in enumerate(improved) if flag) == best
        assert state.epochs == 3
        assert state.history == {"val/r2_temporal": series, "val/loss": [0, -1, -2]}


def tiny_model(value=None):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(optimizer="adam", loss="mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    if value is not None:
        model.set_weights([np.full(w.shape, value) for w in model.weights])
    return model


def one_epoch(state, score):
    return state.add({"val/r2_temporal": score})


class TestCheckpoints:
    def test_nothing_there_is_an_empty_state(self, tmp_path):
        state = Checkpoints(tmp_path / "none", "key").restore(tiny_model())
        assert (state.epochs, state.best_epoch, state.history) == (0, -1, {})

    def test_state_and_both_weights_come_back(self, tmp_path):
        checkpoints, state = Checkpoints(tmp_path, "key"), Progressing()
        for value, score in ((1, 0.1), (2, 0.5), (3, 0.2)):
            checkpoints.save(tiny_model(value), tiny_model(10 * value), state, best=one_epoch(state, score))
        model, synthesiser = tiny_model(), tiny_model()
        restored = checkpoints.restore(model)
        checkpoints.restore_best(synthesiser)
        assert restored == state
        assert {w for weights in model.get_weights() for w in weights.flat} == {3}
        assert {w for weights in synthesiser.get_weights() for w in weights.flat} == {20}

    def test_only_the_newest_is_kept(self, tmp_path):
        checkpoints, state = Checkpoints(tmp_path, "key"), Progressing()
        for _ in range(11):
            checkpoints.save(tiny_model(1), tiny_model(1), state, best=one_epoch(state, 0.1))
        assert [p.name for p in tmp_path.iterdir()] == ["epoch-11"]

    def test_newest_by_number_not_by_name(self, tmp_path):
        for epochs in (9, 10):
            checkpoints, state = Checkpoints(tmp_path / str(epochs), "key"), Progressing()
            state.history = {"val/r2_temporal": [0.0] * epochs}
            checkpoints.save(tiny_model(epochs), tiny_model(epochs), state, best=True)
            (tmp_path / str(epochs) / f"epoch-{epochs}").rename(tmp_path / f"epoch-{epochs}")
        assert Checkpoints(tmp_path, "key").latest() == tmp_path / "epoch-10"

    @pytest.mark.parametrize("left", ["epoch-2.part", "epoch-3.part"])
    def test_a_half_written_one_is_ignored_and_replaced(self, tmp_path, left):
        checkpoints, state = Checkpoints(tmp_path, "key"), Progressing()
        checkpoints.save(tiny_model(1), tiny_model(1), state, best=one_epoch(state, 0.1))
        (tmp_path / left).mkdir()
        (tmp_path / left / "model.npz").write_bytes(b"half")
        assert checkpoints.latest() == tmp_path / "epoch-1"
        for number in (2, 3):
            checkpoints.save(tiny_model(number), tiny_model(number), state, best=one_epoch(state, 0.1))
        model = tiny_model()
        assert checkpoints.restore(model).epochs == 3
        assert model.get_weights()[0].flat[0] == 3

    def test_on_a_full_disk_the_one_before_stays(self, tmp_path, refuses, small_files):
        checkpoints, state = Checkpoints(tmp_path, "key"), Progressing()
        checkpoints.save(tiny_model(1), tiny_model(1), state, best=one_epoch(state, 0.1))
        with refuses(DiskFullError, f"^{tmp_path}, checkpoint of epoch 2: no space left"), small_files(200):
            checkpoints.save(tiny_model(2), tiny_model(2), state, best=one_epoch(state, 0.2))
        assert [path.name for path in tmp_path.iterdir()] == ["epoch-1"]
        model = tiny_model()
        assert checkpoints.restore(model).epochs == 1
        assert model.get_weights()[0].flat[0] == 1

    def test_one_of_another_configuration_is_refused(self, tmp_path):
        state = Progressing()
        Checkpoints(tmp_path, "key").save(tiny_model(1), tiny_model(1), state, best=one_epoch(state, 0.1))
        with pytest.raises(ModelError, match=r"epoch-1: a checkpoint of another configuration"):
            Checkpoints(tmp_path, "other").restore(tiny_model())


class TestValidate:
    @pytest.fixture
    def model(self, train):
        config = deep_config(bold_scaling="voxel", weight_decay=0.01)
        parts = build(config, EEG_SHAPE, GRID)
        network = KerasNetwork(parts.synthesiser())
        statistics = train.eeg_statistics(), train.bold_statistics()
        return pair_model(parts), FittedModel(config, network, *statistics, train.mean_volume("recording"))

    def test_scores_are_those_of_the_given_recordings(self, model, validation):
        pair, fitted = model
        scores, (measured, synthesised, _) = validate(pair, fitted, validation, 128.0)
        rows = np.arange(len(validation))
        target = validation.standardised(rows, "voxel")
        eeg = validation.eeg(rows)
        centred = eeg - eeg.mean(axis=1, keepdims=True)
        out = pair({"eeg": centred / centred.std(axis=1, keepdims=True), "fmri": target}, training=False)
        z_x, z_y, volume = (np.asarray(out[key], np.float64) for key in ("z_x", "z_y", "volume"))
        mae = np.abs(target - volume).mean()
        lengths = np.linalg.norm(z_x, axis=1) * np.linalg.norm(z_y, axis=1)
        cosine = np.mean(1 - (z_x * z_y).sum(axis=1) / lengths)
        penalty = sum(float(loss) for loss in pair.losses)
        assert penalty > 0
        assert scores["val/mae"] == pytest.approx(mae, rel=1e-4)
        assert scores["val/cosine"] == pytest.approx(cosine, rel=1e-4)
        assert scores["val/loss"] == pytest.approx(mae + cosine + penalty, rel=1e-4)
        units = fitted.standard_units(fitted.synthesise(eeg))
        measurements = validation.standardised(rows, "recording")
        each = [
            r2_temporal(*(without_drift(s[of], TR, 128.0) for s in (measurements, units)), r.mask)
            for r, of in zip(validation.recordings, map(validation.indices, range(2)), strict=True)
        ]
        assert scores["val/r2_temporal"] == pytest.approx(np.mean(each), rel=1e-3)
        first = validation.indices(0)
        np.testing.assert_array_equal(measured, middle_change(measurements[first]))
        np.testing.assert_allclose(synthesised, middle_change(units[first]), atol=1e-4)

    def test_batches_do_not_change_the_scores(self, model, validation, monkeypatch):
        whole, _ = validate(*model, validation, 128.0)
        monkeypatch.setattr("eeg2fmri.training.validation.VALIDATION_BATCH", 4)
        pieces, _ = validate(*model, validation, 128.0)
        assert pieces == pytest.approx(whole, rel=1e-4)

    def test_synthesis_of_nan_is_a_divergence(self, model, validation):
        pair, fitted = model
        fitted.network.model.get_layer("decoder").get_layer("volume").bias.assign(np.full(280, np.nan))
        with pytest.raises(DivergenceError, match="NaN"):
            validate(pair, fitted, validation, 128.0)

    def test_several_windows_per_recording_are_needed_for_a_temporal_score(self, model):
        one = Windows([recording("sub-09", 9, windows=CONTEXT + 1)], CONTEXT)
        with pytest.raises(ValueError, match="temporal variance"):
            validate(*model, one, 128.0)


def test_progress_bar_shows_epoch_losses_and_rate():
    with Progress(TextColumn("{task.description} {task.fields[status]}"), disable=True) as display:
        bar = ProgressBar(3, 4, 5, display)
        bar.on_epoch_begin(1)
        bar.on_train_batch_end(0, {"loss": 0.12345})
        (task,) = display.tasks
        assert task.description == "epoch 2/3"
        assert "loss 0.1235" in task.fields["status"] or "loss 0.1234" in task.fields["status"]
        assert "samples/s" in task.fields["status"]
        assert (task.completed, task.total) == (1, 4)
