"""Files of a BIDS dataset: JSON, tab-separated tables and NIfTI, the same bytes for the same content."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.files import written_whole


def write_json(path: Path | str, content: Any) -> None:
    """Write JSON, whole or not at all."""
    with written_whole(Path(path)) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tsv(path: Path | str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table; floats keep every digit."""
    lines = ["\t".join(str(cell) for cell in row) for row in (header, *rows)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_nifti(path: Path | str, data: np.ndarray, affine: np.ndarray, tr_s: float | None = None) -> None:
    """Write a NIfTI-1 file in mm and s, unscaled, compressed at level 1 without a time stamp."""
    import nibabel as nib

    image = nib.Nifti1Image(data, affine)
    image.set_qform(affine, code="aligned")
    image.set_sform(affine, code="aligned")
    image.header.set_xyzt_units("mm", "sec")
    if tr_s is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr_s))
    with (
        open(path, "wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0) as out,
    ):
        image.to_stream(out)
