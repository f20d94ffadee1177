"""The page of a recording and the overview of a dataset, read back from their artists."""

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import Measure, QualityPage, figure_to_rgb, overview_figure, quality_page

GRID, TR, START = (6, 7, 5), 2.0, 6.0
CHANNELS = ("Fp1", "Cz", "Oz", "T7")
W, F, S = 11, 13, 20
AFFINE = np.array([[3.0, 0, 0, -7.5], [0, 3, 0, -9], [0, 0, 4, -20], [0, 0, 0, 1]])


@pytest.fixture
def page(rng):
    mask = np.zeros(GRID, bool)
    mask[1:-1, 1:-1, 1:4] = True
    return QualityPage(
        name="sub-01_task-rest",
        facts=("4 channels", "TR 2 s"),
        tr=TR,
        start=START,
        channels=CHANNELS,
        broken=np.array(["", "", "", ""], object),
        spectrum_frequencies=np.arange(S) * 2.0,
        spectrum_before=rng.gamma(2, 1, (4, S)),
        spectrum_after=rng.gamma(2, 0.1, (4, S)),
        unit="µV",
        spectrogram=rng.gamma(2, 1, (W, 4, F)),
        frequencies=np.arange(1, F + 1) / TR,
        marker_times=TR * np.array([1.0, 3, 4]),
        marker_deviation=np.array([0.0, 4, -1]),
        sample_ms=2.0,
        missing_times=np.array([4.0]),
        mean_volume=1000 * rng.random(GRID),
        temporal_snr=100 * rng.random(GRID),
        mask=mask,
        affine=AFFINE,
        global_signal=np.array([100.0, 102, 98, 100, 100, 100, 100, 100, 100, 100, 100, 100]),
        displacement=np.array([0.1, 0.2, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]),
        dvars=np.array([1.0, 1, 1, 4, 1, 1, 1, 1, 1, 1, 1]),
        outliers=np.arange(11) == 3,
    )


def panel(figure, heading):
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith(heading))


def mesh(figure):
    return next(c for c in panel(figure, "EEG spectrogram").collections if isinstance(c, QuadMesh))


def lines(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour and len(line.get_xdata())]


def test_the_page_is_1600_by_1000_and_names_the_recording(page):
    figure = quality_page(page)
    assert figure_to_rgb(figure).shape == (1000, 1600, 3)
    assert [text.get_text() for text in figure.texts][:2] == ["sub-01_task-rest", "4 channels  ·  TR 2 s"]


def test_spectra_before_and_after_share_their_axes(page):
    figure = quality_page(page)
    before, after = panel(figure, "EEG before"), panel(figure, "EEG after")
    assert before.get_ylim() == after.get_ylim()
    assert before.get_yscale() == "log"
    for axes, spectrum in ((before, page.spectrum_before), (after, page.spectrum_after)):
        np.testing.assert_array_equal([line.get_ydata() for line in lines(axes, "#0072B2")], spectrum[:, 1:])
        (median,) = lines(axes, "black")
        np.testing.assert_allclose(median.get_ydata(), np.median(spectrum[:, 1:], axis=0))


def test_nothing_cleaned_is_one_panel(page):
    figure = quality_page(dataclasses.replace(page, spectrum_after=page.spectrum_before))
    assert panel(figure, "EEG (nothing cleaned)").lines
    assert not any(axes.get_title(loc="left").startswith("EEG after") for axes in figure.axes)


def test_broken_channels_are_named_and_drawn_apart(page):
    figure = quality_page(dataclasses.replace(page, broken=np.array(["", "flat", "", "loud"], object)))
    axes = panel(figure, "EEG after")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["flat: Cz", "loud: T7", "median channel"]
    np.testing.assert_array_equal(
        [line.get_ydata() for line in lines(axes, "#D55E00")], page.spectrum_after[[1, 3], 1:]
    )


def test_a_flat_channel_leaves_a_gap(page):
    flat = page.spectrum_after.copy()
    flat[2] = 0
    figure = quality_page(dataclasses.replace(page, spectrum_after=flat))
    assert figure_to_rgb(figure).shape == (1000, 1600, 3)
    drawn = np.ma.masked_invalid([line.get_ydata() for line in lines(panel(figure, "EEG after"), "#0072B2")])
    assert not drawn[2].compressed().any()
    np.testing.assert_array_equal(drawn[[0, 1, 3]], flat[[0, 1, 3], 1:])
    low, high = panel(figure, "EEG after").get_ylim()
    assert 0 < low < flat[flat > 0].max() < high
    nothing = quality_page(dataclasses.replace(page, spectrum_before=0 * flat, spectrum_after=0 * flat))
    assert figure_to_rgb(nothing).shape == (1000, 1600, 3)


