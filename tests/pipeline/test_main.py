"""The whole job on a tiny simulated dataset, in this process, with the linear family."""

from __future__ import annotations

import dataclasses
import json
import logging
import re

import mlflow
import pytest

import eeg2fmri.pipeline
from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError, DivergenceError, GateRefusal, SpecError, StoreError
from eeg2fmri.pipeline import main, main_job
from eeg2fmri.pipeline.evaluate import Evaluation, scoring_key, space_key
from eeg2fmri.pipeline.main import JobResult, summary
from eeg2fmri.pipeline.train import TrainResult
from eeg2fmri.scoring import Significance
from eeg2fmri.store import with_names
from eeg2fmri.tracking import store_evidence
from eeg2fmri.tracking.registry import champion, latest_version, logged_model_id
from eeg2fmri.tracking.runs import PREPROCESS_RUN
from tests.mlflow_store import evidence as found_evidence
from tests.mlflow_store import memory_store, use_tracking

GRID = (12, 13, 8)
CONFIG = {
    "simulation": {"subjects": 4, "volumes": 40, "grid": GRID, "channels": 5, "sampling_rate": 100},
    "data": {"grid": GRID, "frequencies": 30, "context": 5},
    "split": {"validation": 1, "test": 1},
    "models": [{"family": "linear", "components": 5}],
    "evaluation": {"shuffles": 2, "permutations": 39},
}
STEPS = ("simulate", "preprocess", "train linear", "evaluate linear")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Run the job in one working directory; gives its result, its runs and what it said it skipped."""
    folder = tmp_path_factory.mktemp("main")
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)

        def run(workdir="work", **changes):
            said: list[str] = []
            handler = logging.Handler()
            handler.emit = lambda record: said.append(record.getMessage())
            logger = logging.getLogger("eeg2fmri")
            level = logger.level
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            known = {r.info.run_id for r in all_runs()}
            try:
                result = main_job(Config.model_validate(CONFIG | changes), folder / workdir, None, 0)
            finally:
                logger.removeHandler(handler)
                logger.setLevel(level)
            skipped = [text.split(": skipped, run ")[0] for text in said if ": skipped, run " in text]
            return result, [r for r in all_runs() if r.info.run_id not in known], skipped

        yield run


def all_runs() -> list:
    return mlflow.search_runs(search_all_experiments=True, output_format="list")


@pytest.fixture(scope="module")
def first(job):
    return job()


def steps(runs) -> list[str]:
    """Names of the runs without that of the data set, in order of their start."""
    return [step(r) for r in sorted(runs, key=lambda r: r.info.start_time)]


def step(run) -> str:
    """What a run is called before the name of its data set; every simulated one is called eeg2fmri."""
    name, _, rest = run.info.run_name.partition(" · ")
    if name != "promote":  # it has the name of the registered model
        assert rest == ("eeg2fmri test" if name.startswith("evaluate") else "eeg2fmri")
        assert run.data.tags["dataset"] == "eeg2fmri"
    return name


def test_one_parent_with_a_child_per_step(first):
    _, runs, skipped = first
    assert skipped == []
    assert steps(runs) == ["main", *STEPS, "promote"]
    (parent,) = [r for r in runs if step(r) == "main"]
    assert parent.info.status == "FINISHED"
    for run in runs:
        assert run.data.tags["eeg2fmri.entry_point"] == step(run).split()[0]
        if run is not parent:
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_the_runs_hold_what_the_design_says(first):
    result, runs, _ = first
    run = {step(r): r.data for r in runs}
    digest = run["preprocess"].params["data.digest"]
    assert run["train linear"].params["data.digest"] == run["evaluate linear"].params["data.digest"] == digest
    assert json.loads(run["train linear"].params["split.train"]) == ["sub-01", "sub-02"]
    assert json.loads(run["train linear"].params["split.test"]) == ["sub-04"]
    assert {"model.components", "data.context", "run.seed", "version.mlflow"} <= run["train linear"].params.keys()
    (trained,) = [r for r in runs if step(r) == "train linear"]
    used = {(tag.value, used.dataset.digest) for used in trained.inputs.dataset_inputs for tag in used.tags}
    assert used == {("training", digest[:36]), ("validation", digest[:36])}
    made_by = next(r for r in runs if step(r) == "preprocess").info.run_id
    assert run["train linear"].tags[PREPROCESS_RUN] == made_by
    score = result.models["linear"][1].overall["model"]["r2_temporal"]
    assert run["main"].metrics == {"test/r2_temporal_linear": score}
    assert run["train linear"].metrics["test/r2_temporal"] == score
    assert run["simulate"].metrics["truth/best_r2_temporal"] > 0
    assert 0 < result.models["linear"][1].overall["best_reachable"]["r2_temporal"] < 1


LONG = {"family": "calhas2022", "eeg": {"kernels": [[7, 1, 1]], "strides": [[1, 1, 1]]}}
TOO_LONG = r"eeg encoder, block 1, axis 0 \(channel\): kernel 7 is longer than its input"


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (LONG, TOO_LONG),
        ({"family": "calhas2022", "training": {"batch_size": 999}}, r"training\.batch_size 999 is larger"),
    ],
    ids=["by the headers", "by the store"],
)
def test_a_model_that_cannot_be_trained_is_reported_and_the_others_go_on(job, model, reason):
    result, runs, skipped = job(models=[model, CONFIG["models"][0]])
    assert steps(runs) == ["main", "promote"]
    assert skipped == list(STEPS)
    assert result.models.keys() == {"linear"}
    assert re.match(reason, result.not_trained["tafp-style"])
    (parent,) = [r for r in runs if step(r) == "main"]
    text = mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/summary.md")
    assert re.search(f"(?m)^Not trained: tafp-style: {reason}", text)


@pytest.mark.usefixtures("first")
def test_encoders_that_fit_no_header_are_refused_before_preprocessing(job, refuses, monkeypatch):
    monkeypatch.setattr(main, "preprocess_step", None)
    with refuses(SpecError, TOO_LONG):
        job(models=[LONG])


def test_a_fit_that_diverges_is_reported_and_the_others_go_on(monkeypatch, tmp_path):
    asked = []

    def train(config, variant, *_):
        asked.append(variant)
        if variant != "linear":
            raise DivergenceError(f"{variant} gave NaN")
        return TrainResult("run", "models:/eeg2fmri/7", "7", 0.25, skipped=False)

    monkeypatch.setattr(main, "train_step", train)
    monkeypatch.setattr(main, "evaluate_step", lambda *_: evaluation(0.1))
    config = settled(models=[{"family": "calhas2022"}, {"family": "linear"}])
    models, validation, diverged = main._train_all(config, memory_store(), tmp_path)
    assert asked == ["tafp-style", "linear"]
    assert (models["linear"][0], validation, diverged) == ("7", {"linear": 0.25}, {"tafp-style": "tafp-style gave NaN"})
    with pytest.raises(DivergenceError, match="tafp-style gave NaN"):
        main._train_all(settled(models=[{"family": "calhas2022"}]), memory_store(), tmp_path)


def test_the_parent_keeps_the_summary(first):
    result, runs, _ = first
    (parent,) = [r for r in runs if step(r) == "main"]
    text = mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/summary.md")
    assert text == summary(result, Config.model_validate(CONFIG))


def test_mlflow_tells_the_story_without_code(first):
    result, runs, _ = first
    note = {step(r): r.data.tags["mlflow.note.content"] for r in runs}
    assert note.keys() == {"main", "simulate", "preprocess", "train linear", "evaluate linear", *steps(runs)}
    version, scored = result.models["linear"]
    score = f"{scored.overall['model']['r2_temporal']:+.4f}"
    described = mlflow.MlflowClient().get_model_version("eeg2fmri", version).description
    experiment = mlflow.get_experiment_by_name("eeg2fmri").tags["mlflow.note.content"]
    logged = mlflow.get_logged_model(logged_model_id(f"models:/eeg2fmri/{version}"))
    assert note["train linear"] == logged.tags["mlflow.note.content"] == described
    for text in (note["main"], note["evaluate linear"], described, experiment):
        assert score in text
        for ceiling in ("given_amplitudes", "best_reachable"):
            assert f"{scored.overall[ceiling]['r2_temporal']:+.4f}" in text
        assert f"run_uuid={scored.run_id}" in text
    assert "4 recordings of 4 subjects" in note["preprocess"]
    assert "5 channels" in described
    assert "models:/eeg2fmri/" in described
    assert "r2_temporal" in mlflow.MlflowClient().get_registered_model("eeg2fmri").description


@pytest.mark.usefixtures("first")
def test_nothing_is_done_twice(first, job):
    result, runs, skipped = job()
    assert skipped == list(STEPS)
    assert steps(runs) == ["main", "promote"]
    assert latest_version("eeg2fmri").version == 1
    assert result.models["linear"][0] == first[0].models["linear"][0]
    assert result.models["linear"][1] == dataclasses.replace(first[0].models["linear"][1], skipped=True)
    assert result.champion == first[0].champion


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"evaluation": {"shuffles": 3, "permutations": 39}}, {"evaluate linear"}),
        ({"models": [{"family": "linear", "components": 4}]}, {"train linear", "evaluate linear"}),
        ({"split": {"validation": ["01"], "test": 1}}, {"train linear", "evaluate linear"}),
        ({"registry": {"name": "other"}}, {"train linear", "evaluate linear"}),
    ],
)
def test_a_changed_setting_redoes_what_depends_on_it(job, changes, redone):
    _, runs, skipped = job(**changes)
    assert set(STEPS) - set(skipped) == redone
    assert set(steps(runs)) - {"main", "promote"} == redone


@pytest.mark.usefixtures("first")
def test_a_changed_dataset_redoes_everything_elsewhere(job):
    _, _, skipped = job(workdir="other", simulation=CONFIG["simulation"] | {"seed": 1})
    assert skipped == []


@pytest.mark.usefixtures("first")
def test_a_store_with_other_settings_is_not_overwritten(job, refuses):
    with refuses(StoreError, "made with other settings .*context"):
        job(data=CONFIG["data"] | {"context": 4})
    assert newest_runs_failed()


def newest_runs_failed() -> bool:
    """Whether the newest parent run and its last child are closed as failed."""
    newest = sorted(all_runs(), key=lambda r: r.info.start_time)[-2:]
    return [r.info.status for r in newest] == ["FAILED", "FAILED"]


def test_without_a_dataset_nothing_starts(tmp_path, tracking, refuses):
    with refuses(ConfigError, "no dataset: give --root"):
        main_job(Config.model_validate({"run": {"experiment": "none"}}), tmp_path / "work", None, 0)


@pytest.mark.usefixtures("tracking")
def test_workers_and_scheduler_reach_the_preprocessing(bids_root, tmp_path, refuses):
    with refuses(ConfigError, "--workers 2 and --scheduler tcp://127.0.0.1:1: give one of them"):
        main_job(Config(), tmp_path / "work", bids_root, 0, workers=2, scheduler="tcp://127.0.0.1:1")
    assert mlflow.get_experiment_by_name("none") is None
    assert not (tmp_path / "work").exists()


def settled(**changes) -> Config:
    """A configuration whose names are settled, as `main_job` does."""
    return with_names(Config.model_validate(changes), "eeg2fmri")


def evaluation(score: float, ceiling: float | None = None) -> Evaluation:
    scores = {"r2_temporal": score, "skill": 0.012345, "rmse": 0.5, "ssim": 0.9}
    zero = dict.fromkeys(scores, 0.0)
    shuffled = zero | {"r2_temporal": -0.02}
    significance = Significance(0.004, 0.004, 3.2, (0.01, 0.05))
    overall = {"model": scores, "mean_volume": zero, "shuffled": shuffled}
    if ceiling is not None:
        overall["best_reachable"] = zero | {"r2_temporal": ceiling}
    return Evaluation("run", overall, significance, skipped=False)


def test_the_summary_tells_what_there_is(tracking):
    models = {"linear": ("3", evaluation(0.0314, ceiling=0.0777)), "lp": ("4", evaluation(-0.2, ceiling=0.0777))}
    result = JobResult("my-study", models, "3", None)
    lines = summary(result, Config()).splitlines()
    assert [line.split(" | ")[:6] for line in lines[2:4]] == [
        ["| linear", "3", "+0.0314", "+0.0100 to +0.0500", "+0.0000", "-0.0200"],
        ["| lp", "4", "-0.2000", "+0.0100 to +0.0500", "+0.0000", "-0.0200"],
    ]
    text = "\n".join(lines)
    assert "0.0040 | +0.0123 | 0.5000 | 0.9000 |" in lines[2]
    assert "0.0777" in text
    assert "my-study@champion is version 3" in text
    assert f"mlflow ui --backend-store-uri {tracking}" in text
    assert "mlflow models serve -m models:/my-study@champion" in text
    assert "Gate:" not in text


@pytest.mark.usefixtures("tracking")
def test_the_summary_has_a_dash_where_slices_are_too_small_for_ssim():
    small = evaluation(0.0314)
    del small.overall["model"]["ssim"]
    assert "| 0.5000 | – |" in summary(JobResult("my-study", {"linear": ("3", small)}, "3", None), Config())


def test_the_description_says_what_there_is_and_no_more():
    models = {"linear": ("3", evaluation(0.0314)), "lp": ("4", evaluation(-0.2))}
    text = main._story(JobResult("my-study", models, "3", None))
    assert text.startswith("Champion: my-study version 3 – linear, r2_temporal +0.0314")
    assert "| linear | 3 | +0.0314 | +0.0100 to +0.0500 | +0.0000 | -0.0200 | – | 0.0040 |" in text
    assert "reachable" not in text
    known = {"linear": ("3", evaluation(0.0314, ceiling=0.0777))}
    refused = main._story(JobResult("my-study", known, None, "because"))
    assert refused.startswith("No champion.\n\nNo new champion: because.")
    assert "+0.0777" in refused
    assert "models serve" not in refused


@pytest.mark.usefixtures("tracking")
def test_the_summary_tells_of_a_refusal():
    result = JobResult("my-study", {"linear": ("3", evaluation(-0.01))}, None, "version 3 is not promoted: because")
    text = summary(result, Config())
    assert "No champion." in text
    assert "Gate: version 3 is not promoted: because" in text
    assert "models serve" not in text
    assert "reachable" not in text


@pytest.fixture
def registered(tracking, monkeypatch):
    """Four versions without models behind them, whose scores the gate reads."""
    client = mlflow.MlflowClient()
    client.create_registered_model("eeg2fmri")
    asked: list[str] = []

    def version(score: float) -> str:
        made = client.create_model_version("eeg2fmri", "file:///nowhere")
        facts = {"data_digest": "d", "scoring": scoring_key(Config()), "space": space_key(memory_store())}
        known = found_evidence(str(made.version), score, shuffled=-0.1, **facts)
        store_evidence(made, known)
        return str(made.version)

    monkeypatch.setattr(main, "evaluate_step", lambda config, uri, *_: asked.append(uri))
    return version, asked


def test_the_chosen_model_is_promoted(registered):
    version, _ = registered
    models = {name: (version(score), evaluation(score)) for name, score in (("a", 0.1), ("b", 0.3), ("c", 0.2))}
    result = main._promote(settled(), models, "b")
    assert (result.champion, result.refusal) == ("2", None)
    assert str(champion("eeg2fmri", "champion").version) == "2"


def test_a_refusal_is_told_and_the_champion_stays(registered):
    version, _ = registered
    main._promote(settled(), {"a": (version(0.3), evaluation(0.3))}, "a")
    result = main._promote(settled(), {"b": (version(0.2), evaluation(0.2))}, "b")
    assert result.champion == "1"
    assert "0.2000 is below 0.3000" in result.refusal
    with pytest.raises(GateRefusal):
        eeg2fmri.pipeline.promote_step(settled(), "2")


@pytest.mark.parametrize(("digest", "shuffles", "scored_again"), [("d", 5, False), ("other", 5, True), ("d", 6, True)])
def test_an_old_champion_is_scored_on_new_data_or_anew(registered, monkeypatch, digest, shuffles, scored_again):
    version, asked = registered
    main._promote(settled(), {"a": (version(0.3), evaluation(0.3))}, "a")

    monkeypatch.setattr(main, "recordings_digest", lambda recordings: digest)
    main._score_old_champion(settled(evaluation={"shuffles": shuffles}), memory_store())
    assert asked == (["models:/eeg2fmri/1"] if scored_again else [])
