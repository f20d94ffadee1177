"""Reading a configuration: YAML in, dotted overrides, one-line errors, flat parameters out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from eeg2fmri.config.models import FAMILIES
from eeg2fmri.config.sections import Config
from eeg2fmri.errors import ConfigError, nearest

_Model = TypeVar("_Model", bound=BaseModel)


def load_config(path: Path | str | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file and apply dotted overrides, e.g. ``{"run.seed": 3}``.

    Parameters
    ----------
    path : path to a YAML file; ``None`` gives the defaults.
    overrides : dotted key to value; a part of a key that indexes a list is a number.

    Raises
    ------
    ConfigError
        If the file is missing or not YAML, or a key or value is not valid.
    """
    tree: dict[str, Any] = {}
    source = "the defaults" if path is None else str(path)
    if path is not None:
        try:
            tree = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except OSError as err:
            raise ConfigError(f"configuration {path} cannot be read ({err.strerror}); give a YAML file") from err
        except (yaml.YAMLError, UnicodeDecodeError) as err:
            raise ConfigError(f"configuration {path} is not YAML: {' '.join(str(err).split())}") from err
        if not isinstance(tree, dict):
            raise ConfigError(f"configuration {path} must be a mapping of sections, found {type(tree).__name__}")
    overrides = overrides or {}
    if "models" not in tree and any(key.startswith("models.") for key in overrides):
        tree["models"] = Config().model_dump(mode="json")["models"]
    for key, value in overrides.items():
        _set(tree, key, value)
    return parse(Config, tree, source)


def parse_overrides(text: str | None) -> dict[str, Any]:
    """Overrides from ``"run.seed=3; data.iqr=true"``; values are YAML."""
    pairs: dict[str, Any] = {}
    for part in (text or "").split(";"):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"override {part.strip()!r} must read KEY=VALUE, for instance run.seed=3")
        try:
            pairs[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as err:
            raise ConfigError(f"override {part.strip()!r}: the value is not YAML") from err
    return pairs


def parse(cls: type[_Model], tree: Any, source: str) -> _Model:
    """Validate `tree` as `cls`; the first fault becomes a one-line `ConfigError`."""
    try:
        return cls.model_validate(tree)
    except ValidationError as err:
        fault = err.errors(include_url=False)[0]
        path = [p for p in fault["loc"] if p not in FAMILIES]
        where = ".".join(str(p) for p in path) or cls.__name__
        if fault["type"] == "extra_forbidden":
            keys = _keys_at(cls, fault["loc"][:-1])
            hint = nearest(str(path[-1]), keys) or f"; valid keys: {', '.join(keys)}"
            raise ConfigError(f"{source}: unknown key {where!r}{hint}") from err
        message = fault["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{source}: {where}: {message} (found {fault['input']!r:.80})") from err


def flatten(tree: Mapping[str, Any] | BaseModel, prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a nested mapping; lists stay values."""
    items = tree.model_dump(mode="json") if isinstance(tree, BaseModel) else tree
    flat: dict[str, Any] = {}
    for key, value in items.items():
        name = f"{prefix}{key}"
        flat.update(flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat


def _set(tree: Any, dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    node = tree
    for part in parents:
        node = _child(node, part, dotted)
    if isinstance(node, list):
        node[_index(node, last, dotted)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"override {dotted!r}: {parents[-1]!r} is a value, not a section")


def _child(node: Any, part: str, dotted: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, dotted)]
    if not isinstance(node, dict):
        raise ConfigError(f"override {dotted!r}: {part!r} lies inside a value, not a section")
    if node.get(part) is None:
        node[part] = {}
    return node[part]


def _index(node: list[Any], part: str, dotted: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(f"override {dotted!r}: {part!r} must be a number from 0 to {len(node) - 1}")
    return int(part)


def _keys_at(cls: type[BaseModel], loc: Iterable[Any]) -> list[str]:
    """Names of the fields of the section that `loc` leads to."""
    section: type[BaseModel] = cls
    for part in loc:
        if part in FAMILIES:
            section = FAMILIES[part]
        elif isinstance(part, str):
            field = section.model_fields[part].annotation
            options = [field, *getattr(field, "__args__", ())]
            section = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), section)
    return list(section.model_fields)
