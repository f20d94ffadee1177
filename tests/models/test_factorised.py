"""The factorised family: its closed form, its layers against numpy, and its file."""

import keras
import numpy as np
import pytest

from eeg2fmri.config import FactorisedConfig
from eeg2fmri.errors import ConfigError
from eeg2fmri.models.factorised import Features, Regression, build
from eeg2fmri.models.factorised_fit import Penalties, Sources, choose_gates, choose_penalties, fit_sources, members
from eeg2fmri.models.ridge import Moments

CHANNELS, BINS, CONTEXT, BANDS, SOURCES, COMPONENTS, GRID = 5, 11, 4, 3, 2, 6, (4, 3, 2)


ALL = np.full(COMPONENTS, 1e-3)


def planted(rng, n=400, features=12, rank=2, noise=0.5):
    """Moments of three subjects whose scores (6) follow `rank` sources of the features."""
    weights, loadings = rng.standard_normal((features, rank)), rng.standard_normal((rank, COMPONENTS))
    result, products = {}, {}
    for subject in ("a", "b", "c"):
        x = rng.standard_normal((n, features))
        clean = x @ weights @ loadings
        scores = clean + noise * rng.standard_normal(clean.shape)
        result[subject] = Moments.of(x, np.concatenate([scores, scores], axis=1), n)
        products[subject] = scores.T @ scores
    return (result, products), weights @ loadings


def test_finds_the_planted_relation(rng):
    moments, relation = planted(rng)
    found = fit_sources(*moments, FactorisedConfig(sources=2), Penalties(1e-3, ALL))
    assert found.weights.shape == (12, 2)
    np.testing.assert_allclose(found.weights @ found.loadings, relation, atol=0.15)


def test_fewer_sources_explain_less(rng):
    moments, relation = planted(rng)
    errors = []
    for sources in (1, 2):
        found = fit_sources(*moments, FactorisedConfig(sources=sources), Penalties(1e-3, ALL))
        assert np.linalg.matrix_rank(found.weights @ found.loadings) == sources
        errors.append(np.abs(found.weights @ found.loadings - relation).mean())
    assert errors[0] > 2 * errors[1]


def test_sources_vary_by_one(rng):
    moments, _ = planted(rng)
    found = fit_sources(*moments, FactorisedConfig(sources=2), Penalties(0.3, ALL))
    total = moments[0]["a"] + moments[0]["b"] + moments[0]["c"]
    np.testing.assert_allclose(np.diag(found.weights.T @ total.features @ found.weights) / total.freedom, 1, rtol=1e-4)


def test_scores_that_nothing_predicts_get_no_loading(rng):
    """Their error on subjects whom sources and loadings were not fitted on tells."""
    x, s = rng.standard_normal((600, 40)), rng.standard_normal((600, COMPONENTS))
    s[:, 0] += x[:, 0]
    moments = {n: Moments.of(x[i::4], np.concatenate([s, s], axis=1)[i::4], 150) for i, n in enumerate("abcd")}
    products = {n: s[i::4].T @ s[i::4] for i, n in enumerate("abcd")}
    config = FactorisedConfig(sources=2, gate_rounds=1)
    penalties = choose_penalties(moments, products, config)
    assert np.isfinite(penalties.loadings[0])
    assert np.isinf(penalties.loadings[1:]).sum() >= 3
    found = fit_sources(moments, products, config, penalties)
    assert np.abs(found.loadings[:, 0]).max() > 0.2
    assert not found.loadings[:, np.isinf(penalties.loadings)].any()


def test_noise_asks_for_a_larger_penalty(rng):
    config = FactorisedConfig(sources=2, penalties=(1e-3, 0.3, 30, 3000))
    clean, noisy = (planted(rng, n=60, features=40, noise=noise)[0] for noise in (0.1, 60.0))
    sure, unsure = choose_penalties(*clean, config), choose_penalties(*noisy, config)
    assert sure.sources < 1
    assert sure.loadings.max() < unsure.loadings.min()
    only = choose_penalties({"a": clean[0]["a"]}, {"a": clean[1]["a"]}, config)
    assert only.sources == 3000
    np.testing.assert_array_equal(only.loadings, np.full(COMPONENTS, 10))


def test_noise_teaches_next_to_nothing(rng):
    """What a held-out subject judges was fitted without it, or noise would seem to be predicted."""
    x, s = rng.standard_normal((700, 100)), rng.standard_normal((700, COMPONENTS))
    moments = {n: Moments.of(x[i::7], np.concatenate([s, s], axis=1)[i::7], 100) for i, n in enumerate("abcdefg")}
    products = {n: s[i::7].T @ s[i::7] for i, n in enumerate("abcdefg")}
    config = FactorisedConfig()
    found = fit_sources(moments, products, config, choose_penalties(moments, products, config))
    predicted = rng.standard_normal((2000, 100)) @ found.weights @ found.loadings
    assert np.square(predicted).mean() < 0.02  # of the scores' variance, all of it lost


