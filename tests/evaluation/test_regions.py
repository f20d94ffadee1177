"""Scores per region: planted courses of known r, filters, shuffled EEG, subjects."""

import numpy as np
import pytest
from scipy import signal, stats

from eeg2fmri.evaluation import Atlas, low_pass_absent, region_scores, region_shifts
from eeg2fmri.evaluation.voxels import shift_p
from eeg2fmri.signals import drift_waves, without_drift

GRID, VOLUMES, TR, CUTOFF, MARGIN = (6, 5, 4), 150, 1.3, 128.0, 4
FULL, LOW, REST = "full", "low-pass 0.15 Hz", "no global signal"
MASK = np.ones(GRID, bool)
MASK[:, 0] = False
LABELS = np.zeros(GRID, int)
LABELS[1:3, 1:4], LABELS[4:, 2:], LABELS[3, 1, 1] = 5, 17, 11
ATLAS = Atlas(LABELS, {5: "V1", 11: "11", 17: "M1"})
WAVES = drift_waves(VOLUMES, TR, CUTOFF)


def pair(rng, gain=1.0):
    """Noise with a drift; region 17 of the synthesis holds the course of the measured one, `gain` of its noise."""
    measured, synthesised = (rng.standard_normal((VOLUMES, *GRID)) + 100 * WAVES[:, 1:2, None, None]
                             for _ in range(2))  # fmt: skip
    course = rng.standard_normal(VOLUMES)[:, None]
    measured[:, LABELS == 17] += course
    synthesised[:, LABELS == 17] += gain * course
    return measured, synthesised


def shifts(series, *, low_pass=True):
    return region_shifts(*series, MASK, WAVES, ATLAS, TR, low_pass=low_pass)


def course(series, label):
    return without_drift(series[:, label == LABELS].mean(1)[:, None], TR, CUTOFF)[:, 0]


def test_a_score_is_that_of_the_mean_courses_without_drifts(rng):
    series = pair(rng)
    found = shifts(series)
    for k, label in enumerate(ATLAS.names):
        m, s = (course(each, label) for each in series)
        assert found.r[FULL][0, k] == pytest.approx(stats.pearsonr(m, s).statistic)
        assert found.r2[FULL][0, k] == pytest.approx(1 - np.sum((m - s) ** 2) / np.sum(m**2))
        rolled = np.roll(s, 33)
        assert found.r2[FULL][33, k] == pytest.approx(1 - np.sum((m - rolled) ** 2) / np.sum(m**2))
    assert found.r[FULL][0, 2] > 0.9 > 0.3 > abs(found.r[FULL][0, 0])


def test_the_low_pass_keeps_what_is_slow(rng):
    """A course shared below 0.15 Hz and noise above it: low-passed, r is 1."""
    seconds = TR * np.arange(VOLUMES)
    slow, fast = np.sin(2 * np.pi * 0.05 * seconds), [np.sin(2 * np.pi * (0.3 + 0.02 * k) * seconds) for k in range(2)]
    series = [(slow + each)[:, None, None, None] * np.ones((1, *GRID)) for each in fast]
    found = shifts(series)
    assert 0.3 < found.r[FULL][0, 0] < 0.7
    assert found.r[LOW][0, 0] > 0.98
    noise = pair(rng)
    sos = signal.butter(5, 0.15, fs=1 / TR, output="sos")
    m, s = (without_drift(signal.sosfiltfilt(sos, course(each, 17))[:, None], TR, CUTOFF)[:, 0] for each in noise)
    assert shifts(noise).r[LOW][0, 2] == pytest.approx(stats.pearsonr(m, s).statistic)
    assert LOW not in shifts(noise, low_pass=False).r


