"""The rivals of `hard.yaml` on many simulated datasets, beside what could be known of an unseen subject at all.

    python experiments/rivals.py [--config experiments/hard.yaml] [--models linear factorised] [--seeds 720 721 …]
                                 [--folds 4] [--grid 24 24 12] [--out FILE]

One dataset says little: with three unseen subjects, a score differs more between draws than between rivals. Every
dataset is simulated and preprocessed. Each of `--models`, of any family, is fitted as configured (by default settings
if the configuration lacks it) and scored on the unseen subjects. With several folds the subjects are turned so that
others are unseen in each; four folds of three make every one of twelve unseen once.

- "best reachable" knows each unseen subject's own maps, latencies and sizes of fluctuation.
- "given the amplitudes" does not: the networks' true amplitudes through the canonical response, on the
  training and validation subjects' mean maps of what is driven. A perfect reading of the EEG, and no
  more knowledge of the subject than a model could have, but of the others' BOLD without its noise.

The JSON holds the score of every subject, and the summary: means with 95 % intervals over subjects (bootstrap), the
share of both yardsticks, and each model compared with `linear` by subject (Wilcoxon). Seeds that it holds already are
kept. A file of other settings or models is refused: `--out` names another one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from eeg2fmri.baselines.ceilings import mean_maps, responses
from eeg2fmri.config import Config, SplitConfig, load_config, parse_overrides
from eeg2fmri.datasets import find_recordings
from eeg2fmri.evaluation import compare as paired
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.scoring import subject_interval
from eeg2fmri.signals import drift_waves
from eeg2fmri.simulation import read_best_r2, simulate
from eeg2fmri.store import Store, StoredRecording, Windows, build_store, split_subjects, split_windows

YARDSTICKS = ("best reachable", "given the amplitudes")
Scores = dict[str, list[float]]  # of each unseen subject, by model


def drifts(recording: StoredRecording, context: int, cutoff: float) -> np.ndarray:
    """Drifts that do not count over a recording's instances."""
    return drift_waves(len(recording.volumes) - context, recording.signal.tr, cutoff)


def given_scores(known: Windows, unseen: Windows, cutoff: float) -> list[float]:
    """`r2_temporal` of each unseen recording when its amplitudes are given."""
    context, scores = known.context, []
    maps = mean_maps(known.recordings, context)
    for number, recording in enumerate(unseen.recordings):
        measured = unseen.standardised(unseen.indices(number), "recording")
        guess = np.tensordot(responses(recording, context), maps, axes=1)
        scores.append(r2_temporal(measured, guess, recording.mask, drifts(recording, context, cutoff)))
    return scores


def turned(subjects: list[str], split: SplitConfig, fold: int) -> SplitConfig:
    """The split of a fold: the first is the configuration's, each further one tests the subjects before."""
    first = split_subjects(subjects, split)
    start = -fold * len(first.test) % len(subjects)
    to = dict(zip(subjects, [*subjects[start:], *subjects[:start]], strict=True))
    return SplitConfig(validation=tuple(to[s] for s in first.validation), test=tuple(to[s] for s in first.test))


def compare(config: Config, models: list[str], folds: int, folder: Path) -> Scores:
    """Scores of the models on one simulated dataset, fold after fold."""
    assert config.simulation is not None
    dataset = simulate(config.simulation, folder / "dataset")
    store = build_store(find_recordings(dataset)[0], folder / "store", config.data).store
    splits = [turned(store.subjects, config.split, fold) for fold in range(folds)]
    parts = [compare_fold(config, models, store, split, dataset) for split in splits]
    return {name: [score for part in parts for score in part[name]] for name in parts[0]}


