"""Bayesian search over the settings of a model, by the space of its family.

Optuna's own storage is the reference. A study continues from it after a kill, any number of processes may
share it, and every trial keeps its model there. MLflow mirrors each trial as a child run.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import yaml

from eeg2fmri.config import Config, ModelConfig, SearchConfig, Section, flatten
from eeg2fmri.devices import forget_networks, use_backend
from eeg2fmri.errors import ConfigError, DivergenceError, MissingExtraError, SpecError, one_line
from eeg2fmri.families import MONITOR, FitSettings, Space, family_of, fit
from eeg2fmri.files import written_whole
from eeg2fmri.store import Store, Windows, check_digest, named, settled, split_store
from eeg2fmri.tracking import RunLog, tracked_run
from eeg2fmri.tracking.runs import step_key

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)
RUN_ATTRIBUTE, MODEL_ATTRIBUTE = "mlflow_run_id", "model"
INPUTS = "eeg2fmri.inputs"


def search_step(
    config: Config, store: Store, *, study: str, storage: str, trials: int, timeout: float | None, out: Path
) -> Config:
    """Search until the study has `trials` finished trials, and write the best configuration.

    Parameters
    ----------
    config : its model `search.variant` (the first one that can be searched) is the base of every trial, and the first
        trial.
    store : trials train on its training subjects and are scored on its validation subjects.
    study, storage : name and Optuna URL; an existing study continues.
    trials : finished trials (complete or pruned) that the study will have.
    timeout : seconds after which no new trial starts; ``None`` for no limit.
    out : YAML file of the best configuration, for `train`.

    Returns
    -------
    `config` with the best model in place of its base, for this store only (`run.store_digest`).
    """
    # What is found is good for the split that it was found on, whatever the store keeps later.
    config = named(config, store).model_copy(update={"split": settled(config.split, store.split)})
    check_digest(store, config.run.store_digest)
    split = split_store(store, config.split)
    train, validation = (Windows(store.of(part), store.context) for part in (split.train, split.validation))
    base, ranges, space = _searched(config, train)
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    _check_sampler(config.search)
    params = {**flatten(config.search, "search."), **flatten(ranges, f"search.ranges.{base.family}."),
              "search.study": study, "search.trials": trials, "data.digest": store.digest}  # fmt: skip
    with tracked_run("search", experiment=config.run.experiment, name=f"search {base.variant} · {store.name}",
                     params=params, tags={"variant": base.variant, "dataset": store.name}) as log:  # fmt: skip
        found = open_study(config, base, space, store, study, storage)
        left = trials - _finished(found)
        logger.info("search: study %s has %d finished trials, %d to go", study, _finished(found), max(left, 0))
        if left > 0:
            _optimize(found, _Objective(config, space, store, train, validation), left, timeout)
        best = _best_model(found, base)
        tuned = _with_model(config, base, best, store.digest)
        _write(tuned, out)
        _log_study(log, found, out)
        return tuned


def open_study(config: Config, base: ModelConfig, space: Space, store: Store, name: str, storage: str) -> optuna.Study:
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
    judged = [config.search.epochs, config.evaluation.drift_cutoff]
    inputs = step_key("search", (), store.digest, flatten(config.split), flatten(base), judged)
    if study.user_attrs.setdefault(INPUTS, inputs) != inputs:
        raise ConfigError(
            f"study {name} was made with other data, split, base model or evaluation.drift_cutoff; give another --study"
        )
    study.set_user_attr(INPUTS, inputs)
    if not study.trials:
        try:
            study.enqueue_trial(space.start())
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

    def __init__(self, config: Config, space: Space, store: Store, train: Windows, validation: Windows) -> None:
        self.config, self.space, self.store = config, space, store
        self.train, self.validation = train, validation

    def __call__(self, trial: optuna.Trial) -> float:
        import optuna

        drawn = self.space.draw(trial)
        trial.set_user_attr(MODEL_ATTRIBUTE, drawn.model_dump(mode="json"))
        model = _shortened(drawn, self.config.search.epochs)
        params = {**flatten(model, "model."), "search.trial": trial.number, "data.digest": self.store.digest}
        pruned, score = "", float("-inf")
        with tracked_run("trial", name=f"trial {trial.number} {model.variant} · {self.store.name}", params=params,
                         tags={"variant": model.variant, "dataset": self.store.name}) as log:  # fmt: skip
            trial.set_user_attr(RUN_ATTRIBUTE, log.run_id)
            log.describe(f"Trial {trial.number} of study {trial.study.study_name}: one draw of the model's settings, "
                         f"scored by `{MONITOR}`.")  # fmt: skip
            try:
                score = self._train(trial, model, log)
            except (optuna.TrialPruned, DivergenceError) as err:
                pruned = str(err)
                log.tags({"eeg2fmri.pruned": pruned})
        if pruned:
            mlflow.MlflowClient().set_terminated(log.run_id, "KILLED")
            raise optuna.TrialPruned(pruned)
        return score

    def _train(self, trial: optuna.Trial, model: ModelConfig, log: RunLog) -> float:
        import optuna

        costs = self.space.costs(model)
        log.params({f"search.{name}": cost for name, (cost, _) in costs.items()})
        for name, (cost, most) in costs.items():
            if cost > most:
                raise optuna.TrialPruned(f"{cost:.2e} {name}, more than max_{name} of search.ranges")
        forget_networks()

        first = family_of(model).first_epoch

        def on_epoch(epoch: int, metrics: dict[str, float], example: Any) -> None:
            log.metrics(metrics, step=epoch + first)
            trial.report(metrics[MONITOR], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned(f"below the median after epoch {epoch + first}")

        settings = FitSettings.of(self.config)
        return max(fit(model, self.train, self.validation, settings, on_epoch).history[MONITOR])


def _shortened(model: ModelConfig, epochs: int) -> ModelConfig:
    """Return the model with the search's number of epochs, if it is trained in epochs."""
    training = getattr(model, "training", None)
    if training is None:
        return model
    return model.model_copy(update={"training": training.model_copy(update={"epochs": epochs})})


