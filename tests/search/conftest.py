"""An empty tracking database for every test."""

from pathlib import Path

import pytest

from tests.mlflow_store import use_tracking


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return use_tracking(tmp_path, monkeypatch)
