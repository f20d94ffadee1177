"""Choice of the champion: the evidence of a version, the gate's verdict on it, and the aliases.

Two promotions may run at once, and MLflow has no operation that compares and moves an alias in one step. So each
promotion first marks its version, then moves the alias to the best marked one, and looks again until nothing changes.
A promotion sets its mark before it reads the others. So the promotion that moves the alias last has seen every
mark, and the best version wins.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from eeg2fmri.config import PolicyConfig
from eeg2fmri.errors import GateRefusal, ModelError, TrackingError, one_line
from eeg2fmri.tracking.gate import Argument, Criterion, Evidence, argue
from eeg2fmri.tracking.registry import champion, resolve_version

CHALLENGER = "challenger"
# MLflow hides tags with a name that starts with `mlflow.`, so long values go there.
EVIDENCE_TAG, POLICY_TAG = "mlflow.eeg2fmri.evidence", "mlflow.eeg2fmri.policy"
SCORE_TAG, P_VALUE_TAG = "test.r2_temporal", "test.p_value"
VERDICT_TAG, TIME_TAG, BEFORE_TAG = "eeg2fmri.verdict", "eeg2fmri.verdict_time", "eeg2fmri.champion_before"
ATTEMPTS = 20  # to move an alias that others move too
PASSED, ROLLED_BACK = "passed", "rolled back"


@dataclass(frozen=True)
class Decision:
    """The argument about a version. before: the champion of the comparison, if there was one."""

    version: ModelVersion
    evidence: Evidence
    before: Evidence | None
    argument: Argument


def store_evidence(version: ModelVersion, evidence: Evidence) -> None:
    """Write a version's evidence for the gate, and its score and p-value for people."""
    values = {
        SCORE_TAG: f"{evidence.score('r2_temporal'):.6g}",
        P_VALUE_TAG: f"{evidence.p_value:.4g}",
        EVIDENCE_TAG: evidence.to_json(),
    }
    _tag(version, values)


def version_evidence(version: ModelVersion) -> Evidence | None:
    """Return evidence that `evaluate` has written, or ``None``."""
    text = version.tags.get(EVIDENCE_TAG)
    return Evidence.from_json(text) if text else None


def decide(name: str, version: str | None, alias: str, policy: PolicyConfig) -> Decision:
    """Compare a version with its nulls and the present champion; change nothing.

    Parameters
    ----------
    name : registered model.
    version : its number; ``None`` for the newest.
    alias : of the champion.
    policy : see `PolicyConfig`.

    Raises
    ------
    ModelError
        If there is no such version, it was not evaluated, or the champion was not.
    """
    candidate = resolve_version(f"models:/{name}/{version or 'latest'}")
    assert candidate is not None  # a NAME/VERSION address always names a registered version
    evidence = version_evidence(candidate)
    if evidence is None:
        raise ModelError(
            f"{name} version {candidate.version} has no scores; "
            f"run: eeg2fmri evaluate --model-uri models:/{name}/{candidate.version}"
        )
    present = champion(name, alias)
    before = version_evidence(present) if present else None
    if present and before is None and present.version != candidate.version:
        raise ModelError(
            f"the champion, {name} version {present.version}, has no scores for the comparison; run: eeg2fmri "
            f"evaluate --model-uri models:/{name}/{present.version}"
        )
    argument = argue(policy, evidence, before)
    if candidate.tags.get(VERDICT_TAG) == ROLLED_BACK:
        reason = f"it was rolled back; delete its tag {VERDICT_TAG} to allow it again"
        argument = replace(argument, nulls=(*argument.nulls, Criterion("history", ROLLED_BACK, "none", False, reason)))
    return Decision(candidate, evidence, before, argument)


