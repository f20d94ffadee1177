"""Descriptions of runs and versions: a verdict, scores with their nulls, a picture, a way to serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from eeg2fmri.scoring import CONDITIONS, by_importance
from eeg2fmri.tracking import Argument, Evidence

Overall = Mapping[str, Mapping[str, float]]
SIGNED = ("r2_temporal", "skill", "temporal_correlation")


def verdict(argument: Argument, evidence: Evidence) -> str:
    """Say in one sentence whether a model does better than its nulls."""
    if not argument.beats_nulls:
        return f"Not better than its nulls: {'; '.join(c.reason for c in argument.nulls if not c.holds)}."
    return (
        f"Better than its nulls: r2_temporal {evidence.score('r2_temporal'):+.4f} on unseen subjects, "
        f"{evidence.score('r2_temporal', 'shuffled'):+.4f} with shuffled EEG (p = {evidence.p_value:.3f}), "
        f"0 for the mean volume."
    )


def argument_table(argument: Argument) -> str:
    """Write a Markdown table: a row per criterion of the gate."""
    rows = [[c.name, c.found, c.needed, "yes" if c.holds else "**no**"] for c in (*argument.nulls, *argument.champion)]
    return table(("criterion", "found", "needed", "holds"), rows)


def score_table(overall: Overall, p_value: float, best_reachable: float | None = None) -> str:
    """Write a Markdown table: a row per score, by importance, with its nulls; the deciding one with p and ceiling.

    Parameters
    ----------
    overall : scores by condition.
    p_value : of `r2_temporal`.
    best_reachable : the ceiling of `r2_temporal`, which only a simulator knows.
    """
    head = ["score", "model", "mean volume", "shuffled EEG", "p"] + ["best reachable"] * (best_reachable is not None)
    rows = []
    for name in by_importance(overall["model"]):
        form = "{:+.4f}" if name in SIGNED else "{:.4f}"
        row = [f"`{name}`", *(form.format(overall[condition][name]) for condition in CONDITIONS)]
        if name == "r2_temporal":
            row += [f"{p_value:.3f}"] + ([f"{best_reachable:+.4f}"] if best_reachable is not None else [])
        rows.append([*row, *[""] * (len(head) - len(row))])
    return table(head, rows)


def scored_text(argument: Argument, evidence: Evidence, run_id: str, best_reachable: float | None) -> str:
    """Write verdict, table and picture of a run of `evaluate`."""
    return paragraphs(
        verdict(argument, evidence),
        score_table(evidence.overall, evidence.p_value, best_reachable),
        picture(run_id, "figures/scores.png", "scores of every subject, and their nulls"),
    )


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
