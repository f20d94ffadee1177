"""Errors as lines."""

import errno
import sqlite3

import pytest

from eeg2fmri.errors import DatasetError, ModelError, disk_full, one_line, without_secrets


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DatasetError("a.set: broken;\n  fetch it"), "a.set: broken; fetch it"),
        (OSError("disk\n\tfull"), "OSError: disk full"),
        (ValueError("x" * 400), f"ValueError: {'x' * 288}"),
        (KeyError(), "KeyError:"),
    ],
)
def test_an_error_is_one_line(error, line):
    assert one_line(error) == line


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://me:s3cr3t@host/db",
        "s3://host/b?password=s3cr3t",
        "http://s3cr3t@host/",
        "postgresql://me:8642/s3cr3t@host/db",
        "postgresql://me@tenant:s3cr3t@host/db",
        "postgresql://me:a@b/s3cr3t@host:5432/db",
        "postgresql://:s3cr3t@host/db",
    ],
)
def test_no_error_shows_a_password(secret):
    error = ModelError(f"{secret}: no such model")
    assert "s3cr3t" not in str(error)
    assert "s3cr3t" not in repr(error)
    assert "host" in str(error)
    assert "s3cr3t" not in one_line(ValueError(f"cannot open {secret}"))


@pytest.mark.parametrize("address", ["http://host:5000/#/models", "s3://bucket/a@b", "[http://host:1], models:/a@b"])
def test_an_address_without_a_password_stays(address):
    assert without_secrets(address) == address


def wrapped(cause: BaseException) -> RuntimeError:
    error = RuntimeError("failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/work/x.npz"),
        OSError(errno.EFBIG, "File too large", "/work/x.npz"),
        wrapped(OSError(errno.EDQUOT, "Disk quota exceeded")),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_a_full_disk_is_recognised(error):
    assert "no space left" in one_line(disk_full(error))
    assert disk_full(OSError(errno.ENOENT, "No such file")) is None
