"""Courses of tasks and of the heart, against independent formulas and planted beats."""

import numpy as np
import pytest
from scipy import stats

from eeg2fmri.signals import beat_amplitudes, event_response, pulse_courses
from eeg2fmri.signals.regressors import cardiac_response

TIMES = 2.0 * np.arange(40)


def test_the_response_to_events_is_the_canonical_one():
    onsets, durations = np.array([10.0, 33.0]), np.array([6.0, 0.0])
    fine = np.arange(0, 80, 0.01)
    boxes = ((fine >= 10) & (fine < 16)).astype(float)
    shape = stats.gamma.pdf(fine, 6) - stats.gamma.pdf(fine, 16) / 6
    box = np.convolve(boxes, shape)[: len(fine)]
    expected = np.interp(TIMES, fine, box)
    found = event_response(onsets[:1], durations[:1], TIMES)
    assert np.corrcoef(found, expected)[0, 1] > 0.9995
    impulse = event_response(onsets[1:], durations[1:], TIMES)
    assert abs(TIMES[impulse.argmax()] - 38) <= 1  # the peak follows by 5 s
    np.testing.assert_allclose(event_response(onsets, durations, TIMES), found + impulse, atol=1e-6)


def test_events_outside_the_run_count_as_far_as_they_reach_into_it():
    before = event_response(np.array([-40.0, -100.0, 500.0]), np.array([60.0, 10.0, 5.0]), TIMES)
    np.testing.assert_allclose(before, event_response(np.array([-24.0]), np.array([44.0]), TIMES), atol=1e-6)
    assert before[0] > 0.9 * before.max()


def beats_at(rate_per_minute):
    """Beats from -5 s to 90 s of a heart whose rate changes with time."""
    fine = np.arange(-5, 90, 0.001)
    phase = np.cumsum(rate_per_minute(fine)) / 60 * 0.001
    return np.interp(np.arange(1, int(phase[-1])), phase, fine)


def test_the_heart_rate_is_the_planted_one_and_a_missed_beat_changes_little():
    def rate(t):
        return 66 + 8 * np.sin(2 * np.pi * t / 30)

    beats = beats_at(rate)
    courses = pulse_courses(beats, TIMES)
    assert list(courses) == ["heart_rate", "heart_rate_response"]
    assert courses["heart_rate"].shape == TIMES.shape
    np.testing.assert_allclose(courses["heart_rate"], rate(TIMES), atol=0.5)
    missed = pulse_courses(np.delete(beats, 40), TIMES)
    np.testing.assert_allclose(missed["heart_rate"], courses["heart_rate"], atol=2.5)


def test_the_cardiac_response_to_a_step_of_the_heart_rate():
    courses = pulse_courses(beats_at(lambda t: np.where(t < 40, 60.0, 75.0)), TIMES)
    fine = np.arange(-5, 80, 0.01)
    step = np.where(fine < 40, 60.0, 75.0)
    response = np.convolve(step - step.mean(), cardiac_response(np.arange(0, 30, 0.01)))[: len(fine)] * 0.01
    expected = np.interp(TIMES, fine, response)
    assert np.corrcoef(courses["heart_rate_response"][5:], expected[5:])[0, 1] > 0.99
    peak = np.arange(0, 30, 0.01)[cardiac_response(np.arange(0, 30, 0.01)).argmax()]
    assert 3.5 < peak < 4.5  # Chang et al. 2009, figure 1
    assert cardiac_response(np.array([12.0])) < 0


def test_the_amplitude_is_that_of_each_beat():
    beats = beats_at(lambda t: np.full_like(t, 60.0))
    heights = 500 + 100 * np.cos(2 * np.pi * beats / 40)
    rate, samples = 200.0, np.rint((beats + 5) * 200).astype(int)
    ecg = np.random.default_rng(0).normal(0, 0.1, 20_000) + np.linspace(0, 900, 20_000)  # wanders
    ecg[samples] += heights
    found = beat_amplitudes(ecg, rate, samples.astype(float))
    np.testing.assert_allclose(found, heights, atol=2)
    course = pulse_courses(beats, TIMES, found)["pulse_amplitude"]
    np.testing.assert_allclose(course * heights.mean(), 500 + 100 * np.cos(2 * np.pi * TIMES / 40), atol=5)


@pytest.mark.parametrize("beats", [np.array([]), np.array([3.0]), np.array([3.0, 20.0, 50.0])])
def test_without_a_heart_there_is_no_course(beats):
    assert pulse_courses(beats, TIMES) == {}
