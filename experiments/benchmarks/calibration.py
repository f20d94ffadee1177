"""How often the evidence errs: p-values and the gate on data sets whose truth is known.

    python experiments/benchmarks/calibration.py run pulse motion task null coupled --work FOLDER [--model linear]
    python experiments/benchmarks/calibration.py summary --work FOLDER [--out experiments/benchmarks/calibration.json]

Each data set goes the whole way: simulated, preprocessed, a model fitted, scored on unseen subjects beside all
nulls and baselines, and weighed by the default policy. Its result is a file in FOLDER, written when it is
complete, so a stopped command continues from there. Parts:

- ``null``: the EEG says nothing (coupling 0). Every p below 0.05 and every promotion is an error.
- ``coupled``: full coupling. Every refusal is an error.
- ``pulse``, ``motion``, ``task``: coupling 0, but a confound moves both EEG and BOLD. The shuffled EEG alone
  lets a model pass that reads it; the baseline made for it must refuse.

The grid is coarser than the demo's, to be quick. `calibration_real.py` does the same on real scans.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from eeg2fmri.config import (
    Config,
    DataConfig,
    DatasetConfig,
    EvaluationConfig,
    FactorisedConfig,
    LinearConfig,
    PolicyConfig,
    SimulationConfig,
    SplitConfig,
)
from eeg2fmri.datasets import find_recordings
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.files import written_whole
from eeg2fmri.scoring import NO_NULLS, NULLS, score_windows
from eeg2fmri.simulation import read_best_r2, simulate
from eeg2fmri.store import Windows, build_store, split_windows
from eeg2fmri.tracking.gate import Evidence, argue

GRID = (24, 24, 12)
MODELS = {"linear": LinearConfig(), "factorised": FactorisedConfig()}
LEVEL = PolicyConfig().level
MADE_FOR = {"pulse": "motion_pulse", "motion": "motion_pulse", "task": "task"}  # confound: its baseline


@dataclass(frozen=True)
class Part:
    """Data sets of one kind: their simulation, seeds from `first`, and sizes of test sets, each within the next."""

    simulation: SimulationConfig
    first: int
    datasets: int
    tested: tuple[int, ...]


# Fresh seeds, but 920, which a trial of another size used. The null's data sets are short, which is harder for a
# shift. The coupled ones have as many training subjects as the demo. In confounded ones far shorter than NODDI's,
# `linear` learns no confound.
_LONG = SimulationConfig(subjects=8, volumes=300, grid=GRID, coupling=0)
PARTS = {
    "null": Part(SimulationConfig(subjects=6, volumes=120, grid=GRID, coupling=0), 1000, 40, (1, 2)),
    "coupled": Part(SimulationConfig(subjects=10, volumes=150, grid=GRID), 1040, 20, (1, 2, 4)),
    "pulse": Part(_LONG.model_copy(update={"confound": "pulse"}), 900, 8, (2,)),
    "motion": Part(_LONG.model_copy(update={"confound": "motion"}), 920, 16, (2,)),
    "task": Part(_LONG.model_copy(update={"confound": "task", "subjects": 10}), 940, 8, (2, 4)),
}


def one_dataset(part: Part, seed: int, model: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return scores, p and the gate's objections for each number of test subjects."""
    config = part.simulation.model_copy(update={"seed": seed})
    simulate(config, folder / "dataset")
    dataset = DatasetConfig(bold="fmriprep" if config.confound == "motion" else "auto")
    data = DataConfig(grid=config.grid)
    store = build_store(find_recordings(folder / "dataset", dataset)[0], folder / "store", data).store
    train, validation, test = split_windows(store, SplitConfig(validation=1, test=part.tested[-1]))
    fitted = fit(MODELS[model], train, validation, FitSettings.of(Config())).model
    best = read_best_r2(folder / "dataset", EvaluationConfig().drift_cutoff)
    found = {}
    for tested in part.tested:
        some = Windows(test.recordings[:tested], store.context)
        scored = score_windows(fitted, some, EvaluationConfig(), train, validation)
        overall, null = scored.overall, scored.null
        evidence = Evidence("1", overall, null.p_value, null.smallest_p, tested, "-", "-", "-")
        objections = [c.name for c in argue(PolicyConfig(), evidence).nulls if not c.holds]
        found[str(tested)] = {
            "p_value": null.p_value,
            "r2_temporal": {condition: round(scores["r2_temporal"], 5) for condition, scores in overall.items()},
            "best_reachable": round(float(np.mean([best[r.subject] for r in some.recordings])), 5),
            "objections": objections,
            "voxels": int(scored.voxels.significant.sum()),
        }
    return found


def run(names: Sequence[str], model: str, work: Path, datasets: int | None) -> None:
    """Compute the data sets of some parts that are not in `work` yet."""
    for name in names:
        part = PARTS[name]
        for seed in range(part.first, part.first + (datasets or part.datasets)):
            path = work / f"{name}-{model}-{seed}.json"
            if path.exists():
                continue
            with tempfile.TemporaryDirectory() as folder:
                found = one_dataset(part, seed, model, Path(folder))
            with written_whole(path) as temporary:
                temporary.write_text(json.dumps({"part": name, "model": model, "seed": seed, "tested": found}))
            last = found[str(part.tested[-1])]
            print(f"{name}, {model}, seed {seed}: p {last['p_value']:.4f}, {last['r2_temporal']}", flush=True)


