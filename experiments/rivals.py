"""The rivals of `hard.yaml` on many simulated datasets, beside what could be known of an unseen subject at all.

    python experiments/rivals.py [--config experiments/hard.yaml] [--seeds 310 311 …] [--folds 4] [--grid 32 32 16]

One dataset says little: with three unseen subjects, a score differs more between draws than between
rivals. Every dataset is simulated, preprocessed, and `linear` and `factorised`, as configured, are fitted
and scored on its unseen subjects, by the mean over them. With several folds the subjects are turned so that
others are unseen in each; four folds of three make every one of twelve unseen once.

- "best reachable" knows each unseen subject's own maps, latencies and sizes of fluctuation.
- "told the amplitudes" does not: the networks' true amplitudes through the canonical response, on the
  training and validation subjects' mean maps of what is driven. A perfect reading of the EEG, and no
  more knowledge of the subject than a model has.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from eeg2fmri.config import Config, FactorisedConfig, LinearConfig, SplitConfig, load_config, parse_overrides
from eeg2fmri.datasets import find_recordings
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.models.linear import lag_shapes
from eeg2fmri.signals import drift_waves
from eeg2fmri.simulation import read_amplitudes, read_best_r2, read_truth, simulate
from eeg2fmri.store import Store, StoredRecording, Windows, build_store, split_subjects, split_windows

Scores = dict[str, list[float]]  # of each unseen subject, by model


def told(recording: StoredRecording, dataset: Path, context: int, shift: int) -> np.ndarray:
    """Canonical response to the true amplitudes at the volumes of a recording's instances, (n, networks)."""
    amplitudes = read_amplitudes(dataset, recording.subject)[shift:]
    response = lag_shapes(context, recording.signal.tr)[:, 0]
    contexts = np.lib.stride_tricks.sliding_window_view(amplitudes, context, axis=0)
    responses: np.ndarray = contexts[: len(recording.volumes) - context] @ response
    return responses - responses.mean(axis=0)


def driven(recording: StoredRecording, dataset: Path, context: int, shift: int) -> np.ndarray:
    """What the EEG drives of a recording's instances, (n, voxels) in standard units, without its mean."""
    truth = read_truth(dataset, recording.subject)[shift + context :].reshape(-1, recording.mask.size)
    return (truth - truth.mean(axis=0)) / np.float32(recording.statistics.sd)


def drifts(recording: StoredRecording, context: int, cutoff: float) -> np.ndarray:
    """Drifts that do not count over a recording's instances."""
    return drift_waves(len(recording.volumes) - context, recording.signal.tr, cutoff)


def told_scores(known: Windows, unseen: Windows, dataset: Path, shift: int, cutoff: float) -> list[float]:
    """`r2_temporal` of each unseen recording when its amplitudes are told."""
    context, features, targets = known.context, 0.0, 0.0
    for recording in known.recordings:
        x = told(recording, dataset, context, shift)
        features, targets = features + x.T @ x, targets + x.T @ driven(recording, dataset, context, shift)
    maps = np.linalg.solve(features, targets)
    scores = []
    for number, recording in enumerate(unseen.recordings):
        measured = unseen.standardised(unseen.indices(number), "recording")
        guess = (told(recording, dataset, context, shift) @ maps).reshape(measured.shape)
        scores.append(r2_temporal(measured, guess, recording.mask, drifts(recording, context, cutoff)))
    return scores


def turned(subjects: list[str], split: SplitConfig, fold: int) -> SplitConfig:
    """The split of a fold: the first is the configuration's, each further one tests the subjects before."""
    first = split_subjects(subjects, split)
    start = -fold * len(first.test) % len(subjects)
    to = dict(zip(subjects, [*subjects[start:], *subjects[:start]], strict=True))
    return SplitConfig(validation=tuple(to[s] for s in first.validation), test=tuple(to[s] for s in first.test))


def compare(config: Config, folds: int, folder: Path) -> Scores:
    """Scores of `linear` and `factorised` on one simulated dataset, fold after fold."""
    assert config.simulation is not None
    dataset = simulate(config.simulation, folder / "dataset")
    store = build_store(find_recordings(dataset)[0], folder / "store", config.data).store
    parts = [compare_fold(config, store, turned(store.subjects, config.split, fold), dataset) for fold in range(folds)]
    return {name: [score for part in parts for score in part[name]] for name in parts[0]}


def compare_fold(config: Config, store: Store, split: SplitConfig, dataset: Path) -> Scores:
    """Scores on the unseen subjects of one split."""
    train, validation, test = split_windows(store, split)
    cutoff = config.evaluation.drift_cutoff
    best = read_best_r2(dataset, cutoff)
    known = Windows((*train.recordings, *validation.recordings), store.context)
    scores: Scores = {
        "best reachable": [best[r.subject] for r in test.recordings],
        "told the amplitudes": told_scores(known, test, dataset, config.data.dropped_volumes, cutoff),
    }
    for model in config.models:
        if isinstance(model, LinearConfig | FactorisedConfig):
            fitted = fit(model, train, validation, FitSettings.of(config)).model
            scores[model.variant] = [
                r2_temporal(
                    test.standardised(rows, "recording"),
                    fitted.standard_units(fitted.synthesise(test.eeg(rows))),
                    recording.mask,
                    drifts(recording, test.context, cutoff),
                )
                for recording, rows in ((r, test.indices(n)) for n, r in enumerate(test.recordings))
            ]
    return scores


def markdown(results: dict[int, Scores]) -> str:
    """One row per dataset: the mean over its unseen subjects."""
    names = list(next(iter(results.values())))
    means = {seed: {name: statistics.mean(scores[name]) for name in names} for seed, scores in results.items()}
    lines = ["| seed | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {seed} | " + " | ".join(f"{row[name]:.4f}" for name in names) + " |" for seed, row in means.items()]
    total = {name: statistics.mean(row[name] for row in means.values()) for name in names}
    lines.append("| mean | " + " | ".join(f"{total[name]:.4f}" for name in names) + " |")
    for yardstick in names[:2]:
        shares = [f"{total[name] / total[yardstick]:.0%}" for name in names]
        lines.append(f"| of {yardstick} | " + " | ".join(shares) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare on every seed, write JSON and table after each."""
    here = Path(__file__)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=here.with_name("hard.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(310, 314)))
    parser.add_argument("--folds", type=int, default=1, help="1: the configured split alone")
    parser.add_argument("--grid", type=int, nargs=3, default=(32, 32, 16))
    parser.add_argument("--set", default="", help="further settings, KEY=VALUE,KEY=VALUE")
    parser.add_argument("--out", type=Path, default=here.with_suffix(".json"))
    args = parser.parse_args()
    results: dict[int, Scores] = {}
    for seed in args.seeds:
        sizes = {"simulation.seed": seed, "simulation.grid": list(args.grid), "data.grid": list(args.grid)}
        config = load_config(args.config, {**parse_overrides(args.set), **sizes})
        with tempfile.TemporaryDirectory() as scratch:
            results[seed] = compare(config, args.folds, Path(scratch))
        content = {
            "config": args.config.name,
            "set": args.set,
            "folds": args.folds,
            "grid": list(args.grid),
            "scores": results,
        }
        args.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(markdown(results), flush=True)


if __name__ == "__main__":
    main()
