"""A version of a model for one subject, from the first minutes of a recording of that subject.

The first minutes adapt the model; the rest of the recording scores it. Between them are as many volumes as a context
has. So no scored volume has a window in its context that the adaptation has seen, and the nearest volumes of the two
parts are two contexts apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError, DatasetError, LeakageError, ModelError
from eeg2fmri.families import Adapted, adapt_model, choose_penalty, maps_of
from eeg2fmri.scorable import check_fits, seen_windows
from eeg2fmri.scoring import Scoring, score_windows
from eeg2fmri.serving import Bundle
from eeg2fmri.serving.interval import ABSENT, ADAPTED
from eeg2fmri.store import Store, StoredRecording, Windows, divided


@dataclass(frozen=True)
class Halves:
    """First minutes and rest of a recording.

    recording: the whole of it.  own: windows of the first minutes.  rest: windows that only score.
    """

    recording: StoredRecording
    own: Windows
    rest: Windows


@dataclass(frozen=True)
class Adaptation:
    """A subject's version of a model, scored on the rest of the recording.

    bundle: the version, with its provenance.  halves: the parts of the recording.  adapted: the penalty and why it was
    chosen.  scores, before: of the version, and of the model that it was made from, on the rest.
    """

    bundle: Bundle
    halves: Halves
    adapted: Adapted
    scores: Scoring
    before: Scoring

    @property
    def gain(self) -> float:
        """Return `r2_temporal` of the version on the rest, minus that of the model that it was made from."""
        after, before = (each.overall["model"]["r2_temporal"] for each in (self.scores, self.before))
        return after - before

    def not_exceeded(self, base: str = "the unadapted model") -> list[str]:
        """Name what the version must exceed on the rest and does not, see `names_not_exceeded`."""
        overall, before = self.scores.overall, self.before.overall["model"]["r2_temporal"]
        return names_not_exceeded(overall["model"]["r2_temporal"], before, overall["shuffled"]["r2_temporal"], base)


def names_not_exceeded(score: float, unadapted: float, shuffled: float, base: str) -> list[str]:
    """Name what a version must exceed and does not: the model that it was made from, shuffled EEG, the mean volume.

    The first is not enough. A model that is worse than the mean volume gains if its fluctuations shrink, and as much
    with shuffled EEG.

    Parameters
    ----------
    score, unadapted, shuffled : `r2_temporal` on the rest; that of the mean volume is 0.
    base : name of the unadapted model.
    """
    others = {base: unadapted, "shuffled EEG": shuffled, "the mean volume": 0.0}
    return [name for name, value in others.items() if not score > value]


def find_recording(store: Store, subject: str) -> StoredRecording:
    """Return the recording of that name, or the only one of that subject.

    Raises
    ------
    ConfigError
        If there is none, or the subject has several.
    """
    found = [r for r in store.recordings if subject in (r.name, r.subject, r.subject.removeprefix("sub-"))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(f"subject {subject!r}: not in the store, which has {', '.join(store.subjects)}; give one")
    raise ConfigError(f"subject {subject!r}: {len(found)} recordings ({', '.join(r.name for r in found)}); give one")


def halves(recording: StoredRecording, minutes: float, context: int) -> Halves:
    """Divide a recording by `eeg2fmri.store.divided`.

    Parameters
    ----------
    recording : the whole of it.
    minutes : from its first volume on.
    context : windows before a volume; the gap has as many volumes.

    Raises
    ------
    DatasetError
        If a part has too few volumes.
    """
    tr, total = recording.signal.tr, len(recording.volumes)
    if found := _divided(recording, round(minutes * 60 / tr), context):
        return Halves(recording, *found)
    able = [first for first in range(total) if _divided(recording, first, context)]
    raise DatasetError(
        f"{recording.name}: the first {minutes:g} minutes and the rest after a gap need {3 * context + 1} volumes in a "
        f"row each; the recording has {total} ({total * tr / 60:.1f} minutes); "
        + (f"give --minutes {_runs(able, tr)}" if able else "give a longer recording")
    )


def _runs(able: Sequence[int], tr: float) -> str:
    """Name the minutes of ascending numbers of volumes, run by run: a gap in the EEG may forbid some between."""
    runs = np.split(np.array(able), np.flatnonzero(np.diff(able) > 1) + 1)
    return ", or ".join(
        f"from {_minutes(run[0], tr)} to {_minutes(run[-1], tr)}" if len(run) > 1 else _minutes(run[0], tr)
        for run in runs
    )


def _minutes(volumes: int, tr: float) -> str:
    """Return the minutes of so many volumes, with as many digits as `halves` needs to find these again."""
    rounded = (round(volumes * tr / 60, digits) for digits in range(2, 10))
    return f"{next(minutes for minutes in rounded if round(minutes * 60 / tr) == volumes):g}"


def _divided(recording: StoredRecording, first: int, context: int) -> tuple[Windows, Windows] | None:
    """Return both parts; ``None`` if a piece is too short for the shuffled EEG, moved by a context either way."""
    own, rest = divided(recording, first, context)
    if own is None or rest is None:
        return None
    short = any(len(piece.volumes) <= 3 * context for part in (own, rest) for piece in part.recordings)
    return None if short else (own, rest)


def check_new(bundle: Bundle, store: Store, recording: StoredRecording) -> None:
    """Refuse a model that has seen the subject, or that is another subject's version already.

    Raises
    ------
    LeakageError
        If a recording of the subject was used to train or validate the model.
    ModelError
        If the model is a subject's version.
    """
    if before := bundle.provenance.get("adaptation"):
        raise ModelError(
            f"the model is a version for {before['subject']} already; give the model that it was made from, "
            f"{before['base'] or 'that of all subjects'}"
        )
    seen = {digest for part in ("train", "validation") for digest in bundle.provenance["recordings"][part]}
    same = [r for r in store.recordings if r.subject == recording.subject and r.source_digest in seen]
    if same:
        raise LeakageError(
            f"{recording.subject}: {', '.join(r.name for r in same)} trained or validated this model; adapt it to "
            f"a subject that it has not seen"
        )


def prepare_adaptation(bundle: Bundle, store: Store, subject: str, minutes: float) -> Halves:
    """Make all checks of an adaptation, and divide the recording.

    Raises
    ------
    ConfigError, DatasetError, LeakageError, ModelError
        As `find_recording`, `halves`, `check_new` and `eeg2fmri.scorable.check_fits`.
    """
    recording = find_recording(store, subject)
    check_fits(bundle, store)
    check_new(bundle, store, recording)
    return halves(recording, minutes, store.context)


def adapt_bundle(
    bundle: Bundle, store: Store, parts: Halves, minutes: float, config: Config, base: str = ""
) -> Adaptation:
    """Make a version of a model for a subject, and score both on the rest of the recording.

    Parameters
    ----------
    bundle, store : the model; a store with the recording and with those that the model was trained on.
    parts : of `prepare_adaptation`.
    minutes : those of `parts`, for the provenance.
    config : its section ``evaluation``.
    base : address of the model, for the provenance.

    Raises
    ------
    ModelError
        If the family cannot be adapted, or the store does not hold enough training subjects.
    """
    train, validation = (seen_windows(bundle, store, part) for part in ("train", "validation"))
    maps_of(bundle.model)  # refuse before other models are fitted
    cutoff = config.evaluation.drift_cutoff
    volumes = sum(len(piece.volumes) for piece in parts.own.recordings)
    adapted = adapt_model(bundle.model, parts.own, choose_penalty(bundle.model.config, train, volumes, cutoff), cutoff)
    provenance = {
        **bundle.provenance,
        "recordings": _with(bundle.provenance["recordings"], parts.recording.source_digest),
        "adaptation": {
            "base": base,
            "subject": parts.recording.subject,
            "recording": parts.recording.name,
            "source_digest": parts.recording.source_digest,
            "store_digest": store.digest,
            "minutes": minutes,
            "volumes": [list(piece.part or ()) for piece in parts.own.recordings],
            **adapted.facts,
        },
        "interval": {ABSENT: ADAPTED},
    }
    before, after = (
        score_windows(model, parts.rest, config.evaluation, train, validation)
        for model in (bundle.model, adapted.model)
    )
    return Adaptation(
        replace(bundle, model=adapted.model, provenance=provenance, digest="", residual_sd=None),
        parts,
        adapted,
        after,
        before,
    )


def _with(recordings: Any, digest: str) -> dict[str, list[str]]:
    """Add the subject's recording to those of the fit, so that it is never scored as a whole."""
    return {**recordings, "train": [*recordings["train"], digest]}
