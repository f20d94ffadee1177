"""No password of an address reaches the tracking database or its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eeg2fmri.store import Location
from eeg2fmri.tracking import tracked_run

PLANTED = "postgresql://user:s3cr3t@host:5432/db"


@pytest.mark.usefixtures("tracking")
def test_nothing_that_is_logged_holds_a_password(tmp_path):
    params = {"a": PLANTED, "b": [PLANTED], "data.store": str(Location(PLANTED))}
    with tracked_run("train", experiment="tests", name="train", params=params, tags={"t": PLANTED}) as log:
        log.tags({"u": PLANTED})
        log.describe(f"trained on {PLANTED}")
        log.text(f"from {PLANTED}", "text.md")
        log.numbers({"of": [PLANTED, 1.5]}, "numbers.json")
        log.dataset("d" * 64, "s3://user:s3cr3t@bucket/store", "store", "training", np.ones(3))
    files = [path for path in Path(tmp_path).rglob("*") if path.is_file()]
    assert {"mlflow.db", "text.md", "numbers.json"} <= {path.name for path in files}
    assert [path for path in files if b"s3cr3t" in path.read_bytes()] == []
    assert b"postgresql://host:5432/db" in (tmp_path / "mlflow.db").read_bytes()


def test_a_location_keeps_its_password_to_itself():
    location = Location.of(PLANTED)
    assert location.address == PLANTED
    assert "s3cr3t" not in f"{location} {location!r}"
    assert location.child("x").address == f"{PLANTED}/x"
