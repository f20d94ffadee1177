"""Descriptions of runs and versions: a verdict, scores beside nulls and baselines, a picture, how to
serve.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import quote

from eeg2fmri.baselines import CEILINGS
from eeg2fmri.evaluation import p_number, p_text
from eeg2fmri.plotting import SHORT_NAMES
from eeg2fmri.reporting import NAMES, Overall, beaten_by, bounds, interval_text, score_text
from eeg2fmri.scoring import NULLS, Significance, by_importance
from eeg2fmri.tracking import Argument, Evidence

DECIDING = "r2_temporal"
REPORT = "report.html"


def scored_on(split: str, tested: Collection[str], known: Collection[str]) -> str:
    """Name those on whom a model was scored.

    Parameters
    ----------
    split : part of the subjects.
    tested, known : subjects that were scored, and those of whom the model has seen a recording.
    """
    if split != "test":
        return f"{split} subjects"
    return "unseen sessions" if set(tested) & set(known) else "unseen subjects"


def verdict(argument: Argument, evidence: Evidence, who: str = "unseen subjects") -> str:
    """Say in one sentence whether a model does better than its nulls; `who` is from `scored_on`."""
    if not argument.beats_nulls:
        return f"Not better than its nulls: {'; '.join(c.reason for c in argument.nulls if not c.holds)}."
    return (
        f"Better than its nulls: r2_temporal {evidence.score('r2_temporal'):+.4f} on {who}, "
        f"{evidence.score('r2_temporal', 'shuffled'):+.4f} with shuffled EEG "
        f"({p_text(evidence.p_value, evidence.smallest_p)}), 0 for the mean volume."
    )


def argument_table(argument: Argument) -> str:
    """Write a Markdown table: a row per criterion of the gate."""
    rows = [[c.name, c.found, c.needed, "yes" if c.holds else "**no**"] for c in (*argument.nulls, *argument.champion)]
    return table(("criterion", "found", "needed", "holds"), rows)


def score_table(overall: Overall, significance: Significance) -> str:
    """Return markdown table: a row per score, by importance, beside its nulls; the deciding one with interval, p and
    ceiling.

    Parameters
    ----------
    overall : scores by condition.
    significance : of `r2_temporal`.
    """
    head = ["score", "model", "95 % interval", "mean volume", "shuffled EEG", "p"]
    ceilings = [name for name in CEILINGS if name in overall]
    head += [SHORT_NAMES[name] for name in ceilings]
    rows = []
    for name in by_importance(overall["model"]):
        model, *nulls = (score_text(name, overall[condition][name]) for condition in ("model", *NULLS))
        row = [f"`{name}`", model, "", *nulls]
        if name == "r2_temporal":
            row[2] = bounds(significance.interval)
            row += [p_number(significance.p_value)]
            row += [score_text(name, overall[ceiling][name]) for ceiling in ceilings]
        rows.append([*row, *[""] * (len(head) - len(row))])
    return table(head, rows)


def baseline_table(overall: Overall) -> str:
    """Return markdown table: a row per condition, with `r2_temporal` and the same without the global signal."""
    shown = ("r2_temporal", "r2_temporal_no_global")
    rows = [[NAMES[name], *(f"{scores[score]:+.4f}" for score in shown)] for name, scores in overall.items()]
    return table(["", "`r2_temporal`", "without the global signal"], rows)


def scored_text(
    argument: Argument,
    evidence: Evidence,
    significance: Significance,
    run_id: str,
    who: str,
) -> str:
    """Return verdict, table and picture of a run of `evaluate`; `who` is from `scored_on`."""
    effect, beaten = significance.effect_size, beaten_by(evidence.overall)
    size = "" if effect is None else f" Effect size: {effect:+.1f} standard deviations of the null."
    return paragraphs(
        verdict(argument, evidence, who),
        f"`r2_temporal` counts no drifts: {interval_text(significance)}; "
        f"{p_text(significance.p_value, significance.smallest_p)}.{size}",
        beaten[:1].upper() + beaten[1:] + "." if beaten else "",
        score_table(evidence.overall, significance),
        baseline_table(evidence.overall),
        dynamics_picture(run_id),
        picture(run_id, "figures/scores.png", "scores of every subject beside their nulls"),
    )


def dynamics_picture(run_id: str) -> str:
    """Show where the model of a run of `evaluate` follows BOLD over time, and whether that is chance."""
    return picture(run_id, "figures/dynamics.png", "dynamics: correlation map, courses, null and subjects")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def picture(run_id: str, path: str, alt: str) -> str:
    """Show an image of a run's artifacts; the address is that of MLflow's own pages."""
    return f"![{alt}](get-artifact?path={quote(path, safe='')}&run_uuid={run_id})"


def report_line(run_id: str, experiment_id: str) -> str:
    """Link to the artifact of a run that holds all of it on one page; the address is that of MLflow's own pages."""
    address = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{REPORT}"
    return f"All of it on one page, with an interactive map and a methods paragraph: artifact [`{REPORT}`]({address})."


def serving(name: str, version: str) -> str:
    """Explain how to serve a version."""
    return f"**Serve it**\n\n```\nmlflow models serve -m models:/{name}/{version} --env-manager local -p 5001\n```"


def paragraphs(*parts: str) -> str:
    """Join Markdown; leave out empty parts."""
    return "\n\n".join(part for part in parts if part)
