"""What a result was made with: the code of parts of this package."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import eeg2fmri


def code_digest(parts: Sequence[str]) -> str:
    """Digest (sha256) of the Python files of the named sub-packages."""
    folder = Path(eeg2fmri.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for part in parts for path in (folder / part).rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def package_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of those of the packages that are installed; this one's also from a checkout."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            if package == "eeg2fmri":
                found[package] = eeg2fmri.__version__
    return found
