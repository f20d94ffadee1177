"""Networks that tie a rhythm of the EEG to BOLD: where, at which frequency and with which sign.

Positions are MNI mm of regions published by Dosenbach et al. 2010 (Science 329:1358, the 160 regions
that nilearn ships); each network says where its pairing of rhythm, region and sign was reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eeg2fmri.simulation.anatomy import Anatomy, grey_points

Point = tuple[float, float, float]

REGION_SD_MM = 8.0  # an active region is about 2 cm wide (full width at half maximum)
# Functional areas lie some millimetres apart between subjects after alignment of the brains
# (Frost & Goebel 2012, NeuroImage 59:1369).
POSITION_SD_MM = 3.0
REGION_WEIGHT_SD = 0.2  # log-normal spread of a region's share between subjects
DIPOLES_PER_SOURCE = 12
# Pyramidal cells stand across the cortex; over a patch of 2 cm gyral crowns, radial to the head,
# dominate what the scalp sees (Nunez & Srinivasan 2006, Electric Fields of the Brain, ch. 2).
ORIENTATION_SD = 0.5


@dataclass(frozen=True)
class Rhythm:
    """Oscillation between `low_hz` and `high_hz`; `amplitude_uv` is typical at the best electrode."""

    low_hz: float
    high_hz: float
    amplitude_uv: float


@dataclass(frozen=True)
class Network:
    """EEG `sources` and BOLD `regions` (MNI mm), the rhythms, and the sign of their relation."""

    name: str
    rhythms: tuple[Rhythm, ...]
    sign: int
    sources: tuple[Point, ...]
    regions: tuple[Point, ...]
    reference: str


_OCCIPITAL = ((-4, -94, 12), (13, -91, 2), (-29, -88, 8), (27, -91, 2), (-5, -80, 9), (9, -76, 14))
_HANDS = ((-47, -18, 50), (-38, -27, 60), (46, -20, 45), (41, -23, 55))
_DEFAULT = ((-6, -56, 29), (5, -50, 33), (-48, -63, 35), (51, -59, 34), (-11, 45, 17), (9, 39, 20))
_ATTENTION = ((-32, -58, 46), (32, -59, 41), (-41, -40, 42), (54, -44, 43), (-42, 7, 36), (44, 8, 34))

# Amplitudes: alpha 10-30 uV over the occiput, mu below it, beta and frontal theta of some uV, gamma about
# 1 uV at the scalp (Niedermeyer & Lopes da Silva 2005, Electroencephalography, ch. 9).
NETWORKS = (
    Network(
        "visual",
        (Rhythm(8, 12, 20.0),),
        -1,
        _OCCIPITAL[:4],
        _OCCIPITAL,
        "Goldman et al. 2002, NeuroReport 13:2487; Moosmann et al. 2003, NeuroImage 20:145",
    ),
    Network(
        "sensorimotor",
        (Rhythm(9, 13, 8.0), Rhythm(17, 25, 4.0)),
        -1,
        (_HANDS[0], _HANDS[2]),
        (*_HANDS, (0, -1, 52)),
        "Ritter et al. 2009, Hum. Brain Mapp. 30:1168",
    ),
    Network(
        "midline-theta",
        (Rhythm(4, 7, 6.0),),
        -1,
        ((-1, 28, 40), (0, 15, 45)),
        ((0, 51, 32), (-6, 50, -1), (8, 42, -5), (-25, 51, 27), (23, 33, 47), (-16, 29, 54)),
        "Scheeringa et al. 2008, Int. J. Psychophysiol. 67:242",
    ),
    Network(
        "default-mode",
        (Rhythm(17, 23, 4.0),),
        1,
        _DEFAULT[:4],
        _DEFAULT,
        "Laufs et al. 2003, PNAS 100:11053; Mantini et al. 2007, PNAS 104:13170",
    ),
    Network(
        "attention",
        (Rhythm(13, 17, 4.0),),
        -1,
        _ATTENTION,
        _ATTENTION,
        "Laufs et al. 2003, NeuroImage 19:1463; Mantini et al. 2007, PNAS 104:13170",
    ),
    Network(
        "frontal-gamma",
        (Rhythm(30, 45, 1.2),),
        1,
        ((-43, 47, 2), (42, 48, -3), (29, 57, 18)),
        ((-43, 47, 2), (42, 48, -3), (29, 57, 18), (-29, 57, 10), (39, 42, 16)),
        "Mantini et al. 2007, PNAS 104:13170",
    ),
)


@dataclass(frozen=True)
class Placement:
    """One network in one head: its BOLD map (x, y, z) in 0..1 and its dipoles, one patch per source.

    `dipoles_mm` is (sources, dipoles, 3) in MNI mm, `moments` of the same shape are unit vectors.
    """

    map: np.ndarray
    dipoles_mm: np.ndarray
    moments: np.ndarray


def place(network: Network, anatomy: Anatomy, rng: np.random.Generator) -> Placement:
    """Draw where a network lies in a head."""
    regions = np.array(network.regions) + POSITION_SD_MM * rng.standard_normal((len(network.regions), 3))
    weights = np.exp(REGION_WEIGHT_SD * rng.standard_normal(len(regions)))
    sources = np.array(network.sources) + POSITION_SD_MM * rng.standard_normal((len(network.sources), 3))
    patches = [_patch(centre, rng) for centre in sources]
    return Placement(
        _bold_map(regions, weights, anatomy),
        np.stack([p for p, _ in patches]),
        np.stack([m for _, m in patches]),
    )


def _bold_map(regions: np.ndarray, weights: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Gaussian regions within grey matter, (x, y, z), the largest value 1."""
    positions = anatomy.positions()
    zooms = np.diag(anatomy.affine)[:3]
    variance = REGION_SD_MM**2 + zooms**2 / 12  # a voxel averages over its own width
    total = np.zeros(anatomy.mask.shape)
    for centre, weight in zip(regions, weights, strict=True):
        here = anatomy.warp[:3, :3] @ centre + anatomy.warp[:3, 3]
        total += weight * np.exp(-((positions - here) ** 2 / (2 * variance)).sum(axis=-1))
    total *= anatomy.grey * anatomy.mask
    return (total / total.max()).astype("float32")


def _patch(centre: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Dipoles (DIPOLES_PER_SOURCE, 3) of a cortical patch in MNI mm, and their directions."""
    points, grey = grey_points()
    chance = grey * np.exp(-((points - centre) ** 2).sum(axis=1) / (2 * REGION_SD_MM**2))
    dipoles = points[rng.choice(len(points), DIPOLES_PER_SOURCE, p=chance / chance.sum())]
    outward = centre / np.linalg.norm(centre)
    moments = outward + ORIENTATION_SD * rng.standard_normal(dipoles.shape)
    return dipoles, moments / np.linalg.norm(moments, axis=1, keepdims=True)
