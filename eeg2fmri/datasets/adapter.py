"""Layouts of datasets, and the step from their files to recordings.

A dataset that is not BIDS needs one class. It lists EEG and BOLD files with their labels. Pairing, filters and
reports are the same as for every other dataset.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets.filters import check_choices, chosen, wanted_name
from eeg2fmri.datasets.pairing import Run, match, single
from eeg2fmri.datasets.recording import Echo, Recording, Skipped
from eeg2fmri.datasets.source import Source
from eeg2fmri.errors import DatasetError, nearest

__all__ = ["Adapter", "Source", "eeg_only", "pair"]


class Adapter:
    """The layout of one kind of dataset.

    Subclass it for data that is not BIDS::

        class MyLab(Adapter):
            def eeg_files(self):
                for path in self.root.glob("*/eeg.edf"):
                    yield Source(path, subject=path.parent.name)

            def bold_files(self):
                for path in self.root.glob("*/bold.nii.gz"):
                    yield Source(path, subject=path.parent.name, details={"tr": 2.0})

    and name it in the configuration, ``dataset.name: my_package.my_module:MyLab``. `eeg2fmri.testing.LayoutTests`
    checks that it finds, pairs and times files correctly.

    eeg, bold: the meaning of ``auto`` in `DatasetConfig.eeg` and `DatasetConfig.bold`.
    expected: the layout in words, for the message that nothing was found.

    A layout adds files that it leaves out on purpose to `skipped`, with the reason.
    """

    eeg = "raw"
    bold = "raw"
    expected = "EEG and BOLD files that its adapter knows"

    def __init__(self, root: Path, config: DatasetConfig) -> None:
        self.root = root
        self.config = config
        self.eeg_choice = self.eeg if config.eeg == "auto" else config.eeg
        self.bold_choice = self.bold if config.bold == "auto" else config.bold
        self.skipped: list[Skipped] = []

    def eeg_files(self) -> Iterable[Source]:
        """List the EEG files of `root`; of an EEG of several files, list its header.

        If one name exists in several formats, the first is read. Other files of one run are refused.
        """
        raise NotImplementedError

    def bold_files(self) -> Iterable[Source]:
        """List the BOLD files of `root`; several of one run are refused unless they are echoes (`Source.entities`)."""
        raise NotImplementedError


def pair(adapter: Adapter) -> tuple[list[Recording], list[Skipped], tuple[int, int]]:
    """Pair the files of a dataset by the entities that they share.

    Returns
    -------
    recordings, sorted by name; files that belong to none; number of EEG and of BOLD files.
    """
    eeg_sources, bold_sources = list(adapter.eeg_files()), list(adapter.bold_files())
    check_choices(adapter.root, adapter.config, eeg_sources, bold_sources, adapter.skipped)
    _check_named(adapter, [source.name for source in eeg_sources])
    eeg, bold = chosen(eeg_sources, adapter.config), chosen(bold_sources, adapter.config)
    found = match(eeg, bold, adapter.config)
    pairs = sorted(found.pairs, key=lambda pair: pair[0].first.identity)
    recordings = [_recording(one.first, other, adapter.config) for one, other in pairs]
    left_out = [item for item in adapter.skipped if wanted_name(item, adapter.config)]
    return recordings, [*found.skipped, *left_out], (len(eeg), len(bold))


def eeg_only(adapter: Adapter) -> tuple[list[Source], list[Skipped]]:
    """List the EEG of a dataset, whether there is BOLD or not: one file for each run, and the files left out."""
    sources = list(adapter.eeg_files())
    check_choices(adapter.root, adapter.config, sources, (), adapter.skipped)
    found, skipped = single(chosen(sources, adapter.config), adapter.config)
    left_out = [item for item in adapter.skipped if wanted_name(item, adapter.config)]
    return sorted(found, key=lambda source: source.identity), [*skipped, *left_out]


def _recording(eeg: Source, run: Run, config: DatasetConfig) -> Recording:
    bold = run.first
    forced = {"alignment": config.alignment} if config.alignment != "auto" else {}
    fields: dict[str, Any] = {
        "missing_markers": config.missing_markers.get(eeg.name, config.missing_markers.get("all", "refuse")),
        "surplus_markers": config.surplus_markers.get(eeg.name, config.surplus_markers.get("all", "refuse")),
        "volume_marker": config.volume_marker,
        "orientation": config.orientation,
        **eeg.details,
        **bold.details,
        "echoes": tuple(Echo(s.path, s.details.get("sidecars", ())) for s in run.sources) if run.sources[1:] else (),
        **forced,
    }
    return Recording(
        subject=f"sub-{eeg.subject}",
        name=eeg.name,
        eeg_path=eeg.path,
        bold_path=bold.path,
        session=eeg.session,
        task=eeg.task,
        run=eeg.run,
        **fields,
    )


def _check_named(adapter: Adapter, names: list[str]) -> None:
    """Refuse a name in a setting by recording that no EEG file has."""
    for setting in ("missing_markers", "surplus_markers"):
        for name in getattr(adapter.config, setting):
            if name not in ("all", *names):
                hint = nearest(name, names) or f"; there: {', '.join(sorted(names)[:8])}"
                raise DatasetError(f"dataset.{setting}: {adapter.root} has no recording {name!r}{hint}")
