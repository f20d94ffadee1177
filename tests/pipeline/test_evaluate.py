"""Evaluation: scores per subject beside their nulls, where they are written, and what is refused."""

from __future__ import annotations

import dataclasses

import mlflow
import numpy as np
import pandas as pd
import pytest

from eeg2fmri import scoring
from eeg2fmri.config import Config, EvaluationConfig
from eeg2fmri.errors import ConfigError, DatasetError, GateRefusal, LeakageError, ModelError
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.pipeline import evaluate_step, promote_step, train_step
from eeg2fmri.pipeline.evaluate import metric_names, space_key
from eeg2fmri.scorable import recordings_to_score
from eeg2fmri.scoring import CONDITIONS, score_windows, summarise
from eeg2fmri.store import Store, Windows, recordings_digest
from eeg2fmri.tracking import load_model, resolve_version, tracked_run, version_evidence
from eeg2fmri.tracking.registry import logged_model_id
from tests.mlflow_store import LINEAR, SETTINGS, SIGNAL, memory_store, use_tracking

URI = "models:/memory/1"
SCORES = {"rmse", "mae", "psnr", "temporal_correlation", "skill", "r2_temporal"}
TEST = ("sub-05", "sub-06")


def settings(**changes: object) -> Config:
    tree = {
        "models": [LINEAR],
        "split": {"validation": 1, "test": 2},
        "evaluation": {"shuffles": 3, "permutations": 99},
        "run": {"experiment": "evaluate-tests"},
    }
    return Config.model_validate(tree | changes)


@pytest.fixture(scope="module")
def store() -> Store:
    return memory_store()


