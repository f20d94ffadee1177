"""Adaptation as a tracked run: a model of its own in the registry, beside the group's and never its champion."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.entities.model_registry import ModelVersion

from eeg2fmri import cli
from eeg2fmri.adaptation import find_recording
from eeg2fmri.config import Config
from eeg2fmri.errors import BusyError, ModelError
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.files import held
from eeg2fmri.models.linear import LinearNetwork
from eeg2fmri.pipeline import adapt, adapt_step, train_step
from eeg2fmri.pipeline.adapt import AFTER, ALIAS, BASE_TAG, BEFORE, MINUTES_TAG, SHUFFLED, AdaptResult
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Location, Store, divided
from eeg2fmri.tracking import load_model
from eeg2fmri.tracking.notes import NOTE_TAG
from eeg2fmri.tracking.registry import champion, log_bundle, only_model
from tests.fakes import CONTEXT, EEG_SHAPE, deep_config
from tests.mlflow_store import LINEAR, memory_store, use_tracking

CONFIG = Config.model_validate(
    {
        "models": [LINEAR],
        "split": {"validation": 1, "test": 2},
        "evaluation": {"shuffles": 1, "permutations": 20, "drift_cutoff": 6.0},
        "policy": {"level": 0.1},
        "run": {"experiment": "tests"},
    }
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield use_tracking(tmp_path_factory.mktemp("adapt"), patch)


@pytest.fixture(scope="module")
def store(place) -> Store:
    return memory_store(7, windows=60)


@pytest.fixture(scope="module")
def adapted(store, tmp_path_factory):
    train_step(CONFIG, None, store, tmp_path_factory.mktemp("work"))
    return adapt_step(CONFIG, "models:/memory/1", store, "sub-06", 0.2)


def takes_alias(made: AdaptResult) -> bool:
    shuffled = mlflow.get_run(made.run_id).data.metrics["rest/r2_temporal_shuffled"]
    return made.score > max(made.unadapted, shuffled, 0)


def test_the_run_holds_both_scores_and_the_nulls(adapted):
    run = mlflow.get_run(adapted.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["eeg2fmri.entry_point"] == "adapt"
    metrics, params = run.data.metrics, run.data.params
    assert metrics["rest/r2_temporal"] == adapted.score
    assert metrics["rest/r2_temporal_unadapted"] == adapted.unadapted
    assert {"rest/r2_temporal_mean_volume", "rest/r2_temporal_shuffled", "rest/r2_temporal_p_value"} <= metrics.keys()
    assert params["adapt.subject"] == "sub-06"
    assert params["adapt.minutes"] == "0.2"
    assert params["adapt.model"].startswith("models:/memory/1/")
    assert params["data.digest"] == "d" * 64
    assert "sub-06" in run.data.tags[NOTE_TAG]
    assert "| unadapted, models:/memory/1 |" in run.data.tags[NOTE_TAG]


def test_the_version_is_in_a_model_of_its_own(adapted):
    assert adapted.model_uri == "models:/memory-sub-06/1"
    _, version = load_model(adapted.model_uri)
    assert version is not None
    assert version.tags["eeg2fmri.base"] == "models:/memory/1"
    assert version.tags["eeg2fmri.subject"] == "sub-06"
    assert float(version.tags["rest.r2_temporal"]) == pytest.approx(adapted.score, rel=1e-4)
    assert version.aliases == ([ALIAS] if takes_alias(adapted) else [])
    # Commands that choose a model on their own still find one, the group's, and nothing has become champion.
    assert only_model("--name NAME") == "memory"
    assert champion("memory", "champion") is None


def test_by_default_the_champion_is_adapted(adapted, store, refuses):
    with refuses(ModelError, "models:/memory@champion: .*alias champion not found"):
        adapt_step(CONFIG, None, store, "sub-06", 0.2)
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("memory", "champion", "1")
    assert adapt_step(CONFIG, None, store, "sub-06", 0.2).run_id == adapted.run_id
    client.delete_registered_model_alias("memory", "champion")


def test_a_version_of_a_bad_model_does_not_take_the_alias(adapted, store):
    """Its fluctuations shrink, so it gains, but shuffled EEG and the mean volume are better; a second call says so."""
    bundle, _ = load_model("models:/memory/1")
    network = bundle.model.network
    assert isinstance(network, LinearNetwork)
    noise = np.random.default_rng(0).standard_normal(network.coefficients.shape)
    wrong = replace(network, coefficients=3 * network.coefficients.std() * noise)
    bad = replace(bundle, model=replace(bundle.model, network=wrong))
    with mlflow.start_run():
        registered = log_bundle(bad, "bad", dataset=None, example=np.zeros(EEG_SHAPE, np.float32), metadata_={})
    base = f"models:/bad/{registered.version}"
    for skipped, alias in ((False, "the alias did not move"), (True, "no version has the alias adapted")):
        own = adapt_step(CONFIG, base, store, "sub-06", 0.2)
        assert own.skipped == skipped
        assert own.unadapted < own.score < 0
        assert champion("bad-sub-06", ALIAS) is None
        found = f"no better than shuffled EEG, the mean volume: {alias}; the version is {own.model_uri}"
        assert own.verdict == found


def test_it_is_no_candidate_for_the_gate(adapted, refuses):
    from eeg2fmri.pipeline import promote_step

    named = CONFIG.model_copy(update={"registry": CONFIG.registry.model_copy(update={"name": "memory-sub-06"})})
    with refuses(ModelError, "memory-sub-06 version 1 has no scores"):
        promote_step(named, None)


def test_a_second_call_uses_the_first(adapted, store):
    again = adapt_step(CONFIG, "models:/memory/1", store, "sub-06", 0.2)
    assert again.skipped
    assert (again.run_id, again.model_uri, again.score) == (adapted.run_id, adapted.model_uri, adapted.score)


def test_a_second_call_says_where_the_alias_is_now(adapted, store):
    client, name = mlflow.MlflowClient(), "memory-sub-06"
    before = champion(name, ALIAS)
    later = client.create_model_version(name, "file:///nowhere").version

    def ending() -> str:
        return adapt_step(CONFIG, "models:/memory/1", store, "sub-06", 0.2).verdict.partition(": ")[2]

    client.set_registered_model_alias(name, ALIAS, later)
    assert ending() == f"the alias adapted is at models:/{name}/{later}; the version is models:/{name}/1"
    client.set_registered_model_alias(name, ALIAS, "1")
    assert ending() == f"the alias adapted is at models:/{name}/1"
    client.delete_registered_model_alias(name, ALIAS)
    assert ending() == f"no version has the alias adapted; the version is models:/{name}/1"
    client.delete_model_version(name, later)
    if before:
        client.set_registered_model_alias(name, ALIAS, before.version)


def test_two_at_once_for_a_subject_are_refused(adapted, store, refuses):
    with (
        held(Path(".memory-sub-06.lock"), "memory-sub-06", "adapt"),
        refuses(BusyError, r"^memory-sub-06: in use by process \d+ on .*\(adapt, since .*\); wait until it ends$"),
    ):
        adapt_step(CONFIG, "models:/memory/1", store, "sub-06", 0.3)
    assert not Path(".memory-sub-06.lock").exists()


def test_two_at_once_for_a_subject_of_a_store_at_a_url_are_refused(adapted, store, refuses):
    remote = replace(store, path=Location("s3://bucket/store"))
    digest = "1ac35ceba1169c41"
    with (
        held(Path(tempfile.gettempdir()) / f"eeg2fmri-{digest}-memory-sub-06.lock", "memory-sub-06", "adapt"),
        refuses(BusyError, r"^memory-sub-06: in use by process"),
    ):
        adapt_step(CONFIG, "models:/memory/1", remote, "sub-06", 0.3)


@pytest.mark.parametrize(
    ("base", "minutes", "reason"),
    [
        ("models:/a/1", 10, ""),
        ("models:/a/1", 11, ""),
        ("models:/a/1", 2, "version 1 is from 10 minutes"),
        ("models:/a/2", 2, ""),
    ],
)
def test_fewer_minutes_of_the_same_model_do_not_take_the_alias(place, base, minutes, reason):
    client = mlflow.MlflowClient()

    def version(base: str, minutes: float) -> ModelVersion:
        tags = {BASE_TAG: base, MINUTES_TAG: f"{minutes:g}"}
        return client.create_model_version("own", "file:///nowhere", tags=tags)

    client.create_registered_model("own")
    holder = version("models:/a/1", 10)
    good = {AFTER: 0.03, BEFORE: 0.02, SHUFFLED: -0.01}
    assert not adapt._reason(holder, good)
    client.set_registered_model_alias("own", ALIAS, holder.version)
    assert adapt._reason(version(base, minutes), good) == reason
    client.delete_registered_model("own")


@pytest.mark.parametrize("moment", ["describe_version", "MODEL_TAG"])
def test_one_that_stops_after_its_registration_is_not_registered_twice(adapted, store, monkeypatch, moment):
    minutes = {"describe_version": 0.21, "MODEL_TAG": 0.22}[moment]

    def stopped(*_: object) -> None:
        raise OSError("the power is off")

    with monkeypatch.context() as patch:
        patch.setattr(adapt, moment, stopped if moment == "describe_version" else "")  # a tag needs a name
        with pytest.raises((OSError, mlflow.MlflowException)):
            adapt_step(CONFIG, "models:/memory/1", store, "sub-06", minutes)
    versions = mlflow.MlflowClient().search_model_versions("name = 'memory-sub-06'")
    again = adapt_step(CONFIG, "models:/memory/1", store, "sub-06", minutes)
    assert mlflow.MlflowClient().search_model_versions("name = 'memory-sub-06'")[0].run_id == again.run_id
    assert len(mlflow.MlflowClient().search_model_versions("name = 'memory-sub-06'")) == len(versions)
    version = mlflow.MlflowClient().get_model_version("memory-sub-06", again.model_uri.rpartition("/")[2])
    assert version.aliases == ([ALIAS] if takes_alias(again) else [])
    assert "unadapted, models:/memory/1" in version.description
    assert "models serve" in version.description
    assert mlflow.get_run(again.run_id).info.status == "FINISHED"


def test_a_published_decoder_is_adapted_from_end_to_end(adapted, store, tmp_path):
    """The version that MLflow gives back synthesises what the adapted model did."""
    deep = deep_config(learning_rate=1e-3)
    config = CONFIG.model_copy(update={"models": [deep]})
    train_step(config, None, store, tmp_path)
    own = adapt_step(config, "models:/memory/2", store, "sub-06", 0.2)
    before, after = (load_model(uri)[0].model for uri in ("models:/memory/2", own.model_uri))
    rest = divided(find_recording(store, "sub-06"), 24, CONTEXT)[1]
    rows = np.arange(len(rest))
    volumes = [model.standard_units(model.synthesise(rest.eeg(rows))) for model in (before, after)]
    waves = drift_waves(len(rest), rest.signal.tr, CONFIG.evaluation.drift_cutoff)
    measured, mask = rest.standardised(rows, "recording"), rest.recordings[0].mask
    found = [r2_temporal(measured, each, mask, waves) for each in volumes]
    assert found == pytest.approx([own.unadapted, own.score], abs=1e-6)
    assert own.score != own.unadapted


def test_a_quiet_command_prints_the_verdict(adapted, store, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("eeg2fmri.store.open_store", lambda _: store)
    options = ["--store", str(tmp_path), "--subject", "sub-06", "--minutes", "0.2", "--model-uri", "models:/memory/1"]
    text = ["--set", "evaluation.shuffles=1; evaluation.permutations=20; evaluation.drift_cutoff=6.0"]
    assert cli.main(["adapt", *options, *text, "--quiet"]) == 0
    again = adapt_step(CONFIG, "models:/memory/1", store, "sub-06", 0.2)
    assert capsys.readouterr() == (f"{again.verdict}\n", "")


def test_the_command_refuses_in_one_line(place, capsys):
    assert cli.main(["adapt", "--subject", "sub-06", "--store", "nowhere"]) == 2
    _, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert "nowhere: there is no store" in err
