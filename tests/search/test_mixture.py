"""The mixture of candidate encoders: what it weighs, what it keeps, and a search by it."""

from __future__ import annotations

import itertools
from pathlib import Path

import mlflow
import numpy as np
import pytest

from eeg2fmri.config import BlockSpec, load_config
from eeg2fmri.errors import ConfigError
from eeg2fmri.families import FitSettings, family_of
from eeg2fmri.families.calhas2022_mixture import Calhas2022Mixture
from eeg2fmri.families.calhas2022_space import Calhas2022Space
from eeg2fmri.models.architectures import Candidates
from eeg2fmri.models.spec import block_macs
from eeg2fmri.pipeline import train_step
from eeg2fmri.search import study
from eeg2fmri.search.trial import MODEL_ATTRIBUTE
from eeg2fmri.search.workplace import RUN_ATTRIBUTE
from eeg2fmri.store import Windows
from eeg2fmri.training import deep
from tests.fakes import EEG_SHAPE, GRID, deep_config
from tests.mlflow_store import memory_store, use_tracking
from tests.search.test_study import BASE, search, search_runs, settings, states, trials

CANDIDATES = 3  # the ranges of `settings` have exactly so many on each side
SEEING = BlockSpec(kernels=((1, 1, 1),), strides=((1, 4, 1),))
BLIND = BlockSpec(kernels=((1, 1, 1),), strides=((1, 6, 1),))  # reads none of the frequencies that drive BOLD


def mixed(**changes: object):
    return settings(**({"mode": "mixture", "candidates": CANDIDATES, "max_multiply_adds": 10**12} | changes))


def space(config):
    return Calhas2022Space(config.models[0], config.search.ranges["calhas2022"], EEG_SHAPE, GRID)


@pytest.mark.slow
def test_the_encoder_that_reads_the_right_frequencies_becomes_the_heaviest():
    store = memory_store(4)
    train, validation = (Windows(store.of(names), store.context) for names in (("sub-01", "sub-02"), ("sub-03",)))
    config = deep_config(variant="lp", decoder="pca", components=2, bold_scaling="voxel", epochs=8, learning_rate=0.01)
    mixture = Calhas2022Mixture(space(mixed()), Candidates((BLIND, SEEING, BLIND), ()))
    result = mixture.fit(config, train, validation, FitSettings(), None)
    weights = {name: entry["weight"] for name, entry in mixture.table(result).items()}
    assert max(weights, key=weights.get) == "eeg-02"
    assert sum(weights.values()) == pytest.approx(1, abs=1e-6)
    blind = weights["eeg-01"], weights["eeg-03"]  # equal encoders: what is between them is chance
    assert weights["eeg-02"] - max(blind) > max(blind) - min(blind)
    assert mixture.kept(config, result) == config.model_copy(update={"eeg": SEEING})


def test_the_heaviest_pair_that_is_not_too_expensive_is_kept():
    config = mixed()
    mixture = family_of(BASE).mixture(BASE, config.search.ranges["calhas2022"], Shapes(), CANDIDATES, 7)
    eeg, fmri = mixture.candidates
    assert len({str(spec) for spec in eeg}) == len({str(spec) for spec in fmri}) == CANDIDATES
    weights = dict(zip((f"{side}-{n:02d}" for side in ("eeg", "fmri") for n in (1, 2, 3)),
                       (0.2, 0.5, 0.3, 0.1, 0.3, 0.6), strict=True))  # fmt: skip
    result = Result({f"weight/{name}": [0.9, weight] for name, weight in weights.items()})
    kept = mixture.kept(BASE, result)
    assert (kept.eeg, kept.fmri) == (eeg[1], fmri[2])
    costs = {pair: block_macs(EEG_SHAPE, eeg[pair[0]], 2) + block_macs(GRID, fmri[pair[1]], 2)
             for pair in itertools.product(range(3), range(3))}  # fmt: skip
    ranges = config.search.ranges["calhas2022"].model_copy(update={"max_multiply_adds": costs[1, 2] - 1})
    poorer = Calhas2022Mixture(Calhas2022Space(BASE, ranges, EEG_SHAPE, GRID), mixture.candidates)
    allowed = [pair for pair in costs if costs[pair] < costs[1, 2]]
    first, second = max(allowed, key=lambda p: weights[f"eeg-{p[0] + 1:02d}"] * weights[f"fmri-{p[1] + 1:02d}"])
    kept = poorer.kept(BASE, result)
    assert (kept.eeg, kept.fmri) == (eeg[first], fmri[second])


class Shapes:
    """Windows of which only the shapes are read."""

    shape = EEG_SHAPE
    signal = memory_store().signal

    def __len__(self) -> int:
        return 40


