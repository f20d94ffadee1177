"""Explanation of every setting: unit, range, default and source, read from the classes that declare it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from eeg2fmri.config.families import find_family
from eeg2fmri.config.sections import Config

# Of numbers; in brackets in the docstring of a setting.
UNITS = (
    "-", "Hz", "MiB", "TR", "bins", "blocks", "channels", "devices", "epochs", "folds", "mm", "s", "subjects", "trials",
    "volumes", "voxels", "windows",
)  # fmt: skip
WORDS = {int: "whole number", float: "number", bool: "true | false", str: "text", type(None): "null"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass(frozen=True)
class Setting:
    """One setting, in words.

    key: dotted.  unit: of its numbers, empty if it is no number.  range: of its values.  default: as JSON, empty
    if it must be set.  source: origin of the default.  text: its meaning.
    """

    key: str
    unit: str
    range: str
    default: str
    source: str
    text: str


def all_settings(families: Iterable[str]) -> Iterator[Setting]:
    """List every setting of the configuration, of models of these families and of searches around them."""
    yield from settings_of(Config)
    for name in families:
        family = find_family(name)
        yield from settings_of(family.config, f"models.{name}.")
        if family.ranges is not None:
            yield from settings_of(family.ranges, f"search.ranges.{name}.")


def settings_of(section: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """List every setting of a section and of the sections in it, in order; leave out lists of sections."""
    for name, field in section.model_fields.items():
        inner = list(_sections(field.annotation))
        if not inner:
            yield _setting(f"{prefix}{name}", field)
        elif get_origin(field.annotation) not in (tuple, dict):
            for kind in inner:
                yield from settings_of(kind, f"{prefix}{name}.")


def _setting(key: str, field: FieldInfo) -> Setting:
    text, _, source = " ".join((field.description or "").split()).partition(" Source: ")
    found = re.search(r" \[([^\]]+)\]", text)
    unit = found.group(1) if found else ""
    default = "" if field.is_required() else json.dumps(
        TypeAdapter(Any).dump_python(field.get_default(call_default_factory=True), mode="json"), ensure_ascii=False
    )  # fmt: skip
    kind = _in_words(field.annotation)
    return Setting(key, unit, f"{kind} {_bounds(field.metadata)}".strip(), default, source.removesuffix("."),
                   text.replace(f" [{unit}]", ""))  # fmt: skip


def _in_words(kind: Any) -> str:
    """Describe the values of a type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin is tuple:
        each = _in_words(inner[0])
        return f"list of {each}" if inner[-1] is Ellipsis else f"{len(inner)} × {each}"
    if origin is dict:
        return f"mapping to {_in_words(inner[1])}"
    if metadata := getattr(kind, "__metadata__", ()):
        bounds = [_bounds(getattr(part, "metadata", ())) for part in metadata]
        return " ".join(filter(None, [_in_words(inner[0]), *bounds]))
    return " | ".join(map(_in_words, inner)) if inner else WORDS[kind]


def _bounds(metadata: Iterable[Any]) -> str:
    found = [f"{words} {getattr(part, name):g}" for part in metadata for name, words in BOUNDS.items()
             if hasattr(part, name)]  # fmt: skip
    return " and ".join(found)


def _sections(kind: Any) -> Iterator[type[BaseModel]]:
    """List the sections in a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _sections(part)
