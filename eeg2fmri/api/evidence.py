"""Functions that say how good a model is, and what it uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri import plotting
from eeg2fmri.api.settings import Settings, changed, config_of
from eeg2fmri.errors import ConfigError
from eeg2fmri.evaluation import Relevance
from eeg2fmri.explanation import relevance
from eeg2fmri.families import fitted_figures
from eeg2fmri.files import written_whole
from eeg2fmri.scorable import atlas_to_score, check_fits, check_unseen, recordings_to_score, seen_windows
from eeg2fmri.scoring import Scoring, score_windows, scored_figures
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Store, Windows, recordings_digest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def evaluate(
    model: Bundle, store: Store, split: str = "test", config: Settings = None, *, atlas: Path | str | None = None
) -> Scoring:
    """Score a model on subjects that it has not seen, beside its nulls.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    store : Store
        Made with the settings of the store that the model was fitted on.
    split : {"test", "validation", "train"}, default="test"
        Part of the subjects.
    config : Config or path, optional
        Its sections ``split`` and ``evaluation``: who is in which part (by default as the store was prepared), and
        how many shuffles.
    atlas : path, optional
        Label image (NIfTI) whose regions are scored too; by default that of ``evaluation.atlas``, if there is one.

    Returns
    -------
    Scoring
        `table` has one row per recording and condition, with the columns subject, recording, condition and one per
        score. The conditions are ``model``, ``mean_volume`` (what knows no EEG), ``shuffled`` (the model, given EEG
        of the wrong time) and the baselines of ``evaluation.baselines``; `absent` says why one is not there.
        ``r2_temporal`` is the score that decides: the share of the changes over time, drifts left out, that is
        explained. `significance` has the chance that wrong EEG does as well, and the interval over subjects; `null` the
        distribution behind it. `voxels` has the voxels that the model follows beyond the false-discovery rate, and
        `regions` a table of scores per region where there is an atlas.

    Raises
    ------
    LeakageError
        If the model has seen one of the recordings.
    ModelError
        If the model does not fit the store.
    DatasetError
        If a recording is too short to shuffle, the test set is too small for ``policy.level``, or the atlas cannot be
        used.

    Examples
    --------
    >>> scores = eeg2fmri.evaluate(model, store)  # doctest: +SKIP
    >>> scores.table.groupby("condition")["r2_temporal"].mean()  # doctest: +SKIP
    """
    given = changed(config_of(config), "evaluation", atlas=atlas)
    check_fits(model, store)
    recordings = recordings_to_score(given, store, split)
    regions = atlas_to_score(given, store, recordings)
    check_unseen(model, recordings, split)
    windows = Windows(recordings, store.context)
    train, validation = (seen_windows(model, store, part) for part in ("train", "validation"))
    return score_windows(model.model, windows, given.evaluation, train, validation, regions)


def explain(
    model: Bundle, store: Store, split: str = "test", config: Settings = None, *, mask: np.ndarray | None = None
) -> Relevance:
    """Find out which channels, frequencies and lags a model's score comes from.

    One part of the EEG after the other is replaced by that of another time of the recording.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    store : Store
        Made with the settings of the store that the model was fitted on.
    split : {"test", "validation", "train"}, default="test"
        Which part of the subjects.
    config : Config or path, optional
        Its sections ``split``, ``evaluation`` and ``explanation``: who is in which part, which drifts do not count,
        and how many windows are looked at.
    mask : array, optional
        (x, y, z) bool, voxels whose score is explained; by default the brain.

    Returns
    -------
    Relevance
        What `r2_temporal` loses without each of the ``channels``, ``regions``, ``frequencies`` and ``lags``, beside
        what it loses by chance. `figures` draws it.

    Raises
    ------
    LeakageError
        If the model has seen one of the recordings.
    ModelError
        If the model does not fit the store.
    EvaluationError
        If no recording is long enough, or the mask does not fit.

    Examples
    --------
    >>> found = eeg2fmri.explain(model, store)  # doctest: +SKIP
    >>> found.channels.ranked()[:3]  # doctest: +SKIP
    ['O2', 'Oz', 'O1']
    """
    given = config_of(config)
    check_fits(model, store)
    recordings = recordings_to_score(given, store, split)
    check_unseen(model, recordings, split)
    return relevance(
        model.model,
        Windows(recordings, store.context),
        most=given.explanation.windows,
        drift_cutoff=given.evaluation.drift_cutoff,
        mask=mask,
    )


def figures(model: Bundle, scores: Scoring | None = None, found: Relevance | None = None) -> dict[str, Figure]:
    """Draw what a model learned, how it scores, and from what.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    scores : Scoring, optional
        From `evaluate`.
    found : Relevance, optional
        From `explain`.

    Returns
    -------
    dict of matplotlib.figure.Figure
        Where scores are given ``dynamics``, where the model follows BOLD over time and whether that is chance,
        ``scores``, and ``voxels``, those that it follows beyond the false-discovery rate; where `found` is,
        ``relevance``, and ``shares`` of a network's channels and frequencies in what it synthesises, and its
        ``attention``, if it has one; then ``learning_curves`` of several epochs, and those of the model's family
        (``coefficients`` of a linear model).

    Examples
    --------
    >>> for name, figure in eeg2fmri.figures(model, scores).items():  # doctest: +SKIP
    ...     figure.savefig(f"{name}.png")
    """
    drawn = fitted_figures(model.model, model.provenance["history"], model.signal)
    name = model.model.config.variant
    if found is not None:
        drawn = plotting.relevance_figures(found, title=name) | drawn
    if scores is not None:
        drawn = scored_figures(scores, title=name) | drawn
    return drawn


def report(
    model: Bundle,
    store: Store,
    out: Path | str,
    split: str = "test",
    config: Settings = None,
    *,
    scores: Scoring | None = None,
    found: Relevance | None = None,
) -> Path:
    """Write the report of an evaluation: one HTML page, which needs no network.

    It is the page that the command `evaluate` logs. MLflow is imported, and nothing is written to it.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    store : Store
        Made with the settings of the store that the model was fitted on.
    out : path
        The file, e.g. ``report.html``.
    split : {"test", "validation", "train"}, default="test"
        Part of the subjects.
    config : Config or path, optional
        Its sections ``split``, ``evaluation`` and ``policy``.
    scores : Scoring, optional
        From `evaluate` with the same model, store, split and configuration; by default they are computed.
    found : Relevance, optional
        From `explain`; without it the page has no explanation.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    ConfigError
        If `out` is no HTML file's name.
    LeakageError, ModelError, DatasetError
        As `evaluate`.

    Examples
    --------
    >>> scores, found = eeg2fmri.evaluate(model, store), eeg2fmri.explain(model, store)  # doctest: +SKIP
    >>> eeg2fmri.report(model, store, "report.html", scores=scores, found=found)  # doctest: +SKIP
    """
    from eeg2fmri.pipeline.report import evaluation_report
    from eeg2fmri.tracking import Evidence

    out, given = Path(out), config_of(config)
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{out}: a report is an HTML file, its name ends with .html; give another one")
    scores = scores or evaluate(model, store, split, given)
    windows = Windows(recordings_to_score(given, store, split), store.context)
    sure, digest = scores.significance, recordings_digest(windows.recordings)
    people = len({recording.subject for recording in windows.recordings})
    evidence = Evidence("", scores.overall, sure.p_value, sure.smallest_p, people, digest, "", "")
    page, _ = evaluation_report(
        given, model, store, split, (windows, seen_windows(model, store, "train"),
        seen_windows(model, store, "validation")), scores, evidence, found=found,
        unexplained="none was given", lineage={"digest of the recordings": digest},
    )  # fmt: skip
    with written_whole(out) as part:
        part.write_text(page, encoding="utf-8")
    return out
