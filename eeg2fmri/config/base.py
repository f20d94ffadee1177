"""What every section of the configuration is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Triple = tuple[int, int, int]
Positive = Annotated[int, Field(ge=1)]
Range = tuple[float, float]


class Section(BaseModel):
    """Base of all sections: immutable, and nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
