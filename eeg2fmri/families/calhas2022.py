"""The `calhas2022` family, Calhas & Henriques (2022), arXiv 2203.03481."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from eeg2fmri.config import Calhas2022Config, Calhas2022Ranges, Triple
from eeg2fmri.errors import ConfigError
from eeg2fmri.families.calhas2022_maps import dense_maps, with_dense_maps
from eeg2fmri.families.networks import KerasFamily
from eeg2fmri.models.fitted import FittedModel, KerasNetwork, Network
from eeg2fmri.models.spec import check_shapes

if TYPE_CHECKING:
    import numpy as np

    from eeg2fmri.families.calhas2022_mixture import Calhas2022Mixture
    from eeg2fmri.families.calhas2022_space import Calhas2022Space
    from eeg2fmri.store import Windows
    from eeg2fmri.training import FitResult, FitSettings, OnEpoch


class Calhas2022(KerasFamily[Calhas2022Config]):
    """The family."""

    config = Calhas2022Config
    ranges = Calhas2022Ranges
    layers = ("eeg2fmri.models.layers",)

    def check(self, config: Calhas2022Config, train: Windows, validation: Windows) -> None:
        """Check feasibility, see `Family`."""
        check_shapes(config, train.shape, train.signal.grid)
        if (batch := config.training.batch_size) > len(train):
            raise ConfigError(
                f"training.batch_size {batch} is larger than the training set of {len(train)} windows; set a smaller "
                f"one"
            )

    def shape_check(self, config: Calhas2022Config) -> Callable[[Triple, Triple], None] | None:
        """Check shapes, see `Family`; encoders that are derived from the shapes fit."""
        return partial(check_shapes, config) if config.eeg or config.fmri else None

    def fit(
        self,
        config: Calhas2022Config,
        train: Windows,
        validation: Windows,
        settings: FitSettings,
        on_epoch: OnEpoch | None,
    ) -> FitResult:
        """Fit the model, see `Family`."""
        from eeg2fmri.training.deep import fit_deep_model

        return fit_deep_model(config, train, validation, settings, on_epoch)

    def attention(self, model: FittedModel, eeg: np.ndarray) -> np.ndarray | None:
        """Return the scores of topographical attention, of the variants that have it."""
        network, config = model.network, model.config
        assert isinstance(network, KerasNetwork)
        assert isinstance(config, Calhas2022Config)
        if not config.attends:
            return None
        from keras import ops

        layer = network.model.get_layer("eeg_encoder").get_layer("attention")
        _, scores = layer(ops.convert_to_tensor(model.scaled(eeg)))
        return ops.convert_to_numpy(scores)

    def latents(self, model: FittedModel, eeg: np.ndarray) -> np.ndarray:
        """Return the latent of the EEG's encoder, see `Family`."""
        from keras import ops

        assert isinstance(model.network, KerasNetwork)
        encoder = model.network.model.get_layer("eeg_encoder")
        found = encoder(ops.convert_to_tensor(model.scaled(eeg)), training=False)
        return ops.convert_to_numpy(found[0] if isinstance(found, (list, tuple)) else found)

    def maps(self, network: Network) -> np.ndarray:
        """Return the maps of either decoder, see `Family`."""
        assert isinstance(network, KerasNetwork)
        found = super().maps(network)
        return dense_maps(network.model) if found is None else found

    def with_maps(self, network: Network, maps: np.ndarray, mean: np.ndarray) -> KerasNetwork:
        """Return a copy with other maps, see `Family`."""
        assert isinstance(network, KerasNetwork)
        if super().maps(network) is not None:
            return super().with_maps(network, maps, mean)
        return KerasNetwork(with_dense_maps(network.model, maps, mean))

    def space(self, base: Calhas2022Config, ranges: Calhas2022Ranges, train: Windows) -> Calhas2022Space:
        """Return the search space, see `Family`."""
        from eeg2fmri.families.calhas2022_blocks import check_target
        from eeg2fmri.families.calhas2022_space import Calhas2022Space
        from eeg2fmri.models.architectures import encoders

        if (largest := max(ranges.batch_size)) > (windows := len(train)):
            name = f"search.ranges.{base.family}.batch_size"
            raise ConfigError(
                f"{name} {largest} is larger than the training set of {windows} windows; set a smaller one"
            )
        if ranges.architectures:
            eeg, fmri = encoders(base, train.shape, train.signal.grid)
            check_target("eeg", train.shape, eeg, ranges.eeg_target, ranges.eeg_blocks)
            if base.aligns:
                check_target("fmri", train.signal.grid, fmri, ranges.fmri_target, ranges.fmri_blocks)
        return Calhas2022Space(base, ranges, train.shape, train.signal.grid)

    def mixture(
        self, base: Calhas2022Config, ranges: Calhas2022Ranges, train: Windows, count: int, seed: int
    ) -> Calhas2022Mixture:
        """Return a mixture of encoders, see `Family`."""
        from eeg2fmri.families.calhas2022_mixture import draw_mixture

        if not ranges.architectures:
            raise ConfigError(
                f"search.ranges.{base.family}.architectures: false, but search.mode=mixture chooses encoders; change "
                f"one of them"
            )
        return draw_mixture(self.space(base, ranges, train), count, seed)


FAMILY = Calhas2022()
