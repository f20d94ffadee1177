"""The published family: its published size, every variant and switch, and what its output depends on."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from eeg2fmri.config import VARIANTS, BlockSpec, Calhas2022Config, Config, parse
from eeg2fmri.errors import ConfigError, SpecError
from eeg2fmri.models.architectures import Candidates
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.training.pairs import pair_model
from tests.fakes import EEG_SHAPE, EEG_SPEC, FMRI_SPEC, GRID, deep_config

N = 3
OTHER_EEG = BlockSpec(kernels=((2, 5, 2),), strides=((1, 2, 1),), pool=(2, 1, 1))


@pytest.fixture
def batch(rng):
    return {
        "eeg": rng.standard_normal((N, *EEG_SHAPE)).astype(np.float32),
        "fmri": rng.standard_normal((N, *GRID)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def published():
    return build(Calhas2022Config(), (64, 134, 10), (64, 64, 30))


def outputs(model, batch, training=False):
    return {key: np.asarray(value) for key, value in model(batch, training=training).items()}


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


class TestPublishedSize:
    def test_eeg_encoder(self, published):
        assert published.eeg_encoder.count_params() == 489_503

    def test_fmri_encoder(self, published):
        assert published.fmri_encoder.count_params() == 575_327

    def test_whole_model_and_its_last_dense_layer(self, published):
        parts = (published.eeg_encoder, published.fmri_encoder, published.decoder)
        assert sum(map(trainable, parts)) == pytest.approx(44.7e6, abs=0.05e6)
        assert published.decoder.get_layer("volume").count_params() == (343 + 1) * 64 * 64 * 30

    def test_what_lies_between_the_latent_and_the_last_dense_layer(self, published):
        fourier, style = (published.decoder.get_layer(name) for name in ("fourier", "style"))
        assert trainable(fourier) == 343 + 343 + 1  # offset and gain of the layer norm, and the scale
        assert style.count_params() == 64 * 64 * 343  # no bias
        parts = build(Calhas2022Config(variant="lp"), (64, 134, 10), (64, 64, 30))
        assert parts.decoder.get_layer("projection").count_params() == 343 * 343 + 343

    def test_one_full_size_volume(self, published, rng):
        eeg = rng.standard_normal((1, 64, 134, 10)).astype(np.float32)
        volume = np.asarray(published.synthesiser()(eeg))
        assert volume.shape == (1, 64, 64, 30)
        assert np.isfinite(volume).all()


@pytest.mark.parametrize("variant", VARIANTS)
class TestVariants:
    def test_shapes(self, variant, batch):
        out = outputs(pair_model(build(deep_config(variant=variant), EEG_SHAPE, GRID)), batch)
        assert {key: value.shape for key, value in out.items()} == {
            "volume": (N, *GRID),
            "z_x": (N, 24),
            "z_y": (N, 24),
        }
        assert all(np.isfinite(value).all() for value in out.values())

    def test_volume_depends_on_the_eeg_alone(self, variant, batch):
        model = pair_model(build(deep_config(variant=variant), EEG_SHAPE, GRID))
        before = outputs(model, batch)
        other = outputs(model, batch | {"fmri": batch["fmri"] * 3 + 1})
        np.testing.assert_array_equal(before["volume"], other["volume"])
        np.testing.assert_array_equal(before["z_x"], other["z_x"])
        assert not np.allclose(before["z_y"], other["z_y"])
        assert not np.allclose(before["volume"], outputs(model, batch | {"eeg": batch["eeg"][::-1]})["volume"])

    def test_synthesiser_has_one_input_and_the_pair_models_volume(self, variant, batch):
        parts = build(deep_config(variant=variant), EEG_SHAPE, GRID)
        synthesiser = parts.synthesiser()
        assert [tuple(i.shape) for i in synthesiser.inputs] == [(None, *EEG_SHAPE)]
        volume = outputs(pair_model(parts), batch)["volume"]
        np.testing.assert_allclose(np.asarray(synthesiser(batch["eeg"])), volume, atol=1e-6)

    def test_parts_that_make_the_variant(self, variant):
        parts = build(deep_config(variant=variant), EEG_SHAPE, GRID)
        names = {layer.name for part in (parts.eeg_encoder, parts.decoder) for layer in part.layers}
        expected = {
            "lp": {"projection"},
            "fp": {"fourier"},
            "talp": {"attention", "projection"},
            "tafp": {"attention", "fourier"},
            "tafp-style": {"attention", "fourier", "style", "styled"},
            "tafp-style-prior": {"attention", "fourier", "styled"},
        }
        assert names & {"attention", "projection", "fourier", "style", "styled"} == expected[variant]

    @pytest.mark.slow
    def test_one_step_moves_every_trained_weight(self, variant, batch):
        keras.utils.set_random_seed(0)  # of any weights, the signs of errors may add up to 0 at a bias
        parts = build(deep_config(variant=variant, dropout=0.0), EEG_SHAPE, GRID)
        model = pair_model(parts)
        model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=False)
        before = [w.numpy().copy() for w in model.trainable_weights]
        model.train_on_batch(batch)
        still = [
            w.path
            for w, old in zip(model.trainable_weights, before, strict=True)
            if np.array_equal(w.numpy(), old) and not ("bias" in w.path and "block" in w.path)  # cancelled by the norm
        ]
        assert still == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "switch",
    [
        {"max_pool": False},
        {"batch_norm": False},
        {"skip": False},
        {"dropout": 0.0},
        {"output_filter": "none"},
        {"weight_decay": 0.01},
        {"start_at_mean": False},
        {"filters": 3},
        {"latent": (3, 2, 5)},
        {"output_filter": "local"},
        {"fourier": "fixed"},
    ],
    ids=lambda switch: "-".join(map(str, switch)),
)
def test_switches_build_run_and_train(switch, batch):
    config = deep_config(**switch)
    model = pair_model(build(config, EEG_SHAPE, GRID, mean_volume=np.ones(GRID, np.float32)))
    assert outputs(model, batch)["volume"].shape == batch["fmri"].shape
    model.compile(optimizer="sgd", jit_compile=False)
    assert np.isfinite(model.train_on_batch(batch)).all()


def layer_types(model):
    return {type(layer).__name__ for layer in model._flatten_layers()}


@pytest.mark.parametrize(
    ("switch", "layer"),
    [({"max_pool": False}, "MaxPooling3D"), ({"batch_norm": False}, "BatchNormalization"), ({"dropout": 0}, "Dropout")],
)
def test_switch_takes_its_layer_out(switch, layer):
    assert layer in layer_types(pair_model(build(deep_config(), EEG_SHAPE, GRID)))
    assert layer not in layer_types(pair_model(build(deep_config(**switch), EEG_SHAPE, GRID)))


def test_output_conv_is_one_weight_and_one_bias():
    with_it, without = (build(deep_config(output_filter=kind), EEG_SHAPE, GRID).decoder for kind in ("conv", "none"))
    assert with_it.count_params() - without.count_params() == 2


def test_local_filter_is_a_weight_and_a_bias_per_voxel():
    with_it, without = (build(deep_config(output_filter=kind), EEG_SHAPE, GRID).decoder for kind in ("local", "none"))
    assert with_it.count_params() - without.count_params() == 2 * np.prod(GRID)


def test_fixed_fourier_features_have_no_weights():
    random, fixed = (build(deep_config(fourier=kind), EEG_SHAPE, GRID).decoder for kind in ("random", "fixed"))
    assert random.count_params() - fixed.count_params() == 24 * 24 + 24 + 1 + 2 * 24


class TestComponents:
    @pytest.fixture
    def basis(self, rng):
        return rng.standard_normal((4, np.prod(GRID))).astype(np.float32)

    def build(self, rng, basis, **changes):
        mean = rng.standard_normal(GRID).astype(np.float32)
        config = deep_config(decoder="pca", components=4, **changes)
        return build(config, EEG_SHAPE, GRID, mean_volume=mean, basis=basis), mean

    def test_starts_as_the_mean_volume(self, rng, basis, batch):
        parts, mean = self.build(rng, basis)
        volume = np.asarray(parts.synthesiser()(batch["eeg"]))
        np.testing.assert_array_equal(volume, np.broadcast_to(mean, volume.shape))

    def test_volumes_are_the_mean_plus_coefficients_times_basis(self, rng, basis, batch):
        parts, mean = self.build(rng, basis)
        dense = parts.decoder.get_layer("coefficients")
        dense.kernel.assign(rng.standard_normal(dense.kernel.shape))
        amounts = np.asarray(parts.coefficients(parts.eeg_encoder(batch["eeg"])))
        expected = (amounts @ basis).reshape(N, *GRID) + mean
        np.testing.assert_allclose(np.asarray(parts.synthesiser()(batch["eeg"])), expected, atol=1e-4)

    def test_there_is_no_fmri_encoder(self, rng, basis):
        assert self.build(rng, basis)[0].fmri_encoder is None


@pytest.mark.parametrize(
    "changes",
    [
        *({"variant": variant} for variant in VARIANTS),
        {"output_filter": "local", "weight_decay": 0.1},
        {"fourier": "fixed"},
        {"decoder": "pca", "components": 5},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_loaded_synthesiser_gives_identical_volumes(changes, batch, tmp_path, rng):
    config = deep_config(**changes)
    basis = rng.standard_normal((5, np.prod(GRID))).astype(np.float32) if config.decoder == "pca" else None
    model = build(config, EEG_SHAPE, GRID, mean_volume=np.ones(GRID, np.float32), basis=basis).synthesiser()
    for weight in model.trainable_weights:
        weight.assign(0.3 * rng.standard_normal(weight.shape))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(again(batch["eeg"])), np.asarray(model(batch["eeg"])))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variant": "talp", "fourier": "fixed"}, "fourier: the variant talp has no Fourier"),
        ({"decoder": "pca", "output_filter": "conv"}, "output_filter: conv .* none or auto"),
        ({"decoder": "pca", "start_at_mean": False}, "start_at_mean: false"),
    ],
)
def test_impossible_combinations_are_refused_with_the_reason(refuses, changes, words):
    with refuses(ConfigError, words):
        parse(Config, {"models": [{"family": "calhas2022", **changes}]}, "test")


def test_filter_and_alignment_follow_the_decoder():
    dense, pca = Calhas2022Config(), Calhas2022Config(decoder="pca")
    assert (dense.filter, dense.aligns) == ("conv", True)
    assert (pca.filter, pca.aligns) == ("none", False)


def test_dropout_acts_in_training_and_on_the_fmri_side_only(batch):
    model = pair_model(build(deep_config(batch_norm=False), EEG_SHAPE, GRID))
    calm, first, second = (outputs(model, batch, training=flag) for flag in (False, True, True))
    np.testing.assert_allclose(first["volume"], calm["volume"], atol=1e-6)
    assert not np.array_equal(first["z_y"], second["z_y"])
    assert (first["z_y"] == 0).any()
    assert not (calm["z_y"] == 0).any()


@pytest.mark.parametrize("output_filter", ["conv", "local"])
def test_weight_decay_counts_kernels_and_biases_of_the_residual_blocks_once(output_filter):
    config = deep_config(weight_decay=0.01, output_filter=output_filter)
    model = pair_model(build(config, EEG_SHAPE, GRID))
    penalised = [w for w in model.trainable_weights if "block_" in w.path and w.name in ("kernel", "bias")]
    assert len(penalised) == 8
    expected = 0.01 * sum(float(np.square(w.numpy(), dtype=np.float64).sum()) for w in penalised)
    assert sum(float(loss) for loss in model.losses) == pytest.approx(expected, rel=1e-5)
    assert not pair_model(build(deep_config(), EEG_SHAPE, GRID)).losses


@pytest.mark.parametrize(
    ("eeg_shape", "grid"),
    [((3, 8, 2), (5, 4, 6)), ((9, 21, 4), (8, 7, 5)), ((4, 11, 7), (6, 9, 12)), ((32, 6, 5), (4, 5, 3))],
)
def test_other_channels_frequencies_contexts_and_grids(eeg_shape, grid, rng):
    parts = build(deep_config(), eeg_shape, grid)
    model = pair_model(parts)
    out = outputs(
        model,
        {
            "eeg": rng.standard_normal((2, *eeg_shape)).astype(np.float32),
            "fmri": rng.standard_normal((2, *grid)).astype(np.float32),
        },
    )
    assert out["volume"].shape == (2, *grid)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("eeg_shape", "grid"), [((32, 60, 10), (20, 24, 12)), ((63, 40, 10), (16, 18, 12)), ((4, 9, 3), (9, 8, 7))]
)
def test_without_specification_any_cap_and_grid_trains(eeg_shape, grid, rng):
    parts = build(deep_config(eeg=None, fmri=None), eeg_shape, grid)
    assert parts.config.eeg.kernels == tuple(
        parts.eeg_encoder.get_layer(f"block_{n}").settings["kernel"] for n in (1, 2)
    )
    model = pair_model(parts)
    model.compile(optimizer="sgd", jit_compile=False)
    batch = {
        "eeg": rng.standard_normal((2, *eeg_shape)).astype(np.float32),
        "fmri": rng.standard_normal((2, *grid)).astype(np.float32),
    }
    assert np.isfinite(model.train_on_batch(batch)).all()


@pytest.mark.parametrize(
    ("eeg_shape", "grid", "words"),
    [
        ((1, 13, 3), GRID, r"eeg encoder, block 1, axis 0 \(channel\): kernel 2 .* 1"),
        ((6, 3, 4), GRID, r"eeg encoder, block 1, axis 1 \(frequency\): kernel 4 .* 3"),
        ((6, 13, 1), GRID, r"eeg encoder, block 1, axis 2 \(context\): kernel 2 .* 1"),
        ((2, 13, 3), GRID, r"eeg encoder, block 1, axis 0 \(channel\): pool 2 .* 1"),
        (EEG_SHAPE, (2, 7, 5), r"fmri encoder, block 1, axis 0 \(x\): kernel 3 .* 2"),
        (EEG_SHAPE, (8, 1, 5), r"fmri encoder, block 1, axis 1 \(y\): kernel 2 .* 1"),
        (EEG_SHAPE, (8, 7, 2), r"fmri encoder, block 1, axis 2 \(z\): pool 2 .* 1"),
    ],
)
def test_spec_that_does_not_fit_names_encoder_block_and_axis(eeg_shape, grid, words):
    with pytest.raises(SpecError, match=words):
        build(deep_config(), eeg_shape, grid)


def test_spec_that_does_not_fit_in_a_later_block():
    spec = BlockSpec(kernels=(EEG_SPEC.kernels[0], (2, 9, 1)), strides=(EEG_SPEC.strides[0], (1, 1, 1)))
    with pytest.raises(SpecError, match=r"eeg encoder, block 2, axis 1 \(frequency\): kernel 9"):
        build(deep_config(eeg=spec), EEG_SHAPE, GRID)


def test_two_blocks_feed_one_another(batch):
    spec = BlockSpec(kernels=(FMRI_SPEC.kernels[0], (2, 1, 2)), strides=(FMRI_SPEC.strides[0], (1, 1, 1)))
    parts = build(deep_config(fmri=spec), EEG_SHAPE, GRID)
    assert parts.fmri_encoder.get_layer("block_2").entry.kernel.shape == (2, 1, 2, 2, 4)
    assert outputs(pair_model(parts), batch)["z_y"].shape == (N, 24)


class TestStartAtMean:
    @pytest.fixture
    def mean(self, rng):
        return (5 + 3 * rng.standard_normal(GRID)).astype(np.float32)

    @pytest.mark.parametrize("output_filter", ["conv", "local", "none"])
    def test_without_its_kernel_the_decoder_gives_the_mean_volume(self, mean, batch, output_filter):
        parts = build(deep_config(output_filter=output_filter), EEG_SHAPE, GRID, mean_volume=mean)
        dense = parts.decoder.get_layer("volume")
        dense.kernel.assign(np.zeros(dense.kernel.shape))
        volume = np.asarray(parts.synthesiser()(batch["eeg"]))
        np.testing.assert_array_equal(volume, np.broadcast_to(mean, volume.shape))

    def test_untrained_output_lies_near_the_mean_volume_only_with_it(self, mean, batch):
        error = {}
        for flag in (True, False):
            parts = build(deep_config(start_at_mean=flag), EEG_SHAPE, GRID, mean_volume=mean)
            error[flag] = np.abs(np.asarray(parts.synthesiser()(batch["eeg"])) - mean).mean()
        assert error[True] < 0.2 * np.abs(mean).mean()
        assert error[False] > 0.8 * np.abs(mean).mean()

    def test_the_start_can_be_trained_away(self, mean):
        parts = build(deep_config(), EEG_SHAPE, GRID, mean_volume=mean)
        assert any(w is parts.decoder.get_layer("volume").bias for w in parts.decoder.trainable_weights)


def test_seed_fixes_the_fourier_features():
    first, again, other = (build(deep_config(), EEG_SHAPE, GRID, seed=seed).decoder for seed in (1, 1, 2))
    directions = [d.get_layer("fourier").directions.numpy() for d in (first, again, other)]
    np.testing.assert_array_equal(directions[0], directions[1])
    assert not np.array_equal(directions[0], directions[2])


class TestMixture:
    @pytest.fixture
    def parts(self):
        return build(deep_config(), EEG_SHAPE, GRID, candidates=Candidates((EEG_SPEC, OTHER_EEG), (FMRI_SPEC,) * 2))

    def test_candidates_start_with_equal_weights(self, parts):
        eeg, fmri = {"eeg-01": 1 / 2, "eeg-02": 1 / 2}, {"fmri-01": 1 / 2, "fmri-02": 1 / 2}
        assert parts.shares() == pytest.approx(eeg | fmri)

    def test_its_latent_is_the_weighted_sum_of_theirs(self, parts, batch):
        encoder = parts.eeg_encoder
        encoder.get_layer("mixture").amounts.assign(np.log([1.0, 3.0]))
        each = [keras.Model(encoder.input, encoder.get_layer(f"candidate_{n}_latent").output) for n in (1, 2)]
        first, second = (np.asarray(model(batch["eeg"])) for model in each)
        np.testing.assert_allclose(np.asarray(encoder(batch["eeg"])[0]), first / 4 + 3 * second / 4, atol=1e-5)

    @pytest.mark.slow
    def test_both_sides_are_trained(self, parts, batch):
        model = pair_model(parts)
        model.compile(optimizer=keras.optimizers.Adam(0.1))
        before = parts.shares()
        model.fit(batch, epochs=1, verbose=0)
        after = parts.shares()
        assert all(abs(after[name] - before[name]) > 1e-4 for name in ("eeg-01", "fmri-01"))

    def test_a_model_of_one_architecture_has_no_weights(self):
        assert build(deep_config(), EEG_SHAPE, GRID).shares() == {}
