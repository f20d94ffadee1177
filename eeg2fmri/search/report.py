"""The page of a study in MLflow: the best trial beside its nulls, what it changes, Optuna's plots."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import pandas as pd
import yaml
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import norm

from eeg2fmri.config import Config, ModelConfig, flatten
from eeg2fmri.errors import DivergenceError
from eeg2fmri.families import MONITOR
from eeg2fmri.search.space import NUMBER
from eeg2fmri.search.trial import JUDGED, MODEL_ATTRIBUTE, changes
from eeg2fmri.search.workplace import Workplace
from eeg2fmri.tracking import RunLog

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)
LINEAR = "linear"  # attribute of a study: the judgement of the family `linear`
PAGE = "study.html"
FRONT = 10  # configurations of a front that are logged


def best_trial(study: optuna.Study) -> FrozenTrial:
    """Return the complete trial with the highest score.

    Raises
    ------
    DivergenceError
        If no trial is complete.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise DivergenceError(
            f"study {study.study_name}: no trial was completed ({len(study.trials)} pruned or failed); run more trials"
        )
    return max(complete, key=lambda trial: trial.values[0])


def model_of(trial: FrozenTrial, base: ModelConfig) -> ModelConfig:
    """Return a trial's model, as the study keeps it."""
    return type(base).model_validate(trial.user_attrs[MODEL_ATTRIBUTE])


def expected_gain(noise: float, trials: int) -> float:
    """Return how far the best of equally good trials is above their mean by chance, if their noise is independent.

    References
    ----------
    Blom 1958, Statistical Estimates and Transformed Beta-Variables: the expected maximum of normal numbers.
    """
    return float(noise * norm.ppf((trials - 0.375) / (trials + 0.25))) if trials > 1 else 0.0


def verdict(study: optuna.Study, base: ModelConfig) -> str:
    """Say by how much the best trial exceeds its nulls and `linear`, beside the noise of a trial's score."""
    best = best_trial(study)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    judged, score = best.user_attrs[JUDGED], best.values[0]
    noise = judged["noise"]
    rows = [("the mean volume", 0.0), ("shuffled EEG", judged["shuffled"])]
    if linear := _linear_score(study, base):
        rows.append(linear)
    compared = [
        f"{'More' if score - other > noise else '**Not more**'} than the noise above {name} ({other:+.4f}): "
        f"{score - other:+.4f}."
        for name, other in rows
    ]
    gain = expected_gain(noise, len(complete))
    return "\n".join(
        [
            f"Best: trial {best.number}, `{MONITOR}` {score:+.4f}; noise {noise:.4f} (standard deviation with shuffled "
            f"EEG), p = {judged['p_value']:.3g} without correction for the choice of the trial and of its "
            "epoch.",
            "",
            *(f"- {line}" for line in compared),
            "",
            f"The judging subjects chose this trial and its epoch, so its score is too high. Of {len(complete)} "
            f"equally good trials the best would be up to {gain:.4f} above their mean; the choice of epochs adds to "
            f"that. `evaluate` or `crossval` give its score on others.",
        ]
    )


