"""What tests of the store ask of files."""

from __future__ import annotations

from pathlib import Path

NAMES = [f"sub-0{i}_task-rest" for i in (1, 2, 3)]


def tree(path: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file below a folder: content, inode and time of change."""
    return {
        str(f.relative_to(path)): (f.read_bytes(), f.stat().st_ino, f.stat().st_mtime_ns)
        for f in sorted(path.rglob("*"))
        if f.is_file()
    }


def content(path: Path) -> dict[str, bytes]:
    """Every file below a folder: its content."""
    return {name: found for name, (found, _, _) in tree(path).items()}
