"""The page of a study: its verdict, plots, front, and what the best model changes."""

from __future__ import annotations

import logging
from pathlib import Path

import mlflow
import optuna
import pytest
import yaml
from optuna.trial import TrialState

from eeg2fmri.config import Config, LinearConfig
from eeg2fmri.errors import ConfigError
from eeg2fmri.search import search_step
from eeg2fmri.search.report import _linear_score, _plots, expected_gain
from eeg2fmri.search.trial import MODEL_ATTRIBUTE
from eeg2fmri.search.workplace import RUN_ATTRIBUTE
from tests.mlflow_store import memory_store, use_tracking

STORAGE = "sqlite:///optuna.db"


def settings(**search: object) -> Config:
    tree = {
        "models": [{"family": "linear", "components": 4}],
        "search": {"sampler": "random", "ranges": {"linear": {"components": [2, 3, 4]}}} | search,
        "evaluation": {"permutations": 39},
        "run": {"experiment": "reports"},
    }
    return Config.model_validate(tree)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A study of two objectives, and the lines that it wrote."""
    folder = tmp_path_factory.mktemp("report")
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("eeg2fmri.search")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)
        search_step(settings(objectives=("score", "weights")), memory_store(), study="front", storage=STORAGE, trials=6,
                    timeout=None, out=Path("best.yaml"))  # fmt: skip
        study = optuna.load_study(study_name="front", storage=STORAGE)
        yield mlflow.get_run(study.user_attrs[RUN_ATTRIBUTE]), study, lines
    logger.removeHandler(handler)


@pytest.mark.slow
def test_the_page_has_plots_that_need_no_network(searched):
    run, _, _ = searched
    names = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id, "figures")}
    assert names == {f"figures/{name}.png" for name in ("optimization_history", "param_importances",
                     "parallel_coordinate", "slice", "pareto_front", "timeline")}  # fmt: skip
    page = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/study.html")
    assert page.count('class="plotly-graph-div"') == len(names)
    assert "<script src=" not in page


@pytest.mark.slow
def test_the_run_says_whether_the_best_trial_exceeds_its_nulls(searched):
    run, study, _ = searched
    note = run.data.tags["mlflow.note.content"]
    best = max(study.trials, key=lambda t: t.values[0])
    assert f"Best: trial {best.number}, `val/r2_temporal` {best.values[0]:+.4f}" in note
    judged = best.user_attrs["judged"]
    for name, other in (("the mean volume", 0.0), ("shuffled EEG", judged["shuffled"]),
                        ("the configured `linear`", study.trials[0].values[0])):  # fmt: skip
        gain = best.values[0] - other
        verb = "More" if gain > judged["noise"] else "**Not more**"
        assert f"{verb} than the noise above {name} ({other:+.4f}): {gain:+.4f}." in note
    assert "without correction for the choice of the trial and of its epoch" in note
    assert "chose this trial and its epoch, so its score is too high" in note
    assert f"up to {expected_gain(judged['noise'], 6):.4f} above" in note


@pytest.mark.slow
def test_the_front_holds_models_that_no_other_is_better_than(searched):
    run, study, _ = searched
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id, "front")}
    assert files == {f"front/trial-{t.number}.yaml" for t in study.best_trials}
    values = [t.values for t in study.trials]
    for trial in study.best_trials:
        assert not any(v[0] > trial.values[0] and v[1] < trial.values[1] for v in values)
    smallest = min(study.best_trials, key=lambda t: t.values[1])
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/front/trial-{smallest.number}.yaml")
    assert yaml.safe_load(text)["components"] == smallest.params["components"]


@pytest.mark.slow
def test_the_best_score_so_far_and_the_console_follow_the_trials(searched):
    run, study, lines = searched
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "search/best_so_far")
    expected, best = [], -9.0
    for trial in study.trials:
        best = max(best, trial.values[0])
        expected.append((trial.number + 1, best))
    assert [(point.step, point.value) for point in history] == expected
    told = [line for line in lines if line.startswith("search: trial ")]
    assert len(told) == 6
    assert f"search: trial 0: {study.trials[0].values[0]:+.4f}, as configured, " in told[0]
    assert f"drift_cutoff {study.trials[1].params['drift_cutoff']:.3g}" in told[1]


@pytest.mark.slow
def test_the_difference_names_only_what_changed(searched):
    run, study, _ = searched
    found = yaml.safe_load(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/difference.yaml"))
    best = max(study.trials, key=lambda t: t.values[0])
    if best.number == 0:
        assert found == {}
    else:
        assert found["model.drift_cutoff"] == {"configured": 128.0, "best": best.params["drift_cutoff"]}
        assert not any(entry["configured"] == entry["best"] for entry in found.values())


def test_the_configured_linear_is_found_by_its_model():
    """Its trial has another number after a kill; without it trial 0 is another model."""
    base, other = LinearConfig(components=4), LinearConfig(components=3)
    for first, expected in ((base, ("the configured `linear`", 0.25)), (other, None)):
        study = optuna.create_study(direction="maximize")
        study.add_trial(optuna.create_trial(state=TrialState.FAIL))
        for model, value in ((first, 0.25), (other, 0.5)):
            attributes = {MODEL_ATTRIBUTE: model.model_dump(mode="json")}
            study.add_trial(optuna.create_trial(value=value, user_attrs=attributes))
        assert _linear_score(study, base) == expected


@pytest.mark.usefixtures("tracking")
def test_an_objective_that_a_family_does_not_know_is_refused(refuses):
    with refuses(ConfigError, "the multiply_adds of family linear are not known"):
        search_step(settings(objectives=("score", "multiply_adds")), memory_store(), study="s", storage=STORAGE,
                    trials=1, timeout=None, out=Path("best.yaml"))  # fmt: skip


def test_the_gain_by_chance_grows_with_the_trials():
    assert expected_gain(0.01, 1) == 0
    assert expected_gain(0.01, 2) == pytest.approx(0.01 * 0.5642, rel=0.05)  # the exact expected maximum of two
    assert expected_gain(0.01, 30) == pytest.approx(0.01 * 2.0428, rel=0.01)  # and of thirty


def test_the_importance_is_that_of_high_scores():
    """Only `a` distinguishes the best trials, only `b` the worst ones."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    values = [float(n) for n in range(8)]
    for a in values:
        for b in values:
            score = 9 * (a == 7) + a / 99 if b else -9.0
            ranges = dict.fromkeys("ab", optuna.distributions.FloatDistribution(0, 7))
            study.add_trial(optuna.create_trial(params={"a": a, "b": b}, distributions=ranges, values=[score, 1.0]))
    (options,) = (options for name, options in _plots(study, ("score", "weights")) if name == "param_importances")
    found = optuna.importance.get_param_importances(study, params=options["params"], target=options["target"])
    assert found["a"] > found["b"]
