"""Latency, memory and safety of a served model at the published size (64 × 134 × 10 EEG, 64 × 64 × 30 volumes).

    python experiments/benchmarks/serving.py PART… [--minutes 2] [--requests 20000] [--bad 10000] [--out FILE.json]

Each part is measured with a server process of its own, one worker, and is written to the JSON when it is done:

- encodings: milliseconds and bytes of each way to send a volume. The volumes are those of a fitted `linear`, which have
  anatomy; of noise nothing could be compressed. The error of float16 is beside the deviation over time.
- latency: one client, one window, compact encoding, by `eeg2fmri serve` and by `mlflow models serve`; parsing, model
  and encoding apart in this process; raw EEG of 21.6 s as JSON; memory after a batch of 64 windows.
- clients: eight at a time for `--minutes`, then `--requests` requests of `linear` with a short reply.
- hostile: `--bad` generated bad requests (`tests/serving/hostile.py`), then bombs of the largest size that the limits
  allow and beyond; status, longest answer, memory above idle, and that a valid request is answered afterwards. The
  bodies go to MLflow's server too, whose own answers with status 5xx are listed.
- together: the heaviest bodies that the limits let through, alone and eight at once; a valid request meanwhile.

The network is `calhas2022`, trained for one epoch on two simulated subjects: its time does not depend on its weights.
Client and server share the cores.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
sys.path.insert(0, str(Path(__file__).parents[2]))

import mlflow
import numpy as np
from hypothesis import HealthCheck, given, settings

import eeg2fmri
from eeg2fmri.config import ServingConfig
from eeg2fmri.serving import Bundle
from eeg2fmri.serving.arrays import decode, encode
from eeg2fmri.serving.http import needed
from eeg2fmri.serving.replies import pack
from eeg2fmri.tracking.registry import pyfunc_model
from tests.serving.hostile import bad_requests

RATE, TR, MIB = 250.0, 2.16, 2**20
CONFIG = {
    "simulation": {"subjects": 4, "volumes": 60},
    "split": {"validation": 1, "test": 1},
    "models": [{"family": "linear"}, {"family": "calhas2022", "training": {"epochs": 1, "batch_size": 8}}],
    "run": {"device": "cpu"},
}
FAMILIES = {"linear": "linear", "calhas2022": "tafp-style"}
SERVERS = {
    "eeg2fmri serve": ["-m", "eeg2fmri", "serve", "--model-uri"],
    "mlflow models serve": ["-m", "mlflow", "models", "serve", "--env-manager", "local", "-m"],
}


def models(folder: Path) -> dict[str, Bundle]:
    """Two fitted models, and MLflow's folders of them beside."""
    config = eeg2fmri.load_config(None, CONFIG)
    root = eeg2fmri.simulate(config.simulation, folder / "dataset")
    store = eeg2fmri.preprocess(root, folder / "store", config)
    found = {}
    for family, variant in FAMILIES.items():
        found[family] = bundle = eeg2fmri.fit(store, config, variant)
        (folder / f"{family}-bundle").mkdir()
        arguments = pyfunc_model(bundle, folder / f"{family}-bundle", np.ones(bundle.window_shape, np.float32))
        mlflow.pyfunc.save_model(folder / family, **arguments)
    return found


