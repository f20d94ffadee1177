"""Who is champion: verdicts on real versions in a real database, and promotions that race."""

from __future__ import annotations

import multiprocessing
import os
import signal

import mlflow
import pytest

from eeg2fmri.config import PolicyConfig
from eeg2fmri.errors import GateRefusal, ModelError
from eeg2fmri.tracking import decide, promote, rollback, store_evidence, version_evidence
from eeg2fmri.tracking.promotion import POLICY_TAG, VERDICT_TAG, policy_digest
from eeg2fmri.tracking.registry import champion, latest_version, resolve_version
from tests.mlflow_store import evidence, use_tracking

NAME, ALIAS, POLICY = "eeg2fmri", "champion", PolicyConfig()


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Two versions without models behind them: the gate reads their tags."""
    use_tracking(tmp_path, monkeypatch)
    client = mlflow.MlflowClient()
    client.create_registered_model(NAME)
    for _ in range(2):
        client.create_model_version(NAME, "file:///nowhere")
    return client


def score(version: str, *scores: float, **changes: object) -> None:
    store_evidence(resolve_version(f"models:/{NAME}/{version}"), evidence(version, *scores, **changes))


def weighed(version: str | None, policy: PolicyConfig = POLICY):
    return decide(NAME, version, ALIAS, policy)


def promoted(version: str | None, policy: PolicyConfig = POLICY) -> str:
    decision = weighed(version, policy)
    promote(decision, ALIAS, policy)
    return str(decision.version.version)


def present() -> str:
    return str(champion(NAME, ALIAS).version)


def tags(version: str) -> dict[str, str]:
    return resolve_version(f"models:/{NAME}/{version}").tags


@pytest.mark.usefixtures("client")
def test_evidence_comes_back_to_the_bit():
    assert version_evidence(latest_version(NAME)) is None
    score("2", 0.1 + 0.2)
    assert version_evidence(latest_version(NAME)) == evidence("2", 0.1 + 0.2)
    assert tags("2")["test.r2_temporal"] == "0.3"


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(("asked", "expected"), [(None, "2"), ("1", "1"), ("2", "2")])
def test_promote_sets_the_alias(asked, expected):
    score("1")
    score("2")
    assert promoted(asked) == expected == present()
    assert tags(expected)[VERDICT_TAG] == "passed"
    assert tags(expected)[POLICY_TAG] == policy_digest(POLICY)


@pytest.mark.usefixtures("client")
def test_the_later_of_equals_is_champion():
    score("1")
    score("2")
    for version in ("2", "1", "2"):
        assert promoted(version) == version == present()


@pytest.mark.parametrize(
    ("fault", "named", "verdict"),
    [
        ({"score": -0.004, "shuffled": -0.1}, "-0.0040 is not above 0.0000, the score of mean volume", "refused"),
        ({"shuffled": 0.07}, "is not above 0.0700", "refused"),
        ({"p_value": 0.2}, "p = 0.200", "refused"),
        ({"data_digest": "e" * 64}, "other data", "challenger"),
        ({"scoring": "t"}, "other code or settings", "challenger"),
        ({"score": 0.04}, "0.0400 is below 0.0500", "challenger"),
    ],
)
def test_a_refusal_leaves_the_champion_and_is_recorded(client, refuses, fault, named, verdict):
    score("1")
    promoted("1")
    score("2", **fault)
    with refuses(GateRefusal, f"{NAME} version 2 .*{named}"):
        promoted("2")
    assert present() == "1"
    assert tags("2")[VERDICT_TAG] == verdict
    aliases = client.get_registered_model(NAME).aliases
    assert ("challenger" in aliases) == (verdict == "challenger")


@pytest.mark.usefixtures("client")
def test_a_champion_of_another_data_space_does_not_stand_in_the_way():
    score("1", 0.9)
    promoted("1")
    score("2", space="y" * 64, data_digest="e" * 64)
    assert promoted("2") == "2" == present()


@pytest.mark.usefixtures("client")
def test_weighing_changes_nothing():
    score("1")
    before = tags("1")
    assert weighed("1").argument.passes
    assert tags("1") == before
    assert champion(NAME, ALIAS) is None


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("name", "version", "named"),
    [(NAME, "1", "no scores; run: eeg2fmri evaluate"), (NAME, "9", "9"), ("absent", None, "absent")],
)
def test_a_version_needs_scores(refuses, name, version, named):
    with refuses(ModelError, named):
        decide(name, version, ALIAS, POLICY)


def test_a_champion_without_scores_is_not_replaced_unseen(client, refuses):
    client.set_registered_model_alias(NAME, ALIAS, "1")
    score("2")
    with refuses(ModelError, "version 1, has no scores"):
        promoted("2")
    assert present() == "1"


@pytest.mark.usefixtures("client")
def test_rollback_goes_back_and_lasts(refuses):
    score("1")
    score("2", 0.06)
    promoted("1")
    with refuses(ModelError, "version 1 is the first champion"):
        rollback(NAME, ALIAS)
    promoted("2")
    assert rollback(NAME, ALIAS) == ("1", "2")
    assert present() == "1"
    with refuses(GateRefusal, "version 2 is not promoted: it was rolled back; delete its tag"):
        promoted("2")
    assert present() == "1"


@pytest.mark.usefixtures("client")
def test_rollback_needs_a_champion(refuses):
    with refuses(ModelError, f"{NAME} has no champion"):
        rollback(NAME, ALIAS)


@pytest.mark.usefixtures("client")
def test_the_worse_of_two_decisions_loses_though_it_comes_later(refuses):
    score("1", 0.05)
    score("2", 0.06)
    worse, better = weighed("1"), weighed("2")
    promote(better, ALIAS, POLICY)
    with refuses(GateRefusal, "version 2, promoted at the same time, has r2_temporal 0.0600, this one 0.0500"):
        promote(worse, ALIAS, POLICY)
    assert present() == "2"
    assert [tags(version)[VERDICT_TAG] for version in ("1", "2")] == ["challenger", "passed"]


@pytest.mark.usefixtures("client")
def test_the_better_of_two_decisions_knows_whom_it_replaced():
    score("1", 0.05)
    score("2", 0.06)
    worse, better = weighed("1"), weighed("2")  # of a time without a champion
    promote(worse, ALIAS, POLICY)
    promote(better, ALIAS, POLICY)
    assert rollback(NAME, ALIAS) == ("1", "2")
    assert present() == "1"


def _race(version: str, uri: str, start) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = uri
    mlflow.set_tracking_uri(uri)
    decision = weighed(version)
    start.wait()
    try:
        promote(decision, ALIAS, POLICY)
    except GateRefusal:
        return


@pytest.mark.slow
@pytest.mark.parametrize("_", range(3))
def test_of_two_promotions_at_once_the_better_version_wins(client, _):
    score("1", 0.05)
    score("2", 0.06)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    uri = mlflow.get_tracking_uri()
    racers = [context.Process(target=_race, args=(version, uri, start)) for version in ("1", "2")]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0, 0]
    assert str(client.get_model_version_by_alias(NAME, ALIAS).version) == "2"


def _killed_after_the_move(uri: str) -> None:
    """Promote version 1; version 2, which is better, is promoted just before the alias moves, the kill comes after."""
    mlflow.set_tracking_uri(uri)
    worse, better, move = weighed("1"), weighed("2"), mlflow.MlflowClient.set_registered_model_alias

    def late(self, *given):
        mlflow.MlflowClient.set_registered_model_alias = move
        promote(better, ALIAS, POLICY)
        assert present() == "2"
        move(self, *given)
        os.kill(os.getpid(), signal.SIGKILL)

    mlflow.MlflowClient.set_registered_model_alias = late
    promote(worse, ALIAS, POLICY)


@pytest.mark.slow
@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("repeated", ["1", "2"])
def test_a_promotion_that_was_killed_and_is_repeated_gives_the_alias_to_the_better_one(repeated):
    score("1", 0.05)
    score("2", 0.06)
    killed = multiprocessing.get_context("spawn").Process(
        target=_killed_after_the_move, args=(mlflow.get_tracking_uri(),)
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert present() == "1"  # MLflow cannot compare and move in one step
    try:
        promoted(repeated)
    except GateRefusal:
        assert repeated == "1"
    assert present() == "2"
