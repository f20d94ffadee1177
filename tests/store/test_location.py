"""The same store on a local disk, in memory and on S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from eeg2fmri.errors import MissingExtraError, StoreError
from eeg2fmri.store import Location, Windows, open_store
from tests.store.files import NAMES, content


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket of a server in this process."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(key, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.filesystem("s3").mkdir("recordings")
        yield "s3://recordings"
    server.stop()


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
def url(request) -> str:
    base = "memory://recordings" if request.param == "memory" else request.getfixturevalue("s3")
    return f"{base}/{uuid.uuid4().hex}"


def files(url: str) -> dict[str, bytes]:
    found, path = fsspec.url_to_fs(url)
    return {name.split(path.strip("/"))[1].strip("/"): found.cat_file(name) for name in found.find(path)}


def test_a_url_holds_what_a_folder_does(build, url, tmp_path):
    local, _ = build()
    remote, seen = build(url)
    assert seen == [(name, False) for name in NAMES]
    assert files(url) == content(tmp_path / "store")
    assert remote.digest == local.digest
    assert (str(remote.path), remote.path.name) == (url, url.rsplit("/", 1)[1])
    one, other = (Windows(store.recordings, store.context) for store in (open_store(url), local))
    order = np.array([40, 0, 16, 17, 50])
    np.testing.assert_array_equal(one.eeg(order), other.eeg(order))
    np.testing.assert_array_equal(one.volumes(order), other.volumes(order))


def test_a_url_grows_and_shrinks(build, url, tmp_path):
    build(url, subjects=("sub-01", "sub-03"))
    _, seen = build(url)
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], True)]
    build(url, subjects=("sub-02",))
    build(subjects=("sub-02",))
    assert files(url) == content(tmp_path / "store")


def test_a_chunk_that_is_lost_from_a_url_is_made_again(build, url, refuses):
    build(url, subjects=("sub-01",))
    found, path = fsspec.url_to_fs(url)
    (lost,) = [name for name in found.find(path) if name.endswith("volumes/c.1.0.0.0")]
    found.rm_file(lost)
    with refuses(StoreError, "volumes: a chunk is missing"):
        open_store(url).recordings[0].volumes[5:9]
    _, seen = build(url, subjects=("sub-01",))
    assert seen == [(NAMES[0], False)]
    assert not np.isnan(open_store(url).recordings[0].volumes[:]).any()


def test_a_url_with_something_else_is_refused(build, url, refuses):
    found, path = fsspec.url_to_fs(url)
    found.pipe_file(f"{path}/notes.txt", b"mine")
    with refuses(StoreError, f"{url}: a folder that is not a store; give another --store"):
        build(url)
    assert files(url) == {"notes.txt": b"mine"}


def test_an_empty_url_holds_no_store(url, refuses):
    with refuses(StoreError, f"{url}: there is no store; make one with: eeg2fmri preprocess .* --store {url}"):
        open_store(url)


@pytest.mark.parametrize(
    ("address", "kind", "text"),
    [
        ("nowhere://x/store", StoreError, "nowhere://x/store: cannot be opened .*Protocol not known: nowhere"),
        ("abfs://x/store", MissingExtraError, "abfs://x/store: Install adlfs"),
    ],
)
def test_an_address_that_cannot_be_opened_is_one_line(address, kind, text, refuses):
    with refuses(kind, text):
        open_store(address)


def test_a_bucket_that_is_not_there(s3, build, refuses):
    with refuses(StoreError, "there is no store"):
        open_store("s3://no-such-bucket/store")
    with pytest.raises(Exception, match=r"no-such-bucket|NoSuchBucket"):
        build("s3://no-such-bucket/store", subjects=("sub-01",))


def test_an_address_is_kept_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(Location.of("work/store")) == str(Location.of(Path("work/store"))) == "work/store"
    assert str(Location.of(f"file://{tmp_path}/store")) == f"{tmp_path}/store"
    assert str(Location.of("work/store").absolute()) == f"{tmp_path}/work/store"
    assert Location.of("s3://bucket/a/store/").absolute().name == "store"
