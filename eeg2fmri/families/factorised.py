"""The `factorised` family: a network of few sources between band power and components of BOLD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eeg2fmri.config import CLINICAL_BANDS, FINE_BANDS, FactorisedConfig, SearchConfig
from eeg2fmri.families.networks import KerasFamily
from eeg2fmri.families.space import Between, Choices

if TYPE_CHECKING:
    from eeg2fmri.store import Windows
    from eeg2fmri.training import FitResult, FitSettings, OnEpoch


class Factorised(KerasFamily[FactorisedConfig]):
    """The family. Its epoch 0 is its start, a closed form."""

    config = FactorisedConfig
    layers = ("eeg2fmri.models.factorised",)
    first_epoch = 0

    def check(self, config: FactorisedConfig, train: Windows, validation: Windows) -> None:
        """See `Family`."""
        from eeg2fmri.models.factorised_fit import members

        members([recording.subject for recording in train.recordings], config.members)

    def fit(
        self,
        config: FactorisedConfig,
        train: Windows,
        validation: Windows,
        settings: FitSettings,
        on_epoch: OnEpoch | None,
    ) -> FitResult:
        """See `Family`."""
        from eeg2fmri.training.factorised import fit_factorised_model

        return fit_factorised_model(config, train, validation, settings, on_epoch)

    def space(self, base: FactorisedConfig, search: SearchConfig, train: Windows) -> Choices:
        """Sizes, shares, noise and the training; the penalties are chosen within each fit."""
        return Choices(
            base,
            {
                "bands": {"clinical": CLINICAL_BANDS, "fine": FINE_BANDS},
                "linear_share": Between(0, 0.9),
                "sources": (4, 8, 16),
                "gate_rounds": (0, 1, 3),
                "hidden": (0, 16, 32, 64),
                "dropout": Between(0, 0.5),
                "nuisance": (0, 3, 6, 10),
                "components": (16, 32, 64, 128),
                "training.learning_rate": Between(1e-5, 1e-2, log=True),
            },
        )


FAMILY = Factorised()