def share(count: int, total: int) -> dict[str, Any]:
    """Return a count, its share and the 95 % interval of Clopper & Pearson 1934, Biometrika 26:404."""
    interval = stats.binomtest(count, total).proportion_ci(0.95, "exact")
    return {"count": count, "of": total, "share": round(count / total, 4), "interval": np.round(interval, 4).tolist()}


def objects(row: dict[str, Any], condition: str) -> bool:
    """Say whether the gate objects to a data set because of a condition."""
    return f"r2_temporal beside {condition.replace('_', ' ')}" in row["objections"]


def summarise(rows: list[dict[str, Any]], made_for: str | None) -> dict[str, Any]:
    """Summarise data sets of one part, one model and one number of test subjects."""
    n = len(rows)
    by_chance = [r for r in rows if r["p_value"] < LEVEL and not any(objects(r, null) for null in NULLS)]
    p_values = [r["p_value"] for r in rows]
    uniform = stats.kstest(p_values, "uniform")
    conditions = [c for c in rows[0]["r2_temporal"] if c != "subject_mean"]
    further = [c for c in conditions if c not in (*NO_NULLS, *NULLS)]
    found = {
        "p_below_level": share(sum(p < LEVEL for p in p_values), n),
        "uniform": {"statistic": round(float(uniform.statistic), 4), "p_value": round(float(uniform.pvalue), 4)},
        "passes_first_nulls": share(len(by_chance), n),
        "promoted": share(sum(not r["objections"] for r in rows), n),
        "mean_r2_temporal": {c: round(float(np.mean([r["r2_temporal"][c] for r in rows])), 5) for c in conditions},
        "mean_best_reachable": round(float(np.mean([r["best_reachable"] for r in rows])), 5),
    }
    if by_chance:
        found["refused_of_those_by"] = {
            c: share(sum(objects(r, c) for r in by_chance), len(by_chance)) for c in further
        }
    if made_for:
        found["made_for_it"] = {"baseline": made_for, "refuses": share(sum(objects(r, made_for) for r in rows), n)}
    return found


def summary(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Group results by part, model and number of test subjects; each group with its summary and its data sets."""
    results = sorted(results, key=lambda r: (list(PARTS).index(r["part"]), list(MODELS).index(r["model"]), r["seed"]))
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for result in results:
        for tested, row in result["tested"].items():
            groups.setdefault((result["part"], result["model"], tested), []).append({"seed": result["seed"], **row})
    return {
        f"{part}, {model}, {tested} tested": {**summarise(rows, MADE_FOR.get(part)), "datasets": rows}
        for (part, model, tested), rows in groups.items()
    }


def shown(found: dict[str, Any]) -> str:
    """Return a share in words: ``2 of 40, 5 % (1 to 17)``."""
    low, high = found["interval"]
    return f"{found['count']} of {found['of']}, {100 * found['share']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def table(head: Sequence[str], *rows: Sequence[str]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def markdown(groups: dict[str, Any]) -> str:
    """Return two tables: data sets without a confound, and data sets with one."""
    plain = [["EEG", "model", "tested", "p < 0.05", "p uniform", "promoted", "mean r2_temporal", "best reachable"]]
    first = ["shared", "tested", "pass the two first nulls", "made for it", "refuses of them", "promoted"]
    confounded = [[*first, "mean r2_temporal", "the baseline's"]]
    for name, found in groups.items():
        part, model, tested = name.removesuffix(" tested").split(", ")
        score, promoted = found["mean_r2_temporal"], shown(found["promoted"])
        own = f"{score['model']:+.4f}"
        if part in MADE_FOR:
            baseline = found["made_for_it"]["baseline"]
            of_those = found.get("refused_of_those_by")
            refuses = shown(of_those[baseline]) if of_those else "none passes"
            passing, other = shown(found["passes_first_nulls"]), f"{score[baseline]:+.4f}"
            confounded.append([part, tested, passing, f"`{baseline}`", refuses, promoted, own, other])
        else:
            low, uniform = shown(found["p_below_level"]), f"{found['uniform']['p_value']:.2f}"
            best = f"{found['mean_best_reachable']:.3f}"
            plain.append([part, f"`{model}`", tested, low, uniform, promoted, own, best])
    return f"{table(*plain)}\n\n{table(*confounded)}"


def main() -> None:
    """Compute data sets, or write the JSON of those that are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of finished data sets")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("parts", nargs="+", choices=PARTS)
    running.add_argument("--model", choices=MODELS, default="linear")
    running.add_argument("--datasets", type=int, help="of each part; by default as many as the committed JSON has")
    writing = commands.add_parser("summary")
    writing.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    if args.command == "run":
        run(args.parts, args.model, args.work, args.datasets)
        return
    found = summary(json.loads(path.read_text()) for path in args.work.glob("*.json"))
    sizes = {name: part.simulation.model_dump(include={"subjects", "volumes"}) for name, part in PARTS.items()}
    print(markdown(found))
    args.out.write_text(json.dumps({"grid": GRID, "sizes": sizes, "groups": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
