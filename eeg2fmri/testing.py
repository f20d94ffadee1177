"""What every model family must do, as tests that a lab runs on its own: needs pytest, and seconds per family.

In a test file of yours::

    from eeg2fmri.testing import FamilyTests

    class TestMine(FamilyTests):
        model = {"family": "my.package:FAMILY", "training": {"epochs": 2}}

Recordings are in memory and small, no two axes equal, with a known relation of EEG to BOLD: a course s
drives one channel's alpha amplitude at window v and the volume at v + LAG.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
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
from eeg2fmri.store import StoredRecording, Windows
from eeg2fmri.tracking.registry import pyfunc_model

TR = 0.5
SAMPLING_RATE = 64.0
CHANNELS = ("Fp1", "Cz", "Oz", "T7", "T8", "ECG")
FREQUENCIES = np.arange(1, 14, dtype=np.float64) / TR  # 2 to 26 Hz
CONTEXT = 3
GRID = (8, 7, 5)
EEG_SHAPE = (len(CHANNELS), len(FREQUENCIES), CONTEXT)
LAG = 2
SIGNAL: dict[str, Any] = {
    "tr": TR,
    "sampling_rate": SAMPLING_RATE,
    "channels": list(CHANNELS),
    "unit": "µV",
    "frequencies": FREQUENCIES.tolist(),
    "grid": list(GRID),
    "space": "native",
    "affine": np.diag([2.0, 3.0, 4.0, 1.0]).tolist(),
}
SERVE = """
import base64, io, json, sys
import mlflow, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
windows = base64.b64encode(open(sys.argv[2], "rb").read()).decode()
(reply,) = model.predict([{"windows_npy": windows, "reply": "npy"}])
np.save(sys.argv[3], np.load(io.BytesIO(base64.b64decode(reply["volumes_npy"]))))
"""


def recording(subject: str, seed: int, *, windows: int = 24, coupling: float = 1.0, run: int = 1) -> StoredRecording:
    """A recording of `windows` TRs; with ``coupling=0`` the EEG says nothing about the BOLD."""
    rng = np.random.default_rng(seed)
    course = rng.standard_normal(windows)
    spectrogram = np.exp(0.2 * rng.standard_normal((windows, *EEG_SHAPE[:2])))
    alpha = (FREQUENCIES >= 8) & (FREQUENCIES < 13)
    spectrogram[:, 2, alpha] *= np.exp(coupling * course)[:, None]
    common = np.random.default_rng(0)  # anatomy and pattern are those of every subject
    anatomy, pattern = 300 * common.random(GRID), 40 * common.standard_normal(GRID)
    mask = anatomy > 90
    signal = np.roll(course, LAG)[:, None, None, None] * pattern * mask
    volumes = 500 + anatomy + signal + 4 * rng.standard_normal((windows, *GRID))
    group = {
        "spectrogram": spectrogram[:-1].astype(np.float32),
        "volumes": volumes.astype(np.float32),
        "mask": mask,
        "voxel_mean": volumes.mean(axis=0).astype(np.float32),
        "voxel_sd": volumes.std(axis=0).astype(np.float32),
    }
    attributes = {
        "name": f"{subject}_task-rest_run-{run}",
        "subject": subject,
        "digest": f"{seed}",
        "source_digest": f"source {seed}",
        "mean": float(volumes.mean()),
        "sd": float(volumes.std()),
        "signal": SIGNAL,
        "affine": SIGNAL["affine"],
    }
    return StoredRecording(group, attributes)


_FITTED: dict[type, FitResult] = {}


class FamilyTests:
    """Tests of a family; derive and set `model`.

    model: its section of `models`, small enough for 6 channels × 13 frequencies × 3 windows and 8 × 7 × 5 voxels.
    ranges: its section of `search.ranges`, if its own are too large for these.
    """

    model: Mapping[str, Any]
    ranges: Mapping[str, Any] = MappingProxyType({})

    @cached_property
    def config(self) -> ModelConfig:
        """Settings of the family."""
        return parse(Config, {"models": [dict(self.model)]}, "model").models[0]

    @cached_property
    def parts(self) -> tuple[Windows, Windows]:
        """Training and validation windows."""
        train = [recording(f"sub-0{n}", n) for n in (1, 2, 3)]
        return Windows(train, CONTEXT), Windows([recording("sub-04", 4)], CONTEXT)

    def fit(self, on_epoch: OnEpoch | None = None, **changes: Any) -> FitResult:
        """A new fit, always of the same seed."""
        return fit(
            self.config, *self.parts, dataclasses.replace(FitSettings(seed=3, device="cpu"), **changes), on_epoch
        )

    def fitted(self) -> FitResult:
        """A fit that the tests of this class share."""
        if type(self) not in _FITTED:
            _FITTED[type(self)] = self.fit()
        return _FITTED[type(self)]

    def bundle(self) -> Bundle:
        """A fitted model with its settings."""
        settings = DataConfig(context=CONTEXT).model_dump(mode="json")
        provenance = {"data_digest": "d" * 64, "recordings": {"train": [], "validation": []}}
        return Bundle(self.fitted().model, SIGNAL, settings, provenance)

    @property
    def eeg(self) -> np.ndarray:
        """Windows of a validation subject, (n, C, F, T)."""
        return self.parts[1].eeg(np.arange(5))

    def test_settings_come_back_and_an_unknown_one_is_refused(self) -> None:
        """Through JSON, as a run and a served model keep them."""
        tree = json.loads(self.config.model_dump_json())
        assert parse(Config, {"models": [tree]}, "again").models[0] == self.config
        _refused(ConfigError, lambda: parse(Config, {"models": [{**tree, "no_such_setting": 1}]}, "bad"))

    def test_a_subject_in_both_parts_is_refused(self) -> None:
        """Before anything is fitted."""
        _refused(LeakageError, lambda: fit(self.config, self.parts[0], self.parts[0]))

    def test_the_score_that_is_reported_is_that_of_the_model_that_is_kept(self) -> None:
        """Every epoch is reported; the best one's model gives finite volumes, and scores what was reported."""
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
        """Whatever was fitted in between."""
        first, second = self.fitted(), self.fit()
        assert first.best_epoch == second.best_epoch
        _close(first.model.synthesise(self.eeg), second.model.synthesise(self.eeg))

    def test_a_stopped_fit_goes_on_as_if_never_stopped(self, tmp_path: Path) -> None:
        """A family that is fitted in one step starts again."""
        whole = self.fitted()

        def stop(epoch: int, *_: Any) -> None:
            raise KeyboardInterrupt

        _refused(KeyboardInterrupt, lambda: self.fit(stop, checkpoints=tmp_path, key="k"))
        resumed = self.fit(checkpoints=tmp_path, key="k")
        assert resumed.best_epoch == whole.best_epoch
        _close(resumed.history["val/r2_temporal"], whole.history["val/r2_temporal"])
        _close(resumed.model.synthesise(self.eeg), whole.model.synthesise(self.eeg))

    def test_a_saved_model_is_the_same_to_the_bit(self, tmp_path: Path) -> None:
        """And its files hold no pickle."""
        bundle = self.bundle()
        save_bundle(tmp_path, bundle)
        assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pkl", ".pickle", ".py")]
        loaded = load_bundle(tmp_path)
        assert loaded.model.config == self.config
        np.testing.assert_array_equal(loaded.model.synthesise(self.eeg), bundle.model.synthesise(self.eeg))

    def test_it_is_evaluated_beside_its_nulls(self) -> None:
        """The mean volume scores nothing."""
        model = self.fitted().model
        table, p_value, _ = score_windows(model, self.parts[1], EvaluationConfig(shuffles=1, permutations=19), TR)
        scores = table.set_index("condition")["r2_temporal"]
        _close(scores["model"], _score(model, self.parts[1]))
        assert abs(scores["mean_volume"]) < 1e-6
        assert 0 < p_value <= 1

    def test_what_is_drawn_from_its_space_is_a_model_of_it(self) -> None:
        """The base among them; a family may have no ranges."""
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

    def test_it_is_served_by_a_fresh_process(self, tmp_path: Path) -> None:
        """Logged with all code that it needs, and asked through MLflow's pyfunc."""
        import mlflow

        bundle = self.bundle()
        np.save(tmp_path / "windows.npy", self.eeg)
        (tmp_path / "bundle").mkdir()
        arguments = pyfunc_model(bundle, tmp_path / "bundle", self.eeg[0])
        mlflow.pyfunc.save_model(tmp_path / "model", **arguments)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [sys.executable, "-c", SERVE, "model", "windows.npy", "volumes.npy"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        np.testing.assert_array_equal(np.load(tmp_path / "volumes.npy"), bundle.model.synthesise(self.eeg))


def _score(model: FittedModel, windows: Windows) -> float:
    """`r2_temporal`, the mean over recordings."""
    scores = []
    for number, found in enumerate(windows.recordings):
        rows = windows.indices(number)
        synthesised = model.standard_units(model.synthesise(windows.eeg(rows)))
        scores.append(r2_temporal(windows.standardised(rows, "recording"), synthesised, found.mask))
    return float(np.mean(scores))


def _close(found: Any, expected: Any) -> None:
    """Equal up to what threads of a library may change between two runs."""
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _refused(kind: type[BaseException], work: Any) -> None:
    try:
        work()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was expected")
