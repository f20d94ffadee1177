"""The adaptation step: a version of a model for one subject, scored on the rest of the recording, and registered."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion

from eeg2fmri.adaptation import Adaptation, adapt_bundle, names_not_exceeded, prepare_adaptation
from eeg2fmri.config import Config
from eeg2fmri.devices import use_backend
from eeg2fmri.evaluation import p_text
from eeg2fmri.pipeline.card import data_sheet
from eeg2fmri.pipeline.code import adaptation_code
from eeg2fmri.pipeline.data import say_skipped
from eeg2fmri.pipeline.describe import DECIDING, baseline_table, paragraphs, picture, serving, table
from eeg2fmri.pipeline.evaluate import OVERALL, metric_names
from eeg2fmri.pipeline.train import MODEL_TAG
from eeg2fmri.scoring import scored_figures
from eeg2fmri.store import Location, Store, named
from eeg2fmri.tracking import (
    RunLog,
    alone,
    describe_version,
    finished_run,
    load_model,
    log_unregistered,
    register,
    tracked_run,
)
from eeg2fmri.tracking.registry import champion, logged_model_id, model_exists, subject_model, version_of_step
from eeg2fmri.tracking.runs import STEP_KEY, step_key

logger = logging.getLogger(__name__)
ALIAS = "adapted"  # on a version that exceeds all of `names_not_exceeded`, see `_reason`
PART = "rest"  # of the recording, in the names of metrics
AFTER, BEFORE, SHUFFLED = (f"{PART}/{DECIDING}{end}" for end in ("", "_unadapted", "_shuffled"))
CARD = "adaptation.md"
BASE_TAG, SUBJECT_TAG, MINUTES_TAG = "eeg2fmri.base", "eeg2fmri.subject", "eeg2fmri.minutes"
VERDICT_TAG = "eeg2fmri.adapted"  # of the run: what became of the alias, and why


@dataclass(frozen=True)
class AdaptResult:
    """A registered version for a subject, and its score on the rest of the recording beside that of its base.

    verdict: whether it is better than its base, shuffled EEG and the mean volume, and where the alias is.
    """

    run_id: str
    model_uri: str
    score: float
    unadapted: float
    verdict: str
    skipped: bool


def adapt_step(config: Config, model_uri: str | None, store: Store, subject: str, minutes: float) -> AdaptResult:
    """Make a version of a model for one subject, score it, and register it.

    It becomes a version of a registered model of its own, called as the model and the subject. So the gate, which
    compares versions of one registered model, never compares it with the group's. The alias `ALIAS` moves to it if it
    scores higher than the model that it was made from, than itself with shuffled EEG, and than the mean volume, unless
    a version from more minutes of the same model has it.

    Parameters
    ----------
    config : its sections ``evaluation``, ``registry`` and ``run``.
    model_uri : by default the champion of the registered model that is called as the store's data set.
    store : holds the recording, and those that the model was trained on.
    subject : a subject with one recording, or the name of a recording.
    minutes : of the recording, from its first volume on.

    Raises
    ------
    ConfigError, DatasetError, LeakageError, ModelError
        If `eeg2fmri.adaptation` refuses it.
    """
    config = named(config, store)
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    model_uri = model_uri or f"models:/{config.registered_model}@{config.registry.alias}"
    bundle, version = load_model(model_uri, config.run.device)
    base = f"models:/{version.name}/{version.version}" if version else model_uri
    parts = prepare_adaptation(bundle, store, subject, minutes)
    recording = parts.recording
    place = subject_model(version.name if version else config.registered_model, recording.subject)
    identity = f"{base}/{version.run_id}" if version else base
    settings = [identity, place, minutes, config.evaluation.model_dump(mode="json")]
    key = step_key("adapt", adaptation_code(bundle.model.config), settings, store.digest, recording.digest)
    with _alone(store, place):
        # The process that had the lock may have made it.
        if done := _done(key, place, recording.subject):
            return done
        variant = bundle.model.config.variant
        params = {
            "adapt.model": identity,
            "adapt.subject": recording.subject,
            "adapt.recording": recording.name,
            "adapt.minutes": minutes,
            "adapt.windows": len(parts.own),
            "adapt.rest_windows": len(parts.rest),
            "data.digest": store.digest,
            "data.recording_digest": recording.digest,
            "registry.name": place,
        }
        with tracked_run("adapt", experiment=config.run.experiment, params=params,
                         name=f"adapt {variant} · {recording.subject}, {minutes:g} min",
                         tags={"variant": variant, "dataset": store.name}) as log:  # fmt: skip
            made = adapt_bundle(bundle, store, parts, minutes, config, base)
            logger.info("adapt %s: %s", recording.subject, _sentence(made))
            uri, verdict = _finish(_log(log, made, store, place, minutes, base, key), key)
            score = made.scores.overall["model"][DECIDING]
            return AdaptResult(log.run_id, uri, score, score - made.gain, verdict, False)


def _alone(store: Store, place: str) -> AbstractContextManager[None]:
    """Hold the lock of a subject's model: beside the store, or for a store at a URL in the folder of temporary files.

    So two processes on one machine keep each other out. Those on two machines only do if they share the store's folder.
    """
    location = Location.of(store.path)
    if location.is_url:
        digest = hashlib.sha256(location.address.encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"eeg2fmri-{digest}-{place}.lock"
    else:
        path = Path(location.address).with_name(f".{place}.lock")
    return alone(path, place, "adapt", "")


def _done(key: str, place: str, subject: str) -> AdaptResult | None:
    """Return the finished adaptation of a step; finish one that was stopped after its version was registered."""
    run = finished_run(key)
    version = None if run else version_of_step(place, key)
    if version and version.run_id and model_exists(f"models:/{version.name}/{version.version}"):
        _finish(version, key)
        mlflow.MlflowClient().set_terminated(version.run_id, "FINISHED")
        run = finished_run(key)
    if run is None or not model_exists(run.data.tags[MODEL_TAG]):
        return None
    say_skipped(f"adapt {subject}", run.info.run_id)
    found, uri = run.data.metrics, run.data.tags[MODEL_TAG]
    return AdaptResult(run.info.run_id, uri, found[AFTER], found[BEFORE], _standing(uri, found), True)


def _standing(uri: str, metrics: Mapping[str, float]) -> str:
    """Say how a version compares, and where the alias is now: it may have moved since the version was made."""
    name, _, number = uri.removeprefix("models:/").rpartition("/")
    base = mlflow.MlflowClient().get_model_version(name, number).tags[BASE_TAG]
    holder = champion(name, ALIAS)
    where = f"no version has the alias {ALIAS}; the version is {uri}"
    if holder and str(holder.version) == number:
        where = f"the alias {ALIAS} is at {uri}"
    elif holder:
        where = f"the alias {ALIAS} is at models:/{name}/{holder.version}; the version is {uri}"
    return f"{_compared(metrics, base)}: {where}"


def _finish(version: ModelVersion, key: str) -> tuple[str, str]:
    """Describe a version, give it the alias if nothing is against it, and mark its run; return address and verdict."""
    client, run_id, uri = mlflow.MlflowClient(), str(version.run_id), f"models:/{version.name}/{version.version}"
    run = client.get_run(run_id)
    card = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{CARD}")
    describe_version(version, paragraphs(card, serving(version.name, str(version.version))))
    base = version.tags[BASE_TAG]
    if reason := _reason(version, run.data.metrics):
        verdict = f"{reason}: the alias did not move; the version is {uri}"
    else:
        client.set_registered_model_alias(version.name, ALIAS, str(version.version))
        verdict = f"{_compared(run.data.metrics, base)}: the alias {ALIAS} moved to {uri}"
    for tag, value in ((MODEL_TAG, uri), (VERDICT_TAG, verdict), (STEP_KEY, key)):
        client.set_tag(run_id, tag, value)
    return uri, verdict


def _compared(metrics: Mapping[str, float], base: str) -> str:
    """Say what a version exceeds: all that it must, or not these."""
    if found := names_not_exceeded(metrics[AFTER], metrics[BEFORE], metrics[SHUFFLED], base):
        return f"no better than {', '.join(found)}"
    return f"better than {base}, shuffled EEG, the mean volume"


def _reason(version: ModelVersion, metrics: Mapping[str, float]) -> str:
    """Say why a version must not have the alias; nothing if it may.

    Scores of versions from other minutes cannot be compared, because these leave another rest.
    """
    base = version.tags[BASE_TAG]
    if names_not_exceeded(metrics[AFTER], metrics[BEFORE], metrics[SHUFFLED], base):
        return _compared(metrics, base)
    holder = champion(version.name, ALIAS)
    if holder is None or holder.tags[BASE_TAG] != base:
        return ""
    minutes = float(holder.tags[MINUTES_TAG])
    return f"version {holder.version} is from {minutes:g} minutes" if float(version.tags[MINUTES_TAG]) < minutes else ""


def _log(log: RunLog, done: Adaptation, store: Store, place: str, minutes: float, base: str, key: str) -> ModelVersion:
    """Log scores, figures and the model; register the version last, so that nothing is lacking once it is there."""
    recording, rest, scored = done.halves.recording, done.halves.rest, done.scores
    metrics = metric_names(scored.overall, PART, scored.significance)
    before = done.before.overall["model"][DECIDING]
    metrics[BEFORE] = before
    log.params({f"adapt.{name}": value for name, value in done.adapted.facts.items()})
    log.numbers({**scored.overall, "unadapted": done.before.overall["model"]}, OVERALL)
    data = log.dataset(recording.digest, str(store.path), f"{store.name}-{recording.name}-{PART}", PART,
                       rest.eeg(np.arange(1)))  # fmt: skip
    title = f"{done.bundle.model.config.variant}, {recording.subject}'s own"
    for name, figure in scored_figures(scored, title=title, who="the rest of the recording").items():
        log.figure(figure, f"figures/{name}.png")
    log.table(scored.table, "scores.json")
    facts = {"data_digest": store.digest, "subject": recording.subject, "base": base}
    tags = {BASE_TAG: base, SUBJECT_TAG: recording.subject, MINUTES_TAG: f"{minutes:g}",
            f"{PART}.{DECIDING}": f"{before + done.gain:.6g}",
            f"{PART}.{DECIDING}_unadapted": f"{before:.6g}"}  # fmt: skip
    example = rest.eeg(np.arange(1))[0]
    uri = log_unregistered(done.bundle, example=example, metadata_=facts)
    log.metrics(metrics, model_id=logged_model_id(uri), dataset=data)
    log.text(_card(log, done, minutes, base), CARD)
    return register(uri, place, dataset=None, key=key, tags=tags)


def _card(log: RunLog, done: Adaptation, minutes: float, base: str) -> str:
    """Return the description of a version, without how to serve it."""
    scored, halves = done.scores, done.halves
    rows = [
        ["this version", f"{scored.overall['model'][DECIDING]:+.4f}"],
        [f"unadapted, {base}", f"{done.before.overall['model'][DECIDING]:+.4f}"],
    ]
    certain = scored.significance
    found = done.not_exceeded("the model that it was made from")
    verdict = "Better than the model that it was made from, shuffled EEG, the mean volume"
    if found:
        verdict = f"No better than {', '.join(found)}"
    return paragraphs(
        f"{verdict}: {_sentence(done)}. A version of {base} for {halves.recording.subject}, by the first "
        f"{minutes:g} minutes of {halves.recording.name}. It was scored on {len(halves.rest)} later windows, after a "
        f"gap; {p_text(certain.p_value, certain.smallest_p)}.",
        table(("", f"`{DECIDING}` on the rest"), rows),
        baseline_table(scored.overall),
        picture(log.run_id, "figures/dynamics.png", "dynamics on the rest of the recording"),
        table(("", ""), [*data_sheet(done.bundle), *((k, str(v)) for k, v in done.adapted.facts.items())]),
    )


def _sentence(done: Adaptation) -> str:
    after, before = (each.overall["model"][DECIDING] for each in (done.scores, done.before))
    shuffled = done.scores.overall["shuffled"][DECIDING]
    return f"{DECIDING} {after:+.4f} on the rest, unadapted {before:+.4f}, shuffled EEG {shuffled:+.4f}"