def test_the_global_signal_alone_earns_nothing_without_it(rng):
    measured, synthesised = (rng.standard_normal((VOLUMES, *GRID)) for _ in range(2))
    together = 50 * rng.standard_normal(VOLUMES)[:, None, None, None]
    found = shifts((measured + together, synthesised + together))
    assert found.r[FULL][0].min() > 0.99
    assert np.abs(found.r[REST][0]).max() < 0.3
    whole = (measured + together)[:, MASK].mean(1)[:, None]
    basis = np.linalg.qr(np.column_stack([WAVES, whole]))[0]
    m, s = (c - basis @ (basis.T @ c) for c in (course(each + together, 17) for each in (measured, synthesised)))
    assert found.r[REST][0, 2] == pytest.approx(stats.pearsonr(m, s).statistic)
    flat = np.repeat(together, np.prod(GRID), axis=1).reshape(VOLUMES, *GRID)
    nothing = shifts((flat, flat))
    np.testing.assert_array_equal(nothing.r[REST], 0)
    np.testing.assert_array_equal(nothing.r2[REST], 0)


def test_scores_are_means_over_subjects_beside_shuffled_eeg(rng):
    subjects = ["a", "b", "b", "c"]
    found = [shifts(pair(rng, gain)) for gain in (1, 0.5, 0.2, 1)]
    asked = []

    def interval(values):
        asked.append(values.shape)
        return np.stack([values.min(0), values.max(0)])

    table = region_scores(found, subjects, ATLAS, MARGIN, interval).table
    assert list(table["series"].unique()) == [FULL, LOW, REST]
    rows = table[table.series == FULL].set_index("index")
    assert rows.region.to_dict() == dict(ATLAS.names)
    assert rows.voxels.to_dict() == {label: (label == LABELS).sum() for label in ATLAS.names}
    own = [each.r[FULL][0, 2] for each in found]
    by_subject = [own[0], (own[1] + own[2]) / 2, own[3]]
    assert rows.r[17] == pytest.approx(np.mean(by_subject))
    assert (rows.r_low[17], rows.r_high[17]) == pytest.approx((min(by_subject), max(by_subject)))
    assert asked == [(3, 3)] * 6  # subjects and regions, of three series and two scores
    null = [each.r2[FULL][MARGIN : VOLUMES - MARGIN + 1, 0].mean() for each in found]
    assert rows.r2_null[5] == pytest.approx((null[0] + (null[1] + null[2]) / 2 + null[3]) / 3)
    variances = np.stack([np.square(each.r[FULL]).mean(0) for each in found])
    expected = shift_p(rows.r.to_numpy(), variances, np.array([2, 1, 1, 2]) / 6)
    np.testing.assert_allclose(rows.p, expected)
    np.testing.assert_allclose(rows.q, stats.false_discovery_control(expected))
    assert rows.q[17] < 0.001 < 0.05 < rows.q[5]
    assert rows.r_null_sd[5] == pytest.approx(np.sqrt((variances[:, 0] * np.array([4, 1, 1, 4]) / 36).sum()))


def test_with_few_subjects_there_is_no_interval(rng):
    table = region_scores([shifts(pair(rng))], ["a"], ATLAS, MARGIN, lambda values: None).table
    assert table[["r_low", "r_high", "r2_low", "r2_high"]].isna().all(axis=None)
    assert not table[["r", "r2", "r_null", "r2_null", "p", "q"]].isna().any(axis=None)


def test_what_is_missing_is_said(rng):
    assert low_pass_absent(2.0, [287]) == ""
    assert low_pass_absent(3.4, [287]) == "0.15 Hz is not below the Nyquist frequency 0.147 Hz of the TR 3.4 s"
    assert low_pass_absent(2.0, [287, 18]) == "a recording has 18 windows, the filter needs 19"
    atlas = Atlas(ATLAS.labels, ATLAS.names, ("cerebellum",))
    found = [shifts(pair(rng), low_pass=False)]
    notes = region_scores(found, ["a"], atlas, MARGIN, lambda values: None, "too slow").notes
    assert notes == ("no low-pass: too slow", "without a voxel in the brain: cerebellum")
    assert region_scores(found, ["a"], ATLAS, MARGIN, lambda values: None).notes == ()


def test_the_digest_is_that_of_labels_and_names():
    same = Atlas(LABELS.astype(np.int16), dict(ATLAS.names))
    assert same.digest == ATLAS.digest
    moved, renamed = Atlas(np.roll(LABELS, 1, axis=2), ATLAS.names), Atlas(LABELS, {**ATLAS.names, 5: "V2"})
    assert len({ATLAS.digest, moved.digest, renamed.digest}) == 3
