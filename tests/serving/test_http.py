"""The server and its client over HTTP: the same server in a thread, on a port of this machine."""

from __future__ import annotations

import base64
import gc
import http.client
import io
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from urllib.parse import urlsplit

import nibabel
import numpy as np
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eeg2fmri.config import ServingConfig
from eeg2fmri.errors import ConfigError, DatasetError, RequestError, ServerError
from eeg2fmri.serving import Client
from eeg2fmri.serving import http as http_module
from eeg2fmri.serving.arrays import encode
from eeg2fmri.serving.http import AT_ONCE, serve, server_app
from tests.fakes import CHANNELS, EEG_SHAPE, GRID, SAMPLING_RATE, TR
from tests.served import ask, in_brain
from tests.serving.hostile import TREES, bad_requests
from tests.serving.test_requests import W

MIB = 2**20


def zeros(*shape: int) -> str:
    """Return base64 of a small .npz file with many values."""
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.zeros(shape, np.int8))
    return base64.b64encode(packed.getvalue()).decode()


# Bodies that need more memory than others, by lists of JSON or by an array that is packed well.
HEAVY = {
    "records": b'{"inputs":[' + b'{"a":1},' * 510_000 + b"{}]}",
    "array": json.dumps({"inputs": [{"eeg_npy": zeros(6, 1_000_000), "sampling_rate": SAMPLING_RATE}]}).encode(),
}
LIMITS = ServingConfig(max_body=1, max_memory=16, max_windows=20)


@contextmanager
def running(app):
    """Address of a server in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(bundles):
    with running(server_app(bundles["linear"], LIMITS)) as at:
        yield at


@pytest.fixture
def client(address):
    return Client(address)


def post(address: str, body: bytes | Iterator[bytes], **headers: str) -> tuple[int, str]:
    """Status and message of a reply to bytes with headers of one's own."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    sent = {"Content-Type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request("POST", "/invocations", body, sent)
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


