"""The promotion step: the champion's alias moves to a version that passes the gate."""

from __future__ import annotations

import logging

from eeg2fmri.config import Config
from eeg2fmri.errors import GateRefusal
from eeg2fmri.pipeline.describe import paragraphs, serving, verdict
from eeg2fmri.tracking import describe_model, promote, tracked_run

logger = logging.getLogger(__name__)


def promote_step(config: Config, version: str | None) -> str:
    """Promote a version, or refuse with the numbers; returns the promoted version.

    Raises
    ------
    GateRefusal
        If it does not pass the gate.
    ModelError
        If it does not exist or has not been evaluated.
    """
    name, alias = config.registry.name, config.registry.alias
    params = {"registry.name": name, "registry.alias": alias, "registry.version": version or "latest"}
    with tracked_run("promote", experiment=config.run.experiment, params=params) as log:
        try:
            scores, before = promote(name, version, alias)
        except GateRefusal as refusal:
            log.describe(f"Refused by the gate: {refusal}.")
            raise
        log.metrics(
            {
                "gate/r2_temporal": scores.r2_temporal,
                "gate/r2_temporal_shuffled": scores.shuffled,
                "gate/p_value": scores.p_value,
            }
        )
        log.tags({"eeg2fmri.promoted": f"{name}/{scores.version}"})
        instead = f" instead of version {before.version}" if before and before.version != scores.version else ""
        told = paragraphs(f"{name}@{alias} is version {scores.version}{instead}. {verdict(scores)}",
                          serving(name, scores.version))  # fmt: skip
        log.describe(told)
        describe_model(name, told)
        logger.info("promote: %s@%s is version %s%s (r2_temporal %+.4f)", name, alias, scores.version, instead,
                    scores.r2_temporal)  # fmt: skip
        return scores.version
