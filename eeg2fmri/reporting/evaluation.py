"""The report of one evaluation: what a sceptical reader asks, in the order in which it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import yaml

from eeg2fmri.baselines import CEILINGS, REGRESSIONS
from eeg2fmri.config import Config
from eeg2fmri.evaluation import FDR_LEVEL, p_number
from eeg2fmri.plotting import SHORT_NAMES
from eeg2fmri.reporting import limits, methods
from eeg2fmri.reporting.data import data_blocks, signal_rows
from eeg2fmri.reporting.page import Block, Folded, Number, Page, Picture, Points, Quote, Section, Table, Text
from eeg2fmri.reporting.references import cited
from eeg2fmri.reporting.viewer import map_viewer
from eeg2fmri.reporting.words import NAMES, Overall, beaten_by, bounds, listed, score_text
from eeg2fmri.scoring import LEAST_SUBJECTS, NO_NULLS, Scoring, by_importance, scores_by_subject, subject_interval
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Store, StoredRecording, Windows

KNOWS = {"given_amplitudes": "ceiling: of an unseen subject", "best_reachable": "ceiling: knows the subject"}
NO_INTERVAL = f"none: it needs {LEAST_SUBJECTS} subjects"
CAPTIONS = {
    "dynamics": "Dynamics: correlation over time in each voxel, courses of the best region, the score in its null "
    "distribution, and every subject.",
    "scores": "Every score of every subject beside its nulls.",
    "voxels": "Voxels that the model follows more than by chance: r over time where its false-discovery rate is low.",
    "regions": "Each region of the atlas: r of its mean course beside shuffled EEG.",
    "volume": "One volume: measured, synthesised, and their difference. No score chooses it.",
    "relevance": "What the score loses without each channel, region, band and lag, beside what it loses by chance.",
    "shares": "Share of the synthesised fluctuations that each channel and frequency makes (gradient × input).",
    "attention": "How much of each channel goes into each one, by the model's attention.",
}
MAIN, MAP, EXPLAIN = ("dynamics", "scores", "volume"), ("voxels", "regions"), ("relevance", "shares", "attention")


@dataclass(frozen=True)
class Evaluated:
    """Results of one evaluation, and what they come from.

    split: part of the subjects.  windows: that were scored.  train, validation: windows that the model was fitted on
    and chosen by; ``None`` where the store does not hold them.  verdict: in one sentence.  good: the model does better
    than its nulls.  figures: PNG by name, as logged.
    unexplained: why there is no relevance; empty where there is.  lineage: names and values.
    versions: of the software, by name.
    """

    config: Config
    bundle: Bundle
    store: Store
    split: str
    windows: Windows
    train: Windows | None
    validation: Windows | None
    scored: Scoring
    verdict: str
    good: bool
    figures: Mapping[str, bytes]
    unexplained: str
    lineage: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def subjects(self) -> list[str]:
        """Subjects that were scored."""
        return sorted({recording.subject for recording in self.windows.recordings})

    @property
    def seen(self) -> list[str]:
        """Subjects that were scored, of whom the model has seen other recordings."""
        known = {r.subject for part in (self.train, self.validation) if part for r in part.recordings}
        return [subject for subject in self.subjects if subject in known]

    @property
    def parts(self) -> dict[str, Sequence[StoredRecording] | None]:
        """Recordings by what they were used for."""
        name = "test" if self.split == "test" else f"scored ({self.split})"
        parts = {"training": self.train, "validation": self.validation, name: self.windows}
        return {name: windows.recordings if windows else None for name, windows in parts.items()}


def evaluation_page(found: Evaluated) -> Page:
    """Make the page of an evaluation."""
    variant, store = found.bundle.model.config.variant, found.store
    beaten = beaten_by(found.scored.overall)
    return Page(
        title=f"{variant} on {store.name or store.path}",
        subtitle=f"Scores on {found.split} subjects {', '.join(found.subjects)}",
        verdict=found.verdict,
        tone="good" if found.good and not beaten else "bad",
        numbers=_numbers(found),
        remarks=[f"{beaten[:1].upper()}{beaten[1:]}."] if beaten else [],
        sections=_sections(found),
    )


def _numbers(found: Evaluated) -> list[Number]:
    overall, sure = found.scored.overall, found.scored.significance
    nulls = {name: scores["r2_temporal"] for name, scores in overall.items() if name not in NO_NULLS}
    strongest = max(nulls, key=nulls.__getitem__)
    effect = "–" if sure.effect_size is None else f"{sure.effect_size:+.1f}"
    numbers = [
        Number("`r2_temporal`", f"{overall['model']['r2_temporal']:+.4f}", "share of variance over time explained"),
        Number("strongest null", f"{nulls[strongest]:+.4f}", NAMES[strongest]),
        Number("p", p_number(sure.p_value), f"smallest reachable {p_number(sure.smallest_p)}"),
        Number("effect size", effect, "standard deviations of the null"),
        Number("95 % interval", bounds(sure.interval), "over subjects" if sure.interval else NO_INTERVAL),
    ]
    return [*numbers, *ceiling_numbers(overall)]


def ceiling_numbers(overall: Overall) -> list[Number]:
    """Return the ceilings of simulated data; none for measured data."""
    known = [(name, overall[name]["r2_temporal"]) for name in CEILINGS if name in overall]
    return [Number(SHORT_NAMES[name], f"{score:+.4f}", KNOWS[name]) for name, score in known]


def _sections(found: Evaluated) -> list[Section]:
    others = [name for name in found.figures if name not in (*MAIN, *MAP, *EXPLAIN)]
    return [
        Section("data", "Data", "What was measured, and on whom?", data_blocks(found.store, found.parts)),
        Section("protocol", "Protocol", "Who was unseen, and what was fitted on whom?", [Points(protocol(found))]),
        Section("scores", "Scores", "Is it more than chance, drifts, or a confound?", _scores(found)),
        Section("figures", "Figures", "What does it look like?", _pictures(found, MAIN)),
        Section("map", "Map", "Where in the brain does the model follow BOLD?", _map(found)),
        *([Section("further", "Further figures", "What else was logged?", _pictures(found, others))] if others else []),
        Section("explanation", "Explanation", "Which EEG does the score come from?", _explanation(found)),
        Section("limits", "Limits", "What does this not show?", [Points(_limits(found))]),
        Section("methods", "Methods", "How would one write it down?", [methods_quote(_methods(found))]),
        Section("configuration", "Configuration and lineage", "How can it be repeated?", _configuration(found)),
    ]


def protocol(found: Evaluated) -> list[str]:
    """Say who was unseen, and what was fitted on whom."""
    config, people = found.bundle.model.config, found.bundle.provenance["subjects"]
    refitted = not found.bundle.provenance["recordings"]["validation"]
    unseen = {
        "test": f"The model has seen other sessions of {listed(found.seen)}, and none of these recordings."
        if found.seen
        else f"The model has seen no recording of {listed(found.subjects)}.",
        "validation": f"The model was not fitted on {listed(found.subjects)}. They may have chosen it.",
        "train": "These recordings are of the training part. The model may have been fitted on them.",
    }[found.split]
    points = [
        unseen,
        f"Weights, the mean volume, components and scalings come from {listed(people['train'])}."
        + (f" After all choices the model was fitted again, with {listed(people['validation'])} too." * refitted),
        f"Epochs, penalties and other choices come from validation subjects ({listed(people['validation'])})."
        if config.family != "mean"
        else "",
        "Each measured volume is standardised by mean and standard deviation of its own recording, for the score only.",
        "The region whose courses are shown was chosen on training recordings."
        if found.scored.dynamics.region is not None
        else "",
    ]
    fitted = [SHORT_NAMES.get(name, name) for name in REGRESSIONS if name in found.scored.overall]
    if fitted:
        points.append(f"Regressions that stand beside the model were fitted on the same recordings: {listed(fitted)}.")
    return [point for point in points if point]


def _scores(found: Evaluated) -> list[Block]:
    overall, scored = found.scored.overall, found.scored
    scores = scores_by_subject(scored.table)
    deciding = scores["r2_temporal"]
    main = ("r2_temporal_no_global", "r2_temporal_raw")
    spread = {name: bounds(subject_interval([*own.values()])) for name, own in deciding.items()}
    rows = [
        [NAMES[name], score_text("r2_temporal", of["r2_temporal"]), spread[name], *(score_text(s, of[s]) for s in main)]
        for name, of in overall.items()
    ]
    others = [name for name in by_importance(overall["model"]) if name not in ("r2_temporal", *main)]
    by_subject = [[subject, *(f"{deciding[name][subject]:+.4f}" for name in overall)] for subject in found.subjects]
    blocks: list[Block] = [
        Table(
            ("", "`r2_temporal`", "95 % interval", "without global signal", "raw, with drifts"),
            rows,
            "Temporal scores, mean over subjects. The first column decides.",
            bold=0,
        )
    ]
    if scored.absent:
        blocks.append(Text("Baselines that were asked for and are absent:"))
        blocks.append(Points([f"{NAMES[name]}: {reason}." for name, reason in scored.absent.items()]))
    blocks += [
        Table(("", *(f"`{name}`" for name in others)), [
            [NAMES[name], *(score_text(score, of[score]) for score in others)] for name, of in overall.items()
        ], "Other scores; most of them are anatomy.", bold=0),
        Table(
            ("subject", *(SHORT_NAMES.get(name, name) for name in overall)),
            by_subject,
            "`r2_temporal` of each subject, mean over its recordings.",
        ),
    ]  # fmt: skip
    return blocks


def _pictures(found: Evaluated, names: Sequence[str]) -> list[Block]:
    return [Picture(found.figures[name], CAPTIONS.get(name, name)) for name in names if name in found.figures]


def _map(found: Evaluated) -> list[Block]:
    voxels = found.scored.voxels
    count, tested = int(voxels.significant.sum()), int(voxels.mask.sum())
    text = f"{count:,} of {tested:,} voxels are significant (false-discovery rate q < {FDR_LEVEL:g}, one-sided)."
    return [Text(text), _viewer(found), *_pictures(found, MAP)]


def _viewer(found: Evaluated) -> Block:
    dynamics, signal = found.scored.dynamics, found.scored.signal
    count = len(found.windows.recordings)
    caption = "Pearson's r over time, mean over subjects, on the mean volume. Click to move."
    if signal.space == "native" and count > 1:
        caption += " The recordings are not registered to each other; coordinates are those of the first one."
    affine = np.asarray(signal.affine)
    return map_viewer(dynamics.correlation, dynamics.background, dynamics.mask, affine, caption)


def _explanation(found: Evaluated) -> list[Block]:
    shown = _pictures(found, EXPLAIN)
    return shown or [Text(f"There is no relevance of this score: {found.unexplained}.")]


def _limits(found: Evaluated) -> list[str]:
    sure = found.scored.significance
    return [
        *limits.of_data(found.store, ceiling="best_reachable" in found.scored.overall),
        *limits.of_part(found.split, found.seen),
        *limits.of_subjects(len(found.subjects)),
        *limits.of_p(sure.p_value, sure.smallest_p),
        *limits.of_baselines(found.scored.overall),
    ]


def _methods(found: Evaluated) -> str:
    config, model = found.config.evaluation, found.bundle.model.config
    parts = {name: recordings for name, recordings in found.parts.items() if recordings}
    people = {name: len({r.subject for r in recordings}) for name, recordings in parts.items()}
    split = listed([f"{count} for {name.partition(' ')[0]}" for name, count in people.items()])
    recordings = {recording.name: recording for each in parts.values() for recording in each}
    return " ".join(
        (
            methods.data_methods(found.store.settings, list(recordings.values())),
            f"Subjects were split: {split}.",
            methods.model_methods(model, np.asarray(found.store.signal.frequencies)),
            methods.score_methods(
                config, found.store.context, list(found.scored.overall),
                interval=found.scored.significance.interval is not None, voxels=True,
            ),
            methods.software(found.versions),
        )
    )  # fmt: skip


def methods_quote(text: str) -> Quote:
    """Return a paragraph to copy, with the works that it cites."""
    return Quote(text, cited(text))


def _configuration(found: Evaluated) -> list[Block]:
    tree = found.config.model_dump(mode="json")
    own = {name: tree[name] for name in ("evaluation", "explanation", "policy")}
    blocks: list[Block] = [
        Table((), [[name, value] for name, value in found.lineage.items()], words=True),
        Table((), [*signal_rows(found.store)], words=True),
        folded("Settings of the evaluation", own),
        folded("Settings of the model", found.bundle.model.config.model_dump(mode="json")),
        folded("Settings of the store", dict(found.store.settings)),
    ]
    return [*blocks, Folded("Versions", "\n".join(f"{name} {version}" for name, version in found.versions.items()))]


def folded(heading: str, tree: Mapping[str, object]) -> Folded:
    """Return settings as YAML, folded."""
    return Folded(heading, yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True))