class Server:
    """A server process; its memory is that of its whole group."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.port = process, port
        self.peak = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def largest(self) -> float:
        """Return the largest memory [MiB] since `peak` was set to 0, also if it was never looked at in between."""
        return max(self.peak, self.memory())

    def memory(self) -> float:
        """Resident memory in MiB."""
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError):
                fields = stat.read_text().rpartition(")")[2].split()
                total += int(fields[21]) * 4096 if int(fields[2]) == self.process.pid else 0
        return total / MIB

    def _watch(self) -> None:
        while self.process.poll() is None:
            self.peak = max(self.peak, self.memory())
            time.sleep(0.05)

    def post(self, body: bytes, kind: str = "application/json") -> tuple[int, bytes]:
        """Status and body of a reply; status 0 if the connection is lost before there is one."""
        local = threading.current_thread().__dict__
        key = f"connection-{self.port}"
        for attempt in (0, 1):  # a connection that the server has closed is opened again
            connection = local.setdefault(key, http.client.HTTPConnection("127.0.0.1", self.port, timeout=120))
            try:
                connection.request("POST", "/invocations", body, {"Content-Type": kind})
                reply = connection.getresponse()
                return reply.status, reply.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                local.pop(key)
                if attempt:
                    return 0, b""
        raise AssertionError


@contextmanager
def server(way: str, model: Path, folder: Path) -> Iterator[Server]:
    """A server of a model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, *SERVERS[way], str(model), "--port", str(port), "--host", "127.0.0.1"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=folder)
    running = Server(process, port)
    try:
        for _ in range(600):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
            time.sleep(0.2)
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def quantiles(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {"p50_ms": round(statistics.median(ordered), 1), "p99_ms": round(ordered[int(0.99 * len(ordered))], 1)}


def timed(function: Callable[[], Any], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def body(record: dict[str, Any], **params: Any) -> bytes:
    return json.dumps({"inputs": [record], "params": params}).encode()


def windows(bundle: Bundle, n: int) -> np.ndarray:
    """Windows with the amplitude of the training data."""
    mean = bundle.model.eeg_statistics.mean[None, :, :, None]
    return (mean * np.random.default_rng(0).gamma(2, 0.5, (n, *bundle.window_shape))).astype(np.float32)


def raw_eeg(bundle: Bundle, seconds: float) -> np.ndarray:
    shape = (len(bundle.signal.channels), round(seconds * RATE))
    eeg = np.random.default_rng(0).normal(0, 20, shape)
    scale = float(np.median(bundle.model.eeg_statistics.mean.mean(axis=1)))
    return np.round(eeg * scale / float(np.median(np.abs(np.fft.rfft(eeg[:, :540])[:, 1:135]) / 540)), 2)


def encodings(found: dict[str, Bundle], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    bundle = found["linear"]
    volumes = bundle.model.synthesise(windows(bundle, 16))
    one = volumes[:1]

    def npz(level: int, array: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
            archive.writestr("volumes.npy", base64.b64decode(encode(array)))
        return buffer.getvalue()

    def shuffled(level: int, array: np.ndarray) -> bytes:
        rows = array.view(np.uint8).reshape(-1, array.itemsize)
        return zlib.compress(np.ascontiguousarray(rows.T), level)

    half = one.astype(np.float16)
    ways = {
        "npy": lambda: base64.b64decode(encode(one)),
        "npy float16": lambda: base64.b64decode(encode(one.astype(np.float16))),
        **{f"npz level {level}": lambda level=level: npz(level, one) for level in (1, 6)},
        **{f"bytes shuffled, level {level}": lambda level=level: shuffled(level, one) for level in (1, 6)},
        "float16 shuffled, level 1": lambda: shuffled(1, half),
        "json": lambda: json.dumps(one.tolist()).encode(),
        "nifti": lambda: base64.b64decode(pack(bundle, one, "nifti", "float32", None, ())["volumes_nii_gz"]),
    }
    result = {name: {**quantiles(timed(way, 30)), "bytes": len(way())} for name, way in ways.items()}
    inside = volumes[:, bundle.model.bold_statistics.mask]
    error = np.abs(inside.astype(np.float16).astype(np.float32) - inside).max(axis=0)
    result["float16"] = {"largest_error_over_sd_in_time_median": float(np.median(error / inside.std(axis=0)))}
    return result


def latency(found: dict[str, Bundle], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for family, bundle in found.items():
        sent = encode(windows(bundle, 1))
        one = decode("windows_npy", sent, 10**6)
        volumes = bundle.model.synthesise(one)
        parts = {
            "parsing": lambda sent=sent: json.loads(body({"windows_npy": sent})) and decode("a", sent, 10**6),
            "model": lambda one=one, bundle=bundle: bundle.model.synthesise(one),
            "encoding": lambda v=volumes, b=bundle: json.dumps(pack(b, v, "npy", "float32", None, ())),
        }
        result[family] = {name: quantiles(timed(part, 100)) for name, part in parts.items()}
        for way in SERVERS if family == "calhas2022" else ("eeg2fmri serve",):
            with server(way, folder / family, folder) as running:
                result[family][way] = _of_server(running, bundle)
    return result


def _of_server(running: Server, bundle: Bundle) -> dict[str, Any]:
    """Latency of one client, raw EEG as JSON, and memory around a batch of 64."""
    sent = windows(bundle, 64)
    one, batch = body({"windows_npy": encode(sent[:1])}), body({"windows_npy": encode(sent)})
    raw = body({"eeg": raw_eeg(bundle, 21.6).tolist(), "sampling_rate": RATE})
    for _ in range(20):
        assert running.post(one)[0] == 200
    result: dict[str, Any] = {"one window": quantiles(timed(lambda: running.post(one), 300))}
    assert running.post(raw)[0] == 200, running.post(raw)
    result["raw EEG as JSON"] = {**quantiles(timed(lambda: running.post(raw), 20)), "bytes": len(raw)}
    running.post(batch)
    before, running.peak = running.memory(), 0.0
    taken = timed(lambda: running.post(batch), 3)
    time.sleep(2)
    after = running.memory()
    result["batch of 64"] = {**quantiles(taken), "before_mib": round(before), "peak_mib": round(running.peak),
                             "after_mib": round(after)}  # fmt: skip
    return result


def clients(found: dict[str, Bundle], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    network, linear = found["calhas2022"], found["linear"]
    whole = body({"windows_npy": encode(windows(network, 1))})
    with server("eeg2fmri serve", folder / "calhas2022", folder) as running:
        _together(running, whole, lambda done, start: done < 200)
        before = running.memory()
        minutes = _together(running, whole, lambda done, start: time.perf_counter() - start < 60 * args.minutes)
        after = running.memory()
    grown = {
        "before_mib": round(before),
        "after_mib": round(after),
        "growth_percent": round(100 * after / before - 100, 2),
    }
    # Parsing is what a race breaks, so the quick model asks for it more often.
    labels = encode(linear.model.bold_statistics.mask.astype(np.int32))
    short = body({"windows_npy": encode(windows(linear, 1)), "labels_npy": labels}, reply="courses")
    with server("eeg2fmri serve", folder / "linear", folder) as running:
        many = _together(running, short, lambda done, start: done < args.requests)
    return {"for minutes": {"minutes": args.minutes, **minutes, **grown}, "short replies": many}


def _together(running: Server, request: bytes, more: Callable[[int, float], bool], n: int = 8) -> dict[str, Any]:
    """Let n clients send a request over and over."""
    taken: list[float] = []
    status: Counter[str] = Counter()
    start = time.perf_counter()

    def client() -> None:
        while more(len(taken), start):
            began = time.perf_counter()
            status[str(running.post(request)[0])] += 1
            taken.append(1000 * (time.perf_counter() - began))

    threads = [threading.Thread(target=client) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    per_second = round(len(taken) / (time.perf_counter() - start), 1)
    return {"requests": len(taken), "status": dict(status), "per_second": per_second, **quantiles(taken)}


def bombs(bundle: Bundle) -> dict[str, tuple[bytes, str]]:
    """Bodies that cost much, and their type of content."""
    shape = bundle.window_shape
    zeros = io.BytesIO()
    np.savez_compressed(zeros, a=np.zeros((64, 2**24), np.int8))
    hours = io.BytesIO()
    np.savez_compressed(hours, a=np.zeros((64, 400_000), np.int8))
    text, kind = (lambda content: base64.b64encode(content.getvalue()).decode()), "application/json"
    limit = ServingConfig().max_body * MIB - 100
    return {
        "a GiB of zeros in a .npz": (body({"windows_npy": text(zeros)}), kind),
        "an hour of zeros": (body({"eeg_npy": text(hours), "sampling_rate": RATE}, reply="json"), kind),
        "256 windows as JSON": (body({"windows_npy": encode(np.zeros((256, *shape), np.int8))}, reply="json"), kind),
        "empty lists to the limit": (b'{"inputs":[{"eeg":[' + b"[]," * (limit // 3) + b"[]]}]}", kind),
        "numbers to the limit": (b'{"inputs":[{"eeg":[[' + b"1," * (limit // 2) + b"1]]}]}", kind),
        "lists of one to the limit": (b'{"inputs":[{"windows":[' + b"[1]," * (limit // 4) + b"[1]]}]}", kind),
        "records to the limit": (b'{"inputs":[' + b"{}," * (limit // 3) + b"{}]}", kind),
        "fields to the limit": (b'{"inputs":[{' + b",".join(b'"%d":1' % n for n in range(limit // 12)) + b"}]}", kind),
        "nested 900 deep": (b'{"inputs":[{"eeg":' + b"[" * 900 + b"]" * 900 + b"}]}", kind),
        "nested 100,000 deep": (b'{"inputs":' + b"[" * 100_000, kind),
        "a number of 5,000 digits": (b'{"inputs":[{"sampling_rate":' + b"9" * 5000 + b"}]}", kind),
        "200 MiB": (b" " * (200 * MIB), kind),
        "no JSON": (b"\xff" * 1000, kind),
        "text": (b"a,b\n1,2", "text/csv"),
        "no type of content": (b"{}", ""),
        "names of channels": (body({"eeg_npy": encode(np.ones((1024, 6000), np.int8)), "sampling_rate": RATE,
                                    "channels": ["x" * 9000] * 1024}), kind),
    }  # fmt: skip


def heaviest(bundle: Bundle) -> dict[str, bytes]:
    """Bodies that cost as much as `serving.max_memory` lets through, and a short one of many objects."""
    memory = ServingConfig().max_memory * MIB
    numbers, lists, fields = (round(0.99 * memory / needed(piece)) for piece in (b"1.5,", b"[1],", b'"1":1,'))
    return {
        "numbers": b'{"inputs":[{"eeg":[[' + b"1.5," * numbers + b"1]]}]}",
        "lists of one": b'{"inputs":[{"eeg":[' + b"[1]," * lists + b"[1]]}]}",
        "fields": b'{"inputs":[{' + b",".join(b'"%d":1' % n for n in range(fields)) + b"}]}",
        "records of 3.9 MiB": b'{"inputs":[' + b'{"a":1},' * round(3.9 * MIB / 8) + b"{}]}",
    }


def together(found: dict[str, Bundle], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Send the heaviest bodies alone, and eight at once with a valid request meanwhile."""
    bundle, result = found["linear"], {}
    valid = body({"windows_npy": encode(windows(bundle, 1))})
    with server("eeg2fmri serve", folder / "linear", folder) as running:
        assert running.post(valid)[0] == 200
        idle = running.memory()
        for name, sent in heaviest(bundle).items():
            running.peak = 0.0
            alone, waited = timed(lambda sent=sent: running.post(sent), 1)[0], []
            with ThreadPoolExecutor(8) as pool:
                start = time.perf_counter()
                eight = [pool.submit(running.post, sent) for _ in range(8)]
                while not all(one.done() for one in eight):
                    waited += timed(lambda: running.post(valid), 1)
                    time.sleep(0.1)
            result[name] = {
                "body_mib": round(len(sent) / MIB, 1), "alone_s": round(alone / 1000, 2),
                "eight_s": round(time.perf_counter() - start, 1), "status": sorted({one.result()[0] for one in eight}),
                "valid_meanwhile_longest_s": round(max(waited) / 1000, 2),
                "above_idle_mib": round(running.largest() - idle),
            }  # fmt: skip
            print(name, result[name], flush=True)
    return result


def hostile(found: dict[str, Bundle], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    bundle = found["calhas2022"]
    result = {}
    for way, n in (("eeg2fmri serve", args.bad), ("mlflow models serve", args.bad // 10)):
        with server(way, folder / "calhas2022", folder) as running:
            valid = body({"windows_npy": encode(windows(bundle, 1))})
            for _ in range(20):
                assert running.post(valid)[0] == 200
            idle, running.peak = running.memory(), 0.0
            generated = _generated(running, bundle, n)
            generated["above_idle_mib"] = round(running.largest() - idle)
            each = {}
            for name, (sent, kind) in bombs(bundle).items():
                if way == "mlflow models serve" and len(sent) > 40 * MIB:
                    continue
                running.peak = 0.0
                start = time.perf_counter()
                status, reply = running.post(sent, kind)
                seconds, begins = round(time.perf_counter() - start, 2), reply[:160].decode(errors="replace")
                each[name] = {"status": status, "seconds": seconds, "above_idle_mib": round(running.largest() - idle),
                              "reply": begins, "reply_bytes": len(reply)}  # fmt: skip
                print(way, name, each[name], flush=True)
            result[way] = {"generated": generated, "bombs": each, "answers_afterwards": running.post(valid)[0] == 200}
    return result


def _generated(running: Server, bundle: Bundle, n: int) -> dict[str, Any]:
    status: Counter[str] = Counter()
    faults: list[str] = []
    longest = [0.0, 0]

    @settings(max_examples=n, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(request=bad_requests(bundle.window_shape, bundle.signal.channels, RATE))
    def send(request: dict[str, Any]) -> None:
        start = time.perf_counter()
        code, reply = running.post(json.dumps(request).encode())
        longest[0] = max(longest[0], time.perf_counter() - start)
        status[str(code)] += 1
        if code >= 400:
            longest[1] = max(longest[1], len(reply))
        if code >= 500 or code == 0 or b"Traceback" in reply or b".py" in reply:
            faults.append(f"{code}: {reply[:200].decode(errors='replace')}")

    send()
    return {
        "requests": status.total(),
        "status": dict(status),
        "longest_s": round(longest[0], 2),
        "longest_refusal_bytes": int(longest[1]),
        "faults": len(faults),
        "kinds": sorted(set(faults))[:5],
    }


PARTS = {"encodings": encodings, "latency": latency, "clients": clients, "hostile": hostile, "together": together}


def main() -> None:
    """Measure the parts and write them to the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--bad", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        found = models(folder)
        for part in args.parts:
            report = json.loads(args.out.read_text()) if args.out.exists() else {}
            load = os.getloadavg()[0]
            report[part] = {**PARTS[part](found, folder, args), "load_before": load, "load_after": os.getloadavg()[0]}
            report["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__,
                                 "mlflow": mlflow.__version__}  # fmt: skip
            args.out.write_text(json.dumps(report, indent=2) + "\n")
            print(json.dumps(report[part], indent=2), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