def test_the_spectrogram_is_power_density_in_decibels_on_the_run_s_clock(page):
    power = 10 * np.log10(2 * TR * page.spectrogram**2)
    drawn = mesh(quality_page(page))
    np.testing.assert_allclose(drawn.get_array(), np.median(power, axis=1).T)
    corners = drawn.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], START + TR * np.arange(W + 1))
    np.testing.assert_allclose(corners[:, 0, 1], np.arange(0.5, F + 1) / TR)
    one = quality_page(page, channel="Oz")
    np.testing.assert_allclose(mesh(one).get_array(), power[:, 2].T)
    assert panel(one, "EEG spectrogram, Oz")


def test_a_dead_channel_does_not_darken_the_spectrogram(page):
    dead = page.spectrogram.copy()
    dead[:, 2] = 0
    power = 10 * np.log10(2 * TR * page.spectrogram**2)
    drawn = mesh(quality_page(dataclasses.replace(page, spectrogram=dead))).get_array()
    assert (drawn >= power.min(axis=1).T).all()


def test_density_of_white_noise_is_that_of_the_spectra(rng):
    from eeg2fmri.plotting._spectral import power_density
    from eeg2fmri.signals import spectrogram

    noise = 3 * rng.standard_normal((2, 20000))  # one-sided: 2 * variance / rate
    magnitude = spectrogram(noise, 100.0, TR, onset=0, n_windows=100, n_frequencies=90)
    measured = 10 * np.log10(np.mean(10 ** (power_density(magnitude, TR) / 10)))
    assert measured == pytest.approx(10 * np.log10(2 * 9 / 100), abs=0.2)


def test_markers_that_are_missing_are_marked(page):
    axes = panel(quality_page(page), "Volume markers")
    zero, found, beyond, missing = axes.lines
    np.testing.assert_array_equal(zero.get_ydata(), 0)
    np.testing.assert_array_equal(found.get_xydata(), [[2, 0], [8, -1]])
    np.testing.assert_array_equal(beyond.get_xydata(), [[6, 4]])
    np.testing.assert_array_equal(missing.get_xdata(), [4])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["± one sample", "1 beyond", "1 missing"]
    low, high = axes.get_ylim()
    assert low == -high < -4


def test_tiny_deviations_are_not_blown_up(page):
    tiny = dataclasses.replace(page, marker_deviation=1e-11 * page.marker_deviation)
    assert panel(quality_page(tiny), "Volume").get_ylim() == (-3, 3)
    exact = dataclasses.replace(tiny, sample_ms=0.2)
    assert panel(quality_page(exact), "Volume").get_ylim() == (-1, 1)


def test_one_sample_of_jitter_is_no_outlier(page):
    axes = panel(quality_page(dataclasses.replace(page, marker_deviation=np.array([2.0, -2, 0]))), "Volume markers")
    _, found, missing = axes.lines
    np.testing.assert_array_equal(found.get_ydata(), [2, -2, 0])
    assert missing.get_marker() == "x"


def test_no_markers_is_said(page):
    none = np.empty(0)
    figure = quality_page(dataclasses.replace(page, marker_times=none, marker_deviation=none, missing_times=none))
    assert panel(figure, "Volume markers").texts[0].get_text() == "no volume markers"


def test_the_global_signal_is_in_percent(page):
    (line,) = panel(quality_page(page), "Global BOLD").lines
    np.testing.assert_allclose(line.get_ydata()[:4], [0, 2, -2, 0])
    np.testing.assert_allclose(line.get_xdata()[:2], [START, START + TR])


def test_dvars_and_displacement_lie_on_the_second_volume_on_with_their_outliers(page):
    figure = quality_page(page)
    times = START + TR * np.arange(1, 12)
    course, outlier = panel(figure, "DVARS").lines
    np.testing.assert_array_equal(course.get_xydata(), np.column_stack([times, page.dvars]))
    np.testing.assert_array_equal(outlier.get_xydata(), [[START + 4 * TR, 4]])
    bound, course, outlier = panel(figure, "Framewise").lines
    assert set(bound.get_ydata()) == {0.5}
    np.testing.assert_array_equal(course.get_xydata(), np.column_stack([times, page.displacement]))
    np.testing.assert_array_equal(outlier.get_xydata(), [[START + 4 * TR, 0.9]])


def test_a_displacement_that_is_not_known_is_not_drawn(page):
    figure = quality_page(dataclasses.replace(page, displacement=np.empty(0)))
    assert not any(axes.get_title(loc="left").startswith("Framewise") for axes in figure.axes)
    assert panel(figure, "DVARS").get_xlabel() == "time from the first volume (s)"


def test_many_facts_go_on_in_a_second_line_between_two_of_them(page):
    facts = [f"fact number {n}" for n in range(14)]
    text = quality_page(dataclasses.replace(page, facts=facts)).texts[1].get_text()
    _, second = text.split("\n")
    assert second.startswith("fact number")
    assert " ".join(text.split()) == " · ".join(facts)


def test_time_courses_share_one_axis_from_the_first_volume_on(page):
    figure = quality_page(page)
    limits = {
        panel(figure, name).get_xlim()
        for name in ("EEG spectrogram", "Volume markers", "Global BOLD", "DVARS", "Framewise")
    }
    assert limits == {(0, START + 12 * TR)}


