"""The recordings of a dataset, from the name of its layout and its folder."""

from __future__ import annotations

import importlib
from pathlib import Path

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets.adapter import Adapter, Source, eeg_only, pair
from eeg2fmri.datasets.bids import Bids
from eeg2fmri.datasets.noddi import Noddi
from eeg2fmri.datasets.oddball import Oddball
from eeg2fmri.datasets.recording import Recording, Skipped
from eeg2fmri.datasets.xp import Xp
from eeg2fmri.errors import ConfigError, DatasetError, nearest

ADAPTERS: dict[str, type[Adapter]] = {
    "bids": Bids,
    "cn-epfl": Bids,
    "noddi": Noddi,
    "oddball": Oddball,
    "xp1": Xp,
    "xp2": Xp,
}


def find_recordings(root: Path | str, config: DatasetConfig | None = None) -> tuple[list[Recording], list[Skipped]]:
    """Pair the EEG and BOLD files of a dataset by the entities that they share.

    Parameters
    ----------
    root : folder of the dataset.
    config : its layout, filters and derivatives; any BIDS dataset, raw, by default.

    Returns
    -------
    recordings, sorted by name, and the files that belong to none, with the reason.

    Raises
    ------
    DatasetError
        If `root` is missing or holds no pair, or a filter's label matches nothing.
    ConfigError
        If the layout is not known.
    """
    recordings, skipped, (n_eeg, n_bold), expected = list_recordings(Path(root), config or DatasetConfig())
    if not recordings:
        first = next((item for item in skipped if "dataset." in item.reason), None)  # a setting would help
        why = f"{first.path.name}: {first.reason}" if first else f"{expected} is expected"
        raise DatasetError(
            f"{root}: no recording with both EEG and BOLD (found {n_eeg} EEG and {n_bold} BOLD files); {why}; "
            f"eeg2fmri inspect {root} gives the reason for each file"
        )
    return recordings, skipped


def find_eeg(root: Path | str, config: DatasetConfig | None = None) -> tuple[list[Source], list[Skipped]]:
    """List the EEG files of a dataset, whether BOLD was measured with them or not.

    Parameters
    ----------
    root : folder of the dataset.
    config : its layout, filters and derivatives; any BIDS dataset, raw, by default.

    Returns
    -------
    A file for each run, sorted, and the files that are left out, with the reason.

    Raises
    ------
    DatasetError
        If `root` is missing or holds no EEG, or a filter's label matches nothing.
    ConfigError
        If the layout is not known.
    """
    config, root = config or DatasetConfig(), Path(root)
    found, skipped = eeg_only(_adapter(root, config))
    if not found:
        why = f"; {skipped[0].path.name}: {skipped[0].reason}" if skipped else ""
        raise DatasetError(f"{root}: no EEG recording, sub-*/eeg/*_eeg.vhdr or the like is expected{why}")
    return found, skipped


def list_recordings(root: Path, config: DatasetConfig) -> tuple[list[Recording], list[Skipped], tuple[int, int], str]:
    """Do as `find_recordings`, but accept a dataset without a pair; also return counts and the expected layout."""
    adapter = _adapter(root, config)
    recordings, skipped, counts = pair(adapter)
    return recordings, skipped, counts, adapter.expected


def _adapter(root: Path, config: DatasetConfig) -> Adapter:
    """Open a dataset by its layout."""
    layout = adapter_class(config.name)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such dataset folder; give the folder that holds dataset_description.json")
    return layout(root, config)


def adapter_class(name: str) -> type[Adapter]:
    """Return the layout called `name`, or the class at a dotted path ``package.module:Class``."""
    if name in ADAPTERS:
        return ADAPTERS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(
            f"dataset.name: {name!r} is not known; expected {', '.join(ADAPTERS)} or package.module:Class"
            f"{nearest(name, ADAPTERS)}"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as err:
        raise ConfigError(f"dataset.name: {name!r} cannot be imported ({err}); put its folder on PYTHONPATH") from err
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise ConfigError(f"dataset.name: {name!r} is no subclass of eeg2fmri.datasets.Adapter; derive it from that")
    return found
