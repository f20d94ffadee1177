"""Settings that every family has."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from eeg2fmri.config.base import Section


class ModelConfig(Section):
    """Base of the settings of every family.

    A family has three more, each as a setting or as a class attribute. `variant` is the name of the model in runs
    and summaries (a `Literal` if it is a setting). `eeg_scaling` and `bold_scaling` are the scalings of windows and
    volumes around its network (`eeg2fmri.signals.scaling`).
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
    """Base of families that use the EEG's magnitudes without scaling."""

    eeg_scaling: ClassVar[str] = "none"
    bold_scaling: ClassVar[str] = "recording"
