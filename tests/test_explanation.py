"""Relevance of a model that reads one channel, one band and one lag."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from eeg2fmri.config import LinearConfig
from eeg2fmri.errors import EvaluationError
from eeg2fmri.explanation import relevance
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import EegStatistics
from eeg2fmri.store import Windows
from tests.fakes import CHANNELS, CONTEXT, EEG_SHAPE, FREQUENCIES, GRID, LAG, TR, recording

KINDS = ("channels", "regions", "frequencies", "lags")
SETTINGS = {"most": 400, "drift_cutoff": 20.0}


@dataclass(frozen=True)
class Reader:
    """Reads what `tests.fakes.recording` plants: log alpha at Oz, LAG windows before the volume."""

    pattern: np.ndarray

    def predict(self, eeg: np.ndarray) -> np.ndarray:
        return course(eeg)[:, None, None, None] * self.pattern


def course(eeg: np.ndarray) -> np.ndarray:
    alpha = (FREQUENCIES >= 8) & (FREQUENCIES < 13)
    return np.log(eeg[:, CHANNELS.index("Oz"), alpha, CONTEXT - LAG]).mean(axis=1)


def windows(*, coupling: float = 1.0, length: int = 60) -> Windows:
    return Windows([recording(f"sub-0{n}", n, windows=length + 3 * n, coupling=coupling) for n in (1, 2)], CONTEXT)


def reader(of: Windows) -> FittedModel:
    """Its pattern is the slope of BOLD on the course."""
    indices = of.indices(0)
    volumes, found = of.volumes(indices), course(of.eeg(indices))
    slope = np.tensordot(found - found.mean(), volumes, 1) / (np.var(found) * len(found))
    statistics = of.bold_statistics()
    unscaled = EegStatistics(np.zeros(EEG_SHAPE[:2]), np.ones(EEG_SHAPE[:2]))
    return FittedModel(LinearConfig(), Reader(slope / statistics.sd), unscaled, statistics, np.zeros(GRID, np.float32))


@pytest.fixture(scope="module")
def found():
    of = windows()
    return relevance(reader(of), of, **SETTINGS)


def test_what_is_read_loses_the_score_and_the_rest_exactly_nothing(found):
    read = {
        "channels": {"Oz"},
        "regions": {"occipital"},
        "frequencies": {"8-10 Hz", "10-12 Hz", "12-14 Hz"},
        "lags": {f"{(LAG - 0.5) * TR:.1f} s"},
    }
    assert found.score > 0.7
    for kind, names in read.items():
        profile = getattr(found, kind)
        loss = dict(zip(profile.names, profile.loss, strict=True))
        assert min(loss.pop(name) for name in names) > max(profile.threshold, 0.2)
        assert not any(loss.values())
    for kind in ("channels", "regions", "lags"):  # all that is read is of the wrong time, which is worse than nothing
        assert max(getattr(found, kind).loss) > found.score


def test_it_says_what_it_looked_at(found):
    assert found.subjects == ("sub-01", "sub-02")
    assert found.windows == (60, 63)
    assert found.channels.names == CHANNELS
    assert found.bands[:2] == ((2, 4), (4, 6))
    assert found.seconds == (1.25, 0.75, 0.25)
    assert json.loads(json.dumps(found.to_json()))["lags"]["by_subject"][1] == list(found.lags.by_subject[1])


def test_eeg_that_says_nothing_has_no_relevance():
    of = windows(coupling=0)
    found = relevance(reader(windows()), of, **SETTINGS)
    for kind in KINDS:
        assert max(getattr(found, kind).loss) <= getattr(found, kind).threshold


def test_the_eeg_of_the_store_is_left_as_it_was():
    of = windows()
    before = [recording.spectrogram.copy() for recording in of.recordings]
    relevance(reader(of), of, **SETTINGS)
    for recording_, kept in zip(of.recordings, before, strict=True):
        np.testing.assert_array_equal(recording_.spectrogram, kept)


@pytest.mark.parametrize(("most", "counts"), [(50, (25, 25)), (26, (13, 13)), (25, (25,)), (1, (13,))])
def test_subjects_share_the_windows(most, counts):
    of = windows()
    assert relevance(reader(of), of, most=most, drift_cutoff=20.0).windows == counts


def test_the_longest_recording_of_a_subject_is_taken():
    of = Windows([recording("sub-01", n, windows=n, run=n) for n in (15, 20, 17)], CONTEXT)
    assert relevance(reader(windows()), of, **SETTINGS).windows == (17,)


def test_a_mask_chooses_the_voxels():
    of = windows()
    quiet, loud = (np.zeros(GRID, bool) for _ in range(2))
    order = np.abs(reader(of).network.pattern * of.recordings[0].mask).ravel().argsort()
    quiet.flat[order[:5]], loud.flat[order[-5:]] = True, True
    scores = [relevance(reader(of), of, mask=mask, **SETTINGS).score for mask in (quiet, loud)]
    assert scores[0] < 0.05
    assert scores[1] > 0.9


def test_refusals(refuses):
    of = windows()
    with refuses(EvaluationError, "no recording has 13 windows in a row"):
        relevance(reader(of), Windows([recording("sub-01", 1, windows=14)], CONTEXT), **SETTINGS)
    for mask in (np.zeros(GRID, bool), np.ones((2, 3, 4), bool)):
        with refuses(EvaluationError, r"expected \(8, 7, 5\) with some"):
            relevance(reader(of), of, mask=mask, **SETTINGS)
