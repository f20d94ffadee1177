"""The report of a cross-validation: the questions of `evaluation`, over all folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eeg2fmri.baselines import CEILINGS
from eeg2fmri.config import Config, ModelConfig
from eeg2fmri.evaluation import Comparison, Null, p_number
from eeg2fmri.plotting import SHORT_NAMES
from eeg2fmri.reporting import limits, methods
from eeg2fmri.reporting.data import data_blocks, signal_rows
from eeg2fmri.reporting.evaluation import NO_INTERVAL, ceiling_numbers, folded, methods_quote
from eeg2fmri.reporting.page import Block, Folded, Number, Page, Picture, Points, Section, Table, Text
from eeg2fmri.reporting.words import NAMES, bounds, counted, listed, paired, score_text
from eeg2fmri.scoring import LEAST_SUBJECTS, NO_NULLS, scores_by_subject, subject_interval, summarise
from eeg2fmri.store import Split, Store

CAPTIONS = {"subjects": "Score of every subject by every model, beside the same with EEG of the wrong time."}
BESIDE = ("r2_temporal_no_global", "r2_temporal_raw")  # columns after the deciding score


@dataclass(frozen=True)
class Crossed:
    """Results of a cross-validation, and what they come from.

    seen: sentence on what the models have seen of those whom they were tested on.  models: settings by name.
    table: model, fold, subject, recording, condition and one column per score.  nulls: pooled over the folds, by model.
    pairs: every two models.  left_out: why a model has no scores, by name.  absent: why a baseline is absent, by model.
    runs: model, fold and run of each evaluation.  verdict, good: in a sentence, and whether the best model does better
    than its nulls.  figures: PNG by name, as logged.  lineage: names and values.  versions: of the software, by name.
    """

    config: Config
    store: Store
    protocol: str
    seen: str
    folds: Sequence[Split]
    models: Mapping[str, ModelConfig]
    table: pd.DataFrame
    nulls: Mapping[str, Null]
    pairs: Mapping[tuple[str, str], Comparison]
    left_out: Mapping[str, str]
    absent: Mapping[str, Mapping[str, str]]
    runs: Sequence[tuple[str, int, str]]
    verdict: str
    good: bool
    figures: Mapping[str, bytes]
    lineage: Mapping[str, str]
    versions: Mapping[str, str]

    def of(self, model: str) -> pd.DataFrame:
        """Return the scores of one model, as `Scoring.table`."""
        return self.table[self.table.model == model].drop(columns=["model", "fold"])

    @property
    def subjects(self) -> list[str]:
        """Subjects that were tested."""
        return sorted(self.table.subject.unique())

    @property
    def overall(self) -> dict[str, dict[str, dict[str, float]]]:
        """Scores by model and condition, means over subjects."""
        return {model: summarise(self.of(model)) for model in self.models}


def crossval_page(found: Crossed) -> Page:
    """Make the page of a cross-validation."""
    labels = {label for fold in found.folds for label in fold.test}
    tested = {f"tested in {counted(len(found.folds), 'fold')}": found.store.of(tuple(labels))}
    return Page(
        title=f"Cross-validation of {listed(list(found.models))} on {found.store.name or found.store.path}",
        subtitle=f"{found.protocol}, {counted(len(found.folds), 'fold')}, {counted(len(found.subjects), 'subject')}",
        verdict=found.verdict,
        tone="good" if found.good else "bad",
        numbers=_numbers(found),
        remarks=[f"Left out: {model}: {reason}." for model, reason in found.left_out.items()],
        sections=[
            Section("data", "Data", "What was measured, and on whom?", data_blocks(found.store, tested)),
            Section("protocol", "Protocol", "Who was unseen, and what was fitted on whom?", _protocol(found)),
            Section("scores", "Scores", "Is it more than chance, drifts, or a confound?", _scores(found)),
            Section("comparison", "Comparison", "Is one model better than another?", _comparison(found)),
            Section("figures", "Figures", "What does it look like?", _pictures(found)),
            Section("folds", "Folds", "What stands behind each number?", _folds(found)),
            Section("limits", "Limits", "What does this not show?", [Points(_limits(found))]),
            Section("methods", "Methods", "How would one write it down?", [methods_quote(_methods(found))]),
            Section("configuration", "Configuration and lineage", "How can it be repeated?", _configuration(found)),
        ],
    )


def _numbers(found: Crossed) -> list[Number]:
    overall = found.overall
    best = max(overall, key=lambda model: overall[model]["model"]["r2_temporal"])
    nulls = {name: scores["r2_temporal"] for name, scores in overall[best].items() if name not in NO_NULLS}
    strongest, null = max(nulls, key=nulls.__getitem__), found.nulls[best]
    effect = "–" if null.effect_size is None else f"{null.effect_size:+.1f}"
    interval = subject_interval([*_by_subject(found, best)["model"].values()])
    numbers = [
        Number("`r2_temporal`", f"{overall[best]['model']['r2_temporal']:+.4f}", f"{best}, the highest"),
        Number("strongest null", f"{nulls[strongest]:+.4f}", NAMES[strongest]),
        Number("p", p_number(null.p_value), f"smallest reachable {p_number(null.smallest_p)}"),
        Number("effect size", effect, "standard deviations of the null"),
        Number("95 % interval", bounds(interval), "over subjects" if interval else NO_INTERVAL),
    ]
    return [*numbers, *ceiling_numbers(overall[best])]


def _by_subject(found: Crossed, model: str) -> dict[str, dict[str, float]]:
    return scores_by_subject(found.of(model))["r2_temporal"]


def _protocol(found: Crossed) -> list[Block]:
    points = [
        found.seen,
        "In each fold, weights, components, scalings and the mean volume come from the training part only.",
        "Validation subjects choose epochs and penalties. They do not train.",
        "Each measured volume is standardised by mean and standard deviation of its own recording, for the score only.",
    ]
    rows = [
        [str(number), listed(list(fold.test)), listed(list(fold.validation)), f"{len(fold.train)}"]
        for number, fold in enumerate(found.folds, 1)
    ]
    table = Table(("fold", "tested", "validation", "training"), rows, words=True)
    return [Points([point for point in points if point]), table]


def _scores(found: Crossed) -> list[Block]:
    blocks: list[Block] = [_model_table(found)]
    for model, overall in found.overall.items():
        own = _by_subject(found, model)
        rows = [
            [NAMES[name], score_text("r2_temporal", of["r2_temporal"]), bounds(subject_interval([*own[name].values()])),
             *(score_text(score, of[score]) for score in BESIDE)]
            for name, of in overall.items()
        ]  # fmt: skip
        head = ("", "`r2_temporal`", "95 % interval", "without global signal", "raw, with drifts")
        blocks.append(Table(head, rows, f"{model} beside its nulls and baselines, mean over subjects.", bold=0))
        if absent := found.absent.get(model):
            some = {name: " (in some folds)" if name in overall else "" for name in absent}
            points = [f"{NAMES[name]}{some[name]}: {reason}." for name, reason in absent.items()]
            blocks += [Text(f"Baselines of {model} that were asked for and are absent:"), Points(points)]
    scores = {model: _by_subject(found, model) for model in found.models}
    columns = {
        f"{model}, {SHORT_NAMES[name]}" if name == "shuffled" else model: own[name]
        for model, own in scores.items() for name in ("model", "shuffled")
    }  # fmt: skip
    first = next(iter(scores.values()))  # ceilings do not depend on the model
    columns |= {SHORT_NAMES[name]: first[name] for name in CEILINGS if name in first}
    rows = [[subject, *(f"{own[subject]:+z.4f}" for own in columns.values())] for subject in found.subjects]
    return [*blocks, Table(("subject", *columns), rows, "`r2_temporal` of each subject.")]


def _model_table(found: Crossed) -> Table:
    """Return each model's score in its null distribution, which is pooled over the folds."""
    rows = []
    for model, null in found.nulls.items():
        own = _by_subject(found, model)
        above = sum(own["model"][subject] > own["shuffled"][subject] for subject in found.subjects)
        effect = "–" if null.effect_size is None else f"{null.effect_size:+.1f}"
        rows.append([model, f"{null.observed:+.4f}", bounds(subject_interval([*own["model"].values()])),
                     f"{np.mean(null.draws):+.4f}", effect, p_number(null.p_value), p_number(null.smallest_p),
                     f"{above} of {len(found.subjects)}"])  # fmt: skip
    head = ("model", "`r2_temporal`", "95 % interval", "mean of null", "effect size", "p", "smallest p",
            "above shuffled EEG")  # fmt: skip
    return Table(head, rows, "Each model in its null distribution: shuffled EEG, pooled over the folds.")


