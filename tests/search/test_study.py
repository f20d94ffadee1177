"""The search: trials as nested runs, pruning, resuming after an end and after a kill, and what it refuses.

Most tests put a quick stand-in in the place of `fit`; one search trains for real.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import optuna
import pytest

from eeg2fmri.config import (
    FINE_BANDS,
    Calhas2022Config,
    Calhas2022Ranges,
    Config,
    EvaluationConfig,
    LinearConfig,
    MeanConfig,
    SplitConfig,
    load_config,
)
from eeg2fmri.errors import ConfigError, DivergenceError, MissingExtraError
from eeg2fmri.families import FitResult, FitSettings, fit
from eeg2fmri.models.spec import block_macs
from eeg2fmri.search import judge, report, samplers, study, trial, workplace
from eeg2fmri.search.study import search_step
from eeg2fmri.store import Windows
from tests.fakes import EEG_SHAPE, GRID, LATENT, deep_config
from tests.mlflow_store import LINEAR, SETTINGS, memory_store, use_tracking

ROOT = Path(__file__).parents[2]
STORAGE = "sqlite:///optuna.db"
BASE = deep_config(epochs=3, patience=2, batch_size=5, learning_rate=0.003)
COST = block_macs(EEG_SHAPE, BASE.eeg, BASE.filters) + block_macs(GRID, BASE.fmri, BASE.filters)


def settings(**search: object) -> Config:
    """Targets that the base reaches: it is the first trial, and nothing dearer is trained."""
    ranges = {
        "batch_size": (5, 8),
        "latent_side": (2, 3),
        "filters": (2, 3),
        "learning_rate": (1e-4, 1e-2),
        "eeg_target": (4, 5, 2),
        "fmri_target": (6, 3, 3),
        "eeg_blocks": (1, 1),
        "fmri_blocks": (1, 1),
        "max_multiply_adds": COST,
    }
    ranges |= {key: search.pop(key) for key in list(search) if key in Calhas2022Ranges.model_fields}
    tree = {
        "data": {"context": SETTINGS["context"], "grid": GRID},
        "models": [BASE.model_dump(), LINEAR],
        "search": {"epochs": 1, "startup_trials": 2, "ranges": {"calhas2022": ranges}} | search,
        "run": {"experiment": "search-tests"},
    }
    return Config.model_validate(tree)


def search(config: Config, trials: int, **changes: object) -> Config:
    given = {"study": "s", "storage": STORAGE, "timeout": None, "out": Path("best.yaml")} | changes
    return search_step(config, memory_store(4, windows=20), trials=trials, **given)


def trials() -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="s", storage=STORAGE).trials


def states() -> list[str]:
    return [t.state.name for t in trials()]


def search_runs() -> list:
    """The runs of searches, oldest first."""
    runs = mlflow.search_runs(experiment_names=["search-tests"], output_format="list")
    found = [run for run in runs if run.data.tags["eeg2fmri.entry_point"] == "search"]
    return sorted(found, key=lambda run: run.info.start_time)


def quick_fit(config, train, validation, fit_settings, on_epoch):
    """A fit without training whose score grows with the learning rate."""
    history = {"val/r2_temporal": []}
    for epoch in range(config.training.epochs):
        score = math.log10(config.training.learning_rate) + epoch
        on_epoch(epoch, {"val/r2_temporal": score}, None)
        history["val/r2_temporal"].append(score)
    return FitResult(None, history, config.training.epochs - 1)


def without_training(patch: pytest.MonkeyPatch, quick: object) -> None:
    """Put a stand-in in the place of `fit`, with no null and no other model to compare with."""
    patch.setattr(judge, "fit", quick)
    patch.setattr(judge, "null_of", lambda *_: (-0.5, 0.25, 0.01))
    patch.setattr(study, "_reference", lambda _: None)
    patch.setattr(report, "_plots", lambda *_: ())
    # Nothing is trained, so there is nothing to free; a full collection takes half a second.
    patch.setattr(trial, "forget_networks", lambda: None)


@pytest.fixture
def quick(tracking, monkeypatch):
    without_training(monkeypatch, quick_fit)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A real search of five trials in two parts, two and then three more."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)
        search(settings(sampler="random"), 2)
        first = len(trials())
        best = search(settings(sampler="random"), 5)
        yield folder, first, best


@pytest.mark.slow
def test_a_study_goes_on_where_it_stopped(searched):
    _, first, _ = searched
    assert first == 2
    assert len(trials()) == 5
    (run,) = search_runs()  # one study is one run
    assert run.info.status == "FINISHED"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "search/trials")
    assert [point.value for point in history] == [2, 5]


@pytest.mark.slow
@pytest.mark.usefixtures("searched")
def test_every_trial_is_a_nested_run_with_its_state():
    assert {"COMPLETE", "PRUNED"} == set(states())  # the draws of this seed have both
    (parent,) = search_runs()
    for t in trials():
        run = mlflow.get_run(t.user_attrs[workplace.RUN_ATTRIBUTE])
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        outcome = f"{t.value:+.4f}" if t.state.name == "COMPLETE" else "pruned"
        name = f"trial {t.number} · {outcome} · " + ("as configured" if t.number == 0 else "")
        assert run.info.run_name.startswith(name)
        assert t.number == 0 or f"learning_rate {t.params['learning_rate']:.3g}" in run.info.run_name
        assert run.data.tags[workplace.STATE_TAG] == t.state.name.lower()
        assert run.data.params["search.trial"] == str(t.number)
        assert run.data.params["model.filters"] == str(t.params["filters"])
        assert run.data.params["model.training.epochs"] == "1"
        if t.state.name == "COMPLETE":
            assert run.info.status == "FINISHED"
            assert run.data.metrics["val/r2_temporal"] == pytest.approx(t.value)
        else:
            assert run.info.status == "KILLED"
            assert "multiply_adds" in run.data.tags["eeg2fmri.pruned"]
            assert int(run.data.params["search.multiply_adds"]) > COST


@pytest.mark.slow
@pytest.mark.usefixtures("searched")
def test_the_first_trial_is_the_configured_model():
    first = trials()[0]
    assert first.state.name == "COMPLETE"
    run = mlflow.get_run(first.user_attrs[workplace.RUN_ATTRIBUTE])
    for side in ("eeg", "fmri"):
        for key in ("kernels", "strides"):
            wanted = [list(axis) for axis in getattr(getattr(BASE, side), key)]
            assert json.loads(run.data.params[f"model.{side}.{key}"]) == wanted
    assert first.params["learning_rate"] == pytest.approx(BASE.training.learning_rate)
    assert first.params["batch_size"] == BASE.training.batch_size


@pytest.mark.slow
def test_the_best_configuration_is_read_back_and_trains(searched):
    folder, _, best = searched
    read = load_config(folder / "best.yaml")
    assert read == best
    assert read.run.store_digest == memory_store().digest
    model = read.models[0]
    found = optuna.load_study(study_name="s", storage=STORAGE)
    assert model.training.learning_rate == pytest.approx(found.best_params["learning_rate"])
    assert model.latent == (found.best_params["latent_side"],) * 3
    assert model.training.epochs == BASE.training.epochs  # the search's single epoch is not passed on
    assert isinstance(read.models[1], LinearConfig)
    store = memory_store(3, windows=20)
    parts = [Windows(store.of((f"sub-0{n}",)), store.context) for n in (1, 2)]
    result = fit(model, *parts, FitSettings())
    assert len(result.history["val/r2_temporal"]) == BASE.training.epochs
    with mlflow.start_run(search_runs()[0].info.run_id):
        assert mlflow.artifacts.load_text(mlflow.get_artifact_uri("best.yaml")) == (folder / "best.yaml").read_text()


KILLED = """
import os, signal
from pathlib import Path
from tests.search import test_study as t
calls = []

