"""The scanner's markers among others: rhythms with drift, jitter, doubles, gaps, slices, at 250 Hz and 5 kHz."""

import numpy as np
import pytest

from eeg2fmri.datasets.marker_trains import by_label, find_train, is_label, left_over, ranked

TR, N = 2.16, 300
TIMES = 3 + TR * np.arange(N)


def found(times, rate, tr=TR, n_volumes=N, label="X", **options):
    sampled = np.rint(np.sort(np.asarray(times)) * rate) / rate
    return find_train(label, sampled, tr, n_volumes, 0.5 / rate, **options)


@pytest.mark.parametrize("rate", [250.0, 5000.0])
@pytest.mark.parametrize("drift", [0, 3e-4, -3e-4])
def test_a_train_is_followed_to_the_sample(rate, drift):
    train = found(3 + TR * (1 + drift) * np.arange(N), rate)
    assert (train.spanned, train.n_markers, train.absent, train.doubled, train.astray) == (N, N, 0, 0, 0)
    last = train.first + train.period * (N - 1)
    assert abs(train.first - 3) * rate < 0.6
    assert abs(last - 3 - TR * (1 + drift) * (N - 1)) * rate < 0.6


def test_a_known_rhythm_is_exact_where_the_tr_is_a_number_of_samples():
    train = found(TIMES, 250)
    assert (train.first, train.period) == (pytest.approx(3.0, abs=1e-9), TR)


def test_jitter_of_milliseconds_leaves_the_line(rng):
    train = found(TIMES + rng.normal(0, 0.001, N), 5000)
    assert abs(train.first - 3) < 5e-4
    assert train.spanned == N


@pytest.mark.parametrize("late", [0.0002, 0.0028, 0.014])
def test_a_second_marker_of_a_volume_moves_nothing(late):
    train = found(np.r_[TIMES, TIMES[[3, 50, 99, 299]] + late], 5000)
    assert (train.first, train.doubled, train.spanned) == (pytest.approx(3, abs=1e-4), 4, N)


@pytest.mark.parametrize(("apart", "per_volume"), [(0.0028, 1), (0.1, 1), (1.08, 2), (2.0, 2)])
def test_pairs_begin_with_the_first_of_each(apart, per_volume):
    train = found(np.r_[TIMES, TIMES + apart], 5000)
    assert (train.per_volume, train.doubled, train.spanned) == (per_volume, N * (2 - per_volume), N)
    first = 3 if apart < 1.5 else 5.0  # behind the longer pause
    assert train.first == pytest.approx(first, abs=1e-4)


@pytest.mark.parametrize("lost", [0, 7, N, 2 * N - 1])
@pytest.mark.parametrize("rate", [250.0, 5000.0])
def test_one_of_a_pair_tells_of_its_volume_where_the_other_is_lost(lost, rate):
    pairs = np.delete(np.r_[TIMES, TIMES + 0.012], lost)
    train = found(pairs, rate)
    assert (train.spanned, train.absent, train.doubled, train.astray) == (N, 0, N - 1, 0)
    assert train.first == pytest.approx(3, abs=1 / rate)


@pytest.mark.parametrize("slices", [30, 32])
def test_slices_begin_with_the_first_or_behind_the_pause(slices):
    train = found((TIMES[:, None] + TR / slices * np.arange(30)).ravel(), 250)
    assert (train.per_volume, train.spanned, train.n_markers) == (30, N, 9000)
    assert train.first == pytest.approx(3, abs=2e-3)


def test_one_marker_per_two_volumes_is_a_train_of_a_known_marker_only():
    train = found(TIMES[::2], 250, trusted=True)
    assert (train.step, train.spanned, train.absent) == (2, N, 0)
    assert found(TIMES[::2], 250) is None


def test_gaps_and_dummies_are_parts():
    train = found(np.r_[3 - TR * 10 - TR * np.arange(4), np.delete(TIMES, [100, 101])], 5000)
    assert train.blocks() == [(0, 4), (13, 300)]  # two lost markers are no pause
    assert train.absent == 11


def test_markers_of_an_aborted_run_are_astray():
    train = found(np.r_[TIMES + 60, 1.1 + TR * np.arange(12)], 5000)
    assert (train.first, train.spanned, train.astray) == (pytest.approx(63), N, 12)