def _best_model(study: optuna.Study, base: ModelConfig) -> ModelConfig:
    """Return the best trial's model, as the study keeps it."""
    import optuna

    complete = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    if not complete:
        raise DivergenceError(
            f"study {study.study_name}: no trial was completed ({len(study.trials)} pruned or failed); run more trials"
        )
    return type(base).model_validate(study.best_trial.user_attrs[MODEL_ATTRIBUTE])


def _with_model(config: Config, base: ModelConfig, best: ModelConfig, digest: str) -> Config:
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
    log.describe(
        f"A search over the settings of a model: {len(study.trials)} trials, each a child run. The best, trial "
        f"{study.best_trial.number}, scores `{MONITOR}` {study.best_value:+.4f} on the validation subjects "
        "(its settings: `best.yaml`)."
    )
    logger.info("search: best %s %+.4f in trial %d; configuration in %s", MONITOR, study.best_value,
                study.best_trial.number, out)  # fmt: skip


def _searched(config: Config, train: Windows) -> tuple[ModelConfig, Section, Space]:
    """Return the model to search around, its ranges and its space."""
    named = config.search.variant
    models = config.models if named is None else (config.model(named),)
    for model in models:
        family = family_of(model)
        if family.ranges is not None:
            ranges = config.search.ranges.get(model.family) or family.ranges()
            return model, ranges, family.space(model, ranges, train)
    found = ", ".join(model.variant for model in models)
    raise ConfigError(f"models: no model that can be searched (found {found}); add one whose family has a search space")


def _check_sampler(search: SearchConfig) -> None:
    if search.sampler == "gp" and importlib.util.find_spec("torch") is None:
        raise MissingExtraError("search.sampler=gp needs PyTorch: pip install 'eeg2fmri[gp]', or choose tpe")


def _finished(study: optuna.Study) -> int:
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.trials)


def _say(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    value = "pruned" if trial.value is None else f"{trial.value:+.4f}"
    logger.info("search: trial %d %s", trial.number, value)
