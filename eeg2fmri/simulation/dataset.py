"""The whole dataset: subject after subject, in a folder that is renamed when it is complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import eeg2fmri
from eeg2fmri.config import SimulationConfig
from eeg2fmri.errors import ConfigError, DatasetError
from eeg2fmri.files import remove_whole, written_whole

SLOWEST_RATE_HZ = 100.0  # the highest rhythm of the networks ends at 45 Hz


def simulate(
    config: SimulationConfig, out: Path | str, *, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write a BIDS dataset of simultaneous EEG-fMRI with known truth.

    The dataset grows in a folder beside `out` called ``<out>.part`` and is renamed when complete. A later call with the
    same configuration continues from the content of such a folder.

    Parameters
    ----------
    config : size, coupling and seed; the same configuration gives the same bytes.
    out : the dataset's folder, which must be new or empty.
    on_progress : called with the number of finished subjects and of all subjects.

    Returns
    -------
    `out`.

    Raises
    ------
    ConfigError
        If the sampling rate or the grid cannot hold the signals, or a raw recording is to have a confound.
    DatasetError
        If `out` is not empty.
    """
    from eeg2fmri.simulation import files, truth, write

    out = Path(out)
    if config.raw and config.confound != "none":
        raise ConfigError(f"simulation.confound: {config.confound} goes with simulation.raw=false only")
    if config.groups and (config.raw or config.confound != "none"):
        raise ConfigError("simulation.groups: EEG from outside the scanner has no confound and no artefact of it; "
                          "leave simulation.raw and simulation.confound out")  # fmt: skip
    if config.sampling_rate < SLOWEST_RATE_HZ:
        raise ConfigError(
            f"simulation.sampling_rate: {config.sampling_rate} Hz must be at least {SLOWEST_RATE_HZ:g} Hz, "
            "for rhythms up to 45 Hz"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} exists and is not empty; give another folder or remove it first")
    part = out.absolute().with_name(f"{out.absolute().name}.part")
    record = _open_part(part, config)
    digits = max(2, len(str(config.subjects)))
    labels = [f"sub-{i + 1:0{digits}d}" for i in range(config.subjects)]
    summaries: list[dict[str, Any]] = []
    for index, label in enumerate(labels):
        summaries.append(_subject(part, label, config, index))
        if on_progress is not None:
            on_progress(index + 1, len(labels))
    subjects = dict(zip(labels, summaries, strict=True))
    write.write_root(part, config, subjects)
    if not config.groups:
        record |= {"power_of_waves": {label: summary["power_of_waves"] for label, summary in subjects.items()}}
    files.write_json(part / truth.FOLDER / "truth.json", record)
    part.replace(out)
    return out


def is_simulated(out: Path, config: SimulationConfig) -> bool:
    """Return whether the finished dataset of this configuration, by this version, is at `out`."""
    from eeg2fmri.simulation import truth

    path = out / truth.FOLDER / "truth.json"
    return path.is_file() and _same(json.loads(path.read_text()), _record(config))


def is_simulation(root: Path) -> bool:
    """Say whether the simulator wrote the dataset at `root`, with any version and settings."""
    from eeg2fmri.simulation import truth

    return (root / truth.FOLDER / "truth.json").is_file()


def _record(config: SimulationConfig) -> dict[str, Any]:
    from eeg2fmri.simulation import truth

    return {"version": eeg2fmri.__version__, "format": truth.FORMAT, "config": config.model_dump(mode="json")}


def _same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(found.get(key) == value for key, value in wanted.items())


def _open_part(part: Path, config: SimulationConfig) -> dict[str, Any]:
    """Make the folder of an unfinished dataset, or accept that of an earlier, equal call."""
    from eeg2fmri.simulation import files, truth

    record = _record(config)
    path = part / truth.FOLDER / "truth.json"
    if part.exists():
        if not path.is_file():
            raise DatasetError(f"{part} exists and is no unfinished simulation; remove it first")
        if _same(json.loads(path.read_text()), record):
            return record
        remove_whole(part)
    with written_whole(part) as new:  # from its first moment on it says what it is of
        (new / truth.FOLDER).mkdir(parents=True)
        files.write_json(new / truth.FOLDER / path.name, record)
    return record


def _subject(part: Path, label: str, config: SimulationConfig, index: int) -> dict[str, Any]:
    """Simulate and write one subject, or read the summary if the subject is there already."""
    from eeg2fmri.simulation import groups, subject, truth, write

    done = truth.summary_path(part, label)
    if done.is_file():
        summary: dict[str, Any] = json.loads(done.read_text())
        return summary
    if config.groups:
        labelled = groups.draw_labelled(config, index)
        write.write_labelled(part, label, labelled, config)
        return truth.write_labelled_truth(part, label, labelled)
    drawn = subject.draw_subject(config, index)
    write.write_subject(part, label, drawn, config)
    return truth.write_truth(part, label, drawn)
