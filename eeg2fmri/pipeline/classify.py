"""The classification step: labels of subjects with EEG only, by synthesised views beside the EEG itself."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from eeg2fmri import plotting
from eeg2fmri.classification import (
    EEG,
    LATENTS,
    REGIONS,
    Beside,
    Classification,
    Kinds,
    Labelled,
    classify_subjects,
    find_labelled,
    parcellation,
    subject_features,
)
from eeg2fmri.config import Config, flatten
from eeg2fmri.devices import use_backend
from eeg2fmri.evaluation import Atlas, p_number
from eeg2fmri.pipeline.code import classification_code
from eeg2fmri.pipeline.data import say_skipped, stamp
from eeg2fmri.pipeline.describe import paragraphs, picture, table
from eeg2fmri.progress import progress_display
from eeg2fmri.serving import Bundle, EegFile
from eeg2fmri.store import dataset_name, with_names
from eeg2fmri.tracking import RunLog, finished_run, load_model, tracked_run
from eeg2fmri.tracking.registry import only_model
from eeg2fmri.tracking.runs import STEP_KEY, step_key

logger = logging.getLogger(__name__)
MODEL_OPTION = "--model-uri models:/NAME@champion"
NAMES = {REGIONS: "Synthesised regions are", LATENTS: "The model's latents are", EEG: "EEG alone is"}
FIGURE = "figures/classes.png"
TEXT_TAG = "eeg2fmri.classify"  # the verdict
CAVEAT = (
    "The p of a set of features is of labels permuted over subjects. That of two sets is of their predictions swapped "
    "within subjects; it is no lower than the p of the better set. The sets are tested one by one."
)


@dataclass(frozen=True)
class ClassifyResult:
    """A classification in words, and the run that holds it."""

    run_id: str
    text: str
    skipped: bool


def classify_step(
    config: Config, model_uri: str | None, root: Path, workdir: Path, *, workers: int = 1
) -> ClassifyResult:
    """Classify subjects with EEG only by the labels of a column of ``participants.tsv``.

    Parameters
    ----------
    config : its sections ``classify``, ``dataset``, ``evaluation``, ``policy`` and ``run``.
    model_uri : by default the champion of the only registered model.
    root : folder of the dataset.
    workdir : keeps the features of each recording, below ``features``, for a call that continues or has other labels.
    workers : processes that share the recordings.

    Raises
    ------
    DatasetError, AlignmentError, ConfigError
        If there are too few subjects with a label, or a recording cannot be used.
    ModelError
        If there is no such model, or its volumes do not depend on the EEG.
    """
    name = dataset_name(root)
    found = find_labelled(config, root)
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    uri = model_uri or f"models:/{config.registry.name or only_model(MODEL_OPTION)}@{config.registry.alias}"
    bundle, version = load_model(uri, config.run.device)
    atlas = parcellation(bundle, config)
    config = with_names(config, name)
    identity = f"models:/{version.name}/{version.version}/{version.run_id}" if version else uri
    digest = _digest(found)
    sections = [section.model_dump(mode="json") for section in (config.classify, config.evaluation, config.dataset)]
    inputs = [identity, sections, config.policy.level, atlas.digest, digest]
    key = step_key("classify", classification_code(bundle.model.config), *inputs)
    if run := finished_run(key):
        say_skipped("classify", run.info.run_id)
        return ClassifyResult(run.info.run_id, run.data.tags[TEXT_TAG], skipped=True)
    params = {
        **flatten(config.classify, "classify."),
        "classify.model": identity,
        "classify.root": str(root),
        "classify.data_digest": digest,
        "classify.atlas": config.evaluation.atlas or f"blocks of {config.classify.block:g} mm",
        "classify.regions": len(atlas.names),
        "classify.subjects": len(found.labels),
        "classify.labels": json.dumps(found.counts),
    }
    title = f"{config.classify.column} of {name}"
    with tracked_run("classify", experiment=config.run.experiment, name=f"classify · {title}", params=params,
                     tags={"dataset": name, "variant": bundle.model.config.variant}) as log:  # fmt: skip
        features, result = _compute(bundle, found, atlas, config, workdir, workers)
        text = verdict(result, config.policy.level)
        _log(log, result, features, found, f"{title}, {len(found.labels)} subjects, {bundle.model.config.variant}")
        shown = picture(log.run_id, FIGURE, "balanced accuracy of each set of features beside permuted labels")
        listed = "\n".join(f"- {line}" for line in text.splitlines())
        log.describe(paragraphs(listed, shown, scores_table(result), CAVEAT))
        log.tags({STEP_KEY: key, TEXT_TAG: text})
        logger.info("classify: run %s holds the figure and the tables", log.run_id)
        return ClassifyResult(log.run_id, text, skipped=False)


def _digest(found: Labelled) -> str:
    """Digest labels and names, sizes and times of the EEG files and of the tables that describe them."""
    files = []
    for source in found.recordings:
        beside = source.path.parent.glob(f"{source.path.name.rsplit('_', 1)[0]}_*")
        file = EegFile.of(source)
        tables = (path for path in (file.channels, file.events) if path)  # perhaps inherited from a folder above
        files += [stamp(path) for path in (*sorted(beside), *tables)]
    return hashlib.sha256(json.dumps([dict(found.labels), files]).encode()).hexdigest()


def _compute(
    bundle: Bundle, found: Labelled, atlas: Atlas, config: Config, workdir: Path, workers: int
) -> tuple[dict[str, dict[str, np.ndarray]], Classification]:
    """Compute features and classify, behind progress bars."""
    with progress_display(visible=sys.stderr.isatty()) as display:
        task = display.add_task("synthesising", total=len(found.recordings), status="")
        features = subject_features(bundle, found, atlas, config, workdir=workdir, workers=workers,
                                    on_recording=lambda _: display.advance(task))  # fmt: skip
        task = display.add_task("classifying", total=len(features) * config.classify.permutations, status="")
        return features, classify_subjects(features, found.labels, config, lambda: display.advance(task))


def _log(log: RunLog, result: Classification, features: Mapping[str, Kinds], found: Labelled, title: str) -> None:
    metrics = {"classify/chance": result.chance, "classify/smallest_p": result.smallest_p}
    for name, each in result.found.items():
        metrics |= {
            f"classify/balanced_accuracy_{name}": each.score,
            f"classify/accuracy_{name}": each.accuracy,
            f"classify/balanced_accuracy_{name}_permuted": float(each.draws.mean()),
            f"classify/balanced_accuracy_{name}_p_value": each.p_value,
        }
    for name, pair in result.beside_eeg.items():
        metrics[f"classify/{name}_beside_eeg_p_value"] = pair.p_value
    log.metrics(metrics)
    log.table(result.by_subject, "subjects.json")
    log.table(result.table, "scores.json")
    content = {
        "labels": found.counts,
        "left_out": found.left_out,
        "draws": {name: each.draws.tolist() for name, each in result.found.items()},
        "beside_eeg": {name: asdict(pair) for name, pair in result.beside_eeg.items()},
    }
    log.numbers(content, "classify.json")
    buffer = io.BytesIO()
    arrays = {f"{name}_{kind}": values for name, kinds in features.items() for kind, values in kinds.items()}
    np.savez_compressed(buffer, allow_pickle=False, subjects=np.array(result.subjects), **arrays)
    log.file(buffer.getvalue(), "features.npz")
    figure = plotting.classes_figure(
        {name: each.score for name, each in result.found.items()},
        {name: each.draws for name, each in result.found.items()},
        {name: each.probability for name, each in result.found.items()},
        result.labels, chance=result.chance, title=title,
    )  # fmt: skip
    log.figure(figure, FIGURE)


def scores_table(result: Classification) -> str:
    """Write a Markdown table: a row for each set of features, and chance."""
    found = result.table
    rows = [[cell if isinstance(cell, str) else f"{cell:.3f}" for cell in row] for row in found.to_numpy().tolist()]
    return table([*found.columns], rows)


def verdict(result: Classification, level: float) -> str:
    """Say of each set if it is better than chance, and of each synthesised one if it is better than the EEG alone.

    Each sentence is a line.

    Parameters
    ----------
    result : of the classification.
    level : a p-value must be below it.
    """
    parts = [
        f"{NAMES[name]} {'' if each.p_value < level else 'not '}better than chance "
        f"(balanced accuracy {each.score:.2f}, chance {result.chance:.2f}, p = {p_number(each.p_value)})"
        for name, each in result.found.items()
    ]
    pairs = [_paired(name, pair, level) for name, pair in result.beside_eeg.items()]
    return "\n".join(f"{part}." for part in (*parts, *pairs))


def _paired(name: str, pair: Beside, level: float) -> str:
    """Say if a synthesised view is better than the EEG alone, worse, or neither."""
    word = "neither better nor worse than"
    if pair.p_value < level:
        word = "better than" if pair.difference > 0 else "worse than"
    return (
        f"{NAMES[name]} {word} EEG alone (only they are right about {pair.won} subjects, only the EEG about "
        f"{pair.lost}, balanced accuracy {pair.difference:+z.2f}, p = {p_number(pair.p_value)})"
    )
