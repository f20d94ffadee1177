"""The promotion step: the champion's alias moves to a version that passes the gate, or back."""

from __future__ import annotations

import logging

from eeg2fmri.config import Config
from eeg2fmri.errors import GateRefusal
from eeg2fmri.pipeline.describe import argument_table, paragraphs, serving, verdict
from eeg2fmri.store import with_names
from eeg2fmri.tracking import Decision, decide, describe_model, promote, rollback, tracked_run
from eeg2fmri.tracking.registry import experiment_of, only_model

logger = logging.getLogger(__name__)


def promote_step(config: Config, version: str | None) -> str:
    """Promote a version, or refuse with the numbers; return the promoted version.

    A refusal is a result: its run is finished, with the argument in its description.

    Raises
    ------
    GateRefusal
        If it does not pass the gate.
    ModelError
        If it does not exist or has not been evaluated, or the registry has several models and none is named.
    """
    config = _of_registry(config, version)
    name, alias = config.registered_model, config.registry.alias
    params = {
        "registry.name": name,
        "registry.alias": alias,
        "registry.version": version or "latest",
        **{f"policy.{key}": value for key, value in config.policy.model_dump(mode="json").items()},
    }
    with tracked_run("promote", experiment=config.run.experiment, name=f"promote · {name}", params=params) as log:
        decision = decide(name, version, alias, config.policy)
        number, argument, evidence = str(decision.version.version), decision.argument, decision.evidence
        scores = {condition: evidence.score("r2_temporal", condition) for condition in evidence.overall}
        log.metrics({f"gate/r2_temporal_{condition}": score for condition, score in scores.items()})
        log.metrics({"gate/p_value": evidence.p_value, "gate/smallest_p": evidence.smallest_p})
        refused: GateRefusal | None = None
        try:
            promote(decision, alias, config.policy)
        except GateRefusal as refusal:
            refused = refusal
            log.tags({"eeg2fmri.verdict": argument.verdict})
            log.describe(paragraphs(f"{refusal}.", argument_table(argument)))
        else:
            before = decision.before
            instead = f" instead of version {before.version}" if before and before.version != number else ""
            story = paragraphs(f"{name}@{alias} is version {number}{instead}. {verdict(argument, evidence)}",
                               argument_table(argument), serving(name, number))  # fmt: skip
            log.tags({"eeg2fmri.promoted": f"{name}/{number}", "eeg2fmri.verdict": argument.verdict})
            log.describe(story)
            describe_model(name, story)
            logger.info("promote: %s@%s is version %s%s (r2_temporal %+.4f)", name, alias, number, instead,
                        evidence.score("r2_temporal"))  # fmt: skip
    if refused:
        raise refused
    return number


def weigh(config: Config, version: str | None) -> tuple[Decision, str]:
    """Weigh a version as `promote_step` does and change nothing; gives the decision and its argument in Markdown."""
    name = _of_registry(config, version).registered_model
    decision = decide(name, version, config.registry.alias, config.policy)
    number, argument = decision.version.version, decision.argument
    outcome = f"{name} version {number} would be {'champion' if argument.passes else argument.verdict}."
    return decision, paragraphs(outcome, argument_table(argument)) + "\n"


def rollback_step(config: Config) -> str:
    """Make the champion before the present one champion again; return its version.

    Raises
    ------
    ModelError
        If there is none, or the registry has several models and none is named.
    """
    config = _of_registry(config, None)
    name, alias = config.registered_model, config.registry.alias
    params = {"registry.name": name, "registry.alias": alias}
    with tracked_run("rollback", experiment=config.run.experiment, name=f"rollback · {name}", params=params) as log:
        before, taken = rollback(name, alias)
        story = paragraphs(f"{name}@{alias} is version {before} again; version {taken} was rolled back.",
                           serving(name, before))  # fmt: skip
        log.describe(story)
        describe_model(name, story)
        logger.info("rollback: %s@%s is version %s again, instead of version %s", name, alias, before, taken)
    return before


def _of_registry(config: Config, version: str | None) -> Config:
    """Name the only registered model of this package, and the experiment of the version, where `config` does not."""
    name = config.registry.name or only_model("--name NAME")
    run = config.run.model_copy(update={"experiment": config.run.experiment or experiment_of(name, version)})
    return with_names(config.model_copy(update={"run": run}), name)