class TestClient:
    def test_raw_eeg(self, client, bundles, eeg):
        reply = client.synthesise(eeg[::-1], SAMPLING_RATE, CHANNELS[::-1])
        bundle = bundles["linear"]
        np.testing.assert_array_equal(reply.volumes, in_brain(bundle, bundle.windows(eeg, SAMPLING_RATE)))
        assert (reply.tr, reply.start_time, reply.interpolated) == (TR, pytest.approx(3 * TR), ())
        image = reply.image()
        assert image.shape == (*GRID, 3)
        assert image.header.get_zooms()[3] == pytest.approx(TR)
        np.testing.assert_allclose(image.affine, bundle.signal.affine)

    def test_windows_in_half_precision(self, client, bundles, windows):
        volumes = client.synthesise_windows(windows, dtype="float16").volumes
        assert volumes.dtype == np.float16
        np.testing.assert_allclose(volumes, in_brain(bundles["linear"], windows), rtol=2**-11)

    def test_a_missing_channel(self, client, eeg):
        kept = [0, 2, 3, 4, 5]
        reply = client.synthesise(eeg[kept], SAMPLING_RATE, [CHANNELS[row] for row in kept], max_interpolated=0.2)
        assert reply.interpolated == (CHANNELS[1],)

    def test_courses_of_a_file(self, client, bundles, eeg, tmp_path, rng):
        labels, affine = rng.choice([0, 2, 5], GRID).astype(np.int16), np.asarray(bundles["linear"].signal.affine)
        nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / "atlas.nii.gz")
        courses = client.courses(eeg, SAMPLING_RATE, tmp_path / "atlas.nii.gz")
        volumes = client.synthesise(eeg, SAMPLING_RATE).volumes
        mask = bundles["linear"].model.bold_statistics.mask
        assert list(courses.columns) == ["2", "5"]
        np.testing.assert_allclose(courses.index, TR * np.array([3, 4, 5]))
        in_memory = client.courses(eeg, SAMPLING_RATE, nibabel.Nifti1Image(labels, affine))
        assert list(in_memory.columns) == ["2", "5"]
        for label in (2, 5):
            expected = volumes[:, mask & (labels == label)].mean(axis=1)
            np.testing.assert_allclose(courses[str(label)], expected, rtol=1e-5)
        with pytest.raises(RequestError, match="another affine"):
            client.courses(eeg, SAMPLING_RATE, nibabel.Nifti1Image(labels, np.diag([2, 2, 2, 1])))

    def test_courses_have_the_names_of_the_table_beside_the_image(self, client, bundles, eeg, tmp_path, rng, refuses):
        labels, affine = rng.choice([0, 2, 5], GRID).astype(np.int16), np.asarray(bundles["linear"].signal.affine)
        nibabel.save(nibabel.Nifti1Image(labels, affine), path := tmp_path / "atlas_dseg.nii.gz")
        (table := tmp_path / "atlas_dseg.tsv").write_text("index\tname\n9\tc\n5\tb\n")
        for image in (path, str(path), nibabel.load(path)):
            assert list(client.courses(eeg, SAMPLING_RATE, image).columns) == ["2", "b"]
        table.write_text("index\tname\n5\tb\n2\tb\n")
        with refuses(DatasetError, "labels 2 and 5 are both named 'b'; correct the table"):
            Client("http://127.0.0.1:1").courses(eeg, SAMPLING_RATE, path)  # before the server is asked

    def test_arguments_that_are_no_numbers(self, client, eeg, refuses, tmp_path):
        for wrong in ([[1, 2], [3]], "eeg", [[10**400]]):
            with refuses(RequestError, "eeg: .* give an array of numbers"):
                client.synthesise(wrong, SAMPLING_RATE)
            with refuses(RequestError, "windows: .* give an array of numbers"):
                client.synthesise_windows(wrong)
        for value, words in (("fast", "fast"), (None, "None"), (np.nan, "nan"), (np.inf, "inf"), (10**400, "large")):
            with refuses(RequestError, f"sampling_rate: .*{words}.*; give a"):
                client.synthesise(eeg, value)
            with refuses(RequestError, f"max_interpolated: .*{words}.*; give a"):
                client.synthesise(eeg, SAMPLING_RATE, max_interpolated=value)
        for wrong in ("Fz", 3):
            with refuses(RequestError, f"channels: '?{wrong}.*; give a list of names"):
                client.synthesise(eeg, SAMPLING_RATE, wrong)
        with refuses(RequestError, "channels or dtype: .*bytes"):
            client.synthesise(eeg, SAMPLING_RATE, [b"Fz"])
        with refuses(RequestError, "labels: it cannot be read .*none.nii"):
            client.courses(eeg, SAMPLING_RATE, tmp_path / "none.nii")
        colours = np.zeros(GRID, [(name, "u1") for name in "RGB"])
        for values in (np.full(GRID, 1.6), np.full(GRID, np.nan), np.ones(GRID, np.complex64), colours):
            labels = nibabel.Nifti1Image(values, np.eye(4))
            with refuses(RequestError, "labels: its values are not all whole numbers"):
                client.courses(eeg, SAMPLING_RATE, labels)

    def test_a_refusal_is_the_servers_reason(self, client, eeg, refuses):
        with refuses(RequestError, "status 400, eeg_npy: 6 NaN"):
            client.synthesise(np.where(np.arange(eeg.shape[1]) == 3, np.nan, eeg), SAMPLING_RATE)

    def test_no_server(self, refuses):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with refuses(ServerError, f"http://127.0.0.1:{port}: no answer .* start the server"):
            Client(f"http://127.0.0.1:{port}").synthesise_windows(W)


