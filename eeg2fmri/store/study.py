"""Names of a study, in MLflow too, where the configuration gives no names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from eeg2fmri.config import Config
from eeg2fmri.errors import DatasetError, StoreError
from eeg2fmri.simulation import is_simulation
from eeg2fmri.store.store import Store

SIMULATED = "eeg2fmri"


def dataset_name(root: Path) -> str:
    """Call a data set by its folder; every simulated one is `SIMULATED`.

    Characters that an address in MLflow cannot have become hyphens.

    Raises
    ------
    DatasetError
        If nothing of the folder's name is left.
    """
    if is_simulation(root):
        return SIMULATED
    folder = Path(os.path.abspath(root)).name
    if name := re.sub(r"[^\w.-]+", "-", folder).strip("-."):
        return name
    raise DatasetError(f"{root}: the data set is called by its folder, and {folder!r} is no name; rename the folder")


def with_names(config: Config, name: str) -> Config:
    """Call experiment and registered model by a data set, where `config` does not name them."""
    run = config.run.model_copy(update={"experiment": config.run.experiment or name})
    registry = config.registry.model_copy(update={"name": config.registry.name or name})
    return config.model_copy(update={"run": run, "registry": registry})


def named(config: Config, store: Store) -> Config:
    """Do as `with_names`, by the data set that a store says it is of.

    Raises
    ------
    StoreError
        If it does not say so.
    """
    if not store.name:
        raise StoreError(
            f"{store.path}: does not say of which data set it is, an earlier version wrote it; "
            "preprocess the dataset again, which keeps what is whole"
        )
    return with_names(config, store.name)