def _comparison(found: Crossed) -> list[Block]:
    if not found.pairs:
        return [Text("There is one model, so there is nothing to compare.")]
    level = found.config.policy.level
    rows = [
        [f"{one} − {other}", f"{c.median_difference:+z.4f}", str(c.won), str(c.lost), f"{c.p_value:.3g}",
         f"{c.smallest_p:.2g}"]
        for (one, other), c in found.pairs.items()
    ]  # fmt: skip
    head = ("pair", "median difference", "subjects won", "lost", "p", "smallest p")
    words = [f"{paired(one, other, c, level)}." for (one, other), c in found.pairs.items()]
    return [Points(words), Table(head, rows, "Models compared by subject (Wilcoxon's signed ranks, two-sided).")]


def _pictures(found: Crossed) -> list[Block]:
    return [Picture(png, CAPTIONS.get(name, name)) for name, png in found.figures.items()]


def _folds(found: Crossed) -> list[Block]:
    deciding = found.table[found.table.condition == "model"]
    rows = []
    for model, fold, run in found.runs:
        own = deciding[(deciding.model == model) & (deciding.fold == fold)].groupby("subject")["r2_temporal"].mean()
        rows.append([model, str(fold), listed(sorted(own.index)), f"{own.mean():+z.4f}", f"`{run}`"])
    table = Table(("model", "fold", "tested", "`r2_temporal`", "run of the evaluation"), rows, words=True)
    return [Text("Each run below has a report of its own, with map and figures."), table]


