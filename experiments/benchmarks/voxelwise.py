"""Calibration of the voxelwise test: false voxels without a signal, found and false ones with a planted signal.

    python experiments/benchmarks/voxelwise.py [--repeats 400] [--bold real_bold.npz] [--out …/voxelwise.json]

Each data set is an evaluation of 2 or 6 subjects of 287 volumes (TR 2.1 s), drifts slower than 128 s removed.

- "noise": measured and synthesised series with a lag-1 autocorrelation of 0.8, smooth in space, 10 x 8 x 6 voxels. The
  synthesis has three courses for all voxels, as those of the families have few.
- "real": measured series are half a scan of one person, synthesised ones half a scan of another person, 64 regions. The
  file holds an array (volumes, 66) per scan ``subNN-scanNN``, the last two columns are left out. The data sets share
  scans, so the intervals of this part are too narrow.
- "null": no signal. `any` is the share of the data sets with a false voxel at q < 0.05, with its 95 % interval; 5 % is
  promised.
- "planted": in a tenth of the voxels the measured series hold the synthesised one. `found` is the share of those at
  q < 0.05, `false` the mean share of false ones among all that are found (the false-discovery proportion); 5 % is
  promised.
- "tail": how often p of a million unrelated voxels of 2 subjects is below a value, by that value; 1 is right, less is
  careful. A brain of 30,000 voxels needs the tail beyond 0.00001.

`without_unshifted` is the same with mean and variance over the shifts of the deciding null, which leave the unshifted
series and its neighbours out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter
from scipy.stats import binomtest, false_discovery_control, norm

from eeg2fmri.evaluation import FDR_LEVEL, correlation_map, shift_variance_map, subject_weights, voxels_of
from eeg2fmri.evaluation.voxels import correlations_of_shifts
from eeg2fmri.signals import drift_waves, without_drift

GRID, VOLUMES, TR, CUTOFF, MARGIN = (10, 8, 6), 287, 2.1, 128.0, 10
LAG_1, COURSES, GAIN = 0.8, 3, 0.25
SUBJECTS = (2, 6)
TAIL = (0.01, 0.001, 0.0001, 0.00001)
Pair = tuple[np.ndarray, np.ndarray]


def slow(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Noise with a lag-1 autocorrelation of `LAG_1`, variance 1."""
    noise = rng.standard_normal((VOLUMES + 50, *shape))
    return lfilter([np.sqrt(1 - LAG_1**2)], [1, -LAG_1], noise, axis=0)[50:]


def noise_pair(rng: np.random.Generator) -> Pair:
    """Smooth slow noise, and a synthesis of few courses."""
    measured = gaussian_filter(slow(rng, *GRID), (0, 1, 1, 1))
    weights = gaussian_filter(rng.standard_normal((COURSES, *GRID)), (0, 2, 2, 2))
    return measured / measured.std(), np.tensordot(slow(rng, COURSES), weights / weights.std(), 1) / np.sqrt(COURSES)


def real_pairs(path: Path) -> Callable[[np.random.Generator], Pair]:
    """Two halves of scans of different persons."""
    with np.load(path) as file:
        halves = [(key.split("-")[0], part[:, :-2]) for key in file.files if key.startswith("sub")
                  for part in (file[key][:VOLUMES], file[key][-VOLUMES:])]  # fmt: skip

    def draw(rng: np.random.Generator) -> Pair:
        first = int(rng.integers(len(halves)))
        others = [n for n, (person, _) in enumerate(halves) if person != halves[first][0]]
        return tuple(s[:, :, None, None] / s.std() for s in (halves[first][1], halves[int(rng.choice(others))][1]))

    return draw


