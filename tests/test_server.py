"""A tracking server that does not answer, or not as it should: one line with its address and no password."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from eeg2fmri import server
from eeg2fmri.errors import ModelError, StoreError, TrackingError, without_secrets
from eeg2fmri.server import check_server, needs_server
from eeg2fmri.store import Location
from eeg2fmri.tracking import load_model


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(server, "_answered", set())
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def silent():
    """Port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def closed():
    """Port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return port


class Server(HTTPServer):
    """Answers every question in one way, and keeps the logins it was asked with."""

    def __init__(self, status: int, body: bytes) -> None:
        logins = self.logins = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                logins.append(self.headers["Authorization"])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args): ...

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def answering(monkeypatch):
    """Start a server with a status and a body, and make it the tracking server."""
    started = []

    def start(status: int, body: bytes = b"{}") -> Server:
        made = Server(status, body)
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        started.append(made)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{made.server_port}")
        return made

    yield start
    for made in started:
        made.shutdown()
        made.server_close()


SCHEMES = ("http://me:s3cret@", "postgresql://me:s3cret@", "mysql+pymysql://me:s3c/r@et@")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("variable", server.VARIABLES)
def test_a_port_without_a_server_is_refused_by_name(monkeypatch, closed, refuses, scheme, variable):
    monkeypatch.setenv(variable, f"{scheme}127.0.0.1:{closed}/x")
    plain = f"{variable}={scheme.partition('://')[0]}://127.0.0.1:{closed}/x"
    with refuses(TrackingError, rf"^{plain.replace('+', '.')}: no server listens there .*start the server"):
        check_server()


@pytest.mark.parametrize("scheme", ["http", "postgresql", "postgresql+psycopg", "mysql"])
def test_a_silent_server_is_refused_in_time(monkeypatch, silent, refuses, scheme):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:s3cret@127.0.0.1:{silent}")
    start = time.monotonic()
    address = f"{scheme}://127.0.0.1:{silent}".replace("+", ".")
    with refuses(TrackingError, f"^MLFLOW_TRACKING_URI={address}: no answer within 0.3 s; start the"):
        check_server()
    assert time.monotonic() - start < 2


def test_a_name_that_is_looked_up_for_too_long_counts_as_silent(monkeypatch, refuses):
    monkeypatch.setattr(server, "_get", lambda uri: time.sleep(5))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://slow.example")
    start = time.monotonic()
    with refuses(TrackingError, "no answer"):
        check_server()
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://me:s3cret@nowhere.invalid:5000", "the host is unknown"),
        ("postgresql://me:s3cret@nowhere.invalid/db", "the host is unknown"),
        ("http://me:s3cret@host:port", "not a valid address"),
        ("postgresql://me:s3cret@host:port/db", "not a valid address"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(monkeypatch, refuses, uri, reason):
    monkeypatch.setattr(server, "TIMEOUT_S", 3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refuses(TrackingError, reason) as _:
        check_server()


def test_a_server_without_tls_says_so(monkeypatch, answering, refuses):
    port = answering(200).server_port
    monkeypatch.setattr(server, "TIMEOUT_S", 3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://127.0.0.1:{port}")
    with refuses(TrackingError, "the TLS connection fails"):
        check_server()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b"", r"refuses the login \(HTTP 401\); set MLFLOW_TRACKING_USERNAME"),
        (403, b"", r"refuses the login \(HTTP 403\).* --allowed-hosts"),
        (503, b"", r"answers with an error \(HTTP 503\)"),
        (404, b"{}", "no MLflow server answers there"),
        (200, b"<html>", "no MLflow server answers there"),
    ],
)
def test_an_answer_that_is_not_mlflow_s_is_refused(monkeypatch, answering, refuses, status, body, reason):
    answering(status, body)
    monkeypatch.setattr(server, "TIMEOUT_S", 3)
    with refuses(TrackingError, reason):
        check_server()


def test_a_server_is_asked_once_and_with_the_login(monkeypatch, answering):
    asked = answering(200)
    monkeypatch.setattr(server, "TIMEOUT_S", 3)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    check_server()
    check_server()
    assert asked.logins == ["Basic bWU6czNjcmV0"]


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "mlruns", "file:///mlruns", "databricks"])
def test_files_are_not_asked(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    check_server()


def test_commands_that_do_not_track_need_no_server():
    assert not needs_server("inspect", "")
    assert not needs_server("store", "")
    assert not needs_server("synthesize", "work/model")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://me:s3cret@host:5000/a, then", "at http://host:5000/a, then"),
        ("postgresql+psycopg://me:s3/cr@et@host/db", "postgresql+psycopg://host/db"),
        ("https://token@host", "https://host"),
        ("http://host:5000/#/models/a@b", "http://host:5000/#/models/a@b"),
        ("models:/eeg2fmri@champion", "models:/eeg2fmri@champion"),
    ],
)
def test_secrets_are_taken_out_of_addresses(text, shown):
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    ("address", "variable"),
    [
        ("s3://bucket/store", "AWS_ENDPOINT_URL"),
        ("s3://bucket/store", "MLFLOW_S3_ENDPOINT_URL"),
        ("http://me:s3cret@{}/store", None),
    ],
)
def test_a_place_that_does_not_answer_is_refused_in_time(monkeypatch, silent, refuses, address, variable):
    host = f"127.0.0.1:{silent}"
    if variable:
        monkeypatch.setenv(variable, f"http://me:s3cret@{host}")
    address = address.format(host)
    named = f"{variable}=http://{host}: " if variable else ""
    start = time.monotonic()
    for kind, ask in ((StoreError, lambda: Location.of(address).metadata()), (ModelError, lambda: load_model(address))):
        with refuses(kind, f"^{without_secrets(address)}: {named}no answer within 0.3 s; start the"):
            ask()
    assert time.monotonic() - start < 4
    if variable == server.ENDPOINTS[0]:  # artifacts would be written there
        with refuses(TrackingError, f"^{named}no answer"):
            check_server()