def _limits(found: Crossed) -> list[str]:
    subjects, pairs = len(found.subjects), found.pairs
    points = [
        *limits.of_data(found.store, ceiling="best_reachable" in set(found.table.condition)),
        *limits.of_subjects(subjects),
    ]
    if len(found.folds) > 1:
        points.append("Models of different folds share training subjects. The interval takes no account of that.")
    if found.protocol == "leave-one-session-out":
        points.append("The models have seen other sessions of the same people. New people may score less.")
    for model, null in found.nulls.items():
        points += [f"{model}: {text}" for text in limits.of_p(null.p_value, null.smallest_p)[:1]]
    points.append(limits.OTHERS)
    if pairs:
        smallest = next(iter(pairs.values())).smallest_p
        points += limits.of_pairs(subjects, smallest, len(pairs), found.config.policy.level)
    for model, overall in found.overall.items():
        points += limits.of_baselines(overall, of=model)
    return points


def _methods(found: Crossed) -> str:
    config, store = found.config.evaluation, found.store
    conditions = list(dict.fromkeys(name for overall in found.overall.values() for name in overall))
    frequencies = np.asarray(store.signal.frequencies)
    validation = sorted({len(fold.validation) for fold in found.folds})
    kind = "session" if found.protocol == "leave-one-session-out" else "subject"
    how = f"Models were cross-validated ({found.protocol}, {counted(len(found.folds), 'fold')})."
    who = f"In each fold {' or '.join(counted(n, kind) for n in validation)} of the others chose epochs and penalties."
    pooled = "The null of the mean over all folds combined the draws of the folds, each in a new random order."
    interval = len(found.subjects) >= LEAST_SUBJECTS
    comparison = "Two models were compared by subject with Wilcoxon's signed ranks, two-sided (Wilcoxon 1945)."
    return " ".join(
        (
            methods.data_methods(store.settings, store.recordings),
            how,
            who,
            *(methods.model_methods(model, frequencies) for model in found.models.values()),
            methods.score_methods(config, store.context, conditions, interval=interval, voxels=False),
            pooled,
            *([comparison] if found.pairs else []),
            methods.software(found.versions),
        )
    )


def _configuration(found: Crossed) -> list[Block]:
    tree = found.config.model_dump(mode="json")
    own = {name: tree[name] for name in ("crossval", "evaluation", "policy")}
    return [
        Text("The folds are in the artifact `split.json`. `eeg2fmri crossval --split-file split.json` repeats them."),
        Table((), [[name, value] for name, value in found.lineage.items()], words=True),
        Table((), [*signal_rows(found.store)], words=True),
        folded("Settings of the cross-validation", own),
        *(folded(f"Settings of {name}", model.model_dump(mode="json")) for name, model in found.models.items()),
        folded("Settings of the store", dict(found.store.settings)),
        Folded("Versions", "\n".join(f"{name} {version}" for name, version in found.versions.items())),
    ]
