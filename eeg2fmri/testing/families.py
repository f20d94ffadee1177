"""Tests that every model family must pass: seconds per family."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from eeg2fmri.config import Config, DataConfig, EvaluationConfig, ModelConfig, parse
from eeg2fmri.errors import ConfigError, LeakageError
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import MONITOR, FitResult, FitSettings, OnEpoch, family_of, fit
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.scoring import score_windows
from eeg2fmri.serving import Bundle, load_bundle, save_bundle
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Windows
from eeg2fmri.testing import gpu
from eeg2fmri.testing.gpu import claim_a_gpu, computed_on_gpu
from eeg2fmri.testing.processes import in_fresh_process
from eeg2fmri.testing.recordings import CONTEXT, GRID, SIGNAL, recording
from eeg2fmri.tracking.registry import pyfunc_model

# Only logged code and installed packages may be found; MLflow puts the former on the path.
SERVE = """
import base64, io, os, sys
import mlflow, numpy as np
claim_a_gpu()
sys.path[:] = [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]
os.environ["EEG2FMRI_DEVICE"] = "cpu"
model = mlflow.pyfunc.load_model(folder + "/model")
windows = base64.b64encode(open(folder + "/windows.npy", "rb").read()).decode()
(reply,) = model.predict([{"windows_npy": windows}])
assert not computed_on_gpu(), "EEG2FMRI_DEVICE=cpu, and it was served on the GPU"
np.save(folder + "/volumes.npy", np.load(io.BytesIO(base64.b64decode(reply["volumes_npy"]))))
"""
SETTINGS = FitSettings(seed=3, device="cpu")
NOTES = "notes.json"
_FITTED: dict[type, FitResult] = {}
_KILLED: dict[type, tempfile.TemporaryDirectory[str]] = {}


class FamilyTests:
    """Tests of a family; derive a class and set `model`.

    model: its section of `models`, small enough for 6 channels × 13 frequencies × 3 windows and 8 × 7 × 5 voxels.
    ranges: its section of `search.ranges`, if its own are too large for these.
    """

    model: Mapping[str, Any]
    ranges: Mapping[str, Any] = MappingProxyType({})

    @cached_property
    def config(self) -> ModelConfig:
        """Return the settings of the family."""
        return parse(Config, {"models": [dict(self.model)]}, "model").models[0]

    @cached_property
    def parts(self) -> tuple[Windows, Windows]:
        """Return training and validation windows."""
        train = [recording(f"sub-0{n}", n) for n in (1, 2, 3)]
        return Windows(train, CONTEXT), Windows([recording("sub-04", 4)], CONTEXT)

    def fit(self, on_epoch: OnEpoch | None = None, **changes: Any) -> FitResult:
        """Make a new fit, always with the same seed."""
        return fit(self.config, *self.parts, dataclasses.replace(SETTINGS, **changes), on_epoch)

    def fitted(self) -> FitResult:
        """Return a fit that the tests of this class share."""
        if type(self) not in _FITTED:
            _FITTED[type(self)] = self.fit()
        return _FITTED[type(self)]

    def bundle(self) -> Bundle:
        """Bundle a fitted model with its settings."""
        settings = DataConfig(context=CONTEXT).model_dump(mode="json")
        provenance = {"data_digest": "d" * 64, "recordings": {"train": [], "validation": []}}
        return Bundle(self.fitted().model, SIGNAL, settings, provenance)

    @property
    def eeg(self) -> np.ndarray:
        """Return windows of a validation subject, (n, C, F, T)."""
        return self.parts[1].eeg(np.arange(5))

    def test_settings_come_back_and_an_unknown_one_is_refused(self) -> None:
        """Check a round trip through JSON, as a run and a served model keep them."""
        tree = json.loads(self.config.model_dump_json())
        assert parse(Config, {"models": [tree]}, "again").models[0] == self.config
        _refused(ConfigError, lambda: parse(Config, {"models": [{**tree, "no_such_setting": 1}]}, "bad"))

    def test_a_subject_in_both_parts_is_refused(self) -> None:
        """Check the refusal before anything is fitted."""
        _refused(LeakageError, lambda: fit(self.config, self.parts[0], self.parts[0]))

    def test_the_score_that_is_reported_is_that_of_the_model_that_is_kept(self) -> None:
        """Check that every epoch is reported, and that the best model has finite volumes and its score."""
        seen: list[float] = []
        result = self.fit(on_epoch=lambda epoch, metrics, example: seen.append(metrics["val/r2_temporal"]))
        assert seen == result.history["val/r2_temporal"]
        assert MONITOR in result.history
        volumes = result.model.synthesise(self.eeg)
        assert volumes.shape == (len(self.eeg), *GRID)
        assert np.isfinite(volumes).all()
        if not result.refitted:
            _close(_score(result.model, self.parts[1]), seen[result.best_epoch])

    def test_the_same_seed_gives_the_same_model(self) -> None:
        """Check that two fits agree, with another fit in between."""
        first, second = self.fitted(), self.fit()
        assert first.best_epoch == second.best_epoch
        _close(first.model.synthesise(self.eeg), second.model.synthesise(self.eeg))

    def killed(self) -> Path:
        """Return checkpoints and notes of a fit that was killed half way; the tests of this class share it."""
        if type(self) not in _KILLED:
            kept = _KILLED[type(self)] = tempfile.TemporaryDirectory(prefix="eeg2fmri-killed-")
            half_way = (len(self.fitted().history["val/r2_temporal"]) - 1) // 2
            arguments = (self.config, self.parts, Path(kept.name), half_way)
            _refused(BrokenProcessPool, lambda: in_fresh_process(_fit_and_be_killed, *arguments))
        return Path(_KILLED[type(self)].name)

    def test_a_killed_fit_goes_on_as_if_never_killed(self, tmp_path: Path) -> None:
        """Check that finished epochs are not repeated; a family that is fitted in one step starts again."""
        whole = self.fitted()
        checkpoints = Path(shutil.copytree(self.killed(), tmp_path / "killed"))
        examples: list[Any] = []
        resumed = self.fit(lambda *report: examples.append(report[2]), checkpoints=checkpoints, key="k")
        assert len(examples) == 1 or examples[0] is None, "the first epoch was fitted again"
        assert resumed.best_epoch == whole.best_epoch
        _close(resumed.history["val/r2_temporal"], whole.history["val/r2_temporal"])
        _close(resumed.model.synthesise(self.eeg), whole.model.synthesise(self.eeg))

    def test_it_computes_where_it_is_told(self) -> None:
        """Check on TensorFlow that a missing GPU is refused, and that a present one is not used."""
        found = json.loads((self.killed() / NOTES).read_text())
        assert "\n" not in found["refusal"]
        assert "no GPU" in found["refusal"]
        assert not found["on_gpu"], "device=cpu, and it was fitted on the GPU"

    def test_a_saved_model_is_the_same_to_the_bit(self, tmp_path: Path) -> None:
        """Check predictions, and that the files hold no pickle."""
        bundle = self.bundle()
        save_bundle(tmp_path, bundle)
        assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pkl", ".pickle", ".py")]
        loaded = load_bundle(tmp_path)
        assert loaded.model.config == self.config
        np.testing.assert_array_equal(loaded.model.synthesise(self.eeg), bundle.model.synthesise(self.eeg))

    def test_it_is_evaluated_beside_its_nulls(self) -> None:
        """Check that the mean volume scores 0."""
        model = self.fitted().model
        scored = score_windows(model, self.parts[1], EvaluationConfig(shuffles=1, permutations=20))
        scores = scored.table.set_index("condition")["r2_temporal"]
        _close(scores["model"], _score(model, self.parts[1]))
        assert abs(scores["mean_volume"]) < 1e-6
        assert 0 < scored.null.p_value <= 1

    def test_what_is_drawn_from_its_space_is_a_model_of_it(self) -> None:
        """Check draws of the space, and the base; a family may have no ranges."""
        import optuna

        family = family_of(self.config)
        if family.ranges is None:
            return
        ranges = parse(family.ranges, dict(self.ranges), "ranges")
        space = family.space(self.config, ranges, self.parts[0])
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.enqueue_trial(space.start())
        for _ in range(3):
            drawn = space.draw(study.ask())
            assert type(drawn).model_validate(drawn.model_dump()) == drawn
            assert drawn.family == self.config.family
            assert all(cost >= 0 for cost, _ in space.costs(drawn).values())

    def test_other_maps_change_its_volumes_and_not_the_model(self) -> None:
        """Check that maps of twice the size double the changes of the volumes; a family may have no maps."""
        model = self.fitted().model
        family, before = family_of(self.config), model.synthesise(self.eeg)
        maps = family.maps(model.network)
        if maps is None:
            return
        assert maps.shape == (len(maps), np.prod(GRID))
        scaled = model.scaled(self.eeg)
        own = model.network.predict(scaled)
        other = family.with_maps(model.network, 2 * maps, own.mean(axis=0).ravel()).predict(scaled)
        _close(other - other[0], 2 * (own - own[0]))
        np.testing.assert_array_equal(model.synthesise(self.eeg), before)

    def test_the_shapes_of_its_response_add_up(self) -> None:
        """Check that fluctuations are linear in the weights of the shapes; a response may have one shape only."""
        model, family = self.fitted().model, family_of(self.config)
        shapes = family.response_shapes(model.network)
        if shapes == 1:
            return
        scaled, weights = model.scaled(self.eeg), np.linspace(0.5, 2, shapes)
        before = model.network.predict(scaled)
        changed, *each = (
            family.with_response(model.network, now).predict(scaled) for now in (weights, *np.eye(shapes))
        )
        parts = [part - part[0] for part in each]
        _close(np.sum(parts, axis=0), before - before[0])
        _close(np.tensordot(weights, parts, axes=1), changed - changed[0])
        np.testing.assert_array_equal(model.network.predict(scaled), before)

    def test_its_latents_follow_the_eeg(self) -> None:
        """Check one row for each window, and equal rows for equal windows; a family may have no latents."""
        model = self.fitted().model
        found = family_of(self.config).latents(model, np.concatenate([self.eeg, self.eeg[:1]]))
        if found is None:
            return
        assert found.shape[0] == len(self.eeg) + 1
        assert np.isfinite(found).all()
        _close(found[-1], found[0])

    def test_it_is_served_by_a_fresh_process(self, tmp_path: Path) -> None:
        """Check a model with all code that it needs, by MLflow's pyfunc, on the device of the environment."""
        import mlflow

        bundle = self.bundle()
        np.save(tmp_path / "windows.npy", self.eeg)
        (tmp_path / "bundle").mkdir()
        arguments = pyfunc_model(bundle, tmp_path / "bundle", self.eeg[0])
        mlflow.pyfunc.save_model(tmp_path / "model", **arguments)
        in_fresh_process(exec, inspect.getsource(gpu) + SERVE, {"folder": str(tmp_path)})
        expected = np.where(bundle.model.bold_statistics.mask, bundle.model.synthesise(self.eeg), 0)
        np.testing.assert_array_equal(np.load(tmp_path / "volumes.npy"), expected)


