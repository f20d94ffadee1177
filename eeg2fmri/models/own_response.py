"""Response to the EEG of one subject, shrunk towards that of a model of many subjects.

n instances, K maps, H shapes of the response.

The scores of the maps that a model predicts are a sum of H parts, one for each shape of the response in time. The
subject's are the same parts, each times ``1 + w``, with the same w for all maps. So there are H unknowns. They have a
normal prior of mean 0, so that without evidence nothing changes. The noise is that of `eeg2fmri.models.own_maps`; the
posterior mean is a ridge regression.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from eeg2fmri.models.own_maps import precision_of


def response_weights(parts: np.ndarray, measured: np.ndarray, penalties: Sequence[float]) -> list[np.ndarray]:
    """Estimate w of a subject, once for each penalty.

    Parameters
    ----------
    parts : (n, H, K), scores of the maps without drifts that the model predicts, by shape of the response.
    measured : (n, K), those of the subject's BOLD.
    penalties : variance of a score's noise over that of w; infinite for no change.

    Returns
    -------
    w of each, (H,).
    """
    error = measured - parts.sum(axis=1)
    precision = precision_of(error)
    gram = np.einsum("nhk,ngk,k->hg", parts, parts, precision, optimize=True)
    target = np.einsum("nhk,nk,k->h", parts, error, precision, optimize=True)
    shapes = len(target)
    return [
        linalg.solve(gram + penalty * np.eye(shapes), target, assume_a="pos")
        if np.isfinite(penalty)
        else np.zeros(shapes)
        for penalty in penalties
    ]
