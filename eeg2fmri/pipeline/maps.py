"""Maps of an evaluation as NIfTI files."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np

from eeg2fmri.evaluation import FDR_LEVEL
from eeg2fmri.scoring import Scoring
from eeg2fmri.signals import nifti_image


def voxel_maps(scored: Scoring) -> dict[str, bytes]:
    """Return the content of NIfTI files by name: where a model follows measured BOLD over time.

    ``correlation.nii.gz``: Pearson's r, mean over subjects.  ``correlation_fdr.nii.gz``: the same where q is below
    `FDR_LEVEL`, 0 elsewhere.  ``correlation_q.nii.gz``: q, the false-discovery rate; 1 where no voxel was tested.
    """
    voxels = scored.voxels
    maps = {
        "correlation": (voxels.correlation, "r over time, mean over subjects"),
        "correlation_fdr": (np.where(voxels.significant, voxels.correlation, 0), f"r where FDR q < {FDR_LEVEL:g}"),
        "correlation_q": (voxels.q, "FDR q of r over time, one-sided"),
    }
    return {f"{name}.nii.gz": _content(nifti_image(each.astype(np.float32), scored.signal, f"{text}, eeg2fmri"))
            for name, (each, text) in maps.items()}  # fmt: skip


def _content(image: Any) -> bytes:
    return gzip.compress(image.to_bytes(), mtime=0)
