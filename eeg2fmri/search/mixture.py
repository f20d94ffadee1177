"""Trials of `search.mode: mixture`: candidates are trained together, and the heaviest become the trial's model."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from eeg2fmri.config import ModelConfig
from eeg2fmri.devices import forget_networks
from eeg2fmri.families import FitSettings, family_of
from eeg2fmri.search.workplace import Workplace
from eeg2fmri.tracking import RunLog
from eeg2fmri.tracking.runs import step_key


def kept_model(here: Workplace, short: ModelConfig, number: int, folder: Path, log: RunLog) -> ModelConfig:
    """Train a mixture around the base, log the weights of its candidates, and return the model of the heaviest.

    Parameters
    ----------
    here : its only part has training and validation subjects.
    short : the base with the search's number of epochs.
    number : seed of the candidates.
    folder : of the trial's checkpoints.
    log : run of the trial.

    Raises
    ------
    DivergenceError
        If the mixture gives no usable model.
    """
    ((train, validation),) = here.parts
    config, mixture = here.job.config, here.mixture(number)
    first = family_of(short).first_epoch

    def on_epoch(epoch: int, metrics: dict[str, float], _example: object) -> None:
        log.metrics({f"mixture/{name}": value for name, value in metrics.items()}, step=epoch + first)

    forget_networks()
    key = step_key("mixture", (), short.model_dump(mode="json"), number, config.search.candidates, here.store.digest,
                   config.run.seed)  # fmt: skip
    settings = FitSettings.of(config, checkpoints=folder / "mixture", key=key)
    start = time.monotonic()
    try:
        result = mixture.fit(short, train, validation, settings, on_epoch)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    log.metrics({"mixture/seconds": time.monotonic() - start})
    log.numbers(mixture.table(result), "mixture.json")
    return mixture.kept(here.base, result)
