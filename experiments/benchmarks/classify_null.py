"""How often `classify` errs: labels without a meaning, and two sets of features that say equally much.

    python experiments/benchmarks/classify_null.py [--draws 300] [--draws-chance 150] [--work FOLDER]

The classifiers are those of `eeg2fmri classify`, with its penalties and folds. Features are drawn: two sets of twelve,
of which three follow the labels, with noise of their own and noise in common. In the last case they are real ones:
those of forty simulated subjects without a difference (`classify.py`, seed 970, `linear`), under new permutations of
the labels. `--work` is that of `classify.py`. The JSON keeps cases: a second call continues.

p against chance has 19 permutations here. Scores tie often, and then p is small less often than it may be. So the tests
of uniformity break ties by chance; the shares of small p do not. Wilcoxon's test of the probabilities of the right
label, which the command used first, is beside the command's test.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from calibration import share
from classify import HERE as BENCHMARK
from classify import KINDS, LABELLED, NOTHING, SIZES, TRAINING_SEED, features_of, trained
from scipy import stats

from eeg2fmri.classification import EEG, REGIONS
from eeg2fmri.config import ClassifyConfig, load_config
from eeg2fmri.evaluation import Classified, classify, paired_p
from eeg2fmri.scoring import SEED

HERE = Path(__file__)
LEVEL = 0.05
PERMUTATIONS = 19
FEATURES, FOLLOW = 12, 3  # of a set; those of them that follow the labels
SYNTHESISED = "synthesised, nothing"
Sets = tuple[list[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Case:
    """Two sets of features: how far apart the labels are in each (in standard deviations), and their common noise."""

    effects: tuple[float, float]
    common: float = 0.0  # share of the variance
    labels: tuple[int, int] = (20, 20)
    chance: bool = False  # test p against chance too


CASES = {
    "nothing": Case((0, 0), 0.5, chance=True),
    "nothing, 30 and 10 subjects": Case((0, 0), 0.5, (30, 10), chance=True),
    "nothing, 12 and 12 subjects": Case((0, 0), 0.5, (12, 12)),
    "equal": Case((1, 1)),
    "equal, noise in common": Case((1, 1), 0.5),
    "equal, large": Case((2, 2), 0.5),
    "equal, 12 and 12 subjects": Case((1, 1), 0.5, (12, 12)),
    "one follows the labels": Case((1.2, 0), 0.5),
    "one follows them more": Case((1.8, 0.6), 0.5),
}


def drawn(case: Case, draws: int) -> Iterator[tuple[Sets, list[str]]]:
    """Draw features of both sets, and labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], case.labels)
    for _ in range(draws):
        common = rng.standard_normal((len(labels), FEATURES))
        sets = []
        for effect in case.effects:
            own = rng.standard_normal(common.shape)
            values = np.sqrt(case.common) * common + np.sqrt(1 - case.common) * own
            values[:, :FOLLOW] += effect * (labels == "b")[:, None]
            sets.append([values])
        yield (sets[0], sets[1]), labels.tolist()


def permuted(folder: Path, draws: int) -> Iterator[tuple[Sets, list[str]]]:
    """Permute the labels of simulated subjects without a difference; the sets are regions and the EEG alone."""
    rng = np.random.default_rng(0)
    groups = {f"simulation.groups.{key}": value for key, value in KINDS[NOTHING].items()}
    hard = BENCHMARK.parents[1] / "hard.yaml"
    bundle = trained(load_config(hard, {**SIZES, "simulation.seed": TRAINING_SEED}), ["linear"], folder / "training")
    config = load_config(hard, {**SIZES, **LABELLED, **groups, "simulation.seed": 970})
    features, labels = features_of(bundle["linear"], config, folder / "970 no-difference")
    sets = ([*features[REGIONS].values()], [*features[EEG].values()])
    for _ in range(draws):
        yield sets, rng.permutation([*labels.values()]).tolist()


def predictions(kinds: list[np.ndarray], labels: list[str], permutations: int = 0) -> Classified:
    """Classify as the command does."""
    folds, penalties = ClassifyConfig().folds, ClassifyConfig().penalties
    return classify(kinds, labels, folds=folds, penalties=penalties, permutations=permutations, seed=SEED)


