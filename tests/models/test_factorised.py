"""The factorised family: its closed form, its layers against numpy, and its file."""

import keras
import numpy as np
import pytest
from scipy import linalg

from eeg2fmri.config import FactorisedConfig
from eeg2fmri.models.factorised import Features, build
from eeg2fmri.models.factorised_fit import WEAK, Sources, find_sources, fit_loadings
from eeg2fmri.models.ridge import Moments

CHANNELS, BINS, CONTEXT, BANDS, SOURCES, COMPONENTS, GRID = 5, 11, 4, 3, 2, 6, (4, 3, 2)


def mixed(rng, n=4000, features=12, slow=2):
    """Features that mix `slow` slow courses with fast noise, before and after a smoothing; and the mixing (slow, P)."""
    smooth = np.ones(9) / 9
    courses = np.stack([np.convolve(rng.standard_normal(n + 16), np.ones(9), "valid")[:n] for _ in range(slow)], 1)
    mixing = rng.standard_normal((slow, features))
    plain = courses @ mixing + 3 * rng.standard_normal((n, features))
    answered = np.apply_along_axis(np.convolve, 0, plain, smooth, "valid")
    return answered, plain, mixing


def covariance(rows):
    return rows.T @ rows / len(rows)


def test_sources_are_what_the_response_passes(rng):
    answered, plain, mixing = mixed(rng)
    found = find_sources(covariance(answered), covariance(plain), 2)
    # Noise of equal size everywhere: the best reading of the courses weighs the channels in their span.
    angles = linalg.subspace_angles(found, mixing.T)
    assert np.degrees(angles).max() < 10
    assert np.degrees(linalg.subspace_angles(find_sources(np.eye(12), np.eye(12), 2), mixing.T)).max() > 30


def test_sources_vary_by_one_after_the_response_the_slowest_first(rng):
    answered, plain, _ = mixed(rng)
    found = find_sources(covariance(answered), covariance(plain), 5)
    assert found.shape == (12, 5)
    np.testing.assert_allclose(np.diag(found.T @ covariance(answered) @ found), 1)
    weak = WEAK * np.trace(covariance(plain)) / 12 * np.eye(12)
    shares = 1 / np.diag(found.T @ (covariance(plain) + weak) @ found)
    assert (np.diff(shares) < 0).all()


def test_a_dead_feature_and_too_few_features(rng):
    answered, plain, _ = mixed(rng, features=3)
    answered[:, 1] = plain[:, 1] = 0
    found = find_sources(covariance(answered), covariance(plain), 8)
    assert found.shape == (3, 3)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-12)  # nothing is left for the third


def subjects(x, s, count):
    return [Moments.of(x[i::count], s[i::count], len(x) / count) for i in range(count)]


def test_scores_that_nothing_predicts_get_no_loading(rng):
    x, s = rng.standard_normal((600, 4)), rng.standard_normal((600, COMPONENTS))
    s[:, 0] += x[:, 0]
    loadings, chosen = fit_loadings(subjects(x, s, 4), FactorisedConfig().penalties)
    assert np.isfinite(chosen[0])
    np.testing.assert_allclose(loadings[:, 0], [1, 0, 0, 0], atol=0.15)
    assert np.isinf(chosen[1:]).sum() >= 2
    assert not loadings[:, np.isinf(chosen)].any()


def test_loadings_are_ridge_regressions(rng):
    x, s = 3 * rng.standard_normal((90, 4)), rng.standard_normal((90, COMPONENTS))
    s += x @ rng.standard_normal((4, COMPONENTS))
    loadings, chosen = fit_loadings(subjects(x, s, 3), (0.7,))
    np.testing.assert_array_equal(chosen, np.full(COMPONENTS, 0.7))
    penalty = 0.7 * np.trace(x.T @ x) / 4
    np.testing.assert_allclose(loadings, np.linalg.solve(x.T @ x + penalty * np.eye(4), x.T @ s))


def test_a_single_subject_has_the_largest_penalty(rng):
    x, s = rng.standard_normal((60, 4)), rng.standard_normal((60, COMPONENTS))
    _, chosen = fit_loadings(subjects(x, s, 1), (0.1, 30, 3))
    np.testing.assert_array_equal(chosen, np.full(COMPONENTS, 30))


@pytest.fixture
def network(rng):
    features = Features(
        bins=(np.arange(BINS)[:, None] // 4 == np.arange(BANDS)).astype("float32"),
        centre=rng.standard_normal((CHANNELS, BANDS)).astype("float32"),
        scale=rng.random((CHANNELS, BANDS)).astype("float32"),
        response=rng.standard_normal(CONTEXT).astype("float32"),
    )
    start = Sources(
        rng.standard_normal((CHANNELS * BANDS, SOURCES)).astype("float32"),
        rng.standard_normal((SOURCES, COMPONENTS)).astype("float32"),
        np.ones(COMPONENTS),
    )
    basis = np.linalg.qr(rng.standard_normal((24, COMPONENTS)))[0].T.astype("float32")
    mean = rng.standard_normal(GRID).astype("float32")
    config = FactorisedConfig(components=COMPONENTS, hidden=7)
    return build(config, features, start, basis, mean), features, start, basis, mean


def test_starts_as_the_closed_form_says(network, rng):
    built, features, start, basis, mean = network
    eeg = rng.random((8, CHANNELS, BINS, CONTEXT)).astype("float32") + 0.1
    power = np.log(np.einsum("ncft,fb->ntcb", eeg**2, features.bins))
    x = ((power - features.centre) * features.scale).reshape(8, CONTEXT, -1)
    scores = np.einsum("ntp,t->np", x, features.response) @ start.weights @ start.loadings
    np.testing.assert_allclose(built.scores(eeg), scores, rtol=1e-3, atol=1e-3)
    volumes = (scores @ basis).reshape(8, *GRID) + mean
    np.testing.assert_allclose(built.synthesiser(eeg), volumes, rtol=1e-3, atol=1e-3)


def test_hidden_units_correct_each_window(network, rng):
    built, *_ = network
    layer = built.scores.get_layer("sources")
    layer.outward.assign(rng.standard_normal(layer.outward.shape))
    x = rng.standard_normal((2, CONTEXT, CHANNELS * BANDS)).astype("float32")
    w, u, b, v = (np.asarray(a) for a in (layer.linear, layer.inward, layer.bias, layer.outward))
    np.testing.assert_allclose(layer(x), x @ w + np.tanh(x @ u + b) @ v, rtol=1e-4, atol=1e-4)


def test_loaded_from_its_file_it_is_the_same(network, rng, tmp_path):
    built, *_ = network
    path = tmp_path / "network.keras"
    built.synthesiser.save(path)
    eeg = rng.random((3, CHANNELS, BINS, CONTEXT)).astype("float32")
    loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
    np.testing.assert_array_equal(loaded(eeg), built.synthesiser(eeg))
