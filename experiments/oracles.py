"""What keeps a model from the score that an unseen subject allows: oracles, one piece of knowledge at a time.

    python experiments/oracles.py [--seeds 710 711 712] [--together 1] [--unseen 3] [--out experiments/oracles.json]

Simulated datasets of twelve subjects of 300 volumes, as in `hard.yaml`, on a coarse grid; several of them may be put
together, for more known subjects. The subjects are turned so that each is unseen once; everyone else is known. All rows
are closed forms on the known subjects' series without drifts, and the score is `r2_temporal` of the unseen ones.
`rivals.py` scores the families themselves, on seeds that shaped nothing; the default seeds here chose today's form.

The JSON holds the score of every subject. Datasets that it holds already are kept. A file of other
settings is refused: `--out` names another one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from scipy import linalg

from eeg2fmri.baselines.ceilings import driven, responses
from eeg2fmri.config import Config, FactorisedConfig, load_config
from eeg2fmri.datasets import find_recordings
from eeg2fmri.models.factorised_fit import find_sources, fit_loadings
from eeg2fmri.models.linear import bands_with_bins, lag_shapes, log_band_power
from eeg2fmri.models.ridge import Moments
from eeg2fmri.signals import without_drift
from eeg2fmri.simulation import simulate
from eeg2fmri.store import Windows, build_store

GRID, COMPONENTS = (24, 24, 12), 64
PENALTIES = FactorisedConfig().penalties


@dataclass(frozen=True)
class Person:
    """Series of a subject without drifts.

    plain: (W, P), standardised log power.  answered: (n, P, 2), after the response and its derivative.
    given: (n, networks), responses to the true amplitudes.  driven: (n, V), what EEG drives.  measured: (n, V).
    """

    plain: np.ndarray
    answered: np.ndarray
    given: np.ndarray
    driven: np.ndarray
    measured: np.ndarray

    def score(self, guess: np.ndarray) -> float:
        """`r2_temporal` of a guess (n, V)."""
        return float(1 - np.square(self.measured - guess).sum() / np.square(self.measured).sum())


def people(config: Config, folder: Path) -> list[Person]:
    """Simulate and read everybody; voxels outside one's own brain are 0."""
    assert config.simulation is not None
    dataset = simulate(config.simulation, folder / "dataset")
    store = build_store(find_recordings(dataset)[0], folder / "store", config.data).store
    windows = Windows(store.recordings, store.context)
    tr, cutoff = store.signal.tr, config.evaluation.drift_cutoff
    frequencies = np.asarray(store.signal.frequencies, np.float32)
    edges = np.stack(list(bands_with_bins(FactorisedConfig().bands, frequencies).values()))
    shapes = lag_shapes(store.context, tr)
    found = []
    for number, recording in enumerate(windows.recordings):
        power = log_band_power(np.moveaxis(recording.spectrogram, 0, -1)[None], frequencies, edges)[0]
        contexts = np.lib.stride_tricks.sliding_window_view(power, store.context, axis=2)
        measured = windows.standardised(windows.indices(number), "recording")
        n, brain = len(measured), recording.mask.ravel()
        answered = np.moveaxis(contexts[:, :, :n] @ shapes, 2, 0).reshape(n, -1)
        series = (
            np.moveaxis(power, 2, 0).reshape(power.shape[2], -1).astype(float),
            answered.astype(float),
            responses(recording, store.context),
            driven(recording, store.context).reshape(n, -1) * brain,
            measured.reshape(n, -1) * brain,
        )
        plain, answered, *rest = (without_drift(each, tr, cutoff) for each in series)
        found.append(Person(plain, answered.reshape(n, -1, 2), *rest))
    deviation = np.concatenate([person.plain for person in found]).std(axis=0)
    return [Person(p.plain / deviation, p.answered / deviation[:, None], p.given, p.driven, p.measured) for p in found]


def people_of(seed: int) -> list[Person]:
    """Simulate and read everybody of one dataset."""
    sizes = {"simulation.seed": seed, "simulation.grid": list(GRID), "data.grid": list(GRID)}
    with tempfile.TemporaryDirectory() as scratch:
        return people(load_config(Path(__file__).with_name("hard.yaml"), sizes), Path(scratch))


def ridge(x: list[np.ndarray], y: list[np.ndarray], weights: list[float]) -> np.ndarray:
    """Coefficients of rows of x on those of y, the penalties chosen by subjects that are left out."""
    moments = [Moments.of(w * a, w * b, len(a)) for a, b, w in zip(x, y, weights, strict=True)]
    return fit_loadings(moments, PENALTIES)[0]


