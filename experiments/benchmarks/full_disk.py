"""What a full disk does to a command, and what is left when there is space again.

    sudo python experiments/benchmarks/full_disk.py [train evaluate promote adapt synthesize simulate preprocess main] \
        [--points 8]

The study (data, store, checkpoints, MLflow's database and artifacts) is in a file system in memory, which has as much
space as the study has before a command, and a share of what the command writes. The shares are spread evenly over 0 to
1. The command must end with one line and status 2. Then the file system grows, and the same command must finish.
`full_disk.json` counts as `kills.json` does; `one_line` counts refusals of one line and status 2. Only root can mount.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kills import STEPS, broken_aliases, faults, load, names, prepare, results, start, status, write

OUT = Path(__file__).with_suffix(".json")
ENOUGH = "512m"


@contextmanager
def mounted(place: Path) -> Iterator[None]:
    """Mount a file system in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ENOUGH}", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def resize(place: Path, size: str) -> None:
    """Change the size of a mounted file system."""
    subprocess.run(["mount", "-o", f"remount,size={size}", "tmpfs", place], check=True)


def renew(study: Path, kept: Path) -> int:
    """Put a copy of a study into the file system; return the bytes that it takes."""
    resize(study, ENOUGH)
    for path in study.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(kept, study, dirs_exist_ok=True)
    return shutil.disk_usage(study).used


def measure(step: str, study: Path, kept: Path, points: int) -> dict[str, Any]:
    """Count what is well at each point and after the repetition."""
    before = renew(study, kept)
    log = study.with_name("command.log")
    if status(start(study, step, str(log))):
        sys.exit(log.read_text()[-1000:])
    written = shutil.disk_usage(study).used - before
    reference, files = results(study), names(study)
    total = Counter[str]()
    for number in range(points):
        before = renew(study, kept)
        resize(study, str(before + round(written * number / points)))
        log.unlink()
        code = status(start(study, step, str(log)))
        said = [line for line in log.read_text().splitlines() if line.startswith(f"eeg2fmri {STEPS[step][0]}: ")]
        refused = code == 2 and len(said) == 1 and "no space left" in said[0] and "Traceback" not in log.read_text()
        broken = broken_aliases(study)
        resize(study, ENOUGH)
        finished = status(start(study, step, str(log))) == 0
        found = faults(study, files)
        found["broken_aliases"] += broken
        equal = results(study) == reference
        total.update(points=1, full=code != 0, one_line=refused, finished=finished, same_results=equal, **found)
        print(f"{step} {number}: {code=} {said} {finished=} {equal=} {found}", flush=True)
        if (code and not refused) or not (finished and equal) or any(found.values()):
            print(log.read_text()[-3000:], names(study) ^ files, flush=True)
    return {"bytes_written": written, **total}


def main() -> None:
    """Measure the commands that are named and write their counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", choices=[*STEPS, []])
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    load()
    with tempfile.TemporaryDirectory() as folder:
        study, kept = Path(folder, "study"), Path(folder, "kept")
        kept.mkdir()
        commands = args.commands or [step for step in STEPS if step != "train linear"]
        with mounted(study):
            prepare(study, kept, commands)
            for step in commands:
                write(args.out, {step: measure(step, study, kept / step, args.points)})


if __name__ == "__main__":
    main()
