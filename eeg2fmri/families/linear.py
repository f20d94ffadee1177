"""The `linear` family: distributed-lag ridge regression from log band power to components of BOLD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri.config import BAND_SETS, LinearConfig, LinearRanges
from eeg2fmri.families.networks import ArrayFamily
from eeg2fmri.families.space import Between, Choices
from eeg2fmri.models.linear import LinearNetwork, bands_with_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eeg2fmri.models.fitted import FittedModel, Network
    from eeg2fmri.signals import Signal
    from eeg2fmri.store import Windows
    from eeg2fmri.training import FitResult, FitSettings, OnEpoch


class Linear(ArrayFamily[LinearConfig]):
    """The family."""

    config = LinearConfig
    ranges = LinearRanges
    network = LinearNetwork

    def fit(
        self, config: LinearConfig, train: Windows, validation: Windows, settings: FitSettings, on_epoch: OnEpoch | None
    ) -> FitResult:
        """Fit the model, see `Family`."""
        from eeg2fmri.training.linear import fit_linear_model

        return fit_linear_model(config, train, validation, settings, on_epoch)

    def figures(self, model: FittedModel, signal: Signal) -> Mapping[str, Figure]:
        """Return the coefficients; none if no component is predicted."""
        from eeg2fmri import plotting

        network, config = model.network, model.config
        assert isinstance(network, LinearNetwork)
        assert isinstance(config, LinearConfig)
        if not network.coefficients.any():
            return {}
        maps = network.maps(model.bold_statistics.mask)
        bands = list(bands_with_bins(config.bands, network.frequencies))
        title = f"{config.variant}: coefficients"
        figure = plotting.coefficient_figure(
            maps.strength, maps.weights, maps.component, signal.channels, bands, title=title,
            anatomy=model.mean_volume, affine=signal.affine, mask=model.bold_statistics.mask,
        )  # fmt: skip
        return {"coefficients": figure}

    def latents(self, model: FittedModel, eeg: np.ndarray) -> np.ndarray:
        """Return the scores of the components of BOLD, see `Family`."""
        assert isinstance(model.network, LinearNetwork)
        return model.network.scores(model.scaled(eeg))

    def maps(self, network: Network) -> np.ndarray:
        """Return the components of BOLD, see `Family`."""
        assert isinstance(network, LinearNetwork)
        return network.components

    def with_maps(self, network: Network, maps: np.ndarray, mean: np.ndarray) -> LinearNetwork:
        """Return the regression with other components, see `Family`."""
        assert isinstance(network, LinearNetwork)
        return replace(network, components=maps)

    def response_shapes(self, network: Network) -> int:
        """Return the number of lag shapes, see `Family`."""
        assert isinstance(network, LinearNetwork)
        return network.lag_shapes.shape[1]

    def with_response(self, network: Network, weights: np.ndarray) -> LinearNetwork:
        """Return the regression with other weights of its lag shapes, see `Family`."""
        assert isinstance(network, LinearNetwork)
        each = network.coefficients.reshape(-1, len(weights), network.coefficients.shape[1])
        changed = each * np.asarray(weights, each.dtype)[:, None]
        return replace(network, coefficients=changed.reshape(network.coefficients.shape))

    def space(self, base: LinearConfig, ranges: LinearRanges, train: Windows) -> Choices:
        """Return a space of bands, components and drifts; each fit chooses its own penalties."""
        return Choices(
            base,
            {
                "bands": {name: BAND_SETS[name] for name in ranges.bands},
                "components": ranges.components,
                "drift_cutoff": Between(*ranges.drift_cutoff),
            },
        )


FAMILY = Linear()