def difference(base: ModelConfig, best: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two models differ, with both values."""
    before, after = flatten(base, "model."), flatten(best, "model.")
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return {key: (before.get(key), after.get(key)) for key in keys}


def log_study(log: RunLog, here: Workplace, tuned: Config, out: Path) -> None:
    """Write the page of a study into its run."""
    study, base = here.shared.study, here.base
    best = best_trial(study)
    finished = here.shared.trials(TrialState.COMPLETE, TrialState.PRUNED)
    log.metrics({"search/best_r2_temporal": best.values[0], "search/trials": len(finished),
                 "search/pruned": len(here.shared.trials(TrialState.PRUNED)),
                 "search/best_shuffled": best.user_attrs[JUDGED]["shuffled"],
                 "search/best_noise": best.user_attrs[JUDGED]["noise"]})  # fmt: skip
    linear = _linear_score(study, base)
    if linear:
        log.metrics({"search/linear": linear[1]})
    changed = difference(base, tuned.models[0])
    shown = {key: {"configured": old, "best": new} for key, (old, new) in changed.items()}
    log.text(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), "difference.yaml")
    log.text(out.read_text(encoding="utf-8"), "best.yaml")
    log.numbers(_table(study, here), "trials.json")
    front = _log_front(log, here)
    for name, figure in figures(study, here.job.config.search.objectives):
        with io.BytesIO() as png:
            figure.savefig(png, dpi=120, bbox_inches="tight")  # long names of parameters stand outside the axes
            log.file(png.getvalue(), f"figures/{name}.png")
    page = plotly_page(study, here.job.config.search.objectives)
    if page:
        log.file(page.encode(), PAGE)  # the script in it is no text that may hold an address
    else:
        logger.info("search: no interactive plots without plotly: pip install 'eeg2fmri[plots]'")
    rows = "\n".join(f"| `{key}` | {_cell(old)} | {_cell(new)} |" for key, (old, new) in changed.items())
    table = f"| setting | configured | best |\n|---|---|---|\n{rows}" if rows else "The configured model is the best."
    told = verdict(study, base)
    plots = f"Plots: `{PAGE}`, `figures/`. All trials: `trials.json`." if page else "Plots: `figures/`."
    log.describe("\n\n".join(part for part in (told, table, front, plots) if part))
    logger.info("search: best %s %+.4f in trial %d (%s); configuration in %s", MONITOR, best.values[0], best.number,
                changes(best.params, here.start), out)  # fmt: skip
    logger.info("search: %s", " ".join(told.replace("**", "").replace("`", "").split()))


def figures(study: optuna.Study, objectives: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """Yield Optuna's plots as figures of Matplotlib, each with its name."""
    import matplotlib.pyplot as plt
    import optuna.visualization.matplotlib as plots

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, options in _plots(study, objectives):
            with plt.rc_context({"figure.figsize": (9, 5), "font.size": 9}):
                axes = getattr(plots, f"plot_{name}")(study, **options)
            figure = np.ravel(axes)[0].figure
            yield name, figure
            plt.close(figure)


def plotly_page(study: optuna.Study, objectives: Sequence[str]) -> str:
    """Return Optuna's interactive plots as one HTML page that needs no network; empty without plotly."""
    if importlib.util.find_spec("plotly") is None:
        return ""
    import optuna.visualization as plots
    import plotly.io

    parts: list[str] = []
    for name, options in _plots(study, objectives):
        figure = getattr(plots, f"plot_{name}")(study, **options)
        figure.update_layout(width=None)  # a slice for each parameter is wider than a screen
        parts.append(plotly.io.to_html(figure, full_html=False, include_plotlyjs=not parts, default_height="450px"))
    title = f"<title>{study.study_name}</title><h2>Study {study.study_name}</h2>"
    return f"<!DOCTYPE html><html><meta charset='utf-8'>{title}{''.join(parts)}</html>"


def _plots(study: optuna.Study, objectives: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names of the plots that these trials allow, with their options."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    varied = [name for name in {key: 0 for trial in complete for key in trial.params}
              if ".axis" not in name and name != NUMBER
              and len({trial.params.get(name) for trial in complete}) > 1]  # fmt: skip
    target: dict[str, Any] = {"target_name": MONITOR}
    if len(objectives) > 1:
        target["target"] = _score
    yield "optimization_history", target
    if len(complete) > 3 and varied and len({_score(trial) for trial in complete}) > 1:
        yield "param_importances", {"params": varied, **target} | ({"target": _lack} if "target" in target else {})
        yield "parallel_coordinate", {"params": varied, **target}
        yield "slice", {"params": varied, **target}
    if len(objectives) in (2, 3):
        yield "pareto_front", {"target_names": list(objectives)}
    yield "timeline", {}


def _score(trial: FrozenTrial) -> float:
    return float(trial.values[0])


def _lack(trial: FrozenTrial) -> float:
    """Return the score to minimise: Optuna looks for what makes a target low."""
    return -_score(trial)


def _log_front(log: RunLog, here: Workplace) -> str:
    """Log the models of a Pareto front; return its table in Markdown, empty with one objective."""
    objectives = here.job.config.search.objectives
    if len(objectives) < 2:
        return ""
    front = sorted(here.shared.study.best_trials, key=lambda trial: -trial.values[0])
    rows: list[list[Any]] = []
    for trial in front:
        rows.append([trial.number, *(f"{value:.4g}" for value in trial.values), changes(trial.params, here.start)])
        if len(rows) <= FRONT:
            model = model_of(trial, here.base).model_dump(mode="json")
            log.text(yaml.safe_dump(model, sort_keys=False), f"front/trial-{trial.number}.yaml")
    head = ["trial", *objectives, "changes"]
    lines: list[list[Any]] = [head, ["---"] * len(head), *rows]
    return "Pareto front:\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _linear_score(study: optuna.Study, base: ModelConfig) -> tuple[str, float] | None:
    """Return name and score of the model that a network is compared with."""
    if base.variant != "linear":
        judged = study.user_attrs.get(LINEAR)
        return ("`linear`", judged["score"]) if judged else None
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    own = next((trial for trial in complete if model_of(trial, base) == base), None)  # a repetition has another number
    return ("the configured `linear`", own.values[0]) if own else None


def _table(study: optuna.Study, here: Workplace) -> dict[str, Any]:
    """Return a table as MLflow shows it; `log_table` would add it to that of an earlier command."""
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            **dict(zip(here.job.config.search.objectives, trial.values or (), strict=False)),
            "shuffled": trial.user_attrs.get(JUDGED, {}).get("shuffled"),
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
            "changes": changes(trial.params, here.start),
        }
        for trial in study.get_trials(deepcopy=False)
    ]
    table = pd.DataFrame(rows).astype(object).replace({np.nan: None})
    return dict(table.to_dict(orient="split", index=False))


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