class TestServer:
    def test_memory_is_returned_after_a_large_reply_only(self, client, windows, monkeypatch):
        done, really = threading.Event(), http_module._return_memory
        monkeypatch.setattr(http_module, "_return_memory", lambda: (really(), done.set()))
        client.synthesise_windows(windows)
        assert not done.wait(0.3)
        monkeypatch.setattr(http_module, "LARGE", 0)
        client.synthesise_windows(windows)
        assert done.wait(10)

    def test_addresses_of_mlflow(self, address):
        assert [ask(f"{address}/{name}")[0] for name in ("ping", "health", "version", "docs")] == [200] * 4

    def test_its_page_needs_no_network(self, address):
        page = ask(f"{address}/docs")[1].decode()
        needed = re.findall(r'(?:src|href|Url)="([^"]+)"', page)
        assert len(needed) == 3  # script, style and icon
        assert {ask(f"{address}{path}")[0] for path in needed} == {200}

    def test_its_description_explains_every_field(self, address):
        described = json.loads(ask(f"{address}/openapi.json")[1])["paths"]["/invocations"]["post"]
        body = described["requestBody"]["content"]["application/json"]["schema"]["properties"]
        record, params = body["inputs"]["items"], body["params"]
        reply = described["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]
        assert {"eeg_npy", "sampling_rate", "labels_npy"} <= record["properties"].keys()
        assert params["properties"].keys() == {"reply", "dtype", "max_interpolated"}
        assert {"volumes_npy", "affine"} <= reply["items"]["properties"].keys()
        for schema in (record, params, reply["items"]):
            assert all(field.get("description") for field in schema["properties"].values()), schema
        assert record["additionalProperties"] is params["additionalProperties"] is False
        assert "Hz" in record["properties"]["sampling_rate"]["description"]

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"{", "no JSON object"),
            (b"[]", "no JSON object"),
            (b"\xff\xfe", "no JSON object"),
            (b'{"a":' * 300 + b"1" + b"}" * 300, "nested too deeply"),
            (b'{"inputs": ' + b"[" * 100_000, "nested too deeply"),
            (b'{"inputs": [{"windows": [1' + b"0" * 5000 + b"]}]}", "no JSON object"),
            (b"{}", "field inputs"),
            (b'{"inputs": [], "instances": []}', "unknown field 'instances'"),
            (b'{"inputs": [{}], "params": {"replly": 1}}', "did you mean 'reply'"),
            (b'{"inputs": [{}], "params": 3}', "params must be an object"),
            (b'{"inputs": 3}', "expected a list of records"),
            (b'{"inputs": []}', "an empty list"),
            (b'{"inputs":[{"eeg":[' + b"[]," * 300_000 + b"[]]}]}", "send arrays as eeg_npy"),
            (b'{"inputs":[' + b"{}," * 300_000 + b"{}]}", "lists and objects of 125 MiB"),
            (b'{"inputs":[{"eeg":[[' + b"1.5," * 250_000 + b"1]]}]}", "lists and objects of 18 MiB"),
        ],
    )
    def test_a_bad_body_gets_400_with_the_reason(self, address, body, words):
        status, text = post(address, body)
        assert (status, words in text) == (400, True), text
        assert len(text) < 400

    @pytest.mark.parametrize("heavy", sorted(HEAVY))
    def test_requests_of_much_memory_wait_for_each_other_and_others_do_not(self, bundles, monkeypatch, heavy):
        entered, leave, really = threading.Semaphore(0), threading.Event(), http_module.answer

        def answer(bundle, records, params, limits, *others):
            if limits.max_memory > 100:
                entered.release()
                leave.wait(60)
            return really(bundle, records, params, limits, *others)

        monkeypatch.setattr(http_module, "answer", answer)
        with running(server_app(bundles["linear"], ServingConfig())) as at, ThreadPoolExecutor(3) as pool:
            replies = [pool.submit(post, at, HEAVY[heavy]) for _ in range(3)]
            assert entered.acquire(timeout=60)
            assert post(at, b'{"inputs": []}')[0] == 400
            second, collecting = entered.acquire(timeout=1), gc.isenabled()
            leave.set()
            assert not second
            assert not collecting
            assert {reply.result()[0] for reply in replies} == {400}
        assert gc.isenabled()

    def test_other_requests_are_answered_together(self, address, monkeypatch):
        meeting = threading.Barrier(AT_ONCE, timeout=60)

        def answer(*_):
            meeting.wait()
            raise RequestError("met")

        monkeypatch.setattr(http_module, "answer", answer)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            replies = list(pool.map(lambda _: post(address, b'{"inputs": []}'), range(AT_ONCE)))
        assert all("met" in text for _, text in replies)

    def test_bodies_that_wait_leave_no_room_for_more(self, bundles, monkeypatch):
        waiting, leave = threading.Semaphore(0), threading.Event()

        def needed(_):
            waiting.release()
            leave.wait(60)
            return 0

        monkeypatch.setattr(http_module, "needed", needed)
        monkeypatch.setattr(http_module, "HELD", 2)
        large = b" " * (MIB - 9)
        with running(server_app(bundles["linear"], LIMITS)) as at, ThreadPoolExecutor(6) as pool:
            sent = [pool.submit(post, at, large) for _ in range(6)]
            refused = [reply.result() for reply in islice(as_completed(sent, timeout=60), 4)]
            assert all(waiting.acquire(timeout=60) for _ in range(2))
            assert post(at, (b" " * (MIB // 2) for _ in range(1)))[0] == 503
            leave.set()
            assert {status for status, _ in refused} == {503}
            assert "TEMPORARILY_UNAVAILABLE" in refused[0][1]
            assert sorted(reply.result()[0] for reply in sent) == [400, 400, 503, 503, 503, 503]
            assert post(at, large)[0] == 400

    def test_lists_count_for_what_their_arrays_may_take(self, address):
        numbers = b'{"inputs":[{"sampling_rate":250,"eeg":[[' + b"1," * 200_000 + b"1]]}]}"
        assert "values, at most" in post(address, numbers)[1]

    def test_another_type_of_content(self, address):
        for kind in ("text/csv", "", "application/xml"):
            assert post(address, b"{}", Content_Type=kind)[0] == 415

    @pytest.mark.parametrize("mebibytes", [2, 15, 17])
    def test_a_body_beyond_the_limit(self, address, mebibytes):
        """One that is not read to its end may lose its connection before the reason arrives."""
        try:
            status, text = post(address, bytes(mebibytes * MIB))
            assert status == 413
            assert "the body exceeds 1 MiB (serving.max_body)" in text
        except OSError:
            assert mebibytes > 16
        assert ask(f"{address}/ping")[0] == 200

    def test_a_body_of_unknown_length_beyond_the_limit(self, address):
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/invocations", (bytes(MIB) for _ in range(3)), headers, encode_chunked=True)
        assert connection.getresponse().status == 413

    def test_a_name_that_is_not_allowed(self, address):
        assert post(address, b"{}", Host="evil.example")[0] == 400
        assert "Invalid host" in post(address, b"{}", Host="evil.example")[1]

    def test_a_fault_of_its_own_shows_nothing(self, address, monkeypatch, caplog):
        def broken(*_):
            raise KeyError("/home/someone/private")

        monkeypatch.setattr(http_module, "answer", broken)
        status, text = post(address, b'{"inputs": []}')
        assert status == 500
        assert json.loads(text)["message"] == "internal error: KeyError"
        assert "private" in caplog.text

    @settings(max_examples=40, deadline=2000, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(request=st.one_of(bad_requests(EEG_SHAPE, CHANNELS, SAMPLING_RATE), TREES))
    def test_generated_requests_get_4xx_or_volumes(self, address_of_mean, request):
        status, text = post(address_of_mean, json.dumps(request).encode())
        assert status in (200, 400), text
        if status == 400:
            assert 0 < len(json.loads(text)["message"]) < 300
        assert ask(f"{address_of_mean}/ping")[0] == 200

    @pytest.mark.parametrize(("host", "port"), [("127.0.0.1", None), ("192.0.2.1", 5001), ("127.0.0.1", 70000)])
    def test_a_port_that_is_not_free(self, address, bundles, host, port, refuses):
        used = port or urlsplit(address).port
        with refuses(ConfigError, f"--host {host} --port {used}: .*choose another port"):
            serve(server_app(bundles["linear"], LIMITS), host, used)


@pytest.fixture(scope="module")
def address_of_mean(bundles):
    with running(server_app(bundles["mean"], LIMITS)) as at:
        yield at


def test_what_the_bad_requests_start_from_is_valid(address):
    status, body = ask(f"{address}/invocations", {"inputs": [{"windows_npy": encode(W)}]})
    assert status == 200
    assert json.loads(body)["predictions"][0]["shape"] == [1, *GRID]