def _fit_and_be_killed(config: ModelConfig, parts: tuple[Windows, Windows], folder: Path, last: int) -> None:
    """Ask for a GPU that is missing; then fit on the CPU although there is a GPU, and die at report `last`."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    notes: dict[str, Any] = {"refusal": ""}
    try:
        fit(config, *parts, dataclasses.replace(SETTINGS, device="gpu"))
    except ConfigError as err:
        notes["refusal"] = str(err)
    claim_a_gpu()

    def die(epoch: int, *_: Any) -> None:
        if epoch == last:
            (folder / NOTES).write_text(json.dumps({**notes, "on_gpu": computed_on_gpu()}))
            os.kill(os.getpid(), signal.SIGKILL)

    fit(config, *parts, dataclasses.replace(SETTINGS, checkpoints=folder, key="k"), die)


def _score(model: FittedModel, windows: Windows) -> float:
    """Return `r2_temporal` of series without drifts, the mean over recordings."""
    scores = []
    for number, found in enumerate(windows.recordings):
        rows = windows.indices(number)
        synthesised = model.standard_units(model.synthesise(windows.eeg(rows)))
        waves = drift_waves(len(rows), found.signal.tr, SETTINGS.drift_cutoff)
        scores.append(r2_temporal(windows.standardised(rows, "recording"), synthesised, found.mask, waves))
    return float(np.mean(scores))


def _close(found: Any, expected: Any) -> None:
    """Compare two results, with a tolerance for threads of a library."""
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _refused(kind: type[BaseException], work: Any) -> None:
    try:
        work()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was expected")
