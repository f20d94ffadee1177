"""Files of networks: arrays, or a Keras model in safe mode. Neither holds code or pickles."""

from __future__ import annotations

import json
import zipfile
from abc import ABC
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.devices import device_of_environment, import_keras, use_device
from eeg2fmri.errors import ModelError
from eeg2fmri.families.family import Family, Settings
from eeg2fmri.models.fitted import FittedModel, KerasNetwork, Network


class ArrayFamily(Family[Settings], ABC):
    """A family whose network is a dataclass of arrays; it becomes ``network.npz``."""

    network: type[Any]

    def save(self, folder: Path, network: Network) -> None:
        """Save the network, see `Family`."""
        names = [field.name for field in fields(self.network)]
        np.savez(folder / "network.npz", allow_pickle=False, **{name: getattr(network, name) for name in names})

    def load(self, folder: Path) -> Network:
        """Load a network, see `Family`."""
        path = _existing(folder / "network.npz")
        names = [field.name for field in fields(self.network)]
        with np.load(path, allow_pickle=False) as arrays:
            if absent := [name for name in names if name not in arrays.files]:
                raise ModelError(
                    f"{path}: no array {', '.join(absent)}, found {', '.join(arrays.files)}; train it again"
                )
            found: Network = self.network(**{name: arrays[name] for name in names})
        return found


class KerasFamily(Family[Settings], ABC):
    """A family whose network is a Keras model; it becomes ``network.keras``.

    layers: modules that register the layers of the network.
    """

    packages: Sequence[str] = ("keras", "tensorflow")
    layers: Sequence[str] = ()

    def save(self, folder: Path, network: Network) -> None:
        """Save the network, see `Family`."""
        assert isinstance(network, KerasNetwork)
        network.model.save(folder / "network.keras")

    def load(self, folder: Path) -> Network:
        """Load a network, see `Family`."""
        path = _existing(folder / "network.keras")
        keras = import_keras()
        use_device(device_of_environment())
        for module in self.layers:
            import_module(module)
        with zipfile.ZipFile(path) as archive:
            config = {**json.loads(archive.read("config.json")), "compile_config": None}
        network = keras.saving.deserialize_keras_object(config, safe_mode=True)
        network.load_weights(path)  # unlike `keras.saving.load_model`, it does not hold the whole file in memory
        return KerasNetwork(network)

    def maps(self, network: Network) -> np.ndarray | None:
        """Return the basis of the network's `PrincipalVolumes`, if it has that layer."""
        assert isinstance(network, KerasNetwork)
        layer = _principal_volumes(network.model)
        return None if layer is None else np.asarray(layer.get_weights()[1])

    def with_maps(self, network: Network, maps: np.ndarray, mean: np.ndarray) -> KerasNetwork:
        """Return a copy whose `PrincipalVolumes` have another basis."""
        assert isinstance(network, KerasNetwork)
        copy = copied(network.model)
        layer = _principal_volumes(copy)
        layer.set_weights([layer.get_weights()[0], maps])
        return KerasNetwork(copy)

    def shares(self, model: FittedModel, eeg: np.ndarray) -> np.ndarray | None:
        """Return gradient × input of the squared fluctuations, over windows and lags, by its sum; on TensorFlow only.

        The input is what it differs from its mean by. Of a linear network the products add up to the squared
        fluctuations of its volumes (Shrikumar et al. 2017, arXiv 1605.01713; Ancona et al. 2018, arXiv 1711.06104).
        """
        from eeg2fmri.training.backend import input_gradients

        assert isinstance(model.network, KerasNetwork)
        scaled = model.scaled(eeg)
        gradients = input_gradients(model.network.model, scaled)
        if gradients is None:
            return None
        products = ((scaled - scaled.mean(axis=0)) * gradients).sum(axis=(0, 3), dtype=np.float64)
        return products / total if (total := products.sum()) > 0 else None


def copied(model: Any) -> Any:
    """Return a copy of a Keras model that shares no weights with it."""
    copy = import_keras().models.clone_model(model)
    for own, other in zip(copy.weights, model.weights, strict=True):
        own.assign(other)
    return copy


def _principal_volumes(model: Any) -> Any:
    """Return the layer that makes volumes of component scores, perhaps within another layer; ``None`` without one."""
    from eeg2fmri.models.layers import PrincipalVolumes

    layers = [inner for layer in model.layers for inner in (layer, *getattr(layer, "layers", ()))]
    return next((layer for layer in layers if isinstance(layer, PrincipalVolumes)), None)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ModelError(f"{path}: it is missing, and the model needs it; fetch the model again")
    return path
