"""What every section of the configuration is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Triple = tuple[int, int, int]
Positive = Annotated[int, Field(ge=1)]
Range = tuple[float, float]


class UnknownKey(ValueError):
    """A section has no such key; `keys` are those that it has."""

    def __init__(self, key: str, keys: list[str]) -> None:
        super().__init__(f"unknown key {key!r}")
        self.key, self.keys = key, keys


class Section(BaseModel):
    """Base of all sections: immutable, and nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Refuse an unknown key before anything else, with the known ones."""
        keys = list(cls.model_fields)
        for key in given if isinstance(given, Mapping) else ():
            if key not in keys:
                raise UnknownKey(str(key), keys)
        return given
