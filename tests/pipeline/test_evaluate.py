"""Evaluation: scores per subject beside their nulls, where they are written, and what is refused."""

from __future__ import annotations

import dataclasses
from base64 import b64encode
from pathlib import Path

import mlflow
import nibabel
import numpy as np
import pandas as pd
import pytest

from eeg2fmri import scoring
from eeg2fmri.config import Config, EvaluationConfig
from eeg2fmri.errors import ConfigError, DatasetError, GateRefusal, LeakageError, ModelError
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.pipeline import evaluate_step, promote_step, train_step
from eeg2fmri.pipeline.evaluate import metric_names, scoring_key, space_key
from eeg2fmri.scorable import recordings_to_score, seen_windows
from eeg2fmri.scoring import (
    CONDITIONS,
    Significance,
    choose_region,
    score_windows,
    scored_figures,
    subject_interval,
    subject_intervals,
)
from eeg2fmri.signals import without_drift
from eeg2fmri.store import Store, Windows, recordings_digest
from eeg2fmri.tracking import load_model, resolve_version, tracked_run, version_evidence
from eeg2fmri.tracking.registry import logged_model_id
from tests.mlflow_store import LINEAR, SETTINGS, SIGNAL, memory_store, use_tracking
from tests.reporting.pages import Reader

URI = "models:/memory/1"
SCORES = {"rmse", "mae", "psnr", "temporal_correlation", "skill", "r2_temporal"}
SCORES |= {"r2_temporal_no_global", "r2_temporal_raw"}
THERE = ("model", "mean_volume", "shuffled", "swapped", "arousal", "subject_mean")  # for a linear model
TEST = ("sub-05", "sub-06")
DECIDING_PARTS = ("", *(f"_{name}" for name in THERE[1:]), "_p_value", "_smallest_p", "_effect_size")


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
    assert result.significance.p_value == 1
    with refuses(GateRefusal, "r2_temporal 0.0000 is not above 0"):
        promote_step(config, version)
    bundle, _ = load_model(f"models:/null/{version}")
    assert bundle.model.config.family == "mean"


def test_metric_names(run):
    deciding = {f"test/r2_temporal{part}" for part in DECIDING_PARTS}
    assert run.data.metrics.keys() == deciding | {f"test_others/{s}" for s in SCORES - {"r2_temporal"}}


def test_the_nulls_of_every_score_are_in_an_artifact(run, evaluated):
    overall = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/overall.json")
    assert overall == evaluated[1].overall
    assert {condition: scores.keys() for condition, scores in overall.items()} == dict.fromkeys(THERE, SCORES)


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
    scored = score_windows(bundle.model, windows, settings().evaluation)
    assert scored.overall["model"]["r2_temporal"] < 0
    assert scored.null.p_value > 0.05


def test_the_training_run_shows_the_coefficients_of_a_linear_model(evaluated):
    figures = mlflow.MlflowClient().list_artifacts(evaluated[0].run_id, "figures")
    assert "figures/coefficients.png" in {item.path for item in figures}