def compare_fold(config: Config, models: list[str], store: Store, split: SplitConfig, dataset: Path) -> Scores:
    """Scores on the unseen subjects of one split."""
    train, validation, test = split_windows(store, split)
    cutoff = config.evaluation.drift_cutoff
    best = read_best_r2(dataset, cutoff)
    known = Windows((*train.recordings, *validation.recordings), store.context)
    scores: Scores = {
        "best reachable": [best[r.subject] for r in test.recordings],
        "given the amplitudes": given_scores(known, test, cutoff),
    }
    for name in models:
        fitted = fit(config.model(name), train, validation, FitSettings.of(config)).model
        scores[name] = [
            r2_temporal(
                test.standardised(rows, "recording"),
                fitted.standard_units(fitted.synthesise(test.eeg(rows))),
                recording.mask,
                drifts(recording, test.context, cutoff),
            )
            for recording, rows in ((r, test.indices(n)) for n, r in enumerate(test.recordings))
        ]
    return scores


def summary(results: dict[int, Scores]) -> dict[str, Any]:
    """Mean and interval of each model over all unseen subjects, its share of the yardsticks, and the pair."""
    everyone = {name: [x for scores in results.values() for x in scores[name]] for name in next(iter(results.values()))}
    means = {name: statistics.mean(scores) for name, scores in everyone.items()}
    rivals = [name for name in everyone if name not in YARDSTICKS]
    found: dict[str, Any] = {
        "subjects": len(everyone[YARDSTICKS[0]]),
        "mean": means,
        "interval": {name: subject_interval(scores) for name, scores in everyone.items()},
        "share": {of: {name: means[name] / means[of] for name in everyone} for of in YARDSTICKS},
    }
    for name in rivals if "linear" in rivals else ():
        if name != "linear":
            by_subject = [{str(row): x for row, x in enumerate(everyone[model])} for model in (name, "linear")]
            found[f"{name} - linear"] = asdict(paired(*by_subject))
    return found


def markdown(results: dict[int, Scores]) -> str:
    """One row per dataset, then the mean over all subjects with its interval, and the shares."""
    found = summary(results)
    names = list(found["mean"])
    lines = ["| seed | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for seed, scores in results.items():
        lines.append(f"| {seed} | " + " | ".join(f"{statistics.mean(scores[name]):.4f}" for name in names) + " |")
    shown = [f"{found['mean'][n]:.4f} ({ends[0]:.4f} to {ends[1]:.4f})" for n, ends in found["interval"].items()]
    lines.append("| mean | " + " | ".join(shown) + " |")
    for yardstick, shares in found["share"].items():
        lines.append(f"| of {yardstick} | " + " | ".join(f"{share:.0%}" for share in shares.values()) + " |")
    return "\n".join([*lines, "", *(f"{key}: {found[key]}" for key in found if key.endswith(" - linear"))]) + "\n"


def main() -> None:
    """Compare on every seed that the JSON does not hold; write JSON and table after each."""
    here = Path(__file__)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=here.with_name("hard.yaml"))
    parser.add_argument("--models", nargs="+", default=["linear", "factorised"], help="variants, of any family")
    parser.add_argument("--seeds", type=int, nargs="+", default=[720, 721, 722, 723])
    parser.add_argument("--folds", type=int, default=4, help="1: the configured split alone")
    parser.add_argument("--grid", type=int, nargs=3, default=(24, 24, 12))
    parser.add_argument("--set", default="", help="further settings, KEY=VALUE; KEY=VALUE")
    parser.add_argument("--out", type=Path, default=here.with_suffix(".json"))
    args = parser.parse_args()
    made_by = {"config": args.config.name, "set": args.set, "models": args.models, "folds": args.folds,
               "grid": list(args.grid)}  # fmt: skip
    found = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    if other := [key for key, value in made_by.items() if found and found.get(key) != value]:
        parser.exit(2, f"{args.out}: it was made with other settings ({', '.join(other)}); give another --out\n")
    results: dict[int, Scores] = {int(seed): scores for seed, scores in found.get("scores", {}).items()}
    for seed in (seed for seed in args.seeds if seed not in results):
        sizes = {"simulation.seed": seed, "simulation.grid": list(args.grid), "data.grid": list(args.grid)}
        config = load_config(args.config, {**parse_overrides(args.set), **sizes})
        with tempfile.TemporaryDirectory() as scratch:
            results[seed] = compare(config, args.models, args.folds, Path(scratch))
        content = {**made_by, "summary": summary(results), "scores": results}
        args.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(markdown(results), flush=True)


if __name__ == "__main__":
    main()