def guesses(known: list[Person]) -> Iterator[tuple[str, Callable[[Person], np.ndarray]]]:
    """Every row: its name, and its synthesis of an unseen person."""
    brain = np.any([p.measured.any(axis=0) for p in known], axis=0)
    true = [p.given for p in known]
    maps = np.linalg.solve(sum(x.T @ x for x in true), sum(p.given.T @ p.driven for p in known))
    yield "given the amplitudes", lambda p: p.given @ maps
    precise = [1 / float(p.measured.std()) for p in known]
    equal = [1.0] * len(known)
    covariance = sum(p.measured[:, brain].T @ p.measured[:, brain] for p in known)
    basis = np.zeros((COMPONENTS, len(brain)))
    basis[:, brain] = linalg.eigh(covariance, subset_by_index=[brain.sum() - COMPONENTS, brain.sum() - 1])[1].T
    scores = [p.measured @ basis.T for p in known]

    def fitted(name: str, read: Callable[[Person], np.ndarray], weights: list[float]) -> tuple:
        loadings = ridge([read(p) for p in known], scores, weights)
        return name, lambda p: read(p) @ loadings @ basis

    yield fitted("… maps from measured BOLD", lambda p: p.given, precise)
    rows = sum(len(p.answered) for p in known)
    answered = sum(p.answered[..., 0].T @ p.answered[..., 0] for p in known) / rows
    plain = sum(p.plain.T @ p.plain for p in known) / sum(len(p.plain) for p in known)
    unit = 1 / np.sqrt(np.diag(answered))
    weights = {count: find_sources(answered, plain, count) for count in (6, 8, 16, 40)}
    eight = weights[8]
    reading = ridge([p.answered[..., 0] @ eight for p in known], true, equal)
    yield "sources read by the truth, true maps", lambda p: p.answered[..., 0] @ eight @ reading @ maps
    every = ridge([p.answered[..., 0] * unit for p in known], true, equal)
    yield "all features read by the truth, true maps", lambda p: p.answered[..., 0] * unit @ every @ maps
    whole = fitted("ridge on all features", lambda p: p.answered[..., 0] * unit, equal)
    yield whole
    for count, own in weights.items():
        yield fitted(f"{count} sources of the EEG", lambda p, own=own: p.answered[..., 0] @ own, precise)
    yield fitted("8 sources, all recordings alike", lambda p: p.answered[..., 0] @ eight, equal)
    with_derivative = fitted(
        "8 sources, and the response's derivative",
        lambda p: np.concatenate([p.answered[..., 0] @ eight, p.answered[..., 1] @ eight], axis=1),
        precise,
    )
    yield with_derivative
    _, start = fitted("", lambda p: p.answered[..., 0] @ eight, precise)
    yield "mean of 8 sources and ridge on all features", lambda p: (start(p) + whole[1](p)) / 2


def main() -> None:
    """Score every row on every dataset that the JSON does not hold; write it after each."""
    here = Path(__file__)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[710, 711, 712])
    parser.add_argument("--together", type=int, default=1, help="datasets that are one")
    parser.add_argument("--unseen", type=int, default=3)
    parser.add_argument("--out", type=Path, default=here.with_suffix(".json"))
    args = parser.parse_args()
    made_by = {"together": args.together, "unseen": args.unseen, "grid": list(GRID)}
    found = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    if other := [key for key, value in made_by.items() if found and found.get(key) != value]:
        parser.exit(2, f"{args.out}: it was made with other settings ({', '.join(other)}); give another --out\n")
    results = found.get("scores", {})
    groups = [args.seeds[first : first + args.together] for first in range(0, len(args.seeds), args.together)]
    for group in groups:
        name_of_group = "+".join(map(str, group))
        if name_of_group in results:
            continue
        everyone = [person for seed in group for person in people_of(seed)]
        scores: dict[str, list[float]] = {}
        for first in range(0, len(everyone), args.unseen):
            unseen = everyone[first : first + args.unseen]
            for name, guess in guesses(everyone[:first] + everyone[first + args.unseen :]):
                scores.setdefault(name, []).extend(person.score(guess(person)) for person in unseen)
        results[name_of_group] = scores
        means = {name: statistics.mean(x for own in results.values() for x in own[name]) for name in scores}
        share = {name: mean / means["given the amplitudes"] for name, mean in means.items()}
        content = {**made_by, "mean": means, "share": share, "scores": results}
        args.out.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print("\n".join(f"{name:45s} {mean:.4f} {share[name]:.0%}" for name, mean in means.items()), flush=True)


if __name__ == "__main__":
    main()