def test_scores_are_kept_per_subject(run, store):
    table = pd.DataFrame(**mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scores.json"))
    assert set(table.columns) == {"subject", "recording", "condition"} | SCORES
    rows = {(r.subject, r.recording, r.condition) for r in table.itertuples()}
    assert rows == {(r.subject, r.name, c) for r in store.of(TEST) for c in THERE}
    assert len(table) == len(rows) == 18
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
    steady = [without_drift(series.astype(float), recording.signal.tr, 128.0) for series in (measured, synthesised)]
    table = pd.DataFrame(**mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scores.json"))
    found = table[(table.subject == "sub-05") & (table.condition == "model")].r2_temporal.item()
    assert found == pytest.approx(r2_temporal(*steady, recording.mask))


def test_the_control_averages_its_shuffles(evaluated, store, monkeypatch):
    bundle, _ = load_model(URI)
    windows = Windows(store.of(TEST), store.context)
    found = []
    for shuffles, seed in ((1, 0), (1, 1), (40, 0), (40, 1)):
        monkeypatch.setattr(scoring, "SEED", seed)
        options = EvaluationConfig(shuffles=shuffles, permutations=39)
        found.append(score_windows(bundle.model, windows, options).overall["shuffled"]["mae"])
    # One shuffle depends on its seed, the mean of many hardly.
    assert found[0] != found[1]
    assert abs(found[2] - found[3]) < abs(found[0] - found[1])


def test_figures_and_parameters(run, store):
    artifacts = mlflow.MlflowClient().list_artifacts(run.info.run_id, "figures")
    names = {item.path.removeprefix("figures/") for item in artifacts}
    assert names == {"dynamics.png", "volume.png", "scores.png", "relevance.png", "voxels.png"}
    assert run.data.params["data.digest"] == store.digest
    assert run.data.params["evaluation.subjects"] == '["sub-05", "sub-06"]'
    assert run.data.tags["variant"] == "linear"


def test_the_report_is_an_artifact_that_the_description_names(run):
    page = Reader(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/report.html"))
    text = run.data.tags["mlflow.note.content"]
    assert f"runs/{run.info.run_id}/artifacts/report.html" in text
    verdict = next(line for line in text.splitlines() if line.startswith("Better than its nulls"))
    assert verdict in page.text
    assert run.info.run_id in page.text
    logged = Path(mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/figures/dynamics.png")).read_bytes()
    pictures = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == 5
    assert pictures[0] == f"data:image/png;base64,{b64encode(logged).decode()}"


def test_an_evaluation_says_where_the_score_comes_from(run):
    found = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/relevance.json")
    assert found["subjects"] == list(TEST)
    loss = dict(zip(found["channels"]["names"], found["channels"]["loss"], strict=True))
    assert max(loss, key=loss.get) == "Oz"  # what `tests.fakes` plants
    assert loss["Oz"] > found["channels"]["threshold"]


@pytest.mark.parametrize("explanation", [{"enabled": False}, {"windows": 199}])
def test_an_evaluation_may_have_no_explanation(evaluated, store, caplog, monkeypatch, explanation):
    """It is switched off, or the recordings are too short."""
    monkeypatch.setattr("eeg2fmri.explanation.least_windows", lambda _: 99)
    with caplog.at_level("INFO", logger="eeg2fmri"):
        run_id = evaluate_step(settings(explanation=explanation), URI, store, "validation").run_id
    assert "relevance.json" not in {item.path for item in mlflow.MlflowClient().list_artifacts(run_id)}
    assert ("no relevance, no recording has 99 windows" in caplog.text) == ("windows" in explanation)


def test_scores_go_to_the_version_and_to_the_training_run(evaluated, run, store):
    trained, evaluation = evaluated
    scores = version_evidence(resolve_version(URI))
    assert scores.overall == evaluation.overall
    assert (scores.subjects, scores.space) == (2, space_key(store))
    assert (scores.p_value, scores.smallest_p) == (evaluation.significance.p_value, 0.01)
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


def test_the_description_has_the_baselines(run):
    text = run.data.tags["mlflow.note.content"]
    assert "| the model, EEG of other subjects | " in text
    assert "| arousal alone | " in text
    assert "task alone" not in text


def test_why_a_baseline_is_absent_is_said_once(evaluated, store, caplog):
    changed = settings(evaluation={"shuffles": 1, "permutations": 99, "baselines": ["task", "linear"]})
    with caplog.at_level("INFO", logger="eeg2fmri"):
        found = evaluate_step(changed, URI, store, "test")
    assert set(found.overall) == {"model", "mean_volume", "shuffled"}
    assert "no baseline linear (the model is of this family)" in caplog.text
    assert "no baseline task (sub-01_task-rest_run-1: none in the store)" in caplog.text
    others = [
        dataclasses.replace(r, attributes={**r.attributes, "source_digest": f"of others {r.source_digest}"})
        for r in store.recordings
    ]
    with caplog.at_level("INFO", logger="eeg2fmri"):
        found = evaluate_step(settings(), URI, dataclasses.replace(store, recordings=tuple(others)), "test")
    assert "arousal" not in found.overall
    assert "the store does not hold the recordings that the model was fitted on" in caplog.text
    evaluate_step(settings(), URI, store, "test")  # the tags of the version as they were


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
    sure = Significance(0.25, 0.0005, 1.5, (8.0, 12.0))
    names = metric_names(overall, "validation", sure)
    assert list(names.items()) == [
        ("validation/r2_temporal", 10.0),
        ("validation/r2_temporal_mean_volume", 11.0),
        ("validation/r2_temporal_shuffled", 12.0),
        ("validation/r2_temporal_swapped", 13.0),
        ("validation/r2_temporal_arousal", 14.0),
        ("validation/r2_temporal_motion_pulse", 15.0),
        ("validation/r2_temporal_task", 16.0),
        ("validation/r2_temporal_linear", 17.0),
        ("validation/r2_temporal_subject_mean", 18.0),
        ("validation/r2_temporal_given_amplitudes", 19.0),
        ("validation/r2_temporal_best_reachable", 20.0),
        ("validation/r2_temporal_p_value", 0.25),
        ("validation/r2_temporal_smallest_p", 0.0005),
        ("validation/r2_temporal_effect_size", 1.5),
        ("validation/r2_temporal_ci_low", 8.0),
        ("validation/r2_temporal_ci_high", 12.0),
        ("validation_others/skill", 20.0),
        ("validation_others/mae", 0.0),
    ]
    alone = metric_names(overall, "test", Significance(1.0, 0.0005, None, None))
    assert not [name for name in alone if "_ci_" in name or "effect" in name]


def test_the_region_is_chosen_by_training_subjects_alone(evaluated, store):
    bundle, _ = load_model(URI)
    train = seen_windows(bundle, store, "train")
    assert [recording.subject for recording in train.recordings] == ["sub-01", "sub-02", "sub-03"]
    windows = Windows(store.of(TEST), store.context)
    scored = score_windows(bundle.model, windows, settings().evaluation, train)
    region = choose_region(bundle.model, train, 128.0)
    first = windows.recordings[0]
    np.testing.assert_array_equal(scored.dynamics.region, region & first.mask)
    rows = windows.indices(0)
    measured = windows.standardised(rows, "recording")[:, region & first.mask].mean(1)
    synthesised = bundle.model.standard_units(bundle.model.synthesise(windows.eeg(rows)))[:, region & first.mask].mean(
        1
    )
    assert scored.region_r[0] == pytest.approx(np.corrcoef(measured, synthesised)[0, 1], abs=1e-4)
    assert scored.region_r[0] > 0.5
    assert len(scored.region_r) == 3
    each = scored.table[scored.table.condition == "model"].temporal_correlation
    assert scored.dynamics.correlation[first.mask].mean() == pytest.approx(each.mean(), abs=0.02)


def test_without_training_recordings_there_is_no_region(evaluated, store):
    bundle, _ = load_model(URI)
    others = dataclasses.replace(store, recordings=store.of(TEST))
    assert seen_windows(bundle, others, "train") is None
    scored = score_windows(bundle.model, Windows(store.of(TEST), store.context), settings().evaluation)
    assert scored.dynamics.courses is None
    figure = scored_figures(scored, title="linear")["dynamics"]
    assert any("the store holds none of them" in axes.get_title(loc="left") for axes in figure.axes)


def test_the_null_is_kept_draw_by_draw(run, evaluated):
    null = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/null.json")
    assert null["observed"] == pytest.approx(evaluated[1].overall["model"]["r2_temporal"])
    assert len(null["draws"]) == 99
    assert np.mean(null["draws"]) == pytest.approx(evaluated[1].overall["shuffled"]["r2_temporal"])
    assert run.data.metrics["test/r2_temporal_effect_size"] == pytest.approx(
        (null["observed"] - np.mean(null["draws"])) / np.std(null["draws"])
    )


def test_the_maps_are_images_on_the_grid_of_the_store(run, store, tmp_path):
    folder = Path(mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/maps", dst_path=str(tmp_path)))
    images = {path.name.removesuffix(".nii.gz"): nibabel.load(path) for path in folder.iterdir()}
    assert images.keys() == {"correlation", "correlation_fdr", "correlation_q"}
    for image in images.values():
        np.testing.assert_allclose(image.affine, store.signal.affine)
        assert image.shape == store.signal.grid
        assert image.header.get_xyzt_units()[0] == "mm"
        assert b"eeg2fmri" in bytes(image.header["descrip"])
    r, kept, q = (images[name].get_fdata() for name in ("correlation", "correlation_fdr", "correlation_q"))
    np.testing.assert_array_equal(kept, np.where(q < 0.05, r, 0))
    assert kept.max() > 0.5  # EEG and BOLD of these subjects are coupled
    assert kept.min() == 0
    masks = np.all([recording.mask for recording in store.of(TEST)], axis=0)
    assert (q[~masks] == 1).all()


@pytest.fixture
def atlas(tmp_path, store):
    """A label image of two regions in the brain of the store, and one outside."""
    brain = np.all([recording.mask for recording in store.of(TEST)], axis=0)
    labels = np.zeros(store.signal.grid, np.uint8)
    labels[:4], labels[4:] = 3, 8
    labels[~brain] = 0
    outside = np.argwhere(~brain)[0]
    labels[tuple(outside)] = 9
    nibabel.save(nibabel.Nifti1Image(labels, np.asarray(store.signal.affine)), tmp_path / "a_dseg.nii.gz")
    (tmp_path / "a_dseg.tsv").write_text("index\tname\n3\tleft\n8\tright\n9\tair\n")
    return tmp_path / "a_dseg.nii.gz"


def test_the_regions_of_an_atlas_are_scored(evaluated, store, atlas, caplog):
    off = {"enabled": False}

    def configured(path):
        return settings(evaluation={"shuffles": 3, "permutations": 99, "atlas": str(path)}, explanation=off)

    with caplog.at_level("INFO", logger="eeg2fmri"):
        found = evaluate_step(configured(atlas), URI, store, "test")
    run = mlflow.get_run(found.run_id)
    table = pd.DataFrame(**mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/regions.json"))
    assert list(table.series.unique()) == ["full", "low-pass 0.15 Hz", "no global signal"]
    rows = table[table.series == "full"].set_index("region")
    assert list(rows.index) == ["left", "right"]
    assert (rows.q < 0.05).any()  # EEG and BOLD of these subjects are coupled
    assert "regions without a voxel in the brain: air" in caplog.text
    assert "a region is not the same anatomy in every subject" in caplog.text
    figures = {item.path for item in mlflow.MlflowClient().list_artifacts(run.info.run_id, "figures")}
    assert "figures/regions.png" in figures
    # The deciding score is as it was, and what decides about another evaluation is the content of the atlas.
    assert found.overall == evaluated[1].overall
    assert scoring_key(configured(atlas)) == scoring_key(settings())
    assert not found.skipped
    moved = atlas.with_name("b_dseg.nii.gz")
    moved.write_bytes(atlas.read_bytes())
    moved.with_name("b_dseg.tsv").write_bytes(atlas.with_name("a_dseg.tsv").read_bytes())
    assert evaluate_step(configured(moved), URI, store, "test").run_id == found.run_id
    moved.with_name("b_dseg.tsv").write_text("index\tname\n3\tother\n")
    assert not evaluate_step(configured(moved), URI, store, "test").skipped
    assert evaluate_step(settings(), URI, store, "test").run_id == evaluated[1].run_id


def test_an_atlas_of_another_place_is_refused_before_anything_is_scored(evaluated, store, atlas, refuses):
    image = nibabel.load(atlas)
    far = image.affine + np.array([[0, 0, 0, 5000], *3 * [[0] * 4]])
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), far), atlas)
    with refuses(DatasetError, "a_dseg.nii.gz: it does not overlap the volumes of the store"):
        evaluate_step(settings(evaluation={"atlas": str(atlas)}), URI, store, "test")


def test_the_map_counts_each_subject_once(evaluated, store):
    bundle, _ = load_model(URI)
    each = [
        score_windows(bundle.model, Windows([recording], store.context), settings().evaluation).voxels.correlation
        for recording in store.of(TEST)
    ]
    scored = score_windows(bundle.model, Windows(store.of(TEST), store.context), settings().evaluation)
    np.testing.assert_allclose(scored.voxels.correlation, (each[0] + (each[1] + each[2]) / 2) / 2, atol=1e-9)


def test_an_interval_needs_three_subjects():
    assert subject_interval([0.1, 0.3]) is None
    low, high = subject_interval([0.1, 0.3, 0.8])
    assert 0.1 <= low < 0.4 < high <= 0.8 + 1e-12
    np.testing.assert_array_equal(subject_intervals(np.array([[0.1, 9], [0.3, 2], [0.8, 4]]))[:, 0], (low, high))
    narrow = subject_interval([0.1, 0.3, 0.8] * 30)
    assert high - low > 3 * (narrow[1] - narrow[0])


def test_a_test_set_too_small_for_the_level_is_refused(refuses):
    """Windows of one recording can be shifted in few ways; those of two in the product."""
    store = memory_store(windows=26)
    config = settings(split={"validation": 1, "test": ["05"]})
    needed = 2 * store.context + 19
    assert 26 - store.context < needed
    with refuses(DatasetError, rf"split.test: {26 - store.context} windows allow no p-value .* {needed} windows"):
        recordings_to_score(config, store, "test")
    assert recordings_to_score(config, store, "validation")
    assert recordings_to_score(settings(split={"validation": 1, "test": ["04", "05"]}), store, "test")
    assert recordings_to_score(config, memory_store(windows=needed + store.context), "test")
    lenient = settings(split={"validation": 1, "test": ["05"]}, policy={"level": 0.2})
    assert recordings_to_score(lenient, store, "test")


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