@pytest.mark.parametrize("tr", [2.0, 2.15, 4.5])
def test_the_rhythm_of_another_tr_is_none(tr):
    assert found(TIMES, 5000, tr=tr) is None
    assert found(TIMES, 5000, tr=tr, trusted=True) is None


def test_markers_without_a_rhythm_are_none(rng):
    assert found(rng.uniform(0, 650, 400), 5000) is None
    assert found(TIMES[:140], 5000) is None  # less than half of the volumes
    assert found(TIMES[:2], 5000) is None


def test_without_a_bold_file_ten_in_a_row_are_a_train():
    assert found(TIMES[:10], 250, n_volumes=None).spanned == 10
    assert found(TIMES[:9], 250, n_volumes=None) is None
    assert found(TIMES[:3], 250, n_volumes=None, trusted=True).spanned == 3


def test_known_names_come_first_then_what_fits():
    trains = [
        find_train(label, times, TR, N, 1e-4, trusted=label in ("R128", "T1"))
        for label, times in (("A", TIMES[:200]), ("T1", TIMES[:250]), ("B", TIMES), ("R128", TIMES[:250]))
    ]
    assert [train.label for train in ranked(trains, {N})] == ["R128", "T1", "B", "A"]


def test_a_few_markers_of_a_common_name_come_after_a_whole_train_of_another():
    times = {"R128": TIMES[:3] - 2.9, "ScanStart": TIMES}
    trains = [find_train(label, own, TR, None, 1e-4, trusted=True) for label, own in times.items()]
    assert [train.label for train in ranked(trains, ())] == ["ScanStart", "R128"]


def test_labels_are_compared_without_blanks_case_and_type():
    assert is_label("Stimulus/S  1", "s 1")
    assert is_label("Stimulus/S  1", "Stimulus/S 1")
    assert not is_label("Stimulus/S 10", "S 1")
    assert not is_label("Stimulus/S 10", "10")
    events = [(1.0, "Response/R128"), (0.5, "Response/R128"), (2.0, "SyncStatus/Sync On"), (3.0, "New Segment/"),
              (4.0, "BAD boundary"), (5.0, "Pulse Artifact/R"), (6.0, "Toggle/T  1")]  # fmt: skip
    times = by_label(events)
    assert times.keys() == {"R128", "T1"}
    np.testing.assert_array_equal(times["R128"], [0.5, 1.0])


def test_the_markers_of_natview_sub_15_checker():
    """A marker, six absent, one fourfold and 11 samples late, then one every 10,500 samples to sample 2,646,570."""
    samples = [1670070, 1743581, 1743595, 1743607, 1743686, *range(1754070, 2646571, 10500)]
    train = find_train("R128", np.array(samples) / 5000, 2.1, 98, 1e-4, trusted=True)
    assert (train.first * 5000, train.period * 5000) == (pytest.approx(1670070), pytest.approx(10500))
    assert (train.n_markers, train.spanned, train.absent, train.doubled, train.astray) == (91, 94, 6, 3, 0)
    assert train.blocks() == [(0, 1), (7, 87)]


def test_a_few_markers_far_from_any_rhythm_are_none(rng):
    assert find_train("S5", np.arange(12) * 3.108 + 0.4, 2.0, 24, 0.002) is None
    for count in (3, 5, 10, 40):
        for _ in range(50):
            find_train("S5", np.sort(rng.uniform(0, 600, count)), 2.0, 300, 0.002, trusted=True)


def test_markers_of_two_runs_are_two_trains():
    both = np.r_[TIMES[:24], 100.7 + TR * np.arange(24)]
    train = found(both, 5000, n_volumes=24)
    rest = left_over(train, both)
    assert (train.spanned, train.inside, train.astray, len(rest)) == (24, 0, 24, 24)
    assert found(rest, 5000, n_volumes=24).spanned == 24


def test_markers_off_the_rhythm_within_the_run_are_counted():
    torn = np.r_[TIMES[:200], TIMES[200:] + 0.032]
    train = found(torn, 250)
    assert train.inside + train.astray > 0.1 * N
