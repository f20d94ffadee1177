"""The verb ``synthesize``: one EEG file to one image, or many recordings to a BIDS derivative."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError, IncompleteError, counted
from eeg2fmri.progress import progress_display

if TYPE_CHECKING:
    from eeg2fmri.serving import Bundle

logger = logging.getLogger("eeg2fmri")


def check_output(out: Path, *, one: bool, atlas: Path | None, interval: bool) -> None:
    """Refuse before any work: outputs of a wrong kind or in use, an atlas without a label, intervals of regions."""
    from eeg2fmri.serving import atlas_label, check_place

    if interval and atlas is not None:
        raise ConfigError(
            f"--interval and --atlas {atlas}: errors of voxels go together, so theirs give none of a region's mean; "
            f"leave one of the two out"
        )
    if atlas is not None:
        atlas_label(atlas)
    if one:
        check_place(out, interval=interval)
    elif out.name.endswith((".nii", ".nii.gz")):
        raise ConfigError(f"--out {out}: one image for several recordings; give a folder")


def synthesize_file(
    bundle: Bundle,
    config: Config,
    model: Mapping[str, Any],
    eeg: Path,
    out: Path,
    *,
    atlas: Path | None,
    interval: bool,
) -> None:
    """Synthesise one file into one image, and courses of the regions of a label image or the map of an interval."""
    from eeg2fmri.serving import Courses, synthesise_file

    courses = Courses.of(bundle, atlas) if atlas else None
    with progress_display(visible=sys.stderr.isatty()) as display:
        task = display.add_task("synthesising", total=None, status="")
        shape = synthesise_file(
            bundle, eeg, out, config.dataset.volume_marker, model=model, courses=courses, interval=interval,
            on_volumes=lambda done, total: display.update(task, completed=done, total=total),
        )  # fmt: skip
    logger.info("synthesize: %s, %s", out, " × ".join(map(str, shape)))


def synthesize_many(
    bundle: Bundle,
    config: Config,
    model: Mapping[str, Any],
    source: Path | Sequence[Path],
    out: Path,
    *,
    atlas: Path | None,
    interval: bool,
    workers: int,
    allow_failures: bool,
) -> None:
    """Synthesise the files given, or all EEG of a dataset, into a BIDS derivative.

    Raises
    ------
    IncompleteError
        If some cannot be used, and that was not allowed; the others are done.
    """
    from eeg2fmri.serving import Courses, items_of_files, items_of_root, synthesise_dataset

    courses = Courses.of(bundle, atlas) if atlas else None
    space = bundle.signal.space
    if isinstance(source, Path):
        items, left_out = items_of_root(source, config.dataset, space)
        for line in left_out:
            logger.warning("%s", line)
    else:
        items = items_of_files(source, config.dataset.volume_marker, space)
    with progress_display(visible=sys.stderr.isatty()) as display:
        recordings = display.add_task("recordings", total=len(items), status="")
        volumes = display.add_task("volumes", total=None, status="", visible=workers == 1)
        found = synthesise_dataset(
            bundle, items, out, model=model, courses=courses, interval=interval, workers=workers,
            on_recording=lambda done: display.update(recordings, advance=1, status=done.name),
            on_volumes=lambda done, total: display.update(volumes, completed=done, total=total),
        )  # fmt: skip
    for line in counted(remark for done in found for remark in done.warnings):
        logger.warning("%s", line)
    for done in found:
        if done.error:
            logger.error("%s", done.error)
    failed = [done.name for done in found if done.error]
    kept = sum(done.kept for done in found)
    made = len(found) - len(failed) - kept
    logger.info("synthesize: %s, %d recordings made, %d kept", out, made, kept)
    if failed and not (allow_failures and made + kept):
        raise IncompleteError(
            f"{len(failed)} of {len(found)} recordings cannot be used ({', '.join(failed)}); {out} holds the others; "
            f"correct these, or continue without them (--allow-failures)"
        )
