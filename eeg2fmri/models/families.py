"""How the networks of the families are kept as files.

A network that is nothing but arrays is a dataclass of them and becomes an ``.npz``; every other one is
a Keras model and becomes a ``.keras``, written and read in safe mode. Neither holds code or pickles.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from eeg2fmri.errors import ModelError
from eeg2fmri.models.fitted import KerasNetwork, Network
from eeg2fmri.models.linear import LinearNetwork
from eeg2fmri.models.mean import MeanNetwork

# A family of arrays only is one line here; the dataclass takes its arrays by name.
ARRAY_NETWORKS: dict[str, type[LinearNetwork] | type[MeanNetwork]] = {"linear": LinearNetwork, "mean": MeanNetwork}


def needs_keras(family: str) -> bool:
    """Whether the network of a family is a Keras model."""
    return family not in ARRAY_NETWORKS


def save_network(folder: Path, family: str, network: Network) -> None:
    """Write the network of a model of this family as ``network.npz`` or ``network.keras``."""
    if isinstance(network, KerasNetwork):
        network.model.save(folder / "network.keras")
    else:
        names = [f.name for f in fields(ARRAY_NETWORKS[family])]
        np.savez(folder / "network.npz", allow_pickle=False, **{name: getattr(network, name) for name in names})


def load_network(folder: Path, family: str) -> Network:
    """Read what `save_network` wrote.

    Raises
    ------
    ModelError
        If the file is missing or does not hold the family's arrays.
    """
    path = folder / ("network.keras" if needs_keras(family) else "network.npz")
    if not path.exists():
        raise ModelError(f"{path}: missing, a model of the family {family} needs it; fetch the model again")
    if needs_keras(family):
        import keras

        import eeg2fmri.models.factorised
        import eeg2fmri.models.layers  # noqa: F401

        return KerasNetwork(keras.saving.load_model(path, compile=False, safe_mode=True))
    kind = ARRAY_NETWORKS[family]
    names = [f.name for f in fields(kind)]
    with np.load(path, allow_pickle=False) as arrays:
        if absent := [name for name in names if name not in arrays.files]:
            raise ModelError(f"{path}: no array {', '.join(absent)}, found {', '.join(arrays.files)}; train it again")
        return kind(**{name: arrays[name] for name in names})