def untied(one: Classified, other: Classified, rng: np.random.Generator) -> float:
    """Return p of `paired_p` with ties broken by chance, by an enumeration of its own: a swap is a coin."""
    chances = {0.0: 1.0}
    for weight in np.unique(one.weight):
        n = int(((one.correct != other.correct) & (one.weight == weight)).sum())
        sums = [(weight * (2 * k - n), stats.binom.pmf(k, n, 0.5)) for k in range(n + 1)]
        both = [(at + more, p * q) for at, p in chances.items() for more, q in sums]
        chances = {}
        for at, p in both:
            chances[round(at, 9)] = chances.get(round(at, 9), 0) + p
    found = abs(one.score - other.score)
    equal = sum(p for at, p in chances.items() if np.isclose(abs(at), found, atol=1e-7))
    above = sum(p for at, p in chances.items() if abs(at) > found + 1e-7)
    return float(above + rng.uniform() * equal)


def uniform(values: list[float]) -> dict[str, float]:
    """Test if p-values are uniform (Kolmogorov & Smirnov)."""
    found = stats.kstest(values, "uniform")
    return {"statistic": round(float(found.statistic), 4), "p_value": round(float(found.pvalue), 4)}


def compared(data: Iterator[tuple[Sets, list[str]]]) -> dict[str, Any]:
    """Compare both sets in every draw, by the command's test and by Wilcoxon's of the probabilities."""
    rng = np.random.default_rng(1)
    paired, broken, wilcoxon, scores = [], [], [], []
    for sets, labels in data:
        one, other = (predictions(kinds, labels) for kinds in sets)
        paired.append(paired_p(one, other))
        broken.append(untied(one, other, rng))
        wilcoxon.append(float(stats.wilcoxon(one.probability - other.probability).pvalue))
        scores.append((one.score, other.score))
    return {
        "balanced_accuracy": np.round(np.mean(scores, axis=0), 3).tolist(),
        "below_level": share(sum(p < LEVEL for p in paired), len(paired)),
        "uniform": uniform(broken),
        "wilcoxon_below_level": share(sum(p < LEVEL for p in wilcoxon), len(wilcoxon)),
    }


def against_chance(data: Iterator[tuple[Sets, list[str]]]) -> dict[str, Any]:
    """Test the first set in every draw against permuted labels."""
    rng = np.random.default_rng(1)
    values, broken = [], []
    for sets, labels in data:
        found = predictions(sets[0], labels, PERMUTATIONS)
        values.append(found.p_value)
        equal = np.isclose(found.draws, found.score)
        above = ((found.draws > found.score) & ~equal).sum()
        broken.append(float((above + rng.uniform() * (1 + equal.sum())) / (1 + PERMUTATIONS)))
    return {"permutations": PERMUTATIONS, "at_most_level": share(sum(p <= LEVEL for p in values), len(values)),
            "uniform": uniform(broken)}  # fmt: skip


def main() -> None:
    """Compute every case that the JSON does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--draws-chance", type=int, default=150)
    parser.add_argument("--cases", nargs="+", default=[*CASES, SYNTHESISED], choices=[*CASES, SYNTHESISED])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=HERE.with_suffix(".json"))
    args = parser.parse_args()
    logging.getLogger("eeg2fmri").setLevel(logging.ERROR)  # every recording says that it has no volume marker
    result = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.cases:
            real = name == SYNTHESISED

            def data(draws: int, name: str = name) -> Iterator[tuple[Sets, list[str]]]:
                return permuted(args.work or Path(scratch), draws) if name == SYNTHESISED else drawn(CASES[name], draws)

            parts = {"compared": lambda: compared(data(args.draws))}
            if real or CASES[name].chance:
                parts["against_chance"] = lambda: against_chance(data(args.draws_chance))
            own = result.setdefault(name, {})
            for part, compute in parts.items():
                if part not in own:
                    own[part] = compute()
                    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                    print(name, part, json.dumps(own[part]), flush=True)


if __name__ == "__main__":
    main()
