"""Learning rate over a training: its rise and its fall.

t: steps since the start.  w, n: steps of the warm-up and of the whole training.  r: the configured
rate.  f: share of r that is left at the end.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from eeg2fmri.config import TrainingConfig
from eeg2fmri.errors import ConfigError


def learning_rate(options: TrainingConfig, steps_per_epoch: int) -> Any:
    """Return the configured rate as a number or, if it changes, as a schedule.

    After the warm-up, ``cosine`` is r·(f + (1 - f)·(1 + cos(π·s))/2) with s = (t - w)/(n - w)
    (Loshchilov & Hutter 2017, without restarts).

    Raises
    ------
    ConfigError
        If the warm-up takes the whole training.
    """
    if options.warmup_epochs >= options.epochs:
        raise ConfigError(
            f"training.warmup_epochs {options.warmup_epochs:g} takes all of training.epochs {options.epochs}; "
            "make it shorter"
        )
    rate: Any = options.learning_rate
    warmup = round(options.warmup_epochs * steps_per_epoch)
    falling = options.epochs * steps_per_epoch - warmup
    if options.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, falling, alpha=options.final_share)
    return WarmUp(rate, warmup) if warmup else rate


@keras.saving.register_keras_serializable("eeg2fmri")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A straight rise over the first `steps` steps to what follows: the step t < steps has the share (t + 1)/steps."""

    def __init__(self, after: Any, steps: int) -> None:
        super().__init__()
        self.after, self.steps = after, steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rate = self.after(ops.maximum(step - self.steps, 0.0)) if callable(self.after) else self.after
        return rate * ops.minimum((step + 1) / self.steps, 1.0)

    def get_config(self) -> dict[str, Any]:
        after = keras.saving.serialize_keras_object(self.after) if callable(self.after) else self.after
        return {"after": after, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        after = config["after"]
        return cls(keras.saving.deserialize_keras_object(after) if isinstance(after, dict) else after, config["steps"])
