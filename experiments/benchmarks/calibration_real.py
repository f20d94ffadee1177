"""How often the nulls err on real BOLD: series of one person against predictions made of another's.

    python experiments/benchmarks/calibration_real.py FOLDER [--tr 2.1] [--out …/calibration_real.json]

FOLDER holds region series as `realism.py` reads them, each named ``<person>-<scan>``. Neither they nor their place
are written. Two people who lay in the scanner at other times share nothing, so whatever a test finds is an error. The
"prediction" has the slowness and the correlations between regions of real BOLD.

A pair is two scans of different people, cut to the same volumes. All pairs of all stretches are used once, for single
recordings, and in groups of six recordings of six people. Every prediction has the same variance, so only its timing
counts. Tests, at the gate's level:

- "circular shift": the deciding p of `r2_temporal`.
- "global signal removed": the same p, after the measured regions' mean is regressed out of each of them.
- "one regressor": the same p for a prediction that is one course in all regions, the mean of the other person's.
- "any region, FDR": one region or more is significant, as the map of voxels tests it.
- "swap, by rank": p is the rank of the score among predictions made of all other people's scans.
- "above the swap", "above one regressor": the gate's criteria. They compare two scores and have no level; half of all
  pairs exceed by chance. "the whole gate": both, and the circular shift.
- "Wilcoxon, …" (groups): the two-sided signed-rank test over six subjects, against the mean of the shifts or the swap.

Interval of pairs: people are drawn again 2,000 times, because a person is in many pairs. Interval of groups, which
share no pair: Clopper & Pearson.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from calibration import share, shown, table
from realism import real_scans

from eeg2fmri.config import DataConfig, EvaluationConfig, PolicyConfig
from eeg2fmri.evaluation import (
    compare,
    correlation_map,
    r2_of_shifts,
    r2_temporal,
    shift_variance_map,
    shuffled_null,
    voxels_of,
)
from eeg2fmri.signals import drift_waves, without_drift

LENGTHS = (287, 107)  # windows of NODDI's recordings, and of the demo's of old
GROUP = 6
RESAMPLES = 2000
MARGIN = DataConfig().context
LEVEL = PolicyConfig().level
SWAPS, PERMUTATIONS = EvaluationConfig().shuffles, EvaluationConfig().permutations


@dataclass(frozen=True)
class Pair:
    """Measured series of one person against a prediction made of another's.

    shifts: `r2_of_shifts` by test.  swap, one: score of the mean swap, and of one regressor.  rank: p of the rank.
    correlation, variance: r of each region, and its variance over all shifts, (1, regions, 1).
    """

    measured: str
    predicted: str
    shifts: dict[str, np.ndarray]
    swap: float
    one: float
    rank: float
    correlation: np.ndarray
    variance: np.ndarray


def volumes(series: np.ndarray) -> np.ndarray:
    """Return series (n, regions) as one row of voxels, (n, 1, regions, 1)."""
    return series[:, None, :, None]


def prepared(series: np.ndarray, tr: float) -> np.ndarray:
    """Return series (n, regions) without drifts, of variance 1 over everything."""
    steady = without_drift(series.astype("float64"), tr, EvaluationConfig().drift_cutoff)
    return steady / steady.std()


def pairs_of(scans: Sequence[tuple[str, np.ndarray]], tr: float) -> list[Pair]:
    """Return all pairs of scans of different people, (n, regions) each and of the same n."""
    people = [name.partition("-")[0] for name, _ in scans]
    series = [prepared(scan, tr) for _, scan in scans]
    n, regions = series[0].shape
    mask = np.ones((1, regions, 1), bool)
    waves = drift_waves(n, tr, EvaluationConfig().drift_cutoff)
    one = [np.repeat(s.mean(axis=1, keepdims=True), regions, axis=1) for s in series]
    one = [course / course.std() for course in one]

    def r2(measured: np.ndarray, predicted: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return r2_of_shifts(volumes(measured), volumes(predicted), mask, columns)

    scores = np.array([[r2_temporal(volumes(a), volumes(b), mask, waves) for b in series] for a in series])
    found = []
    for i, j in combinations(range(len(series)), 2):
        if people[i] == people[j]:
            continue
        others = [k for k in range(len(series)) if people[k] not in (people[i], people[j])]
        turned = [k for k in others if k > j] + [k for k in others if k < j]
        course = series[i].mean(axis=1, keepdims=True)
        shifts = {
            "circular shift": r2(series[i], series[j], waves),
            "global signal removed": r2(
                series[i] - course @ (course.T @ series[i]) / (course**2).sum(), series[j], waves
            ),
            "one regressor": r2(series[i], one[j], waves),
        }
        rank = (1 + np.count_nonzero(scores[i, others] >= scores[i, j])) / (1 + len(others))
        swap, alone = float(scores[i, turned[:SWAPS]].mean()), float(shifts["one regressor"][0])
        regional = [
            f(volumes(series[i]), volumes(series[j]), mask, waves) for f in (correlation_map, shift_variance_map)
        ]
        found.append(Pair(people[i], people[j], shifts, swap, alone, rank, *regional))
    return found


def significant(pairs: Sequence[Pair]) -> np.ndarray:
    """Return regions whose mean correlation is significant by the false-discovery rate."""
    correlation = np.mean([pair.correlation for pair in pairs], axis=0)
    masks, weights = [np.ones(correlation.shape, bool)] * len(pairs), np.full(len(pairs), 1 / len(pairs))
    return voxels_of(correlation, [pair.variance for pair in pairs], masks, weights).significant


def errs(pairs: Sequence[Pair], rng: np.random.Generator) -> dict[str, bool]:
    """Say of one pair, or of a group of them, which tests find what is not there."""
    subjects = [pair.measured for pair in pairs]
    nulls = {
        name: shuffled_null([p.shifts[name] for p in pairs], subjects, MARGIN, PERMUTATIONS, rng)
        for name in pairs[0].shifts
    }
    found = {name: null.p_value < LEVEL for name, null in nulls.items()}
    deciding = nulls["circular shift"]
    own, swap = {p.measured: float(p.shifts["circular shift"][0]) for p in pairs}, {p.measured: p.swap for p in pairs}
    found["any region, FDR"] = bool(significant(pairs).any())
    found["above the swap"] = deciding.observed > np.mean([p.swap for p in pairs])
    found["above one regressor"] = deciding.observed > np.mean([p.one for p in pairs])
    found["the whole gate"] = found["circular shift"] and found["above the swap"] and found["above one regressor"]
    if len(pairs) == 1:
        return found | {"swap, by rank": pairs[0].rank < LEVEL}
    shuffled = dict(zip(subjects, deciding.by_recording.tolist(), strict=True))
    for name, other in (("mean of the shifts", shuffled), ("swap", swap)):
        found[f"Wilcoxon, {name}"] = compare(own, other).p_value < LEVEL
    return found


def groups_of(pairs: Sequence[Pair], rng: np.random.Generator) -> list[list[Pair]]:
    """Return groups of six pairs of twelve people; no pair is in two."""
    complete, open_ = [], list[list[Pair]]()
    for number in rng.permutation(len(pairs)):
        pair = pairs[number]
        for group in open_:
            if not {pair.measured, pair.predicted} & {name for p in group for name in (p.measured, p.predicted)}:
                break
        else:
            open_.append(group := [])
        group.append(pair)
        if len(group) == GROUP:
            open_.remove(group)
            complete.append(group)
    return complete


def by_people(pairs: Sequence[Pair], hits: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Return the share of pairs with an interval over people, who are drawn again."""
    names = sorted({name for pair in pairs for name in (pair.measured, pair.predicted)})
    first, second = (np.array([names.index(getattr(p, end)) for p in pairs]) for end in ("measured", "predicted"))
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    weights = times[:, first] * times[:, second]
    interval = np.quantile(weights @ hits / weights.sum(axis=1), (0.025, 0.975))
    return {**share(int(hits.sum()), len(hits)), "interval": np.round(interval, 4).tolist()}


