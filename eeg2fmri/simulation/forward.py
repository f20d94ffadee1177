"""Forward model of the electrodes: cap layout and spherical four-shell head model.

An ellipsoid that is fitted to the cap maps MNI mm to a sphere of 9 cm, for which MNE's model is solved.
The cap is the 64-channel BrainCap MR of the NODDI recordings (Deligianni et al. 2014): 63 EEG
electrodes of the 10-05 system in this order, reference FCz, ground AFz, and one ECG lead.
"""

from __future__ import annotations

import functools

import numpy as np

_LAYOUT = (
    "Fp1 Fp2 F3 F4 C3 C4 P3 P4 O1 O2 F7 F8 T7 T8 P7 P8 Fz Cz Pz Oz FC1 FC2 CP1 CP2 FC5 FC6 CP5 CP6 TP9 TP10 "
    "POz F1 F2 C1 C2 P1 P2 AF3 AF4 FC3 FC4 CP3 CP4 PO3 PO4 F5 F6 C5 C6 P5 P6 AF7 AF8 FT7 FT8 TP7 TP8 PO7 PO8 "
    "FT9 FT10 Fpz CPz"
)
CHANNELS = tuple(_LAYOUT.split())
REFERENCE, GROUND = "FCz", "AFz"
HEAD_RADIUS_M = 0.09


@functools.lru_cache(maxsize=1)
def electrode_positions() -> dict[str, np.ndarray]:
    """Return MNI mm (Colin27 head) of the cap's electrodes and of the reference, by name."""
    import mne

    known = mne.channels.get_builtin_montages()
    name = "colin27_1005" if "colin27_1005" in known else "standard_1005"  # renamed in MNE 1.13
    positions = mne.channels.make_standard_montage(name).get_positions()["ch_pos"]
    return {c: np.asarray(positions[c], dtype="float64") * 1e3 for c in (*CHANNELS, REFERENCE)}


@functools.lru_cache(maxsize=1)
def _ellipsoid() -> tuple[np.ndarray, np.ndarray]:
    """Fit an ellipsoid through the electrodes (least squares): centre and semi-axes in mm."""
    points = np.stack(list(electrode_positions().values()))
    solution = np.linalg.lstsq(np.hstack([points**2, points]), np.ones(len(points)), rcond=None)[0]
    square, linear = solution[:3], solution[3:]
    centre = -linear / (2 * square)
    return centre, np.sqrt((1 + (square * centre**2).sum()) / square)


def leadfield(dipoles_mm: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Compute the potential at the 63 electrodes against the reference, (63, n_dipoles), in V per A m.

    Parameters
    ----------
    dipoles_mm : (n_dipoles, 3) in MNI mm.
    moments : (n_dipoles, 3) directions, unit length.
    """
    import mne

    centre, axes = _ellipsoid()
    inside = (np.asarray(dipoles_mm) - centre) / axes
    # The brain shell of the model ends at 0.9 of the radius; the few voxels of the template beyond 0.87
    # (the ellipsoid is not a head) are moved radially onto it.
    inside *= np.minimum(1, 0.87 / np.linalg.norm(inside, axis=1, keepdims=True))
    scalp = {c: (p - centre) / axes for c, p in electrode_positions().items()}
    scalp = {c: HEAD_RADIUS_M * p / np.linalg.norm(p) for c, p in scalp.items()}
    info = mne.create_info(list(scalp), 1000.0, "eeg")
    info.set_montage(mne.channels.make_dig_montage(scalp, coord_frame="head"))
    points = {"rr": inside * HEAD_RADIUS_M, "nn": np.asarray(moments)}
    source = mne.setup_volume_source_space(pos=points, sphere_units="m", verbose="ERROR")
    sphere = mne.make_sphere_model((0.0, 0.0, 0.0), HEAD_RADIUS_M, verbose="ERROR")
    forward = mne.make_forward_solution(
        info, trans=None, src=source, bem=sphere, meg=False, mindist=0.0, verbose="ERROR"
    )
    field = forward["sol"]["data"].reshape(len(scalp), -1, 3)
    potential = np.einsum("cdk,dk->cd", field, np.asarray(moments))
    return potential[:-1] - potential[-1]
