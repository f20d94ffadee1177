"""Reader of a configuration: YAML in, dotted overrides, one-line errors, flat parameters out.

A file may inherit from another one by the key ``base``, a path relative to the file itself. Its sections replace those
of the base key by key, and its lists replace the base's. A dotted key such as ``models.0.variant`` changes an item of a
list, as an override does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError

from eeg2fmri.config.base import UnknownKey
from eeg2fmri.config.sections import Config
from eeg2fmri.errors import ConfigError, nearest, one_line

SHIPPED = Path(__file__).parent
_Model = TypeVar("_Model", bound=BaseModel)
_Tree = dict[str, Any]


def load_config(path: Path | str | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file and the files it inherits from, and apply overrides, e.g. ``{"run.seed": 3}``.

    Parameters
    ----------
    path : path of a YAML file, or the name of a shipped one, e.g. ``demo``; ``None`` gives the defaults.
    overrides : dotted key to value; a part of a key that indexes a list is a number.

    Raises
    ------
    ConfigError
        If a file or its base is missing or not YAML, files inherit from each other in a circle, or
        a key or value is not valid; the message names the file that holds the fault.
    """
    layers: list[tuple[str, _Tree]] = [] if path is None else _read_layers(_shipped(Path(path)))
    given = dict(overrides or {})
    holders = [(source, list(_paths(tree))) for source, tree in layers]
    holders.append(("the overrides" if path is None else f"overrides of {path}", list(_paths(given))))
    tree: _Tree = {}
    for source, layer in layers:
        tree = _merge(tree, {key: value for key, value in layer.items() if "." not in key})
        try:
            _apply(tree, {key: value for key, value in layer.items() if "." in key})
        except ConfigError as err:
            raise ConfigError(f"{source}: {err}") from err
    _apply(tree, given)
    try:
        return Config.model_validate(tree)
    except ValidationError as err:
        where, message = _first_fault(Config, err)
        raise ConfigError(f"{_holder(where, holders)}: {message}") from err


def parse_overrides(text: str | None) -> dict[str, Any]:
    """Parse overrides from ``"run.seed=3; data.iqr=true"``; values are YAML."""
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
            raise ConfigError(f"override {part.strip()!r}: the value is not YAML; quote it") from err
    return pairs


def parse(cls: type[_Model], tree: Any, source: str) -> _Model:
    """Validate `tree` as `cls`; the first fault becomes a one-line `ConfigError`."""
    try:
        return cls.model_validate(tree)
    except ValidationError as err:
        raise ConfigError(f"{source}: {_first_fault(cls, err)[1]}") from err


def flatten(tree: Mapping[str, Any] | BaseModel, prefix: str = "") -> dict[str, Any]:
    """Flatten a nested mapping to dotted keys; lists stay values."""
    items = tree.model_dump(mode="json") if isinstance(tree, BaseModel) else tree
    flat: dict[str, Any] = {}
    for key, value in items.items():
        name = f"{prefix}{key}"
        flat.update(flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat


def _shipped(path: Path) -> Path:
    """Return the file of this package with a bare name, if there is no local file of that name."""
    found = SHIPPED / f"{path}.yaml"
    return found if not path.suffix and not path.exists() and found.is_file() else path


def _read_layers(path: Path) -> list[tuple[str, _Tree]]:
    """Read the file and those that it inherits from, the most basic one first; remove `base` itself."""
    layers: list[tuple[str, _Tree]] = []
    chain: list[Path] = []
    named = f"configuration {path}"
    while True:
        chain.append(path)
        tree = _read_yaml(path, named)
        inherits, base = "base" in tree, tree.pop("base", None)
        layers.insert(0, (str(path), tree))
        if not inherits:
            return layers
        if not isinstance(base, str) or not base:
            raise ConfigError(
                f"{path}: base must be the path of a YAML file, relative to this one (found {base!r:.80})"
            )
        named = f"{path}: base: {base}"
        path = path.parent / base
        if any(path.resolve() == seen.resolve() for seen in chain):
            circle = " → ".join(str(p) for p in (*chain, path))
            raise ConfigError(f"{named} closes a circle ({circle}); remove one of these `base` keys")


def _read_yaml(path: Path, named: str) -> _Tree:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as err:
        raise ConfigError(f"{named} cannot be read ({err.strerror}); give a YAML file") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"{named} is not YAML ({one_line(err)}); correct it") from err
    if not isinstance(tree, dict):
        raise ConfigError(f"{named} must be a mapping of sections, found {type(tree).__name__}")
    return {str(key): value for key, value in tree.items()}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> _Tree:
    """Merge one tree into another, section by section; anything but a section replaces the older value."""
    merged = dict(below)
    for key, value in above.items():
        covered = merged.get(key)
        sections = isinstance(covered, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(cast(_Tree, covered), value) if sections else value
    return merged


def _paths(tree: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """List every key that a tree sets, as a path; split dotted keys and number the items of a list."""
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        path = (*prefix, *str(key).split("."))
        yield path
        yield from _paths(value, path)


def _holder(where: Sequence[str], holders: Sequence[tuple[str, list[tuple[str, ...]]]]) -> str:
    """Return the last source that sets the key, or the section that lacks it."""
    for length in range(len(where), 0, -1):
        for source, paths in reversed(holders):
            if tuple(where[:length]) in paths:
                return source
    return holders[-2 if len(holders) > 1 else -1][0]


def _first_fault(cls: type[BaseModel], err: ValidationError) -> tuple[list[str], str]:
    """Return the path of the first fault, and its description."""
    fault = err.errors(include_url=False)[0]
    where = [str(part) for part in fault["loc"]]
    reason = fault.get("ctx", {}).get("error")
    if isinstance(reason, UnknownKey):
        where.append(reason.key)
        hint = nearest(reason.key, reason.keys) or f"; valid keys: {', '.join(reason.keys)}"
        return where, f"unknown key {'.'.join(where)!r}{hint}"
    message = fault["msg"].removeprefix("Value error, ")
    return where, f"{'.'.join(where) or cls.__name__}: {message} (found {fault['input']!r:.80})"


def _apply(tree: _Tree, overrides: Mapping[str, Any]) -> None:
    if "models" not in tree and any(key.startswith("models.") for key in overrides):
        tree["models"] = Config().model_dump(mode="json")["models"]
    for key, value in overrides.items():
        _set(tree, key, value)


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
        raise ConfigError(f"override {dotted!r}: {parents[-1]!r} is a value, not a section; correct the key")


def _child(node: Any, part: str, dotted: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, dotted)]
    if not isinstance(node, dict):
        raise ConfigError(f"override {dotted!r}: {part!r} is inside a value, not a section; correct the key")
    if node.get(part) is None:
        node[part] = {}
    return node[part]


def _index(node: list[Any], part: str, dotted: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(f"override {dotted!r}: {part!r} must be a number from 0 to {len(node) - 1}")
    return int(part)
