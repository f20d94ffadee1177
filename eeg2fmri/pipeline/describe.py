"""Descriptions of runs and versions: a verdict, scores beside nulls and baselines, a picture, how to
serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from eeg2fmri.evaluation import p_number, p_text
from eeg2fmri.scoring import LEAST_SUBJECTS, NULLS, Significance, by_importance, strongest_baseline
from eeg2fmri.tracking import Argument, Evidence

Overall = Mapping[str, Mapping[str, float]]
SIGNED = ("r2_temporal", "r2_temporal_no_global", "skill", "temporal_correlation", "r2_temporal_raw")


def verdict(argument: Argument, evidence: Evidence) -> str:
    """Say in one sentence whether a model does better than its nulls."""
    if not argument.beats_nulls:
        return f"Not better than its nulls: {'; '.join(c.reason for c in argument.nulls if not c.holds)}."
    return (
        f"Better than its nulls: r2_temporal {evidence.score('r2_temporal'):+.4f} on unseen subjects, "
        f"{evidence.score('r2_temporal', 'shuffled'):+.4f} with shuffled EEG "
        f"({p_text(evidence.p_value, evidence.smallest_p)}), 0 for the mean volume."
    )


def argument_table(argument: Argument) -> str:
    """Write a Markdown table: a row per criterion of the gate."""
    rows = [[c.name, c.found, c.needed, "yes" if c.holds else "**no**"] for c in (*argument.nulls, *argument.champion)]
    return table(("criterion", "found", "needed", "holds"), rows)


def score_table(overall: Overall, significance: Significance, best_reachable: float | None = None) -> str:
    """Return markdown table: a row per score, by importance, beside its nulls; the deciding one with interval, p and
    ceiling.

    Parameters
    ----------
    overall : scores by condition.
    significance : of `r2_temporal`.
    best_reachable : the ceiling of `r2_temporal`, which only a simulator knows.
    """
    head = ["score", "model", "95 % interval", "mean volume", "shuffled EEG", "p"]
    head += ["best reachable"] * (best_reachable is not None)
    rows = []
    for name in by_importance(overall["model"]):
        form = "{:+.4f}" if name in SIGNED else "{:.4f}"
        model, *nulls = (form.format(overall[condition][name]) for condition in ("model", *NULLS))
        row = [f"`{name}`", model, "", *nulls]
        if name == "r2_temporal":
            row[2] = bounds(significance)
            row += [p_number(significance.p_value)]
            row += [f"{best_reachable:+.4f}"] if best_reachable is not None else []
        rows.append([*row, *[""] * (len(head) - len(row))])
    return table(head, rows)


NAMES = {
    "model": "the model",
    "mean_volume": "mean volume of training",
    "shuffled": "the model, EEG of the wrong time",
    "swapped": "the model, EEG of other subjects",
    "arousal": "arousal alone",
    "motion_pulse": "motion and pulse alone",
    "task": "task alone",
    "linear": "the family linear",
    "subject_mean": "the subject's own mean volume",
}


def baseline_table(overall: Overall) -> str:
    """Return markdown table: a row per condition, with `r2_temporal` and the same without the global signal."""
    shown = ("r2_temporal", "r2_temporal_no_global")
    rows = [[NAMES[name], *(f"{scores[score]:+.4f}" for score in shown)] for name, scores in overall.items()]
    return table(["", "`r2_temporal`", "without the global signal"], rows)


def beaten_by(overall: Overall) -> str:
    """Say that a baseline explains more than the model, or at least as much; empty if none does."""
    strongest, model = strongest_baseline(overall), overall["model"]["r2_temporal"]
    if strongest is None or strongest[1] < model:
        return ""
    name, score = strongest
    much = "more than" if score > model else "as much as"
    return f"the {name} baseline explains {much} the model ({score:.4f} against {model:.4f})"


def bounds(significance: Significance) -> str:
    """Return the interval over subjects as a cell of a table."""
    return "{:+.4f} to {:+.4f}".format(*significance.interval) if significance.interval else "–"


def interval_text(significance: Significance) -> str:
    """Return the interval over subjects in words, or why there is none."""
    if significance.interval is None:
        return f"no interval, it needs {LEAST_SUBJECTS} subjects"
    return f"95 % interval over subjects {bounds(significance)}"


def scored_text(
    argument: Argument, evidence: Evidence, significance: Significance, run_id: str, best_reachable: float | None
) -> str:
    """Return verdict, table and picture of a run of `evaluate`."""
    effect, beaten = significance.effect_size, beaten_by(evidence.overall)
    size = "" if effect is None else f" Effect size: {effect:+.1f} standard deviations of the null."
    return paragraphs(
        verdict(argument, evidence),
        f"`r2_temporal` counts no drifts: {interval_text(significance)}; "
        f"{p_text(significance.p_value, significance.smallest_p)}.{size}",
        beaten[:1].upper() + beaten[1:] + "." if beaten else "",
        score_table(evidence.overall, significance, best_reachable),
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


def serving(name: str, version: str) -> str:
    """Explain how to serve a version."""
    return f"**Serve it**\n\n```\nmlflow models serve -m models:/{name}/{version} --env-manager local -p 5001\n```"


def paragraphs(*parts: str) -> str:
    """Join Markdown; leave out empty parts."""
    return "\n\n".join(part for part in parts if part)
