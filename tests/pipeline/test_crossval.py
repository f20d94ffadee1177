"""Cross-validation: every subject tested once by models of others, taken up after a stop, in one or two processes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from eeg2fmri.config import Config, EvaluationConfig, SplitConfig
from eeg2fmri.errors import ConfigError, DatasetError, DivergenceError, EvaluationError, LeakageError, ModelError
from eeg2fmri.evaluation import compare, r2_temporal
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.pipeline import compare_step, crossval, crossval_step
from eeg2fmri.pipeline.crossed import summary, verdict
from eeg2fmri.reporting import paired
from eeg2fmri.scoring import subject_interval
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Split, make_folds, recordings_digest, split_store, split_windows
from tests.mlflow_store import LINEAR, memory_store, use_tracking
from tests.reporting.pages import Reader, loads

SUBJECTS = [f"sub-0{n}" for n in range(1, 7)]


def settings(**changes: object) -> Config:
    tree = {
        "models": [LINEAR, {"family": "mean"}],
        "evaluation": {"shuffles": 2, "permutations": 49},
        "run": {"experiment": "crossval-tests"},
        "crossval": {"protocol": "k-fold", "folds": 2},
    }
    return Config.model_validate(tree | changes)


def children(run_id: str) -> dict[str, str]:
    """Status of the children of a run, by name."""
    experiment = mlflow.get_run(run_id).info.experiment_id
    found = mlflow.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'", output_format="list")
    return {run.info.run_name: run.info.status for run in found}


def parents() -> list:
    """The runs of `crossval`, the newest first."""
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return [run for run in runs if run.info.run_name == "crossval · memory"]


@pytest.fixture(scope="module")
def store():
    return memory_store()


@pytest.fixture(scope="module")
def crossed(store, tmp_path_factory):
    """Two models in two folds of six subjects, once."""
    folder = tmp_path_factory.mktemp("crossval")
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)
        yield crossval_step(settings(), store, folder)


def test_every_subject_has_a_score_of_every_model(crossed):
    assert list(crossed.scores) == ["linear", "mean"]
    for of in crossed.scores.values():
        assert {"model", "mean_volume", "shuffled", "swapped", "arousal"} <= of.keys()
        assert all(sorted(own) == SUBJECTS for own in of.values())
    assert set(crossed.scores["mean"]["model"].values()) == {0.0}


def test_a_fold_is_fitted_and_standardised_by_its_own_subjects(crossed, store):
    fold = crossed.folds[1]
    train, validation, test = split_windows(store, SplitConfig(validation=fold.validation, test=fold.test))
    assert {r.subject for r in train.recordings} == set(fold.train)
    model = fit(settings().model("linear"), train, validation, FitSettings.of(settings())).model
    indices = test.indices(0)
    found = r2_temporal(
        test.standardised(indices, "recording"),
        model.standard_units(model.synthesise(test.eeg(indices))),
        test.recordings[0].mask,
        drift_waves(len(indices), test.signal.tr, settings().evaluation.drift_cutoff),
    )
    assert crossed.scores["linear"]["model"][test.recordings[0].subject] == pytest.approx(found)


def test_folds_are_children_and_nothing_is_registered(crossed):
    assert children(crossed.run_id) == {
        f"{step.format(variant)} · fold {fold}": "FINISHED"
        for step in ("train {} · memory", "evaluate {} · memory test")
        for variant in ("linear", "mean")
        for fold in (1, 2)
    }
    assert mlflow.MlflowClient().search_registered_models() == []


def test_the_report_holds_the_folds_the_comparison_and_every_run(crossed, store):
    run = mlflow.get_run(crossed.run_id)
    page = Reader(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/report.html"))
    note = run.data.tags["mlflow.note.content"]
    assert list(loads(page)) == []
    assert f"runs/{run.info.run_id}/artifacts/report.html" in note
    assert verdict(crossed, 0.05) in page.text
    assert verdict(crossed, 0.05) in note
    keys = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert keys == [
        "data",
        "protocol",
        "scores",
        "comparison",
        "figures",
        "folds",
        "limits",
        "methods",
        "configuration",
    ]
    for child in mlflow.search_runs(search_all_experiments=True, output_format="list"):
        if child.info.run_name.startswith("evaluate"):
            assert child.info.run_id in page.text
    for subject, score in crossed.scores["linear"]["model"].items():
        assert f"{subject} {score:+z.4f} {crossed.scores['linear']['shuffled'][subject]:+z.4f}" in page.text
    assert "linear - mean" in page.text.replace("−", "-")
    assert "Models were cross-validated (k-fold, 2 folds). In each fold 1 subject of the others" in page.text
    assert "The interval is over 6 subjects. With so few it is too narrow." in page.text
    assert "motion and pulse alone: sub-" in page.text


def test_who_is_better_and_who_is_not_is_said_in_words():
    low, high = ({s: level + n / 100 for n, s in enumerate(SUBJECTS)} for level in (0.1, 0.2))
    better = "b is better than a (it scores more on 6 of 6 subjects, median difference +0.1000, p = 0.0312)"
    assert paired("a", "b", compare(low, high), 0.05) == paired("b", "a", compare(high, low), 0.05) == better
    assert paired("a", "b", compare(low, high), 0.03).startswith(
        "b is not better than a by more than chance (it scores"
    )
    few = paired("x", "y", compare({"1": 1.0, "2": 2.0}, {"1": 0.5, "2": 0.1}), 0.05)
    assert few.startswith("x is not better than y by more than chance")
    assert few.endswith("and so few subjects allow no p below 0.5)")


def test_the_verdict_names_every_model_and_its_nulls(crossed):
    text = verdict(crossed, 0.05)
    assert f"linear is not better than its nulls (r2_temporal {crossed.mean('linear'):+.4f}, " in text
    assert "mean is not better than its nulls (r2_temporal +0.0000, " in text
    assert text.endswith(f"{paired('linear', 'mean', crossed.pairs['linear', 'mean'], 0.05)}.")
    assert "linear is better than its nulls" in verdict(raised(crossed), 0.05)


def raised(crossed):
    """The same, as if `linear` were far better."""
    own = {**crossed.scores["linear"], "model": dict.fromkeys(SUBJECTS, 0.5)}
    null = dataclasses.replace(crossed.nulls["linear"], observed=0.5)
    return dataclasses.replace(
        crossed, scores={**crossed.scores, "linear": own}, nulls={**crossed.nulls, "linear": null}
    )


def test_numbers_of_the_parent_run(crossed, store):
    run = mlflow.get_run(crossed.run_id)
    own = crossed.scores["linear"]["model"]
    mean = sum(own.values()) / 6
    assert run.data.metrics["crossval/r2_temporal_linear"] == pytest.approx(mean)
    low, high = (run.data.metrics[f"crossval/r2_temporal_linear_{end}"] for end in ("low", "high"))
    assert (low, high) == pytest.approx(subject_interval([*own.values()]))
    null = crossed.nulls["linear"]
    assert null.observed == pytest.approx(mean)
    assert run.data.metrics["crossval/r2_temporal_linear_p_value"] == null.p_value
    assert run.data.params["evaluation.data_digest"] == recordings_digest(store.recordings)
    content = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/crossval.json")
    assert content["r2_temporal"] == crossed.scores
    (pair,) = content["pairs"]
    found = compare(own, crossed.scores["mean"]["model"])
    assert (pair["first"], pair["second"], pair["p_value"], pair["won"]) == ("linear", "mean", found.p_value, found.won)
    table = pd.DataFrame(**mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scores.json"))
    assert set(zip(table.model, table.fold, table.subject, strict=True)) == {
        (model, number, subject)
        for model in ("linear", "mean")
        for number, fold in enumerate(crossed.folds, 1)
        for subject in fold.test
    }


def test_the_run_tells_what_was_found(crossed):
    run = mlflow.get_run(crossed.run_id)
    note = run.data.tags["mlflow.note.content"]
    assert summary(crossed) in note
    assert f"| linear | {crossed.mean('linear'):+.4f} |" in note
    assert "linear − mean" in note
    assert f"| sub-03 | {crossed.scores['linear']['model']['sub-03']:+.4f} |" in note
    assert f"run_uuid={crossed.run_id}" in note
    assert [f.path for f in mlflow.MlflowClient().list_artifacts(crossed.run_id, "figures")] == ["figures/subjects.png"]


def test_the_published_split_is_repeated_and_finished_folds_are_used_again(crossed, store, tmp_path):
    split = Path(mlflow.artifacts.download_artifacts(f"runs:/{crossed.run_id}/split.json", dst_path=str(tmp_path)))
    content = json.loads(split.read_text())
    assert (content["protocol"], content["seed"], len(content["folds"])) == ("k-fold", 2, 2)
    again = crossval_step(settings(crossval={}), store, tmp_path, split_file=split)
    assert again.folds == crossed.folds
    assert again.scores == crossed.scores
    assert children(again.run_id) == {}


def test_a_split_file_with_a_leak_is_refused_before_any_run(crossed, store, tmp_path, refuses):
    leak = {"train": SUBJECTS[:4], "validation": ["sub-05"], "test": ["sub-04", "sub-06"]}
    (tmp_path / "split.json").write_text(json.dumps({"protocol": "k-fold", "recordings": {}, "folds": [leak]}))
    before = len(parents())
    with refuses(LeakageError, "sub-04 in train and in test"):
        crossval_step(settings(), store, tmp_path, split_file=tmp_path / "split.json")
    assert len(parents()) == before


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"protocol": "k-fold", "folds": 7}, "crossval.folds=7: the store has 6 subjects"),
        ({"validation": 5}, "6 subjects, a fold needs 7"),
        ({"protocol": "leave-one-session-out"}, "no subject of the store has a second session"),
        ({"models": ["linaer"]}, "linaer"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_run(store, changes, named, refuses, tmp_path):
    with refuses(ConfigError, named):
        crossval_step(settings(crossval=changes), store, tmp_path)
    assert parents() == []


@pytest.mark.usefixtures("tracking")
def test_an_atlas_that_cannot_be_used_is_refused_before_any_run(store, refuses, tmp_path):
    config = settings().model_copy(update={"evaluation": EvaluationConfig(atlas="absent.nii.gz")})
    with refuses(DatasetError, "absent.nii.gz: no such file; give a label image"):
        crossval_step(config, store, tmp_path)
    assert parents() == []


@pytest.mark.usefixtures("tracking")
def test_workers_and_a_scheduler_are_not_both_given(store, refuses, tmp_path):
    with refuses(ConfigError, "--workers 2 and --scheduler tcp://x: give one of them"):
        crossval_step(settings(), store, tmp_path, workers=2, scheduler="tcp://x")


@pytest.mark.usefixtures("crossed")
def test_a_model_that_diverges_in_one_fold_is_left_out(store, tmp_path, monkeypatch):
    original = crossval.train_step

    def train(config, variant, *args, **options):
        if variant == "mean" and "sub-01" in config.split.test:
            raise DivergenceError("mean gave NaN")
        return original(config, variant, *args, **options)

    monkeypatch.setattr(crossval, "train_step", train)
    found = crossval_step(settings(), store, tmp_path)
    assert list(found.scores) == ["linear"]
    assert found.left_out == {"mean": "mean gave NaN"}
    assert "Left out: mean: mean gave NaN" in summary(found)
    with pytest.raises(DivergenceError, match="mean gave NaN"):
        crossval_step(settings(crossval={"protocol": "k-fold", "folds": 2, "models": ["mean"]}), store, tmp_path)


@pytest.mark.usefixtures("tracking")
def test_sessions_of_people_who_train_are_tested_where_the_protocol_says_so(store, tmp_path, monkeypatch):
    splits = []

    def train(config, variant, store, workdir, *, register):
        splits.append((split_store(store, config.split), register))
        raise DivergenceError("not today")

    labels = ("sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1", "sub-02_ses-2")
    named = [
        dataclasses.replace(r, attributes={**r.attributes, "name": f"{label}_task-rest", "subject": label[:6]})
        for r, label in zip(store.recordings[:4], labels, strict=True)
    ]
    monkeypatch.setattr(crossval, "train_step", train)
    config = settings(models=[{"family": "mean"}], crossval={"protocol": "leave-one-session-out"})
    with pytest.raises(DivergenceError):
        crossval_step(config, dataclasses.replace(store, recordings=tuple(named)), tmp_path)
    assert splits == [(Split(("sub-02_ses-2",), ("sub-01_ses-2",), ("sub-01_ses-1", "sub-02_ses-1")), False)]
    assert "models that saw other sessions of the same people" in parents()[0].data.tags["mlflow.note.content"]


@pytest.mark.slow
def test_a_stopped_crossval_goes_on_and_gives_the_same_numbers(crossed, store, tmp_path, monkeypatch):
    use_tracking(tmp_path, monkeypatch)
    original, calls = crossval.evaluate_step, []

    def stop(*args, **options):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(crossval, "evaluate_step", stop)
    with pytest.raises(KeyboardInterrupt):
        crossval_step(settings(), store, tmp_path)
    (stopped,) = parents()
    assert stopped.info.status == "KILLED"
    assert len(children(stopped.info.run_id)) == 5
    found = crossval_step(settings(), store, tmp_path)
    assert found.scores == crossed.scores
    assert sorted(children(found.run_id)) == [
        "evaluate linear · memory test · fold 2",
        "evaluate mean · memory test · fold 2",
        "train mean · memory · fold 2",
    ]


@pytest.mark.slow
def test_two_workers_give_the_numbers_of_one(bids_root, tmp_path, monkeypatch, tiny_config):
    from eeg2fmri.datasets import find_recordings
    from eeg2fmri.store import build_store

    store = build_store(find_recordings(bids_root)[0], tmp_path / "store", tiny_config, name="tiny").store
    config = settings(models=[LINEAR], crossval={}, policy={"level": 0.2})  # recordings of 17 windows
    found = {}
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        use_tracking(folder, monkeypatch)
        found[workers] = crossval_step(config, store, folder, workers=workers)
        assert set(children(found[workers].run_id).values()) == {"FINISHED"}
        assert len(children(found[workers].run_id)) == 6
        assert mlflow.search_runs(search_all_experiments=True).shape[0] == 7
    assert found[2].scores == found[1].scores
    assert found[2].folds == make_folds(store.sessions, config.crossval)


@pytest.fixture(scope="module")
def evaluated(crossed):
    """The run that scored `linear` in the first fold."""
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return next(run for run in runs if run.info.run_name == "evaluate linear · memory test · fold 1")


def test_two_models_of_a_run_are_compared(crossed):
    text, found = compare_step(f"{crossed.run_id}:linear", f"{crossed.run_id}:mean")
    assert found == crossed.pairs["linear", "mean"]
    assert f"linear scores more than mean on {found.won} of 6 subjects" in text
    (run,) = [r for r in mlflow.search_runs(output_format="list") if r.info.run_name == "compare linear · mean"]
    assert run.data.metrics["compare/p_value"] == found.p_value
    assert text in run.data.tags["mlflow.note.content"]
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/comparison.json")["won"] == found.won


def test_a_model_does_not_differ_from_itself(evaluated):
    text, found = compare_step(evaluated.info.run_id, evaluated.info.run_id)
    assert (found.subjects, found.won, found.p_value) == (3, 0, 1.0)
    assert f"linear ({evaluated.info.run_id[:8]})" in text


def test_what_cannot_be_compared_is_refused(crossed, evaluated, refuses):
    whole, part = f"{crossed.run_id}:linear", evaluated.info.run_id
    with refuses(EvaluationError, "scored with other recordings"):
        compare_step(whole, part)
    with refuses(ModelError, f"scores of linear, mean; give one of them, {crossed.run_id}:linear"):
        compare_step(crossed.run_id, whole)
    with refuses(ModelError, "no scores of 'linaer'; did you mean 'linear'"):
        compare_step(whole, f"{crossed.run_id}:linaer")
    with refuses(ModelError, "no scores .*; give the id of a run of evaluate or crossval"):
        compare_step("absent", whole)