@pytest.fixture(scope="module")
def evaluated(store, tmp_path_factory):
    """A linear model, trained and evaluated once on a store whose EEG tells about its BOLD."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)
        with tracked_run("main", experiment="evaluate-tests"):
            trained = train_step(settings(), "linear", store, folder)
            yield trained, evaluate_step(settings(), URI, store, "test")


@pytest.fixture
def run(evaluated):
    return mlflow.get_run(evaluated[1].run_id)


@pytest.mark.slow
def test_the_mean_family_scores_nothing_and_is_refused(evaluated, store, tmp_path, refuses):
    config = settings(models=[{"family": "mean"}], registry={"name": "null"})
    version = train_step(config, None, store, tmp_path).version
    result = evaluate_step(config, f"models:/null/{version}", store, "test")
    assert result.overall["model"]["r2_temporal"] == result.overall["shuffled"]["r2_temporal"] == 0
    assert result.overall["model"]["rmse"] == pytest.approx(result.overall["mean_volume"]["rmse"], rel=1e-6)
    assert result.p_value == 1
    with refuses(GateRefusal, "r2_temporal 0.0000 is not above 0"):
        promote_step(config, version)
    bundle, _ = load_model(f"models:/null/{version}")
    assert bundle.model.config.family == "mean"


def test_metric_names(run):
    deciding = {f"test/r2_temporal{part}" for part in ("", "_mean_volume", "_shuffled", "_p_value")}
    assert run.data.metrics.keys() == deciding | {f"test_others/{s}" for s in SCORES - {"r2_temporal"}}


def test_the_nulls_of_every_score_are_in_an_artifact(run, evaluated):
    overall = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/overall.json")
    assert overall == evaluated[1].overall
    assert {condition: scores.keys() for condition, scores in overall.items()} == dict.fromkeys(CONDITIONS, SCORES)


def test_scores_belong_to_the_logged_model_and_the_data(run, store):
    model = mlflow.get_logged_model(logged_model_id(URI))
    scores = [metric for metric in model.metrics if metric.run_id == run.info.run_id]
    assert {metric.key: metric.value for metric in scores} == run.data.metrics
    data = {(metric.dataset_name, metric.dataset_digest) for metric in scores}
    assert data == {("memory-test", digest_of_tested(store)[:36])}


def test_the_mean_volume_scores_exactly_nothing(run):
    assert run.data.metrics["test/r2_temporal_mean_volume"] == 0
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/overall.json")["mean_volume"]["skill"] == 0


def test_a_model_of_coupled_data_beats_its_nulls(run):
    metrics = run.data.metrics
    assert metrics["test/r2_temporal"] > 0.2
    assert metrics["test/r2_temporal_shuffled"] < 0
    assert metrics["test/r2_temporal_p_value"] == 0.01  # the least that 99 permutations can give


def test_a_model_of_uncoupled_data_does_not(evaluated, store):
    bundle, _ = load_model(URI)
    windows = Windows(memory_store(coupling=0).of(TEST), store.context)
    table, p_value, _ = score_windows(bundle.model, windows, settings().evaluation)
    assert summarise(table)["model"]["r2_temporal"] < 0
    assert p_value > 0.05


def test_the_training_run_shows_the_coefficients_of_a_linear_model(evaluated):
    figures = mlflow.MlflowClient().list_artifacts(evaluated[0].run_id, "figures")
    assert "figures/coefficients.png" in {item.path for item in figures}


def test_scores_are_kept_per_subject(run, store):
    table = pd.DataFrame(**mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scores.json"))
    assert set(table.columns) == {"subject", "recording", "condition"} | SCORES
    rows = {(r.subject, r.recording, r.condition) for r in table.itertuples()}
    assert rows == {(r.subject, r.name, c) for r in store.of(TEST) for c in CONDITIONS}
    assert len(table) == len(rows) == 9
    assert (table[table.condition == "mean_volume"].r2_temporal == 0).all()
    assert not any("sub-" in name for name in run.data.metrics)


def test_a_subject_counts_once_however_many_recordings_it_has(run, evaluated):
    table = pd.DataFrame(**mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scores.json"))
    model = table[table.condition == "model"].set_index("recording").mae
    five, six, again = (model[f"{name}_task-rest_run-{n}"] for name, n in (("sub-05", 1), ("sub-06", 1), ("sub-06", 2)))
    assert run.data.metrics["test_others/mae"] == pytest.approx((five + (six + again) / 2) / 2)
    assert run.data.metrics["test_others/mae"] != pytest.approx((five + six + again) / 3)
    assert evaluated[1].overall["model"]["mae"] == run.data.metrics["test_others/mae"]


def test_a_score_is_that_of_the_volumes_that_the_model_gives(run, store):
    bundle, _ = load_model(URI)
    (recording,) = store.of(TEST[:1])
    windows = Windows([recording], store.context)
    rows = np.arange(len(windows))
    measured = windows.standardised(rows, "recording")
    synthesised = bundle.model.standard_units(bundle.model.synthesise(windows.eeg(rows)))
    table = pd.DataFrame(**mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scores.json"))
    found = table[(table.subject == "sub-05") & (table.condition == "model")].r2_temporal.item()
    assert found == pytest.approx(r2_temporal(measured, synthesised, recording.mask))


def test_the_control_averages_its_shuffles(evaluated, store, monkeypatch):
    bundle, _ = load_model(URI)
    windows = Windows(store.of(TEST), store.context)
    found = []
    for shuffles, seed in ((1, 0), (1, 1), (40, 0), (40, 1)):
        monkeypatch.setattr(scoring, "SEED", seed)
        options = EvaluationConfig(shuffles=shuffles, permutations=19)
        table, _, _ = score_windows(bundle.model, windows, options)
        found.append(summarise(table)["shuffled"]["r2_temporal"])
    # One shuffle depends on its seed, the mean of many hardly.
    assert found[0] != found[1]
    assert abs(found[2] - found[3]) < abs(found[0] - found[1])


def test_figures_and_parameters(run, store):
    artifacts = mlflow.MlflowClient().list_artifacts(run.info.run_id, "figures")
    names = {item.path.removeprefix("figures/") for item in artifacts}
    assert names == {"synthesised.png", "measured.png", "residual.png", "scores.png"}
    assert run.data.params["data.digest"] == store.digest
    assert run.data.params["evaluation.subjects"] == '["sub-05", "sub-06"]'
    assert run.data.tags["variant"] == "linear"


def test_scores_go_to_the_version_and_to_the_training_run(evaluated, run, store):
    trained, evaluation = evaluated
    scores = version_evidence(resolve_version(URI))
    assert scores.overall == evaluation.overall
    assert (scores.subjects, scores.space) == (2, space_key(store))
    assert scores.p_value == evaluation.p_value
    assert scores.data_digest == digest_of_tested(store)
    training = mlflow.get_run(trained.run_id).data.metrics
    assert {key: training[key] for key in run.data.metrics} == run.data.metrics


def test_the_same_evaluation_is_not_done_twice(evaluated, store, caplog):
    with caplog.at_level("INFO", logger="eeg2fmri"):
        again = evaluate_step(settings(), URI, store, "test")
    assert again == dataclasses.replace(evaluated[1], skipped=True)
    assert f"skipped, run {evaluated[1].run_id}" in caplog.text


def renewed(store, letter):
    """The same store, as if its files had changed."""
    recordings = [
        dataclasses.replace(r, attributes={**r.attributes, "digest": letter + r.digest}) for r in store.recordings
    ]
    return dataclasses.replace(store, recordings=tuple(recordings))


def digest_of_tested(store):
    return recordings_digest(store.of(("sub-05", "sub-06")))


@pytest.mark.parametrize("change", ["split", "evaluation", "digest"])
def test_another_evaluation_is_done(evaluated, store, change):
    changes = {
        "split": {"split": {"validation": 1, "test": ["06"]}},
        "evaluation": {"evaluation": {"shuffles": 2, "permutations": 99}},
        "digest": {},
    }
    other = renewed(store, "e") if change == "digest" else store
    assert not evaluate_step(settings(**changes[change]), URI, other, "test").skipped
    evaluate_step(settings(), URI, store, "test")  # the tags of the version as they were


@pytest.mark.slow
def test_a_skipped_evaluation_gives_the_version_the_scores_of_its_store_again(evaluated, store):
    other = renewed(store, "f")
    evaluate_step(settings(), URI, other, "test")
    assert version_evidence(resolve_version(URI)).data_digest == digest_of_tested(other) != digest_of_tested(store)
    assert evaluate_step(settings(), URI, store, "test").skipped
    assert version_evidence(resolve_version(URI)).data_digest == digest_of_tested(store)


def test_another_part_of_the_split_does_not_touch_what_the_gate_reads(evaluated, store):
    before = version_evidence(resolve_version(URI))
    training = mlflow.get_run(evaluated[0].run_id).data.metrics
    evaluation = evaluate_step(settings(), URI, store, "validation")
    found = mlflow.get_run(evaluation.run_id).data.metrics
    assert found["validation/r2_temporal"] == evaluation.overall["model"]["r2_temporal"]
    assert not any(name.startswith("test/") for name in found)
    assert version_evidence(resolve_version(URI)) == before
    assert mlflow.get_run(evaluated[0].run_id).data.metrics == training


@pytest.mark.usefixtures("evaluated")
@pytest.mark.parametrize(
    ("split", "named"),
    [
        ({"validation": 1, "test": ["01", "06"]}, "sub-01_task-rest_run-1: used to train or validate"),
        ({"validation": ["01"], "test": ["04"]}, "sub-04_task-rest_run-1: used to train or validate"),
    ],
)
def test_a_recording_that_was_learnt_from_is_refused(refuses, store, split, named):
    before = version_evidence(resolve_version(URI))
    with refuses(LeakageError, named):
        evaluate_step(settings(split=split), URI, store, "test")
    assert version_evidence(resolve_version(URI)) == before


@pytest.mark.slow
@pytest.mark.usefixtures("evaluated")
def test_a_refitted_model_is_not_scored_on_who_it_was_refitted_with(refuses, store, tmp_path):
    config = settings(registry={"name": "refitted"})
    refit = config.model_copy(update={"models": (config.model("linear").model_copy(update={"refit": True}),)})
    version = train_step(refit, None, store, tmp_path).version
    uri = f"models:/refitted/{version}"
    with refuses(LeakageError, "sub-04_task-rest_run-1: used to train this model"):
        evaluate_step(refit, uri, store, "validation")
    assert evaluate_step(refit, uri, store, "test").overall["model"]["r2_temporal"] > 0


@pytest.mark.usefixtures("evaluated")
@pytest.mark.parametrize(
    ("key", "value"),
    [("grid", (8, 7, 6)), ("tr", 0.6), ("channels", ("Fp1", "Oz")), ("frequencies", (1.0, 2.0))],
)
def test_a_store_of_another_shape_is_refused(refuses, store, key, value):
    with refuses(ModelError, f"memory: its {key} .* differ from the model's"):
        other = dataclasses.replace(store, signal=dataclasses.replace(SIGNAL, **{key: value}))
        evaluate_step(settings(), URI, other, "test")


@pytest.mark.usefixtures("evaluated")
def test_a_store_made_with_other_settings_is_refused(refuses, store):
    other = dataclasses.replace(store, settings=SETTINGS | {"dropped_volumes": 7})
    with refuses(ModelError, "other settings .dropped_volumes."):
        evaluate_step(settings(), URI, other, "test")


@pytest.mark.usefixtures("evaluated")
def test_a_part_without_subjects_is_refused(refuses, store):
    with refuses(ConfigError, r"split\.test: no subject"):
        evaluate_step(settings(split={"validation": 1, "test": 0}), URI, store, "test")


def test_metric_names_say_what_they_score():
    overall = {c: {"mae": float(n), "r2_temporal": 10.0 + n, "skill": 20.0 + n} for n, c in enumerate(CONDITIONS)}
    names = metric_names(overall, "validation", 0.25)
    assert list(names.items()) == [
        ("validation/r2_temporal", 10.0),
        ("validation/r2_temporal_mean_volume", 11.0),
        ("validation/r2_temporal_shuffled", 12.0),
        ("validation/r2_temporal_p_value", 0.25),
        ("validation_others/skill", 20.0),
        ("validation_others/mae", 0.0),
    ]
    assert metric_names(overall, "test", 0.25, 0.5)["test/r2_temporal_best_reachable"] == 0.5


@pytest.mark.parametrize(
    ("changes", "kind", "named"),
    [
        ({"test": 0}, ConfigError, "split.test: no subject"),
        ({}, DatasetError, "sub-06_task-rest_run-2: 4 volumes are left"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_training(changes, kind, named, refuses):
    config = settings(split={"validation": 1, "test": 2} | changes)
    with refuses(kind, named):
        recordings_to_score(config, memory_store(6, windows=13), "test")