def test_slices_span_the_brain_and_the_snr_is_blank_outside(page):
    drawn = [axes.images[0] for axes in quality_page(page).axes if axes.images]
    assert len(drawn) == 6  # three slices of each volume hold brain
    for z, mean, snr in zip((1, 2, 3), drawn[:3], drawn[3:], strict=True):
        np.testing.assert_array_equal(mean.get_array(), page.mean_volume[:, :, z].T)
        np.testing.assert_array_equal(np.ma.getmaskarray(snr.get_array()), ~page.mask[:, :, z].T)
        assert mean.axes.get_title() == f"z = −{20 - 4 * z} mm"


def test_slices_end_around_the_brain_and_say_which_side_is_left(page):
    first, *others = [axes for axes in quality_page(page).axes if axes.images]
    assert (first.get_xlim(), first.get_ylim()) == ((0, 18), (0, 21))
    assert [text.get_text() for text in first.texts] == ["L", "R"]
    assert not others[0].texts


def test_without_a_mask_everything_is_drawn(page):
    figure = quality_page(dataclasses.replace(page, mask=np.zeros(GRID, bool)))
    assert sum(bool(axes.images) for axes in figure.axes) == 10


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"spectrogram": np.ones((W, 3, F))}, "spectrogram"),
        ({"spectrum_after": np.ones((4, S + 1))}, "spectrum_after"),
        ({"temporal_snr": np.ones((6, 7, 6))}, "temporal_snr"),
        ({"mean_volume": np.full(GRID, np.nan)}, "mean_volume"),
        ({"marker_times": np.ones(5)}, "marker_deviation"),
        ({"dvars": np.ones(12)}, "dvars"),
        ({"displacement": np.ones(12)}, "displacement"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(page, change, named, refuses):
    with refuses(FigureError, f"sub-01_task-rest: {named}"):
        quality_page(dataclasses.replace(page, **change))


def test_an_unknown_channel_is_refused(page, refuses):
    with refuses(FigureError, "no channel 'Pz'; it has Fp1, Cz, Oz, T7"):
        quality_page(page, channel="Pz")


NAMES = [f"sub-{number:02d}" for number in range(8)]


def measure(**changes):
    values = np.array([60.0, 61, 62, 20, 63, 64, 65, 66])
    return Measure(**{"label": "temporal SNR", "values": values, "low_is_bad": True, **changes})


def test_the_recording_that_stands_out_is_named_in_colour():
    figure = overview_figure(NAMES, [measure(), measure(label="same", values=np.ones(8))])
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == NAMES
    assert [label.get_text() for label in labels if label.get_color() == "#D55E00"] == ["sub-03"]
    rest, outlier = figure.axes[0].collections
    np.testing.assert_array_equal(outlier.get_offsets(), [[20, 3]])
    assert len(rest.get_offsets()) == 7
    assert figure_to_rgb(figure).shape == (430, 1600, 3)


def test_only_the_bad_side_is_an_outlier():
    assert list(np.flatnonzero(measure().outliers)) == [3]
    assert not measure(low_is_bad=False).outliers.any()
    assert list(np.flatnonzero(measure(values=np.array([0.0, 0, 0, 0, 5]), low_is_bad=False).outliers)) == [4]


def test_what_does_not_matter_is_no_outlier_and_not_blown_up():
    values = np.array([0.0, 0, 0, 0.3])
    assert not measure(values=values, low_is_bad=False, least=1).outliers.any()
    (axes,) = overview_figure(NAMES[:4], [measure(values=values, low_is_bad=False, least=1)]).axes
    low, high = axes.get_xlim()
    assert high - low > 1


def test_the_least_difference_may_be_each_recording_s_own():
    values, least = np.array([0.0, 0, 0, 0, 4, 4]), np.array([6.0, 6, 6, 6, 6, 1])  # 250 Hz, and one at 5 kHz
    jitter = measure(values=values, low_is_bad=False, least=least)
    assert list(np.flatnonzero(jitter.outliers)) == [5]
    figure_to_rgb(overview_figure(NAMES[:6], [jitter]))


def test_what_is_not_known_is_said_and_no_outlier():
    unknown = measure(values=np.full(8, np.nan))
    assert not unknown.outliers.any()
    (axes,) = overview_figure(NAMES, [unknown]).axes
    assert axes.texts[0].get_text() == "not known"
    some = measure(values=np.array([1.0, 1, 1, 1, 1, 1, 1, np.nan]))
    figure_to_rgb(overview_figure(NAMES, [some]))


def test_many_recordings_fit_and_only_outliers_are_named():
    values = np.full(500, 60.0)
    values[77] = 3
    names = [f"r{number}" for number in range(500)]
    figure = overview_figure(names, [measure(values=values)])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["r77"]
    assert figure.get_figheight() == 20


def test_the_overview_refuses_what_does_not_fit(refuses):
    with refuses(FigureError, r"temporal SNR has shape \(8,\): expected \(3,\)"):
        overview_figure(NAMES[:3], [measure()])
    with refuses(FigureError, "nothing to draw"):
        overview_figure([], [measure()])