def planted(pair: Pair, grid: tuple[int, ...]) -> tuple[Pair, np.ndarray]:
    """Add the synthesised series to the first tenth of the measured ones."""
    where = np.zeros(grid, bool)
    where.ravel()[: where.size // 10] = True
    measured, synthesised = pair
    unit = synthesised / synthesised.std(0)
    return (np.where(where, measured + GAIN * measured.std(0) * unit, measured), synthesised), where


def discoveries(pairs: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Voxels at q < `FDR_LEVEL`, by the package and without the unshifted series."""
    mask = np.ones(pairs[0][0].shape[1:], bool)
    waves, weights = drift_waves(VOLUMES, TR, CUTOFF), subject_weights([str(n) for n in range(len(pairs))])
    mean = np.average([correlation_map(*pair, mask, waves) for pair in pairs], axis=0, weights=weights)
    found = voxels_of(mean, [shift_variance_map(*p, mask, waves) for p in pairs], [mask] * len(pairs), weights)
    plain = [[without_drift(series, TR, CUTOFF).reshape(VOLUMES, -1) for series in pair] for pair in pairs]
    shifts = np.stack([correlations_of_shifts(*pair)[MARGIN : VOLUMES - MARGIN + 1] for pair in plain])
    spread = np.sqrt((weights[:, None] ** 2 * shifts.var(1)).sum(0))
    z = (mean.ravel() - weights @ shifts.mean(1)) / spread
    return found.significant, (false_discovery_control(norm.sf(z)) < FDR_LEVEL).reshape(mask.shape)


def measure(draw: Callable[[np.random.Generator], Pair], subjects: int, repeats: int) -> dict[str, object]:
    """Shares over data sets, of both ways."""
    rng = np.random.default_rng(subjects)
    names = ("package", "without_unshifted")
    any_false, found, false = (np.zeros((2, repeats)) for _ in range(3))
    for n in range(repeats):
        pairs = [draw(rng) for _ in range(subjects)]
        any_false[:, n] = [each.any() for each in discoveries(pairs)]
        grid = pairs[0][0].shape[1:]
        with_signal = [planted(pair, grid) for pair in pairs]
        where = with_signal[0][1]
        for way, each in enumerate(discoveries([pair for pair, _ in with_signal])):
            found[way, n] = each[where].mean()
            false[way, n] = (each & ~where).sum() / max(each.sum(), 1)
    report = {}
    for way, name in enumerate(names):
        hits = int(any_false[way].sum())
        interval = binomtest(hits, repeats).proportion_ci(method="wilson")
        error = 1.96 * false[way].std() / np.sqrt(repeats)
        report[name] = {
            "null": {"any": round(hits / repeats, 4), "interval": [round(interval.low, 4), round(interval.high, 4)]},
            "planted": {"found": round(float(found[way].mean()), 3), "false": round(float(false[way].mean()), 4),
                        "interval": [round(float(false[way].mean() + sign * error), 4) for sign in (-1, 1)]},
        }  # fmt: skip
    print(subjects, json.dumps(report), flush=True)
    return report


def tail(subjects: int = 2, batches: int = 100, voxels: int = 10_000) -> dict[str, list[float]]:
    """Share of p-values below `TAIL` without a signal, divided by it."""
    rng = np.random.default_rng(0)
    waves, weights = drift_waves(VOLUMES, TR, CUTOFF), subject_weights([str(n) for n in range(subjects)])
    grid, counts = (1, 1, voxels), np.zeros(len(TAIL))
    mask = np.ones(grid, bool)
    for _ in range(batches):
        pairs = [(slow(rng, *grid), slow(rng, *grid)) for _ in range(subjects)]
        mean = np.average([correlation_map(*pair, mask, waves) for pair in pairs], axis=0, weights=weights)
        found = voxels_of(mean, [shift_variance_map(*p, mask, waves) for p in pairs], [mask] * subjects, weights)
        counts += [(found.p < limit).sum() for limit in TAIL]
    return {
        "p": list(TAIL),
        "ratio": [round(float(c / (batches * voxels * t)), 2) for c, t in zip(counts, TAIL, strict=True)],
    }


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400, help="data sets per row")
    parser.add_argument("--bold", type=Path, help="real series; without it that part is left out")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    kinds = {"noise": noise_pair} | ({"real": real_pairs(args.bold)} if args.bold else {})
    report = {
        "level": FDR_LEVEL,
        "data_sets": args.repeats,
        "voxels": {"noise": int(np.prod(GRID)), "real": 64},
        **{kind: {f"{n} subjects": measure(draw, n, args.repeats) for n in SUBJECTS} for kind, draw in kinds.items()},
        "tail": tail(),
    }
    args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
