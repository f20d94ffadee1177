"""Bayesian search over hyper-parameters and architectures of the published family.

Optuna's own storage is the truth: a study goes on from it after a kill, and any number of
processes may share it. MLflow mirrors each trial as a child run.
"""

from __future__ import annotations

import gc
import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import yaml

from eeg2fmri.config import Calhas2022Config, Config, SearchConfig, Triple, flatten
from eeg2fmri.devices import use_backend
from eeg2fmri.errors import ConfigError, DivergenceError, MissingExtraError, SpecError, one_line
from eeg2fmri.files import written_whole
from eeg2fmri.models.architectures import encoders
from eeg2fmri.models.spec import block_macs
from eeg2fmri.search.space import decoder_weights, parameters_of, suggest_model
from eeg2fmri.store import Store, Windows, check_digest, split_subjects
from eeg2fmri.tracking import RunLog, tracked_run
from eeg2fmri.tracking.runs import step_key
from eeg2fmri.training import FitSettings, fit

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)
MONITOR = "val/r2_temporal"
RUN_ATTRIBUTE = "mlflow_run_id"
INPUTS = "eeg2fmri.inputs"


def search_step(
    config: Config, store: Store, *, study: str, storage: str, trials: int, timeout: float | None, out: Path
) -> Config:
    """Search until the study has `trials` finished trials, and write the best configuration.

    Parameters
    ----------
    config : its first `calhas2022` model is the base of every trial, and the first trial.
    store : trials train on its training subjects and are judged on its validation subjects.
    study, storage : name and Optuna URL; an existing study goes on.
    trials : finished trials (complete or pruned) that the study shall have.
    timeout : seconds after which no new trial starts; ``None`` for no limit.
    out : YAML file of the best configuration, which `train` takes.

    Returns
    -------
    `config` with the best model in the place of its base, for this store alone (`run.store_digest`).
    """
    base = _base(config)
    check_digest(store, config.run.store_digest)
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    _check_sampler(config.search)
    params = {**flatten(config.search, "search."), "search.study": study, "search.trials": trials,
              "data.digest": store.digest}  # fmt: skip
    with tracked_run("search", experiment=config.run.experiment, params=params) as log:
        found = open_study(config, base, store, study, storage)
        left = trials - _finished(found)
        logger.info("search: study %s has %d finished trials, %d to go", study, _finished(found), max(left, 0))
        if left > 0:
            _optimize(found, _Objective(config, base, store), left, timeout)
        best = _best_model(found, base, config.search)
        tuned = _with_model(config, base, best, store.digest)
        _write(tuned, out)
        _log_study(log, found, out)
        return tuned


