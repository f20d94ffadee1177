"""Check of the tracking server, once before its first use.

MLflow repeats requests to a server that is down for minutes. Its retries remain for later failures.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from eeg2fmri.errors import ConfigError, Eeg2FmriError, TrackingError, causes, without_secrets

TIMEOUT_S = 5.0
QUESTION = "/api/2.0/mlflow/experiments/search?max_results=1"
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306}
# Length and code of PostgreSQL's request for TLS, which every server answers by one byte (protocol 3.0, SSLRequest).
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
# Servers of an object store, by MLflow and by the drivers of stores.
ENDPOINTS = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
TRACKING_VERBS = ("main", "simulate", "preprocess", "search", "train", "evaluate", "adapt", "classify", "crossval",
                  "compare", "promote", "rollback")  # fmt: skip
TRACKED_SCHEMES = ("models", "runs", "mlflow-artifacts")
SERVER_ERROR = "the server answers with an error (HTTP {}); read its log or try again later"
_answered: set[str] = set()


def check_server() -> None:
    """Refuse to continue if the tracking server or the registry does not answer within 5 s.

    Their addresses are those of ``MLFLOW_TRACKING_URI`` and ``MLFLOW_REGISTRY_URI``, which
    `mlflow.set_tracking_uri` sets too. Files and databases without a host are not asked. The server of MLflow's
    artifacts is asked if ``MLFLOW_S3_ENDPOINT_URL`` names it.

    Raises
    ------
    TrackingError
        If one does not answer; the message has the address (without its password), the reason, and what to do.
    """
    for variable in VARIABLES:
        uri = os.environ.get(variable, "")
        if not uri or uri in _answered:
            continue
        if reason := _reason(uri):
            raise TrackingError(f"{variable}={without_secrets(uri)}: {reason}")
        _answered.add(uri)
    if reason := _endpoint_reason(*ENDPOINTS[:1]):
        raise TrackingError(reason)


def check_place(address: str, error: type[Eeg2FmriError]) -> None:
    """Refuse to continue if the server of an ``s3://`` or ``http://`` address does not answer within 5 s.

    Drivers repeat a question for minutes. S3 without a variable of `ENDPOINTS` is not asked.

    Parameters
    ----------
    address : of a store or a model.
    error : kind to raise; its message has both addresses (without passwords), the reason, and what to do.
    """
    scheme = address.partition("://")[0]
    reason = ""
    if scheme in ("s3", "s3a"):
        reason = _endpoint_reason(*ENDPOINTS)
    elif scheme in ("http", "https"):
        reason = _plain_reason(address)
    if reason:
        raise error(f"{address}: {reason}")


def _endpoint_reason(*variables: str) -> str:
    """Return which server of an object store is not usable, and why; empty if all that are set answer."""
    for variable in variables:
        if (uri := os.environ.get(variable, "")) and (reason := _plain_reason(uri)):
            return f"{variable}={uri}: {reason}"
    return ""


def _plain_reason(uri: str) -> str:
    """Return why the server of an address is not usable; any answer but an error of its own counts."""
    import requests

    uri = "/".join(uri.split("/")[:3])
    if uri in _answered:
        return ""
    try:
        status = _in_time(lambda: requests.head(uri, timeout=TIMEOUT_S)).status_code
    except Exception as err:  # of sockets, urllib3 or requests
        return _why(err)
    if status >= 500:
        return SERVER_ERROR.format(status)
    _answered.add(uri)
    return ""


def answered_elsewhere() -> None:
    """Do not ask the servers of this process: the one that started its work has, and MLflow repeats its requests."""
    _answered.update(filter(None, (os.environ.get(variable) for variable in VARIABLES)))


def check_storage(url: str) -> None:
    """Refuse to continue if the database of a search does not answer within 5 s; files are not asked.

    Raises
    ------
    ConfigError
        If it does not answer; the message has the address (without its password), the reason, and what to do.
    """
    if reason := _reason(url):
        raise ConfigError(f"storage {url}: {reason}")


def needs_server(verb: str, model_uri: str | None) -> bool:
    """Say whether a command needs the server: those that load a model unless it is given and lies elsewhere."""
    scheme = model_uri.partition(":")[0] if model_uri else "models"
    return verb in TRACKING_VERBS or (verb in ("synthesize", "serve", "stream") and scheme in TRACKED_SCHEMES)


def _reason(uri: str) -> str:
    """Return why an address is not usable; empty if it answers."""
    scheme = uri.partition("://")[0].partition("+")[0].lower()
    try:
        if scheme in ("http", "https"):
            return _http_reason(uri)
        if scheme in DATABASE_PORTS:
            _in_time(lambda: _connect(uri))
    except Exception as err:  # of sockets, urllib3, requests or MLflow
        return _why(err)
    return ""


def _in_time(ask: Callable[[], Any]) -> Any:
    """Ask in a separate thread: nothing else ends the look-up of a name that no one answers."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(ask())
        except Exception as err:
            found.append(err)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S + 1)
    if not found:
        raise TimeoutError
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _http_reason(uri: str) -> str:
    response = _in_time(lambda: _get(uri))
    if response.status_code in (401, 403):
        response = _get_as_mlflow(uri)
    status = response.status_code
    if status in (401, 403):
        hosts = ", or let the server take this host name (mlflow server --allowed-hosts)" if status == 403 else ""
        return (
            f"the server refuses the login (HTTP {status}); set MLFLOW_TRACKING_USERNAME and "
            f"MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, of a user with access{hosts}"
        )
    if status >= 500:
        return SERVER_ERROR.format(status)
    try:
        response.json()
    except ValueError:
        status = 404
    if status >= 400:
        return f"no MLflow server answers there (HTTP {response.status_code} to {QUESTION}); correct the address"
    return ""


