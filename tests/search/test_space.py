"""What a trial draws, and the weights it is limited by."""

from __future__ import annotations

import pytest

optuna = pytest.importorskip("optuna")

from eeg2fmri.config import Calhas2022Ranges  # noqa: E402
from eeg2fmri.families.calhas2022_space import Calhas2022Space, decoder_weights  # noqa: E402
from eeg2fmri.models.calhas2022 import build  # noqa: E402
from tests.fakes import EEG_SHAPE, GRID, deep_config  # noqa: E402

RANGES = Calhas2022Ranges(architectures=False, latent_side=(2,), filters=(2,))


def drawn(base, **values):
    fixed = {"learning_rate": 1e-3, "weight_decay": 1e-3, "batch_size": 4, "latent_side": 2, "filters": 2}
    fixed |= {"dropout": 0.1, "max_pool": True, "batch_norm": True, "skip": True, **values}
    trial = optuna.trial.FixedTrial(fixed)
    return Calhas2022Space(base, RANGES, EEG_SHAPE, GRID).draw(trial), set(trial.params)


@pytest.mark.parametrize("output_filter", ["none", "conv", "local"])
@pytest.mark.parametrize("fourier", ["random", "fixed"])
def test_output_filter_and_fourier_features_are_drawn(output_filter, fourier):
    model, _ = drawn(deep_config(), output_filter=output_filter, fourier=fourier)
    assert (model.filter, model.fourier) == (output_filter, fourier)


def test_only_what_the_base_can_take_is_drawn():
    model, names = drawn(deep_config(decoder="pca", variant="talp"))
    assert not names & {"output_filter", "fourier", "dropout"}
    assert type(model).model_validate(model.model_dump()) == model


def test_without_the_latent_loss_no_fmri_encoder_is_drawn():
    ranges = Calhas2022Ranges(eeg_target=(4, 5, 2), eeg_blocks=(1, 1), fmri_target=(60, 60, 60))
    base = deep_config(decoder="pca")
    trial = optuna.create_study().ask()
    model = Calhas2022Space(base, ranges, EEG_SHAPE, GRID).draw(trial)
    assert model.fmri == base.fmri
    assert not any(name.startswith("fmri") for name in trial.params)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"output_filter": "local"},
        {"fourier": "fixed"},
        {"variant": "lp"},
        {"decoder": "pca", "components": 5},
    ],
    ids=str,
)
def test_weights_are_counted_up_to_biases(changes):
    config = deep_config(**changes)
    weights = build(config, EEG_SHAPE, GRID).decoder.weights
    local = config.filter == "local"
    built = sum(w.shape.num_elements() for w in weights if len(w.shape) == 2 or (local and "output" in w.path))
    assert decoder_weights(config, EEG_SHAPE[0], GRID) == built
