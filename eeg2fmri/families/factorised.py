"""The `factorised` family: a network of few sources between band power and components of BOLD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eeg2fmri.config import BAND_SETS, FactorisedConfig, FactorisedRanges
from eeg2fmri.families.networks import KerasFamily
from eeg2fmri.families.space import Between, Choices
from eeg2fmri.models.fitted import FittedModel, KerasNetwork

if TYPE_CHECKING:
    import numpy as np

    from eeg2fmri.store import Windows
    from eeg2fmri.training import FitResult, FitSettings, OnEpoch


class Factorised(KerasFamily[FactorisedConfig]):
    """The family. Its epoch 0 is its start, a closed form."""

    config = FactorisedConfig
    ranges = FactorisedRanges
    layers = ("eeg2fmri.models.factorised",)
    first_epoch = 0

    def fit(
        self,
        config: FactorisedConfig,
        train: Windows,
        validation: Windows,
        settings: FitSettings,
        on_epoch: OnEpoch | None,
    ) -> FitResult:
        """Fit the model, see `Family`."""
        from eeg2fmri.training.factorised import fit_factorised_model

        return fit_factorised_model(config, train, validation, settings, on_epoch)

    def latents(self, model: FittedModel, eeg: np.ndarray) -> np.ndarray:
        """Return the sources of the EEG after the response, see `Family`."""
        import keras

        network = model.network
        assert isinstance(network, KerasNetwork)
        layers = {name: network.model.get_layer(name) for name in ("sources", "loadings")}
        sources = keras.Model(network.model.input, layers["sources"].output)(model.scaled(eeg), training=False)
        return keras.ops.convert_to_numpy(keras.ops.sum(sources * layers["loadings"].response, axis=1))

    def space(self, base: FactorisedConfig, ranges: FactorisedRanges, train: Windows) -> Choices:
        """Return a space of sizes, dropout and the training; each fit chooses its own penalties."""
        return Choices(
            base,
            {
                "bands": {name: BAND_SETS[name] for name in ranges.bands},
                "sources": ranges.sources,
                "hidden": ranges.hidden,
                "dropout": Between(*ranges.dropout),
                "components": ranges.components,
                "training.learning_rate": Between(*ranges.learning_rate, log=True),
            },
        )


FAMILY = Factorised()