def killed_fit(*args):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return t.quick_fit(*args)

t.without_training(t.pytest.MonkeyPatch(), killed_fit)
t.search(t.settings(startup_trials=10, max_multiply_adds=10**12), 3)
"""


@pytest.mark.slow
def test_a_killed_search_goes_on(quick):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert states() == ["COMPLETE", "RUNNING"]
    assert not Path("best.yaml").exists()
    kept = trials()[0].value
    best = search(settings(startup_trials=10, max_multiply_adds=10**12), 3)
    assert states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]  # the trial in flight is repeated
    assert trials()[0].value == kept
    search(settings(startup_trials=10, max_multiply_adds=10**12), 3, study="never killed")
    finished = [t.params for t in trials() if t.state.name == "COMPLETE"]
    assert finished == [t.params for t in optuna.load_study(study_name="never killed", storage=STORAGE).trials]
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert "RUNNING" not in {run.info.status for run in runs}
    assert load_config("best.yaml") == best


@pytest.mark.slow
@pytest.mark.usefixtures("tracking")
def test_an_interrupted_trial_is_repeated_from_its_checkpoint(monkeypatch):
    restored = []

    def stopped(config, train, validation, fit_settings, on_epoch):
        def after(epoch, metrics, example):
            on_epoch(epoch, metrics, example)
            restored.append(example is None)
            if len(restored) == 1:
                raise KeyboardInterrupt

        return fit(config, train, validation, fit_settings, after)

    monkeypatch.setattr(judge, "fit", stopped)
    monkeypatch.setattr(study, "_reference", lambda _: None)
    config = settings(epochs=2, pruner="none")
    with pytest.raises(KeyboardInterrupt):
        search(config, 1)
    (run,) = search_runs()
    assert (states(), run.info.status) == (["FAIL", "WAITING"], "KILLED")
    search(config, 1)
    assert states() == ["FAIL", "COMPLETE"]
    assert restored == [False, True, False]  # the first epoch is not trained again
    assert trials()[1].params == trials()[0].params
    (run,) = search_runs()
    assert run.info.status == "FINISHED"
    assert not list(Path("checkpoints").iterdir())


@pytest.mark.usefixtures("quick")
def test_one_more_than_before():
    config = settings(max_multiply_adds=10**12)
    search(config, 2)
    search(config, 3)
    assert len(trials()) == 3
    search(config, 3)
    assert len(trials()) == 3
    assert len({t.params["learning_rate"] for t in trials()}) == 3


@pytest.mark.usefixtures("quick")
def test_the_best_of_all_trials_is_written():
    best = search(settings(max_multiply_adds=10**12), 5)
    rates = [t.params["learning_rate"] for t in trials()]
    assert best.models[0].training.learning_rate == max(rates)
    assert rates.index(max(rates)) != 0  # not the configured model, which would prove little


@pytest.mark.usefixtures("quick")
def test_architectures_can_be_left_alone():
    best = search(settings(architectures=False, max_multiply_adds=10**12), 4)
    assert (best.models[0].eeg, best.models[0].fmri) == (BASE.eeg, BASE.fmri)
    assert not any(name.startswith(("eeg.", "fmri.")) for name in trials()[1].params)


def test_a_trial_below_the_median_is_pruned_after_its_epoch(quick, monkeypatch):
    scores = iter([[1.0, 2.0], [0.2, 3.0], [0.9, 2.5], [0.1, 9.0], [0.95, 2.2]])

    def scripted(config, train, validation, fit_settings, on_epoch):
        values = next(scores)
        for epoch, value in enumerate(values):
            on_epoch(epoch, {"val/r2_temporal": value}, None)
        return FitResult(None, {"val/r2_temporal": values}, 1)

    monkeypatch.setattr(judge, "fit", scripted)
    search(settings(epochs=2, max_multiply_adds=10**12), 5)
    assert states() == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]  # a median of three or more
    assert trials()[1].value == 3.0  # the best epoch of a trial is its value
    run = mlflow.get_run(trials()[3].user_attrs[workplace.RUN_ATTRIBUTE])
    assert run.info.status == "KILLED"
    assert "after epoch 1" in run.data.tags["eeg2fmri.pruned"]
    assert run.data.metrics["val/r2_temporal"] == 0.1


def test_a_trial_that_diverges_is_pruned(quick, monkeypatch):
    def diverging(config, *args):
        if config.training.learning_rate != BASE.training.learning_rate:
            raise DivergenceError("loss is not finite after epoch 1")
        return quick_fit(config, *args)

    monkeypatch.setattr(judge, "fit", diverging)
    best = search(settings(max_multiply_adds=10**12), 3)
    assert states() == ["COMPLETE", "PRUNED", "PRUNED"]
    assert best.models[0].training.learning_rate == BASE.training.learning_rate


def test_a_failure_fails_its_trial_and_its_runs(quick, monkeypatch):
    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(judge, "fit", broken)
    with pytest.raises(OSError, match="disk full"):
        search(settings(max_multiply_adds=10**12), 2)
    assert states() == ["FAIL"]
    (run,) = search_runs()
    assert run.info.status == "FAILED"
    assert mlflow.get_run(trials()[0].user_attrs[workplace.RUN_ATTRIBUTE]).info.status == "FAILED"
    monkeypatch.setattr(judge, "fit", quick_fit)
    search(settings(max_multiply_adds=10**12), 2)
    assert states() == ["FAIL", "COMPLETE", "COMPLETE"]  # a failed trial does not count
    failed, again, following = (t.params for t in trials())
    assert again == failed  # the configured model is tried
    assert again["learning_rate"] == pytest.approx(BASE.training.learning_rate)
    assert mlflow.get_run(trials()[0].user_attrs[workplace.RUN_ATTRIBUTE]).info.status == "FAILED"
    search(settings(max_multiply_adds=10**12), 2, study="never failed")
    assert following == optuna.load_study(study_name="never failed", storage=STORAGE).trials[1].params


def test_a_trial_that_fails_twice_is_left_out(quick, monkeypatch):
    def broken(config, *args):
        if config.training.learning_rate != BASE.training.learning_rate:
            raise MemoryError("too large")
        return quick_fit(config, *args)

    monkeypatch.setattr(judge, "fit", broken)
    for expected in (["COMPLETE", "FAIL"], ["COMPLETE", "FAIL", "FAIL"], ["COMPLETE", "FAIL", "FAIL", "FAIL"]):
        with pytest.raises(MemoryError):
            search(settings(max_multiply_adds=10**12), 2)
        assert states() == expected
    first, again, following = (t.params["learning_rate"] for t in trials()[1:])
    assert first == again != following


@pytest.mark.usefixtures("quick")
def test_nothing_completed_is_an_error(refuses, monkeypatch):
    def diverging(*_):
        raise DivergenceError("loss is not finite after epoch 1")

    monkeypatch.setattr(judge, "fit", diverging)
    with refuses(DivergenceError, "no trial was completed .*run more trials"):
        search(settings(max_multiply_adds=10**12), 2)
    assert states() == ["PRUNED", "PRUNED"]
    assert not Path("best.yaml").exists()


@pytest.mark.usefixtures("quick")
def test_ranges_in_which_nothing_can_be_trained_are_refused_before_any_trial(refuses):
    with refuses(ConfigError, r"none of 100 random draws can be trained .*more multiply_adds than max_multiply_adds"):
        search(settings(max_multiply_adds=1), 2)
    assert not states()


def test_no_trial_starts_after_the_timeout(quick, monkeypatch):
    def slow(*args):
        time.sleep(0.3)
        return quick_fit(*args)

    monkeypatch.setattr(judge, "fit", slow)
    search(settings(max_multiply_adds=10**12), 50, timeout=0.2)
    assert states() == ["COMPLETE"]
    assert Path("best.yaml").exists()


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("sqlite:///no/such/folder/optuna.db", "sqlite:///no/such/folder/optuna.db: cannot be opened .*unable to open"),
        ("nonsense", "nonsense: not a database address"),
        ("mystery://x", "mystery://x: cannot be opened .*mystery"),
        ("postgresql://me:s3cr3t@127.0.0.1:1/optuna", "postgresql://127.0.0.1:1/optuna: .* Connection refused"),
        ("postgresql://me:p@s3cr3t@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db: .* must be escaped; write %40 for @"),
        ("postgresql://me:p@127.0.0.1:1/db", r"postgresql://127.0.0.1:1/db: .*OperationalError"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_named_without_its_password(refuses, storage, words):
    with refuses(ConfigError, f"^storage (?!.*s3cr3t){words}"):
        search(settings(), 1, storage=storage)
    assert not Path("best.yaml").exists()


@pytest.mark.usefixtures("tracking")
def test_postgresql_needs_its_extra(refuses, monkeypatch):
    find = samplers.importlib.util.find_spec
    monkeypatch.setattr(samplers.importlib.util, "find_spec", lambda name: None if name == "psycopg" else find(name))
    with refuses(
        MissingExtraError, r"^storage postgresql://host/db needs psycopg 3: pip install 'eeg2fmri\[postgres\]'"
    ):
        search(settings(), 1, storage="postgresql://me:s3cr3t@host/db")


@pytest.mark.usefixtures("quick")
def test_the_gaussian_process_needs_its_extra_before_anything_starts(refuses, monkeypatch):
    find = samplers.importlib.util.find_spec
    monkeypatch.setattr(samplers.importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with refuses(MissingExtraError, r"pip install 'eeg2fmri\[gp\]'"):
        search(settings(sampler="gp"), 1)
    assert not Path("optuna.db").exists()
    assert mlflow.get_experiment_by_name("search-tests") is None


@pytest.mark.usefixtures("tracking")
def test_a_search_needs_a_model_that_can_be_searched(refuses):
    config = settings().model_copy(update={"models": (MeanConfig(),)})
    with refuses(ConfigError, r"no model that can be searched \(found mean\)"):
        search(config, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize("variant", ["linear", "factorised"])
def test_every_family_with_a_space_is_searched_and_its_winner_kept_in_the_study(variant):
    small = {"components": 4} if variant == "linear" else {"components": 4, "sources": 2, "hidden": 2}
    config = settings(variant=variant, epochs=1, sampler="random")
    base = type(config.model(variant)).model_validate({"family": variant, "refit": True, **small})
    config = config.model_copy(update={"models": (*config.models[:1], base)})
    best = search(config, 2)
    highest = max(t.value for t in trials())
    winners = [t.user_attrs[trial.MODEL_ATTRIBUTE] for t in trials() if t.value == highest]
    assert best.models[0].model_dump(mode="json") in winners
    assert best.models[0].refit  # what is not searched stays
    assert best.models[1:] == config.models[:1]
    assert load_config("best.yaml") == best
    assert trials()[1].params["components"] == trials()[1].user_attrs[trial.MODEL_ATTRIBUTE]["components"]


@pytest.mark.usefixtures("tracking")
def test_ranges_of_any_family_are_given_by_its_name():
    ranges = {"calhas2022": {"filters": (7,)}, "linear": {"components": (3,), "bands": ("fine",)}}
    search(settings(variant="linear", sampler="random", ranges=ranges), 2)
    drawn = trials()[1].user_attrs[trial.MODEL_ATTRIBUTE]
    assert (drawn["components"], drawn["bands"].keys()) == (3, FINE_BANDS.keys())
    (run,) = search_runs()
    assert run.data.params["search.ranges.linear.components"] == "[3]"
    assert run.data.params["search.ranges.linear.drift_cutoff"] == "[60.0, 200.0]"


@pytest.mark.usefixtures("quick")
def test_a_base_outside_the_space_is_left_out(caplog):
    model = deep_config(latent=(4, 4, 4), filters=5)
    config = settings(eeg_target=(3, 4, 2), max_multiply_adds=10**12)
    config = config.model_copy(update={"models": (model,)})
    with caplog.at_level("INFO", logger="eeg2fmri"):
        best = search(config, 2)
    assert "not in the search space" in caplog.text
    assert best.models[0].filters in (2, 3)
    assert best.models[0].latent != LATENT


def test_what_is_not_searched_stays(quick):
    model = Calhas2022Config.model_validate(BASE.model_dump() | {"eeg_scaling": "training", "variant": "lp"})
    config = settings(variant="lp", max_multiply_adds=10**12).model_copy(update={"models": (LinearConfig(), model)})
    best = search(config, 2)
    assert best.models[1:] == (LinearConfig(),)  # the best comes first: it is what `train` trains
    assert (best.models[0].eeg_scaling, best.models[0].variant) == ("training", "lp")
    assert best.models[0].training.patience == BASE.training.patience
    assert best.search == config.search


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("split", r"split\.train was \['sub-01'\] and is now \['sub-01', 'sub-02'\]"),
        ("epochs", r"search\.epochs was 1 and is now 2"),
        ("cutoff", r"evaluation\.drift_cutoff was 128\.0 and is now 99\.0"),
        ("ranges", r"search\.ranges\.calhas2022\.filters was \[2, 3\] and is now \[2, 3, 4\]"),
        ("seed", r"run\.seed was 2 and is now 7"),
    ],
)
def test_a_study_of_other_data_is_not_gone_on_with(refuses, change, found):
    search(settings(), 1)
    others = {
        "split": settings().model_copy(update={"split": SplitConfig(test=1)}),
        "epochs": settings(epochs=2),
        "ranges": settings(filters=(2, 3, 4)),
        "cutoff": settings().model_copy(update={"evaluation": EvaluationConfig(drift_cutoff=99.0)}),
        "seed": settings().model_copy(update={"run": settings().run.model_copy(update={"seed": 7})}),
    }
    with refuses(ConfigError, rf"study s: {found}; give another --study, or the former setting"):
        search(others[change], 2)
    assert len(trials()) == 1


@pytest.mark.usefixtures("quick")
def test_the_grid_is_that_of_the_store():
    config = settings()
    other = config.model_copy(update={"data": config.data.model_copy(update={"grid": (64, 64, 30)})})
    search(other, 1)  # the base, at the largest cost that is trained
    assert states() == ["COMPLETE"]


@pytest.mark.usefixtures("quick")
def test_a_batch_larger_than_the_training_set_is_refused_before_any_trial(refuses):
    with refuses(
        ConfigError, r"search\.ranges\.calhas2022\.batch_size 999 is larger than the training set of \d+ windows"
    ):
        search(settings(batch_size=(5, 999)), 1)
    assert not Path("optuna.db").exists()
