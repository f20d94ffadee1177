"""Base of the sections of the configuration.

The docstring below a setting documents it: meaning, unit of numbers in brackets (``[-]`` for none), and origin of the
default, ``Source: …``. Its type gives the range. `eeg2fmri.config.explain` reads all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Triple = tuple[int, int, int]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Above = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Range = tuple[float, float]


logger = logging.getLogger(__name__)


class UnknownKey(ValueError):
    """The error of an unknown key in a section; `keys` are the valid ones."""

    def __init__(self, key: str, keys: list[str]) -> None:
        super().__init__(f"unknown key {key!r}")
        self.key, self.keys = key, keys


class Section(BaseModel):
    """Base of all sections: immutable, and nothing unknown is accepted.

    `renamed` maps former names of fields, which are read with a warning, to their names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
    renamed: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Refuse an unknown key before any other check, and name the known ones."""
        if not isinstance(given, Mapping):
            return given
        keys, named = list(cls.model_fields), dict(given)
        for former, name in cls.renamed.items():
            if former not in named:
                continue
            if name in named:
                raise ValueError(f"{former} is a former name of {name}, and both are set; remove {former}")
            logger.warning("%s is a former name of the setting %s; write %s", former, name, name)
            named[name] = named.pop(former)
        for key in named:
            if key not in keys:
                raise UnknownKey(str(key), keys)
        return named


_Ranges = TypeVar("_Ranges", bound=Section)


def ordered(ranges: _Ranges, *names: str) -> _Ranges:
    """Return the section itself; refuse it unless each of these settings is (low, high)."""
    for name in names:
        low, high = getattr(ranges, name)
        if low > high:
            raise ValueError(f"{name} must be (low, high), found ({low}, {high})")
    return ranges