def test_gates_open_for_the_features_that_predict(rng):
    n, informative = 300, [2, 7]
    moments = []
    for _ in range(3):
        x = rng.standard_normal((n, 12))
        scores = x[:, informative] @ rng.standard_normal((2, COMPONENTS)) + 2 * rng.standard_normal((n, COMPONENTS))
        moments.append(Moments.of(x, scores, n))
    closed = [feature for feature in range(12) if feature not in informative]
    ratios = []
    for rounds in (1, 3):
        gates = choose_gates(moments, FactorisedConfig(gate_rounds=rounds))
        assert gates.shape == (12,)
        assert (gates > 0).all()
        ratios.append(gates[informative].min() / gates[closed].max())
    assert 1 < ratios[0] < ratios[1]
    np.testing.assert_array_equal(choose_gates(moments, FactorisedConfig(gate_rounds=0)), np.ones(12))


def test_gates_stay_open_where_nothing_predicts(rng):
    x = rng.standard_normal((300, 12))
    moments = [Moments.of(x[i::3], np.zeros((100, COMPONENTS)), 100) for i in range(3)]
    np.testing.assert_array_equal(choose_gates(moments, FactorisedConfig()), np.ones(12))


def test_every_subject_is_left_out_once():
    parts = members(["d", "a", "c", "b"], 3)
    assert len(parts) == 3
    assert sorted(s for part in parts for s in {"a", "b", "c", "d"} - set(part)) == ["a", "b", "c", "d"]
    assert members(["a"], 1) == [("a",)]


def test_more_members_than_subjects_are_refused(refuses):
    with refuses(ConfigError, "members: 3 of 2 training subjects"):
        members(["a", "b"], 3)


@pytest.fixture
def network(rng):
    features = Features(
        bins=(np.arange(BINS)[:, None] // 4 == np.arange(BANDS)).astype("float32"),
        centre=rng.standard_normal((CHANNELS, BANDS)).astype("float32"),
        scale=rng.random((CHANNELS, BANDS)).astype("float32"),
        response=rng.standard_normal(CONTEXT).astype("float32"),
    )
    starts = [
        Sources(
            rng.standard_normal((CHANNELS * BANDS, SOURCES)).astype("float32"),
            rng.standard_normal((SOURCES, COMPONENTS)).astype("float32"),
        )
        for _ in range(3)
    ]
    linear = Regression(
        rng.standard_normal((CONTEXT, 2)).astype("float32"),
        rng.standard_normal((CHANNELS * BANDS * 2, COMPONENTS)).astype("float32"),
    )
    basis = np.linalg.qr(rng.standard_normal((24, COMPONENTS)))[0].T.astype("float32")
    mean = rng.standard_normal(GRID).astype("float32")
    config = FactorisedConfig(components=COMPONENTS, hidden=7, linear_share=0.3)
    return build(config, features, starts, linear, basis, mean), features, starts, linear, basis, mean


def test_starts_as_the_closed_form_says(network, rng):
    built, features, starts, linear, basis, mean = network
    eeg = rng.random((8, CHANNELS, BINS, CONTEXT)).astype("float32") + 0.1
    power = np.log(np.einsum("ncft,fb->ntcb", eeg**2, features.bins))
    x = ((power - features.centre) * features.scale).reshape(8, CONTEXT, -1)
    answered = np.einsum("ntp,t->np", x, features.response)
    scores = np.stack([answered @ s.weights @ s.loadings for s in starts], axis=1)
    np.testing.assert_allclose(built.scores(eeg), scores, rtol=1e-3, atol=1e-3)
    path = np.einsum("ntp,th->nph", x, linear.shapes).reshape(8, -1) @ linear.coefficients
    volumes = ((0.7 * scores.mean(axis=1) + 0.3 * path) @ basis).reshape(8, *GRID) + mean
    np.testing.assert_allclose(built.synthesiser(eeg), volumes, rtol=1e-3, atol=1e-3)


def test_hidden_units_correct_each_window(network, rng):
    built, *_ = network
    layer = built.scores.get_layer("sources")
    layer.outward.assign(rng.standard_normal(layer.outward.shape))
    x = rng.standard_normal((2, CONTEXT, CHANNELS * BANDS)).astype("float32")
    w, u, b, v = (np.asarray(a) for a in (layer.linear, layer.inward, layer.bias, layer.outward))
    expected = [x @ w[m] + np.tanh(x @ u[m] + b[m]) @ v[m] for m in range(3)]
    np.testing.assert_allclose(layer(x), np.stack(expected, axis=2), rtol=1e-4, atol=1e-4)


def test_loaded_from_its_file_it_is_the_same(network, rng, tmp_path):
    built, *_ = network
    path = tmp_path / "network.keras"
    built.synthesiser.save(path)
    eeg = rng.random((3, CHANNELS, BINS, CONTEXT)).astype("float32")
    loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
    np.testing.assert_array_equal(loaded(eeg), built.synthesiser(eeg))
