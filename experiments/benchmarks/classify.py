"""Synthesised views of subjects with EEG only: do they separate two groups, and better than the EEG alone.

    python experiments/benchmarks/classify.py [--seeds 970 971 …] [--models linear factorised] [--work FOLDER]

One simulated data set of EEG and fMRI trains the models of `hard.yaml` (24 channels at 125 Hz and a coarse grid, to be
quick). Then each seed draws 40 labelled subjects with EEG only, 150 TRs each, in four kinds. In cases the occipital
alpha rhythm fluctuates more, or is larger, or the sensorimotor rhythm fluctuates more, or nothing differs, so that
nothing may be found. The command's own code computes features and classifies. `--work` keeps data sets, and the JSON
keeps results: a second call continues.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from coarse import COARSE, prepared

from eeg2fmri.classification import Kinds, classify_subjects, find_labelled, parcellation, subject_features
from eeg2fmri.config import Config, load_config
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.pipeline.classify import verdict
from eeg2fmri.serving import Bundle
from eeg2fmri.simulation import is_simulated, simulate
from eeg2fmri.store import Split, Windows

HERE = Path(__file__)
TRAINING_SEED = 960
SIZES = {**COARSE, "simulation.channels": 24}
LABELLED = {"simulation.subjects": 40, "simulation.volumes": 150}
NOTHING = "no difference"
SEEDS = range(970, 974)
SEEDS_OF_NOTHING = range(970, 984)
KINDS: Mapping[str, Mapping[str, Any]] = {
    "visual, variability 1.5": {"network": "visual", "variability": 1.5},
    "visual, size 1.5": {"network": "visual", "size": 1.5, "variability": 1.0},
    "sensorimotor, variability 1.5": {"network": "sensorimotor", "variability": 1.5},
    NOTHING: {"variability": 1.0},
}


def trained(config: Config, names: list[str], folder: Path) -> dict[str, Bundle]:
    """Fit the models on the simulated data set in `folder`, which is made if it is not there."""
    store = prepared(config, folder)
    split = Split(tuple(store.subjects[:-2]), tuple(store.subjects[-2:]), ())
    parts = [Windows(store.of(subjects), store.context) for subjects in (split.train, split.validation)]
    cutoff = config.evaluation.drift_cutoff
    return {
        name: Bundle.of(fit(config.model(name), *parts, FitSettings.of(config)), store, split, cutoff) for name in names
    }


def features_of(bundle: Bundle, config: Config, folder: Path) -> tuple[Mapping[str, Kinds], Mapping[str, str]]:
    """Simulate one data set, unless `folder` holds it already: features by set and kind, and labels of subjects."""
    assert config.simulation is not None
    if not is_simulated(folder, config.simulation):
        simulate(config.simulation, folder)
    found = find_labelled(config, folder)
    return subject_features(bundle, found, parcellation(bundle, config), config), found.labels


def classified(bundle: Bundle, config: Config, folder: Path) -> tuple[dict[str, Any], str]:
    """Classify one data set, as the command does: the numbers, and the sentences that the command prints."""
    features, labels = features_of(bundle, config, folder)
    result = classify_subjects(features, labels, config, lambda: None)
    scores = {
        name: {"balanced_accuracy": each.score, "p": each.p_value, "permuted": float(each.draws.mean())}
        for name, each in result.found.items()
    }
    pairs = {name: asdict(pair) for name, pair in result.beside_eeg.items()}
    return {"scores": scores, "beside_eeg": pairs}, verdict(result, config.policy.level)


def summary(found: Mapping[str, Any], level: float) -> dict[str, Any]:
    """Sum up the data sets of one kind: mean scores, how many p are below the level, and where a view wins."""
    each = list(found.values())
    sets = {
        name: {
            "balanced_accuracy": float(np.mean([one["scores"][name]["balanced_accuracy"] for one in each])),
            "significant": sum(one["scores"][name]["p"] < level for one in each),
        }
        for name in each[0]["scores"]
    }
    of = {name: [one["beside_eeg"][name] for one in each] for name in each[0]["beside_eeg"]}
    pairs = {
        name: {
            "won": sum(pair["won"] for pair in of[name]),
            "lost": sum(pair["lost"] for pair in of[name]),
            "mean_difference": float(np.mean([pair["difference"] for pair in of[name]])),
            "better": sum(pair["p_value"] < level and pair["difference"] > 0 for pair in of[name]),
            "worse": sum(pair["p_value"] < level and pair["difference"] < 0 for pair in of[name]),
        }
        for name in of
    }
    return {"data_sets": len(each), "scores": sets, "beside_eeg": pairs}


def main() -> None:
    """Classify every kind of data set with every model, and write the JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 970 to 973, and to 983 where nothing differs")
    parser.add_argument("--models", nargs="+", default=["linear", "factorised"], choices=("linear", "factorised"))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--permutations", type=int, default=99)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=HERE.with_suffix(".json"))
    args = parser.parse_args()
    changes = {**SIZES, "simulation.seed": TRAINING_SEED, "classify.permutations": args.permutations}
    config = load_config(HERE.parents[1] / "hard.yaml", changes)
    result = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.work or Path(scratch)
        bundles = trained(config, args.models, folder / "training")
        for kind in args.kinds:
            for seed in args.seeds or (SEEDS_OF_NOTHING if kind == NOTHING else SEEDS):
                for name, bundle in bundles.items():
                    own = result.setdefault(name, {}).setdefault(kind, {})
                    if str(seed) in own:
                        continue
                    groups = {f"simulation.groups.{key}": value for key, value in KINDS[kind].items()}
                    settings = {**changes, **LABELLED, **groups, "simulation.seed": seed}
                    its = load_config(HERE.parents[1] / "hard.yaml", settings)
                    own[str(seed)], text = classified(bundle, its, folder / f"{seed} {kind}".replace(", ", "-"))
                    result["summary"] = {
                        of: {which: summary(found, config.policy.level) for which, found in result[of].items()}
                        for of in result if of != "summary"
                    }  # fmt: skip
                    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                    print(f"{name}, {kind}, seed {seed}: {text}", flush=True)


if __name__ == "__main__":
    main()
