"""The paired comparison of two scored models, subject by subject."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from eeg2fmri import plotting
from eeg2fmri.errors import EvaluationError, ModelError, nearest, one_line
from eeg2fmri.evaluation import Comparison, compare
from eeg2fmri.pipeline.describe import DECIDING, paragraphs, picture, table
from eeg2fmri.tracking import tracked_run

logger = logging.getLogger(__name__)
MUST_AGREE = {"evaluation.data_digest": "recordings", "evaluation.scoring": "code or settings of the evaluation"}
SCORES = "scores.json"


@dataclass(frozen=True)
class _Scored:
    """A model that a run has scored: `r2_temporal` by subject."""

    run: Run
    variant: str
    by_subject: Mapping[str, float]


def compare_step(first: str, second: str) -> tuple[str, Comparison]:
    """Compare two models by the scores of the same subjects, and draw them.

    Parameters
    ----------
    first, second : id of a run of `evaluate` or `crossval`; ``ID:VARIANT`` where a `crossval` has several models.

    Returns
    -------
    The comparison in words, and its numbers.

    Raises
    ------
    ModelError
        If there is no such run, it holds no scores, or not of that model.
    EvaluationError
        If the two were scored on other recordings or subjects, or in another way.
    """
    scored = [_read(text) for text in (first, second)]
    one, other = scored
    for key, words in MUST_AGREE.items():
        found = [each.run.data.params.get(key, "unknown") for each in scored]
        if found[0] != found[1]:
            raise EvaluationError(
                f"{first} and {second}: scored with other {words} ({found[0][:12]} and {found[1][:12]}); evaluate both "
                f"on the same store and split, with the same version"
            )
    result = compare(one.by_subject, other.by_subject)
    names = (one.variant, other.variant)
    if one.variant == other.variant:
        names = (f"{one.variant} ({one.run.info.run_id[:8]})", f"{other.variant} ({other.run.info.run_id[:8]})")
    text = sentence(names, result)
    experiment = mlflow.get_experiment(one.run.info.experiment_id).name
    params = {"compare.first": first, "compare.second": second}
    with tracked_run("compare", experiment=experiment, name=f"compare {names[0]} · {names[1]}",
                     params=params) as log:  # fmt: skip
        log.metrics({"compare/p_value": result.p_value, "compare/median_difference": result.median_difference})
        log.numbers({"first": names[0], "second": names[1], **asdict(result)}, "comparison.json")
        figure = plotting.pairs_figure(one.by_subject, other.by_subject, names, title=f"p = {result.p_value:.3g}")
        log.figure(figure, "figures/pairs.png")
        rows = [[s, f"{one.by_subject[s]:+.4f}", f"{other.by_subject[s]:+.4f}"] for s in sorted(one.by_subject)]
        shown = picture(log.run_id, "figures/pairs.png", "scores of the same subjects by two models")
        log.describe(paragraphs(text, shown, table(("subject", *names), rows)))
        logger.info("compare: run %s holds the figure", log.run_id)
    return text, result


def sentence(names: tuple[str, str], result: Comparison) -> str:
    """Return the comparison in words."""
    return (
        f"{names[0]} scores more than {names[1]} on {result.won} of {result.subjects} subjects; median difference of "
        f"{DECIDING} {result.median_difference:+.4f}, p = {result.p_value:.3g} (Wilcoxon's signed ranks, two-sided; so "
        f"many subjects can give p = {result.smallest_p:.2g} at least)."
    )


def _read(text: str) -> _Scored:
    run_id, _, variant = text.partition(":")
    try:
        run = mlflow.get_run(run_id)
        found = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/{SCORES}")
    except (MlflowException, OSError) as err:
        raise ModelError(f"{text}: no scores ({one_line(err)}); give the id of a run of evaluate or crossval") from err
    scores = pd.DataFrame(**found)
    if "model" not in scores:
        scores["model"] = run.data.tags["variant"]
    variants = list(dict.fromkeys(scores.model))
    if not variant and len(variants) > 1:
        raise ModelError(f"{text}: scores of {', '.join(variants)}; give one of them, {run_id}:{variants[0]}")
    if variant and variant not in variants:
        hint = nearest(variant, variants) or f"; expected {', '.join(variants)}"
        raise ModelError(f"{text}: no scores of {variant!r}{hint}")
    chosen = scores[(scores.model == (variant or variants[0])) & (scores.condition == "model")]
    means = chosen.groupby("subject")[DECIDING].mean()
    return _Scored(run, variant or variants[0], {str(s): float(v) for s, v in means.items()})