def calibrate(scans: Sequence[tuple[str, np.ndarray]], length: int, tr: float) -> dict[str, Any]:
    """Return the share of errors of every test for pairs and groups of one length."""
    rng = np.random.default_rng(length)
    stretches = range(0, min(len(scan) for _, scan in scans) - length + 1, length)
    pairs = [p for start in stretches for p in pairs_of([(n, s[start : start + length]) for n, s in scans], tr)]
    groups = groups_of(pairs, rng)
    singles, sixes = [errs([pair], rng) for pair in pairs], [errs(group, rng) for group in groups]
    return {
        "pairs": {name: by_people(pairs, np.array([r[name] for r in singles]), rng) for name in singles[0]},
        "groups of six": {name: share(sum(bool(r[name]) for r in sixes), len(sixes)) for name in sixes[0]},
    }


def markdown(content: dict[str, Any]) -> str:
    """Return one row per test, the share of pairs and of groups at each length."""
    columns = {
        f"{kind}, {length}": found
        for length, kinds in content.items()
        if isinstance(kinds, dict)
        for kind, found in kinds.items()
    }
    names = list(dict.fromkeys(name for found in columns.values() for name in found))
    rows = [[name, *(shown(found[name]) if name in found else "" for found in columns.values())] for name in names]
    return table(["finds what is not there", *columns], *rows)


def main() -> None:
    """Calibrate at both lengths, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds .npz files of real region series")
    parser.add_argument("--tr", type=float, default=2.1, help="of the real scans, in s")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="volumes of a stretch")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    scans = list(real_scans(args.folder))
    if not scans:
        parser.error(f"{args.folder} holds no .npz file; give a folder with region series")
    people = {name.partition("-")[0] for name, _ in scans}
    content: dict[str, Any] = {"scans": len(scans), "people": len(people), "tr": args.tr}
    for length in args.lengths:
        content[f"{length} volumes"] = calibrate(scans, length, args.tr)
    print(markdown(content))
    args.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
