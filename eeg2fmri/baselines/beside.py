"""Every baseline that stands beside a model, and why one is absent.

swapped: the model, given the EEG of other unseen subjects.  arousal, motion_pulse, task: see `regression`.
linear: the family of that name with its default settings, fitted on the same subjects.  subject_mean: the
recording's own mean volume, which knows the anatomy and no dynamics.  Ceilings of simulated data: see `ceilings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from eeg2fmri.baselines.ceilings import CEILINGS, driven, knows_truth, mean_maps, responses
from eeg2fmri.baselines.regression import REGRESSIONS, Regression, fit_regressions
from eeg2fmri.config import EvaluationConfig, LinearConfig
from eeg2fmri.errors import Eeg2FmriError, one_line
from eeg2fmri.families import fit
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.store import Windows

NOT_THERE = "the store does not hold the recordings that the model was fitted on"


@dataclass(frozen=True)
class Baselines:
    """Baselines of a model on some windows.

    names: those that are there, and ceilings where they are known.
    absent: why the others of `evaluation.baselines` are not there.
    swaps: recordings of other subjects whose EEG each recording is given, by the recording's number.
    maps: of the networks of the simulated subjects that the model knows; ``None`` where they are not known.
    """

    names: tuple[str, ...]
    absent: Mapping[str, str]
    model: FittedModel
    windows: Windows
    swaps: Mapping[int, tuple[int, ...]]
    regressions: Mapping[str, Regression]
    linear: FittedModel | None
    maps: np.ndarray | None

    def series(self, number: int, measured: np.ndarray) -> Iterator[tuple[str, Iterable[np.ndarray]]]:
        """Yield each baseline with its syntheses of a recording, whose scores are averaged.

        Parameters
        ----------
        number : of the recording.
        measured : (n, x, y, z), its volumes in standard units.

        Yields
        ------
        The name, and one or more (m, x, y, z) in standard units; m is below n where the other subject's EEG is shorter.
        """
        for name in self.names:
            yield name, self._syntheses(name, number, measured)

    def _syntheses(self, name: str, number: int, measured: np.ndarray) -> Iterator[np.ndarray]:
        if name == "swapped":
            for other in self.swaps[number]:
                yield synthesise(self.model, self.windows, other)[: len(measured)]
        elif name == "subject_mean":
            yield np.broadcast_to(measured.mean(axis=0, dtype=np.float64).astype(measured.dtype), measured.shape)
        elif name == "linear":
            assert self.linear is not None
            yield synthesise(self.linear, self.windows, number)
        elif name == "best_reachable":
            own = driven(self.windows.recordings[number], self.windows.context)
            yield measured.mean(axis=0, dtype=np.float64).astype(np.float32) + own
        elif name == "given_amplitudes":
            assert self.maps is not None
            courses = responses(self.windows.recordings[number], self.windows.context).astype(np.float32)
            yield self.model.mean_volume + np.tensordot(courses, self.maps, axes=1)
        else:
            changes = self.regressions[name].predict(self.windows.recordings[number], self.windows.context)
            yield self.model.mean_volume + changes


def baselines_of(
    model: FittedModel, windows: Windows, config: EvaluationConfig, train: Windows | None, validation: Windows | None
) -> Baselines:
    """Make ready what `config.baselines` asks for, and fit what must be fitted.

    Parameters
    ----------
    model : the model that is scored.
    windows : those that it is scored on.
    config : which baselines; how many swaps are averaged (`shuffles`); what is a drift.
    train, validation : windows that the model was fitted on and chosen by; ``None`` where they are not at hand, and
        what is fitted on them is then absent.
    """
    wanted, absent = config.baselines, dict[str, str]()
    swaps = swap_partners([recording.subject for recording in windows.recordings], config.shuffles)
    if not all(swaps.values()):
        absent["swapped"] = "a single subject is scored"
    regressions: Mapping[str, Regression] = {}
    fitted = [name for name in wanted if name in REGRESSIONS]
    if train is None:
        absent |= dict.fromkeys(fitted, NOT_THERE)
    else:
        regressions, without = fit_regressions(fitted, train, windows, config.drift_cutoff)
        absent |= without
    linear = None
    if model.config.family == "linear":
        absent["linear"] = "the model is of this family"
    elif train is None or validation is None:
        absent["linear"] = NOT_THERE
    elif "linear" in wanted:
        try:
            linear = fit(LinearConfig(), train, validation).model
        except Eeg2FmriError as err:
            absent["linear"] = one_line(err)
    known = [recording for part in (train, validation) if part for recording in part.recordings]
    true = {"best_reachable": knows_truth(windows.recordings)}
    true["given_amplitudes"] = true["best_reachable"] and knows_truth(known)
    return Baselines(
        names=(*(name for name in wanted if name not in absent), *(name for name in CEILINGS if true[name])),
        absent={name: reason for name, reason in absent.items() if name in wanted},
        model=model,
        windows=windows,
        swaps=swaps,
        regressions=regressions,
        linear=linear,
        maps=mean_maps(known, windows.context) if true["given_amplitudes"] else None,
    )


def swap_partners(subjects: list[str], count: int) -> dict[int, tuple[int, ...]]:
    """Return recordings of other subjects for each recording, by numbers; at most `count`, and one a subject.

    The subjects are taken in turn, from the one that follows in the alphabet; of each the recording with the same
    place as one's own, so that nothing is drawn by chance.
    """
    own: dict[str, list[int]] = {name: [] for name in sorted(set(subjects))}
    for number, name in enumerate(subjects):
        own[name].append(number)
    order, partners = list(own), {}
    for number, name in enumerate(subjects):
        place, first = own[name].index(number), order.index(name) + 1
        others = (order[first:] + order[: first - 1])[:count]
        partners[number] = tuple(own[other][place % len(own[other])] for other in others)
    return partners


def synthesise(model: FittedModel, windows: Windows, number: int) -> np.ndarray:
    """Return what a model makes of the EEG of one recording, (n, x, y, z) in standard units."""
    return model.standard_units(model.synthesise(windows.eeg(windows.indices(number))))
