"""Reports: of an evaluation with its figures, drawn once for the run and for the page, and of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from eeg2fmri import plotting
from eeg2fmri.config import Config, ModelConfig
from eeg2fmri.evaluation import Relevance
from eeg2fmri.pipeline import crossed
from eeg2fmri.pipeline.describe import scored_on, verdict
from eeg2fmri.pipeline.figures import volume_figure
from eeg2fmri.reporting import Crossed, Evaluated, crossval_page, evaluation_page, render
from eeg2fmri.scoring import Scoring, scored_figures
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Store, Windows
from eeg2fmri.tracking import Evidence, argue
from eeg2fmri.tracking.runs import versions


def evaluation_report(
    config: Config,
    bundle: Bundle,
    store: Store,
    split: str,
    parts: tuple[Windows, Windows | None, Windows | None],
    scored: Scoring,
    evidence: Evidence,
    *,
    found: Relevance | None,
    unexplained: str,
    lineage: Mapping[str, str],
) -> tuple[str, dict[str, bytes]]:
    """Draw the figures of an evaluation, and write its page around them.

    Parameters
    ----------
    config : sections `evaluation` and `policy`.
    bundle, store, split : what was scored, on what.
    parts : windows that were scored, and those that the model was fitted on and chosen by.
    scored, evidence : scores, and what the gate makes of them.
    found, unexplained : relevance, or why there is none.
    lineage : names and values of what the scores come from.

    Returns
    -------
    The page as HTML, and every figure in it by name, as PNG.
    """
    title, argument = bundle.model.config.variant, argue(config.policy, evidence)
    windows, *fitted = parts
    known = {recording.subject for part in fitted if part for recording in part.recordings}
    who = scored_on(split, {recording.subject for recording in windows.recordings}, known)
    figures = scored_figures(scored, title=title, who=who)
    figures["volume"] = volume_figure(windows, scored.example, int(store.settings["dropped_volumes"]), title=title)
    if found is not None:
        figures |= plotting.relevance_figures(found, title=title)
    drawn = {name: plotting.figure_to_png(figure) for name, figure in figures.items()}
    page = evaluation_page(
        Evaluated(
            config=config,
            bundle=bundle,
            store=store,
            split=split,
            windows=windows,
            train=parts[1],
            validation=parts[2],
            scored=scored,
            verdict=verdict(argument, evidence, who),
            good=argument.beats_nulls,
            figures=drawn,
            unexplained=unexplained,
            lineage=lineage,
            versions=versions(),
        )
    )
    return render(page), drawn


def crossval_report(
    config: Config,
    store: Store,
    models: Sequence[ModelConfig],
    result: crossed.Crossvalidation,
    scores: pd.DataFrame,
    figures: Mapping[str, bytes],
    *,
    absent: Mapping[str, Mapping[str, str]],
    runs: Sequence[tuple[str, int, str]],
    lineage: Mapping[str, str],
) -> str:
    """Write the page of a cross-validation, as HTML; for the parameters see `Crossed`."""
    best, level = max(result.scores, key=result.mean), config.policy.level
    page = crossval_page(
        Crossed(
            config=config,
            store=store,
            protocol=result.protocol,
            seen=crossed.SEEN.get(result.protocol, ""),
            folds=result.folds,
            models={model.variant: model for model in models},
            table=scores,
            nulls=result.nulls,
            pairs=result.pairs,
            left_out=result.left_out,
            absent=absent,
            runs=runs,
            verdict=crossed.verdict(result, level),
            good=crossed.better_than_nulls(result, best, level),
            figures=figures,
            lineage=lineage,
            versions=versions(),
        )
    )
    return render(page)
