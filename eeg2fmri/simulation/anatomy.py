"""Heads: the MNI152 tissue maps on an EPI grid, with gradient-echo contrast.

Symbols: grid (x, y, z) voxels; mm are MNI152 / scanner millimetres, axes to the right, front and top.

References
----------
Deligianni et al. 2014, Front. Neurosci. 8:258 (the NODDI recordings): 64 x 64 x 30 voxels over
210 x 210 x 120 mm, TR 2.16 s, TE 30 ms, flip angle 75 degrees, 3 T.
Wansapura et al. 1999, J. Magn. Reson. Imaging 9:531: T1 and T2* of grey and white matter at 3 T.
Ojemann et al. 1997, NeuroImage 6:156: signal loss over the orbitofrontal and inferior temporal cortex.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from eeg2fmri.errors import ConfigError

FIELD_OF_VIEW_MM = (210.0, 210.0, 120.0)  # Deligianni et al. 2014
CENTRE_MM = (0.0, -17.0, 18.0)  # the cerebrum of MNI152 is centred here
ECHO_TIME_S, FLIP_ANGLE_DEG = 0.030, 75.0  # Deligianni et al. 2014

# (proton density relative to water, T1 s, T2* s): Wansapura et al. 1999 for grey and white matter at
# 3 T; cerebrospinal fluid is close to free water.
GREY, WHITE, FLUID = (0.80, 1.331, 0.0518), (0.68, 0.832, 0.0448), (1.0, 4.0, 0.4)

# Centres (mm) of signal loss above the sphenoid sinus and the ear canals (Ojemann et al. 1997).
DROPOUTS_MM = ((0.0, 38.0, -24.0), (-48.0, -12.0, -34.0), (48.0, -12.0, -34.0))
DROPOUT_LOSS, DROPOUT_SD_MM = 0.7, 12.0

# Differences between heads after a coarse alignment to MNI152: a size spread of a few per cent (brain
# length and width vary by 3-4 % between adults; Allen et al. 2002, Am. J. Phys. Anthropol. 118:341)
# and a few mm and degrees of position.
SIZE_SD, SHIFT_SD_MM, TILT_SD_DEG = 0.025, 2.0, 1.5
FIELD_SD = 0.1  # receive-field variation over the brain, relative (32-channel coils, after prescan correction)


@dataclass(frozen=True)
class Anatomy:
    """One subject's head on the EPI grid; `warp` maps MNI mm to this head's mm."""

    affine: np.ndarray  # (4, 4), voxel to mm
    warp: np.ndarray  # (4, 4), MNI152 mm to scanner mm
    baseline: np.ndarray  # (x, y, z) float32, mean EPI intensity
    grey: np.ndarray  # (x, y, z) float32, grey-matter fraction
    fluid: np.ndarray  # (x, y, z) float32, cerebrospinal-fluid fraction
    mask: np.ndarray  # (x, y, z) bool, brain

    def positions(self) -> np.ndarray:
        """Return scanner mm of every voxel centre, (x, y, z, 3)."""
        index = np.stack(np.meshgrid(*(np.arange(n) for n in self.mask.shape), indexing="ij"), axis=-1)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]


def grid_affine(grid: tuple[int, int, int]) -> np.ndarray:
    """Return the voxel-to-mm matrix (4, 4) that spreads `grid` over the field of view."""
    zooms = np.array(FIELD_OF_VIEW_MM) / grid
    affine = np.diag([*zooms, 1.0])
    affine[:3, 3] = np.array(CENTRE_MM) - zooms * (np.array(grid) - 1) / 2
    return affine


def draw_anatomy(grid: tuple[int, int, int], tr_s: float, rng: np.random.Generator) -> Anatomy:
    """Draw a random head around the MNI152 template.

    Parameters
    ----------
    grid : voxels on each axis.
    tr_s : repetition time in seconds, which sets the T1 weighting.
    rng : source of the subject's size, position, receive field and intensity scale.
    """
    affine, warp = grid_affine(grid), _draw_warp(rng)
    tissues, template_affine = _smoothed_tissues(grid)
    to_template = np.linalg.inv(template_affine) @ np.linalg.inv(warp) @ affine
    grey, white, brain = (_resample(t, to_template, grid) for t in tissues)
    mask = brain > 0.5
    if mask.sum() < 8:
        raise ConfigError(f"simulation.grid: {grid} leaves {mask.sum()} voxels in the brain; set more voxels")
    fluid = np.clip(brain - grey - white, 0, 1)
    signal = sum(
        f * _gradient_echo(tr_s, *tissue) for f, tissue in zip((grey, white, fluid), (GREY, WHITE, FLUID), strict=True)
    )
    anatomy = Anatomy(affine, warp, np.zeros(grid, "float32"), grey, fluid, mask)
    signal = signal * _dropout(anatomy) * np.exp(smooth_field(grid, FIELD_SD, rng))
    # The intensity unit of a scanner is arbitrary: about 1000 in the brain, differing between subjects.
    scale = 1000.0 * np.exp(0.15 * rng.standard_normal()) / np.median(signal[mask])
    return Anatomy(affine, warp, (signal * scale).astype("float32"), grey, fluid, mask)


def smooth_field(grid: tuple[int, int, int], sd: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a second-order polynomial over the grid, (x, y, z), of standard deviation `sd`."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in grid), indexing="ij")
    terms = np.stack([x, y, z, x * y, y * z, x * z, x * x, y * y, z * z])
    field = np.tensordot(rng.standard_normal(len(terms)), terms, axes=1)
    spread = field.std()
    return sd * (field - field.mean()) / spread if spread > 0 else np.zeros(grid)


@functools.lru_cache(maxsize=1)
def grey_points() -> tuple[np.ndarray, np.ndarray]:
    """Return positions (n, 3) in MNI mm and grey-matter fraction (n,) of the template's grey voxels."""
    (grey, _, _), affine = _tissues()
    index = np.argwhere(grey > 0.5)
    return index @ affine[:3, :3].T + affine[:3, 3], grey[grey > 0.5]


