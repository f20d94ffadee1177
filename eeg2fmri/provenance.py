"""Code that a result was made with, found from its entry points.

From a function or a module, the names that it uses are followed to their definitions, through imports and re-exports,
within this package and within that of every entry. The meaning of the code counts: comments, docstrings, formatting
and the spelling of an import do not.

Two things are not followed: imports for type checkers only, and names in strings. So the families in a registry
of dotted names do not depend on each other; code that looks one up gives it as an entry of its own.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

import eeg2fmri
from eeg2fmri.errors import ConfigError

Place = tuple[str, str]  # a module and a name in it
Imports = dict[str, set[tuple[str, ...]]]  # a bound name: the module, and the names in it, that it stands for
WHOLE = "*"  # all of a module
ON_IMPORT = ""  # effects of importing a module, besides defining names


@cache
def code_digest(*entries: str) -> str:
    """Compute a digest (sha256) of the code that `entries` reach.

    Parameters
    ----------
    entries : entry points of the code, ``package.module:name`` or ``package.module``.

    Raises
    ------
    ConfigError
        If the source of an entry is not found.
    """
    digest = hashlib.sha256()
    for place, text in sorted(code_of(*entries).items()):
        digest.update("\0".join((*place, text, "")).encode())
    return digest.hexdigest()


def code_of(*entries: str) -> dict[Place, str]:
    """Return every definition that `entries` reach, as text without comments; see `code_digest`."""
    search = _Search(entries)
    left = [place for entry in entries for place in search.start(entry)]
    found: dict[Place, str] = {}
    while left:
        place = left.pop()
        if place not in found:
            found[place], uses = search.read(place)
            left.extend(uses)
    return {place: text for place, text in found.items() if text}


@cache
def package_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the installed packages among these; this package's also from a checkout."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            if package == "eeg2fmri":
                found[package] = eeg2fmri.__version__
    return found


class _Statement:
    """A statement of a module's top level.

    text: its meaning, the same in every version of Python.  uses: dotted names in it.  imports: its own.
    """

    def __init__(self, node: ast.stmt, package: str) -> None:
        self.uses: set[tuple[str, ...]] = set()
        self.imports: Imports = {}
        self._package = package
        self.text = " ".join(self._read(node))

    def _read(self, node: ast.AST, *, within: bool = False) -> Iterator[str]:
        """Yield the text of a node; `within` a dotted name, its parts are not noted separately."""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            _bind(node, self._package, self.imports)
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return  # a docstring
        dotted = _dotted(node)
        if dotted and not within:
            self.uses.add(dotted)
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or name in ("ctx", "kind", "type_comment"):
                continue
            yield name
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.AST):
                    yield from self._read(part, within=bool(dotted))
                else:
                    yield repr(part)
        yield ")"


@dataclass
class _Module:
    """Statements by the names that they define, or under `ON_IMPORT`, and the imports of the top level."""

    package: str
    statements: dict[str, list[_Statement]] = field(default_factory=dict)
    imports: Imports = field(default_factory=dict)

    def add(self, nodes: Sequence[ast.stmt]) -> None:
        """Add statements of the top level."""
        for node in nodes:
            if isinstance(node, ast.If) and (_dotted(node.test) or ("",))[-1] == "TYPE_CHECKING":
                self.add(node.orelse)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                _bind(node, self.package, self.imports)
            else:
                statement = _Statement(node, self.package)
                for name, targets in statement.imports.items() if not _defines(node) else ():
                    self.imports.setdefault(name, set()).update(targets)
                for name in _defines(node) or {ON_IMPORT, *_bound(node)}:
                    self.statements.setdefault(name, []).append(statement)


class _Search:
    """Finds the meaning of names, within the packages of `entries` and this one."""

    def __init__(self, entries: Sequence[str]) -> None:
        self.packages = {"eeg2fmri", *(entry.partition(":")[0].partition(".")[0] for entry in entries)}
        self.modules: dict[str, _Module | None] = {}

    def start(self, entry: str) -> list[Place]:
        """Return the places that an entry names."""
        module, _, name = entry.partition(":")
        if self.module(module) is None:
            raise ConfigError(
                f"{entry}: its Python source is not found, but results are stored by its code; give a name with a "
                f"source file"
            )
        return list(self.resolve(module, (name,) if name else ()))

    def read(self, place: Place) -> tuple[str, set[Place]]:
        """Return the text of a definition, and the places of the names that it uses."""
        name, wanted = place
        module = self.module(name)
        if module is None:
            return "", set()
        parts = name.split(".")
        places = {(".".join(parts[:count]), ON_IMPORT) for count in range(1, len(parts) + 1)}
        for key, targets in module.imports.items():
            if key == "*" or "." in key:  # ``from a import *``, and ``import a.b``, which may be for its effect
                places |= {(source, WHOLE) for source, *_ in targets}
        if wanted == WHOLE:
            targets = {target for targets in module.imports.values() for target in targets}
            places |= {(name, defined) for defined in module.statements if defined != "__all__"}
            return "", places | {p for source, *names in targets for p in self.resolve(source, tuple(names))}
        texts = []
        for statement in module.statements.get(wanted, []):
            uses = self._uses(name, module, statement)
            texts.append(" ".join((statement.text, *map(":".join, sorted(uses)))))
            places |= uses
        return "\n".join(texts), places

    def _uses(self, name: str, module: _Module, statement: _Statement) -> set[Place]:
        places: set[Place] = set()
        for first, *others in statement.uses:
            imports = statement.imports.get(first) or module.imports.get(first) or set()
            for source, *names in imports:
                places.update(self.resolve(source, (*names, *others)))
            if first in module.statements:
                places.add((name, first))
        unused = statement.imports.keys() - {first for first, *_ in statement.uses}
        for source, *names in (target for key in unused for target in statement.imports[key]):
            places.update(self.resolve(source, tuple(names)))
        return places

    def resolve(self, name: str, names: tuple[str, ...]) -> Iterator[Place]:
        """Find the definition of ``names`` of a module, through re-exports; outside the packages, return the names."""
        module = self.module(name)
        if module is None:
            yield ".".join((name, *names)), WHOLE
        elif not names:
            yield name, WHOLE
        else:
            first, *others = names
            elsewhere = module.imports.get(first, set()) - {(name, first)}
            if first in module.statements:
                yield name, first
            elif elsewhere:
                for source, *rest in elsewhere:
                    yield from self.resolve(source, (*rest, *others))
            elif self.module(f"{name}.{first}"):
                yield from self.resolve(f"{name}.{first}", tuple(others))
            elif not first.startswith("__"):
                yield from self._on_use(name, first)

    def _on_use(self, name: str, wanted: str) -> Iterator[Place]:
        """Find the source of a name that a module gives only on first use."""
        found = getattr(import_module(name), wanted, None)
        if found is None:
            raise ConfigError(
                f"{name}:{wanted}: no such name in the source of {name}, but results are stored by its code; correct "
                f"the name"
            )
        yield found.__module__, found.__qualname__.partition(".")[0]

    def module(self, name: str) -> _Module | None:
        """Return a module of the packages that are searched, or ``None``."""
        if name not in self.modules:
            path = _source(name) if name.partition(".")[0] in self.packages else None
            self.modules[name] = None
            if path:
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                self.modules[name] = _parse(package, path.read_bytes())
        return self.modules[name]


def _source(name: str) -> Path | None:
    """Return the file of a module, or ``None``; Python looks up only its top package."""
    top, *rest = name.split(".")
    if top == "eeg2fmri":
        folders = [Path(eeg2fmri.__file__).parent]
    else:
        spec = find_spec(top)
        if spec is None or not (spec.submodule_search_locations or spec.origin):
            return None
        if not spec.submodule_search_locations:
            return Path(str(spec.origin)) if not rest and str(spec.origin).endswith(".py") else None
        folders = [Path(folder) for folder in spec.submodule_search_locations]
    paths = [folder.joinpath(*rest, "__init__.py") for folder in folders]
    paths += [folder.joinpath(*rest[:-1], f"{rest[-1]}.py") for folder in folders if rest]
    return next((path for path in paths if path.is_file()), None)


@cache
def _parse(package: str, source: bytes) -> _Module:
    module = _Module(package)
    module.add(ast.parse(source).body)
    return module


def _bind(node: ast.Import | ast.ImportFrom, package: str, imports: Imports) -> None:
    """Note the names that an import binds, and ``a.b`` itself of ``import a.b``."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[:1] if node.level else []
            source = ".".join((*above, *filter(None, [node.module])))
            imports.setdefault(alias.asname or alias.name, set()).add((source, alias.name))
        elif alias.asname:
            imports.setdefault(alias.asname, set()).add((alias.name,))
        else:
            top = alias.name.partition(".")[0]
            imports.setdefault(top, set()).add((top,))
            if top != alias.name:
                imports.setdefault(alias.name, set()).add((alias.name,))


def _dotted(node: ast.AST) -> tuple[str, ...]:
    """Return the parts of ``a.b.c``; empty for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return (node.id, *names) if isinstance(node, ast.Name) else ()


def _defines(node: ast.stmt) -> set[str]:
    """Return the names that a statement defines; none if it does anything else when the module is imported."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    parts = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    return names if len(names) == len(parts) else set()


def _bound(node: ast.stmt) -> set[str]:
    """Return all names that a statement binds."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    named = {part.name for part in ast.walk(node) if isinstance(part, kinds)}
    return named | {p.id for p in ast.walk(node) if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}
