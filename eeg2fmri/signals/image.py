"""NIfTI images of volumes on the grid of a store."""

from __future__ import annotations

from typing import Any

import numpy as np

from eeg2fmri.signals.signal import Signal


def nifti_image(volumes: np.ndarray, signal: Signal, description: str) -> Any:
    """Make a NIfTI-1 image in mm and s.

    Parameters
    ----------
    volumes : (x, y, z), or (x, y, z, volumes) one per TR.
    signal : grid, affine, space and TR.
    description : ASCII, at most 79 characters, for the header's ``descrip``.

    Returns
    -------
    nibabel.Nifti1Image
    """
    import nibabel

    affine, space = np.asarray(signal.affine), "mni" if signal.space.startswith("MNI") else "scanner"
    image: Any = nibabel.Nifti1Image(volumes, affine)
    image.set_sform(affine, space)
    image.set_qform(affine, space)
    image.header.set_xyzt_units("mm", "sec")
    if volumes.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], signal.tr))
    image.header["descrip"] = description.encode("ascii")
    return image