@functools.lru_cache(maxsize=1)
def _tissues() -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Load grey matter, white matter and brain of MNI152 at 2 mm (bundled with nilearn)."""
    from nilearn import datasets

    loaders = (
        datasets.load_mni152_gm_template,
        datasets.load_mni152_wm_template,
        datasets.load_mni152_brain_mask,
    )
    images = [load(resolution=2) for load in loaders]
    return tuple(np.asarray(i.dataobj, dtype="float32") for i in images), images[0].affine


@functools.lru_cache(maxsize=2)
def _smoothed_tissues(grid: tuple[int, int, int]) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Blur the tissue maps by the voxel of `grid` (full width at half maximum = voxel size)."""
    from scipy import ndimage

    tissues, affine = _tissues()
    sigma = np.array(FIELD_OF_VIEW_MM) / grid / np.abs(np.diag(affine)[:3]) / np.sqrt(8 * np.log(2))
    return tuple(ndimage.gaussian_filter(t, sigma, mode="constant") for t in tissues), affine


def _resample(volume: np.ndarray, matrix: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    from scipy import ndimage

    out = ndimage.affine_transform(volume, matrix[:3, :3], matrix[:3, 3], output_shape=grid, order=1)
    return np.clip(out, 0, 1)


def _draw_warp(rng: np.random.Generator) -> np.ndarray:
    """Draw size, tilt (nodding) and position of a head relative to MNI152, (4, 4)."""
    scale = 1 + SIZE_SD * np.clip(rng.standard_normal(3), -2, 2)
    angle = np.deg2rad(TILT_SD_DEG) * np.clip(rng.standard_normal(), -2, 2)
    warp = np.eye(4)
    warp[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    warp[:3, :3] = warp[:3, :3] @ np.diag(scale)
    warp[:3, 3] = SHIFT_SD_MM * np.clip(rng.standard_normal(3), -2, 2)
    return warp


def _gradient_echo(tr_s: float, density: float, t1: float, t2star: float) -> float:
    """Compute the steady-state signal of a spoiled gradient echo (Ernst & Anderson 1966)."""
    angle, decay = np.deg2rad(FLIP_ANGLE_DEG), np.exp(-tr_s / t1)
    return float(density * np.sin(angle) * (1 - decay) / (1 - np.cos(angle) * decay) * np.exp(-ECHO_TIME_S / t2star))


def _dropout(anatomy: Anatomy) -> np.ndarray:
    """Compute the remaining share of the signal near air cavities, (x, y, z)."""
    positions, remaining = anatomy.positions(), np.ones(anatomy.mask.shape)
    for centre in DROPOUTS_MM:
        here = anatomy.warp[:3, :3] @ np.array(centre) + anatomy.warp[:3, 3]
        distance = ((positions - here) ** 2).sum(axis=-1)
        remaining *= 1 - DROPOUT_LOSS * np.exp(-distance / (2 * DROPOUT_SD_MM**2))
    return remaining
