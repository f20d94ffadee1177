"""Simulated BOLD beside real scans: autocorrelation, correlation between regions, spectrum.

    python experiments/benchmarks/realism.py FOLDER [--tr 2.1] [--seeds 600 601 602] [--subjects 4]

FOLDER holds real region series as ``.npz`` files. Each array is a scan, (volumes, series); an array named
``columns`` names the series, of which global signals are left out. Neither they nor their place are written.

The simulator, at its defaults, draws subjects with the TR of the real scans. Its regions are as many as the
real ones: compact pieces of grey matter (k-means of voxel positions), each the mean of its voxels. Real
scans are cut to the simulated number of volumes.

Both kinds keep the band from 1/128 to 0.15 Hz (cosines, `signals.without_drift`). By scan:

- "lag-1 autocorrelation": median over the regions.
- "region correlation": median over all pairs of regions; "spread of region correlation": their deviation.
- "power a-b Hz": share of the band's power, median over the regions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import signal
from sklearn.cluster import KMeans

from eeg2fmri.config import EvaluationConfig, SimulationConfig
from eeg2fmri.signals import without_drift
from eeg2fmri.simulation.subject import Subject, draw_subject

LOW_PASS_HZ = 0.15
BANDS = ((0.0, 0.03), (0.03, 0.08), (0.08, LOW_PASS_HZ))
FEW = {"channels": 4, "sampling_rate": 100.0}  # the EEG is drawn too and not looked at


def in_band(series: np.ndarray, tr: float) -> np.ndarray:
    """Series (volumes, regions) between the drifts and the low-pass."""
    slow = EvaluationConfig().drift_cutoff
    return without_drift(series, tr, slow) - without_drift(series, tr, 1 / LOW_PASS_HZ)


def measures(series: np.ndarray, tr: float) -> dict[str, float]:
    """Figures of one scan, (volumes, regions)."""
    x = in_band(series.astype("float64"), tr)
    x /= np.sqrt((x**2).mean(axis=0))
    pairs = np.corrcoef(x.T)[np.triu_indices(x.shape[1], 1)]
    frequencies, power = signal.periodogram(x, 1 / tr, axis=0)
    shares = [power[(frequencies > low) & (frequencies <= high)].sum(axis=0) for low, high in BANDS]
    return {
        "lag-1 autocorrelation": float(np.median((x[1:] * x[:-1]).mean(axis=0))),
        "region correlation": float(np.median(pairs)),
        "spread of region correlation": float(pairs.std()),
        **{
            f"power {low:g}-{high:g} Hz": float(np.median(share / sum(shares)))
            for (low, high), share in zip(BANDS, shares, strict=True)
        },
    }


def real_scans(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and region series (volumes, regions) of every scan in a folder."""
    for path in sorted(folder.glob("*.npz")):
        arrays = dict(np.load(path, allow_pickle=False))
        names = arrays.pop("columns", None)
        for label, scan in arrays.items():
            keep = slice(None) if names is None else [not str(name).startswith("global signal") for name in names]
            yield label, scan[:, keep]


def region_means(subject: Subject, regions: int) -> np.ndarray:
    """Mean series (volumes, regions) of compact pieces of a subject's grey matter."""
    anatomy = subject.anatomy
    grey = anatomy.mask & (anatomy.grey > 0.5)
    owner = KMeans(regions, n_init=1, random_state=0).fit_predict(anatomy.positions()[grey])
    series = subject.volumes[grey].astype("float64")
    return np.stack([series[owner == region].mean(axis=0) for region in range(regions)], axis=1)


def summary(scans: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Least, quartiles and most of every figure over the scans."""
    names = ("least", "quarter", "median", "three quarters", "most")
    return {
        key: dict(zip(names, np.round(np.quantile([s[key] for s in scans], (0, 0.25, 0.5, 0.75, 1)), 3), strict=True))
        for key in scans[0]
    }


def markdown(kinds: dict[str, dict[str, dict[str, float]]]) -> str:
    """One row per figure, for each kind of scan its median, the middle half, and the range."""
    lines = ["| by scan | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for key in next(iter(kinds.values())):
        cells = []
        for figures in kinds.values():
            least, quarter, median, three_quarters, most = figures[key].values()
            cells.append(f"{median:.2f} ({quarter:.2f} to {three_quarters:.2f}; {least:.2f} to {most:.2f})")
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Compare, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds .npz files of real region series")
    parser.add_argument("--tr", type=float, default=2.1, help="of the real scans, in s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[600, 601, 602])
    parser.add_argument("--subjects", type=int, default=4, help="of each seed")
    parser.add_argument("--volumes", type=int, default=300)
    parser.add_argument("--grid", type=int, nargs=3, default=(32, 32, 16))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    real = [scan[: args.volumes] for _, scan in real_scans(args.folder)]
    if not real:
        parser.error(f"{args.folder} holds no .npz file; give a folder with region series")
    regions = real[0].shape[1]
    simulated = []
    for seed in args.seeds:
        config = SimulationConfig(seed=seed, volumes=args.volumes, grid=tuple(args.grid), tr=args.tr, **FEW)
        for index in range(args.subjects):
            simulated.append(measures(region_means(draw_subject(config, index), regions), args.tr))
            print(f"seed {seed}, subject {index}: {simulated[-1]}", flush=True)
    kinds = {"real": summary([measures(scan, args.tr) for scan in real]), "simulated": summary(simulated)}
    print(markdown(kinds))
    content = {
        "scans": {"real": len(real), "simulated": len(simulated)},
        "regions": regions,
        "volumes": args.volumes,
        "tr": args.tr,
        "grid": list(args.grid),
        "seeds": args.seeds,
        "figures": kinds,
    }
    args.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