def _get(uri: str) -> Any:
    """Send a request with user and certificates from the environment."""
    import requests

    env = os.environ.get
    user, password, token = (env(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD", "TOKEN"))
    insecure = env("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    return requests.get(
        uri.rstrip("/") + QUESTION,
        auth=(user, password) if user and password else None,
        headers={"Authorization": f"Bearer {token}"} if token and not (user and password) else None,
        verify=False if insecure else env("MLFLOW_TRACKING_SERVER_CERT_PATH") or True,
        cert=env("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
        timeout=TIMEOUT_S,
    )


def _get_as_mlflow(uri: str) -> Any:
    """Send a request as MLflow does, with its credentials file and login plugins; the import takes seconds."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    return http_request(
        get_default_host_creds(uri), QUESTION, "GET", max_retries=0, timeout=TIMEOUT_S, raise_on_status=False
    )


def _connect(uri: str) -> None:
    """Open a connection to a database and wait for its first byte: a port may be open and its server hang."""
    url = urlsplit(without_secrets(uri))  # a password may hold a slash
    kind = url.scheme.partition("+")[0]
    port = url.port or DATABASE_PORTS[kind]
    if not url.hostname:
        return
    with socket.create_connection((url.hostname, port), TIMEOUT_S) as connection:
        if kind == "postgresql":  # it waits for the client; MySQL greets
            connection.sendall(SSL_REQUEST)
        if not connection.recv(1):
            raise ConnectionError


def _why(err: Exception) -> str:
    """Return reason and way out of a connection error; its text may hold the address, so it is not shown."""
    chain = list(causes(err))
    kinds = {type(cause).__name__ for cause in chain}
    if kinds & {"SSLError", "SSLCertVerificationError", "SSLEOFError"}:
        return (
            "the TLS connection fails (wrong certificate, or no https there); correct the address, or set "
            "MLFLOW_TRACKING_SERVER_CERT_PATH to the server's certificate"
        )
    if "ProxyError" in kinds:
        return "the proxy does not reach it; correct HTTP_PROXY and HTTPS_PROXY, or name the host in NO_PROXY"
    if kinds & {"gaierror", "NameResolutionError"}:
        return "the host is unknown; correct its name or connect to its network"
    if "ConnectionRefusedError" in kinds:
        return "no server listens there (connection refused); start the server or correct the address"
    if any(isinstance(cause, TimeoutError) for cause in chain) or kinds & {"Timeout", "ReadTimeout", "ConnectTimeout"}:
        return _silent()
    if isinstance(err, ValueError):  # requests' InvalidURL is one too
        return "not a valid address; correct it (SCHEME://HOST:PORT)"
    return f"the connection fails ({type(chain[-1]).__name__}); start the server or correct the address"


def _silent() -> str:
    return f"no answer within {TIMEOUT_S:g} s; start the server, correct the address, or try again"
