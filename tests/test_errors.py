"""Errors as lines."""

import errno
import sqlite3

import pytest

from eeg2fmri.errors import DatasetError, ModelError, disk_full, holds_password, one_line, without_secrets


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


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:s3cr3t@host/db",
        "postgresql://:s3cr3t@host/db",
        "postgresql://me:p@ss/w:rd@host/db",
        "postgresql://me:p?ss@host/db",
        "postgresql://me:86420/s3cr3t@host/db",
        "postgresql://me:86420/s3cr3t@host:5432/db?user=me@lab",
        "postgresql://me:86420/s3?r3t@host/db",
        "postgresql://me:s3cr3t@[::1]:5432/db?user=me@lab",
        "postgresql://host:5432/db?user=me@lab&password=s3cr3t",
        "postgresql://host:5432/db?sslpassword=s3cr3t",
    ],
)
def test_an_address_with_a_password_is_found(address):
    assert holds_password(address)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://host:5432/db?user=me@lab",
        "postgresql://host:5432?user=me@lab",
        "postgresql://[::1]:5432/db?user=me@lab",
        "postgresql://me@host:5432/db?options=a@b",
        "postgresql://host/db?user=me@lab&host=a:5432",
        "postgresql://me@host:5432/db",
        "sqlite:////data:1/a@b.db",
    ],
)
def test_an_address_whose_options_have_the_sign_of_a_user_has_no_password(address):
    assert not holds_password(address)


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