def open_study(config: Config, base: Calhas2022Config, store: Store, name: str, storage: str) -> optuna.Study:
    """Create or continue a study; the base configuration is its first trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed, startup = config.run.seed, config.search.startup_trials
    samplers: dict[str, Any] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=startup),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            sampler=samplers[config.search.sampler](),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=0),
        )
    except Exception as err:  # SQLAlchemy and its drivers raise their own
        raise ConfigError(f"storage {storage}: cannot be opened ({one_line(err)})") from err
    inputs = step_key("search", (), store.digest, flatten(config.split), flatten(base), config.search.epochs)
    if study.user_attrs.setdefault(INPUTS, inputs) != inputs:
        raise ConfigError(f"study {name} was made with other data, split or base model; give another --study")
    study.set_user_attr(INPUTS, inputs)
    if not study.trials:
        try:
            study.enqueue_trial(parameters_of(base, config.search, store))
        except SpecError as err:
            logger.info("search: the configured model is not in the search space (%s)", err)
    return study


def _optimize(study: optuna.Study, objective: _Objective, trials: int, timeout: float | None) -> None:
    try:
        study.optimize(objective, n_trials=trials, timeout=timeout, callbacks=[_say])
    except ValueError as err:
        if "dynamic value space" not in str(err):
            raise
        raise ConfigError(
            f"study {study.study_name} was made with other ranges ({one_line(err)}); give another --study"
        ) from err


class _Objective:
    """One trial: draw a model, train it for the search's epochs, report every epoch."""

    def __init__(self, config: Config, base: Calhas2022Config, store: Store) -> None:
        self.config, self.base, self.store = config, base, store
        split = split_subjects(store.subjects, config.split)
        self.train = Windows(store.of(split.train), store.context)
        self.validation = Windows(store.of(split.validation), store.context)
        recording = self.train.recordings[0]
        self.eeg_shape = (*recording.spectrogram.shape[1:], store.context)
        self.grid: Triple = recording.mask.shape  # the store's: the configuration's may be another one
        if (largest := max(config.search.batch_size)) > len(self.train):
            raise ConfigError(
                f"search.batch_size {largest} is larger than the training set of {len(self.train)} windows"
            )

    def __call__(self, trial: optuna.Trial) -> float:
        import optuna

        model = suggest_model(trial, self.base, self.config.search, self.eeg_shape, self.grid)
        params = {**flatten(model, "model."), "search.trial": trial.number, "data.digest": self.store.digest}
        pruned, score = "", float("-inf")
        with tracked_run("trial", experiment="", name=f"trial-{trial.number}", params=params) as log:
            trial.set_user_attr(RUN_ATTRIBUTE, log.run_id)
            try:
                score = self._train(trial, model, log)
            except (optuna.TrialPruned, DivergenceError) as err:
                pruned = str(err)
                log.tags({"eeg2fmri.pruned": pruned})
        if pruned:
            mlflow.MlflowClient().set_terminated(log.run_id, "KILLED")
            raise optuna.TrialPruned(pruned)
        return score

    def _train(self, trial: optuna.Trial, model: Calhas2022Config, log: RunLog) -> float:
        import keras
        import optuna

        eeg, fmri = encoders(model, self.eeg_shape, self.grid)
        parts = [(self.eeg_shape, eeg), *([(self.grid, fmri)] if model.aligns else [])]
        cost = sum(block_macs(shape, spec, model.filters, max_pool=model.max_pool) for shape, spec in parts)
        weights = decoder_weights(model, self.eeg_shape[0], self.grid)
        log.params({"search.multiply_adds": cost, "search.decoder_weights": weights})
        if weights > self.config.search.max_weights:
            raise optuna.TrialPruned(f"{weights:.2e} decoder weights, more than search.max_weights")
        if cost > self.config.search.max_multiply_adds:
            raise optuna.TrialPruned(f"{cost:.2e} multiply-adds a window, more than search.max_multiply_adds")
        keras.backend.clear_session()
        gc.collect()

        def on_epoch(epoch: int, metrics: dict[str, float], example: Any) -> None:
            log.metrics(metrics, step=epoch)
            trial.report(metrics[MONITOR], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned(f"below the median after epoch {epoch + 1}")

        settings = FitSettings.of(self.config.run)
        frequencies = np.asarray(self.store.signal["frequencies"])
        result = fit(model, self.train, self.validation, frequencies, settings, on_epoch)
        return max(result.history[MONITOR])


def _best_model(study: optuna.Study, base: Calhas2022Config, search: SearchConfig) -> Calhas2022Config:
    """The best trial's model, with the base's number of epochs."""
    import optuna

    complete = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    if not complete:
        raise DivergenceError(
            f"study {study.study_name}: no trial was completed ({len(study.trials)} pruned or failed); run more trials"
        )
    flat = _run_params(study.best_trial.user_attrs[RUN_ATTRIBUTE])
    best = Calhas2022Config.model_validate(flat)
    return best.model_copy(update={"training": best.training.model_copy(update={"epochs": base.training.epochs})})


def _run_params(run_id: str) -> dict[str, Any]:
    """The model section that a trial's run holds, as it was logged."""
    tree: dict[str, Any] = {}
    for key, value in mlflow.get_run(run_id).data.params.items():
        if key.startswith("model."):
            *parents, last = key.removeprefix("model.").split(".")
            node = tree
            for part in parents:
                node = node.setdefault(part, {})
            node[last] = None if value == "None" else yaml.safe_load(value)  # MLflow keeps str(value)
    return tree


def _with_model(config: Config, base: Calhas2022Config, best: Calhas2022Config, digest: str) -> Config:
    models = (best, *(m for m in config.models if m != base))  # `train` takes the first
    run = config.run.model_copy(update={"store_digest": digest})
    return config.model_copy(update={"models": models, "run": run})


def _write(config: Config, out: Path) -> None:
    with written_whole(out) as part:
        part.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def _log_study(log: RunLog, study: optuna.Study, out: Path) -> None:
    log.metrics({"search/best_r2_temporal": study.best_value, "search/trials": len(study.trials)})
    log.table(study.trials_dataframe(attrs=("number", "state", "value", "params")), "trials.json")
    log.text(out.read_text(encoding="utf-8"), "best.yaml")
    logger.info("search: best %s %+.4f in trial %d; configuration in %s", MONITOR, study.best_value,
                study.best_trial.number, out)  # fmt: skip


def _base(config: Config) -> Calhas2022Config:
    for model in config.models:
        if isinstance(model, Calhas2022Config):
            return model
    raise ConfigError("models: no model of family calhas2022 to search around; add one")


def _check_sampler(search: SearchConfig) -> None:
    if search.sampler == "gp" and importlib.util.find_spec("torch") is None:
        raise MissingExtraError("search.sampler=gp needs PyTorch: pip install 'eeg2fmri[gp]', or choose tpe")


def _finished(study: optuna.Study) -> int:
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.trials)


def _say(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    value = "pruned" if trial.value is None else f"{trial.value:+.4f}"
    logger.info("search: trial %d %s", trial.number, value)
