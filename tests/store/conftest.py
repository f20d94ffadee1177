"""Building the store of the tiny dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.store import Built, Store, build_store


class Builder:
    """Builds the store of a dataset; remembers what became of each recording."""

    def __init__(self, root: Path, path: Path, config: DataConfig) -> None:
        self.root, self.path, self.config = root, path, config
        self.seen: list[tuple[str, bool]] = []

    def built(self, path: Any = None, config: Any = None, root: Any = None, subjects: Any = None, **how: Any) -> Built:
        """The store and its failures; `seen` holds (recording, was it there already)."""
        found = find_recordings(root or self.root)[0]
        recordings = [r for r in found if subjects is None or r.subject in subjects]
        self.seen = []
        return build_store(recordings, path or self.path, config or self.config,
                           on_recording=lambda o: self.seen.append((o.name, o.kept)), **how)  # fmt: skip

    def __call__(self, *args: Any, **changes: Any) -> tuple[Store, list[tuple[str, bool]]]:
        """The store, of which nothing may have failed, and what was seen."""
        built = self.built(*args, **changes)
        assert not built.failures
        return built.store, self.seen


@pytest.fixture
def build(bids_root: Path, tmp_path: Path, tiny_config: DataConfig) -> Callable[..., Any]:
    return Builder(bids_root, tmp_path / "store", tiny_config)