def promote(decision: Decision, alias: str, policy: PolicyConfig) -> None:
    """Move the alias to a version that passes the gate, and record the verdict on the version.

    A version that is better than its nulls, but not than the champion, gets the alias ``challenger``.

    Parameters
    ----------
    decision : of `decide`.
    alias, policy : those of that call.

    Raises
    ------
    GateRefusal
        If the version does not pass, or a better one was promoted at the same time; the message names the numbers.
    """
    name, number, argument = decision.version.name, str(decision.version.version), decision.argument
    values = {
        TIME_TAG: datetime.now(UTC).isoformat(timespec="microseconds"),
        POLICY_TAG: policy_digest(policy),
    }
    if argument.passes and decision.before and decision.before.version != number:
        values[BEFORE_TAG] = decision.before.version
    values[VERDICT_TAG] = argument.verdict  # the mark comes last: another promotion reads the tags beside it
    _tag(decision.version, values)
    if argument.verdict == CHALLENGER:
        mlflow.MlflowClient().set_registered_model_alias(name, CHALLENGER, number)
    if not argument.passes:
        kept = "is challenger" if argument.verdict == CHALLENGER else "is not promoted"
        raise GateRefusal(f"{name} version {number} {kept}: {'; '.join(argument.reasons)}")
    winner = _settle(name, alias, decision.evidence, policy.metric)
    if winner.version != number:
        _tag(decision.version, {VERDICT_TAG: CHALLENGER})
        raise GateRefusal(
            f"{name} version {number} is not promoted: version {winner.version}, promoted at the same time, has "
            f"{policy.metric} {winner.score(policy.metric):.4f}, this one {decision.evidence.score(policy.metric):.4f}"
        )


def rollback(name: str, alias: str) -> tuple[str, str]:
    """Give the alias back to the champion before the present one.

    Returns
    -------
    The version that is champion again, and the one that is not any more.

    Raises
    ------
    ModelError
        If there is no champion, or none before it.
    """
    present = champion(name, alias)
    if present is None:
        raise ModelError(f"{name} has no {alias}, so a rollback is not possible; promote a version first")
    before = present.tags.get(BEFORE_TAG)
    if before is None:
        raise ModelError(
            f"{name} version {present.version} is the first {alias}, so a rollback is not possible; promote another "
            f"version"
        )
    _tag(present, {VERDICT_TAG: ROLLED_BACK})
    mlflow.MlflowClient().set_registered_model_alias(name, alias, before)
    return before, str(present.version)


def policy_digest(policy: PolicyConfig) -> str:
    """Return the key of a policy, which a version keeps with its verdict."""
    return hashlib.sha256(policy.model_dump_json().encode()).hexdigest()


def _settle(name: str, alias: str, mine: Evidence, metric: str) -> Evidence:
    """Move the alias to the best version that passed on the same data, the latest of equals; return its evidence."""
    client = mlflow.MlflowClient()
    for attempt in range(ATTEMPTS):
        present = champion(name, alias)  # before the marks: that of a champion is then among them
        passed = [
            (evidence.score(metric), version.tags[TIME_TAG], version, evidence)
            for version in client.search_model_versions(f"name = '{name}'")
            if version.tags.get(VERDICT_TAG) == PASSED
            and (evidence := version_evidence(version))
            and evidence.comparable(mine)
        ]
        *_, version, best = max(passed, key=lambda each: each[:2])
        if present and str(present.version) == best.version:
            return best
        if present and best.version == mine.version:  # it may have become champion after the decision
            _tag(version, {BEFORE_TAG: str(present.version)})
        try:
            client.set_registered_model_alias(name, alias, best.version)
        except MlflowException as err:  # another promotion creates the alias in this moment
            if attempt == ATTEMPTS - 1:
                raise TrackingError(f"{name}@{alias}: cannot be moved ({one_line(err)}); promote again") from err
            time.sleep(0.05 * (attempt + 1))
    raise TrackingError(f"{name}@{alias}: other promotions move it all the time; promote again")


def _tag(version: ModelVersion, values: dict[str, str]) -> None:
    client = mlflow.MlflowClient()
    for key, value in values.items():
        client.set_model_version_tag(version.name, version.version, key, value)
