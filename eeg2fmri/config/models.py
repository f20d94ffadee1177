"""What the settings of every family have."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from eeg2fmri.config.base import Section


class ModelConfig(Section):
    """Base of the settings of every family.

    A family also gives, each as a setting or as a class attribute: `variant`, what the model is called in runs
    and summaries (a `Literal` if a setting), and `eeg_scaling` and `bold_scaling`, how windows and volumes are
    scaled around its network (`eeg2fmri.signals.scaling`).
    """

    family: str
    """Name of the family, or the path of one from elsewhere, ``package.module:OBJECT``."""

    if TYPE_CHECKING:

        @property
        def variant(self) -> str: ...
        @property
        def eeg_scaling(self) -> str: ...
        @property
        def bold_scaling(self) -> str: ...


class Magnitudes(ModelConfig):
    """Base of families that take the EEG's magnitudes as they are."""

    eeg_scaling: ClassVar[str] = "none"
    bold_scaling: ClassVar[str] = "recording"