class Result:
    def __init__(self, history):
        self.history = history


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The configured model and a mixture, which is stopped after its first epoch of two and then repeated."""
    folder = tmp_path_factory.mktemp("mixture")
    fit, epochs = deep.fit_deep_model, []

    def stopped(config, train, validation, fit_settings, on_epoch, candidates=None):
        def after(epoch, metrics, example):
            on_epoch(epoch, metrics, example)
            if candidates:
                epochs.append((epoch, example is None))
                if len(epochs) == 1:
                    raise KeyboardInterrupt

        return fit(config, train, validation, fit_settings, after, candidates)

    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)
        patch.setattr(deep, "fit_deep_model", stopped)
        patch.setattr(study, "_reference", lambda _: None)
        config = mixed(epochs=2, pruner="none")
        with pytest.raises(KeyboardInterrupt):
            search(config, 2)
        best = search(config, 2)
        yield folder, best, epochs


@pytest.mark.slow
def test_a_mixture_continues_from_its_checkpoint(searched):
    _, _, epochs = searched
    assert states() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert epochs == [(0, False), (0, True), (1, False)]  # the first epoch is not trained again
    assert trials()[2].params == trials()[1].params
    assert not list(Path("checkpoints").iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("searched")
def test_a_trial_of_a_mixture_trains_the_heaviest_alone():
    first, _, second = trials()
    assert first.user_attrs[MODEL_ATTRIBUTE] == BASE.model_dump(mode="json")  # the configured one is the first trial
    run = mlflow.get_run(second.user_attrs[RUN_ATTRIBUTE])
    assert run.info.run_name == f"trial 2 · {second.value:+.4f} · mixture {second.params['mixture']}"
    table = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/mixture.json")
    model = second.user_attrs[MODEL_ATTRIBUTE]
    for side in ("eeg", "fmri"):
        own = {name: entry for name, entry in table.items() if name.startswith(side)}
        assert len(own) == CANDIDATES
        assert sum(entry["weight"] for entry in own.values()) == pytest.approx(1, abs=1e-6)
        heaviest = max(own, key=lambda name: own[name]["weight"])
        assert model[side] == {key: value for key, value in own[heaviest].items() if key != "weight"}
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, f"mixture/weight/{heaviest}")
        assert [point.step for point in history] == [1, 2]
        assert history[-1].value == own[heaviest]["weight"]
    assert {key: model[key] for key in model if key not in ("eeg", "fmri")} == {
        key: value for key, value in BASE.model_dump(mode="json").items() if key not in ("eeg", "fmri")
    }
    assert run.data.metrics["val/r2_temporal"] != run.data.metrics["mixture/val/r2_temporal"]
    assert np.isclose(max(second.value, first.value), search_runs()[-1].data.metrics["search/best_r2_temporal"])


@pytest.mark.slow
def test_the_kept_architecture_is_a_configuration_that_train_takes(searched):
    folder, best, _ = searched
    kept = trials()[2].user_attrs[MODEL_ATTRIBUTE]
    assert best.models[0].model_dump(mode="json") in (kept, BASE.model_dump(mode="json"))
    assert load_config(folder / "best.yaml") == best
    own = best.model_copy(update={"models": (type(BASE).model_validate(kept), *best.models[1:])})
    trained = train_step(own, None, memory_store(4, windows=20), folder / "work")
    params = mlflow.get_run(trained.run_id).data.params
    assert params["model.eeg.kernels"] == str([list(each) for each in kept["eeg"]["kernels"]])


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"candidates": 4}, r"search\.candidates=4: 200 draws gave 3 different ones below max_multiply_adds"),
        ({"variant": "linear"}, r"search\.mode=mixture: the family linear has no mixture; use search\.mode=trials"),
        ({"architectures": False}, r"architectures: false, but search\.mode=mixture chooses encoders"),
    ],
)
def test_what_cannot_be_mixed_is_refused_before_any_trial(refuses, changes, words):
    with refuses(ConfigError, words):
        search(mixed(**changes), 2)
    assert not states()


def test_folds_do_not_judge_a_mixture(tmp_path, refuses):
    (tmp_path / "folds.yaml").write_text("search: {mode: mixture, folds: 3}")
    with refuses(ConfigError, "folds: 3, but mode: mixture trains on all training subjects, so they cannot judge"):
        load_config(tmp_path / "folds.yaml")


@pytest.mark.usefixtures("searched")
def test_a_study_of_mixtures_is_not_continued_with_single_trials(refuses):
    with refuses(ConfigError, r"study s: search\.candidates was 3 and is now None"):
        search(settings(epochs=2, max_multiply_adds=10**12), 3)
