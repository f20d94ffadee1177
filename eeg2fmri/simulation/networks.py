"""Networks that link a rhythm of the EEG to BOLD: place, frequency and sign.

Positions are MNI mm of the 160 regions published by Dosenbach et al. 2010 (Science 329:1358), which
nilearn ships. A network's BOLD is in the cortex around all regions with the names that it
lists, because resting-state networks tile the cortex (Yeo et al. 2011, J. Neurophysiol. 106:1125). Each
network gives the report of its rhythm, regions and sign.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from eeg2fmri.simulation.anatomy import Anatomy, grey_points

Point = tuple[float, float, float]

REACH_MM = 25.0  # the regions are about 2 cm apart; farther grey matter is subcortical
REGION_SD_MM = 8.0  # an active region is about 2 cm wide (full width at half maximum)
# Functional areas differ by a few millimetres between subjects after alignment of the brains
# (Frost & Goebel 2012, NeuroImage 59:1369).
POSITION_SD_MM = 3.0
REGION_WEIGHT_SD = 0.2  # log-normal spread of a region's share between subjects
DIPOLES_PER_SOURCE = 12
# Pyramidal cells are perpendicular to the cortex; in a patch of 2 cm gyral crowns, radial to the head,
# dominate the scalp potential (Nunez & Srinivasan 2006, Electric Fields of the Brain, ch. 2).
ORIENTATION_SD = 0.5


@dataclass(frozen=True)
class Rhythm:
    """Oscillation between `low_hz` and `high_hz`; `amplitude_uv` is typical at the best electrode."""

    low_hz: float
    high_hz: float
    amplitude_uv: float


@dataclass(frozen=True)
class Network:
    """EEG `sources` (MNI mm), the rhythms, their BOLD regions, and the sign of the relation.

    The regions have one of `region_names` within the published network `region_network`.
    """

    name: str
    rhythms: tuple[Rhythm, ...]
    sign: int
    sources: tuple[Point, ...]
    region_network: str
    region_names: frozenset[str]
    reference: str


# Amplitudes: alpha 10-30 uV over the occiput, mu below it, beta and frontal theta of a few uV, gamma about
# 1 uV at the scalp (Niedermeyer & Lopes da Silva 2005, Electroencephalography, ch. 9).
NETWORKS = (
    Network(
        "visual",
        (Rhythm(8, 12, 20.0),),
        -1,
        ((-4, -94, 12), (13, -91, 2), (-29, -88, 8), (27, -91, 2)),
        "occipital",
        frozenset({"occipital", "post occipital"}),
        "Goldman et al. 2002, NeuroReport 13:2487; Moosmann et al. 2003, NeuroImage 20:145",
    ),
    Network(
        "sensorimotor",
        (Rhythm(9, 13, 8.0), Rhythm(17, 25, 4.0)),
        -1,
        ((-47, -18, 50), (46, -20, 45)),
        "sensorimotor",
        frozenset({"precentral gyrus", "parietal", "SMA", "pre-SMA", "sup parietal", "post parietal"}),
        "Ritter et al. 2009, Hum. Brain Mapp. 30:1168",
    ),
    Network(
        "midline-theta",
        (Rhythm(4, 7, 6.0),),
        -1,
        ((-1, 28, 40), (0, 15, 45)),
        "default",
        frozenset({"mPFC", "aPFC", "ACC", "sup frontal"}),
        "Scheeringa et al. 2008, Int. J. Psychophysiol. 67:242",
    ),
    Network(
        "default-mode",
        (Rhythm(17, 23, 4.0),),
        1,
        ((-6, -56, 29), (5, -50, 33), (-48, -63, 35), (51, -59, 34)),
        "default",
        frozenset({"post cingulate", "precuneus", "angular gyrus", "IPS", "occipital", "inf temporal", "mPFC"}),
        "Laufs et al. 2003, PNAS 100:11053; Mantini et al. 2007, PNAS 104:13170",
    ),
    Network(
        "attention",
        (Rhythm(13, 17, 4.0),),
        -1,
        ((-32, -58, 46), (32, -59, 41), (-41, -40, 42), (54, -44, 43), (-42, 7, 36), (44, 8, 34)),
        "fronto-parietal",
        frozenset({"IPS", "IPL", "post parietal", "dFC", "dlPFC", "vPFC"}),
        "Mantini et al. 2007, PNAS 104:13170 (alpha and beta); Laufs et al. 2003, NeuroImage 19:1463",
    ),
    Network(
        "frontal-gamma",
        (Rhythm(30, 45, 1.2),),
        1,
        ((6, 64, 3), (-6, 50, -1), (9, 51, 16)),
        "default",
        frozenset({"vmPFC"}),
        "Mantini et al. 2007, PNAS 104:13170",
    ),
)


@functools.lru_cache(maxsize=1)
def _published_regions() -> tuple[np.ndarray, tuple[tuple[str, str], ...]]:
    """Load centres of all published regions, (160, 3) in MNI mm, and the network and name of each."""
    from nilearn import datasets

    published = datasets.fetch_coords_dosenbach_2010(ordered_regions=False)
    centres = np.array([published.rois[axis] for axis in "xyz"], dtype="float64").T
    names = [str(label).rsplit(" ", 1)[0] for label in published.labels]  # a label ends with its number
    return centres, tuple(zip(map(str, published.networks), names, strict=True))


def _belongs(network: Network) -> np.ndarray:
    """Return which published regions are a network's, (160,) bool."""
    _, labels = _published_regions()
    return np.array([w == network.region_network and name in network.region_names for w, name in labels])


def regions(network: Network) -> np.ndarray:
    """Return published centres of a network's BOLD regions, (regions, 3) in MNI mm."""
    return _published_regions()[0][_belongs(network)]


@dataclass(frozen=True)
class Placement:
    """One network in one head: its BOLD map (x, y, z) in 0..1 and its dipoles, one patch per source.

    `dipoles_mm` is (sources, dipoles, 3) in MNI mm, `moments` of the same shape are unit vectors.
    """

    map: np.ndarray
    dipoles_mm: np.ndarray
    moments: np.ndarray


def place(network: Network, anatomy: Anatomy, rng: np.random.Generator) -> Placement:
    """Draw the place of a network in a head."""
    own = _belongs(network)
    centres, weights = _published_regions()[0].copy(), own.astype(float)
    centres[own] += POSITION_SD_MM * rng.standard_normal((own.sum(), 3))
    weights[own] *= np.exp(REGION_WEIGHT_SD * rng.standard_normal(own.sum()))
    sources = np.array(network.sources) + POSITION_SD_MM * rng.standard_normal((len(network.sources), 3))
    patches = [_patch(centre, rng) for centre in sources]
    return Placement(
        _bold_map(centres, weights, anatomy),
        np.stack([p for p, _ in patches]),
        np.stack([m for _, m in patches]),
    )


def _bold_map(centres: np.ndarray, weights: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Compute a network's share of the cortex, (x, y, z), the largest value 1.

    `weights` (regions,) are 0 for the regions of other networks.
    """
    inside, shares = _cortex(centres, anatomy)
    total = np.zeros(anatomy.mask.shape)
    total[inside] = weights @ shares
    return (total / total.max()).astype("float32")


def region_maps(anatomy: Anatomy) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return share of the cortex of every published region, (160, x, y, z) in 0..1, and the network of each."""
    centres, labels = _published_regions()
    inside, shares = _cortex(centres, anatomy)
    maps = np.zeros((len(centres), *anatomy.mask.shape), "float32")
    maps[:, inside] = shares
    return maps, tuple(network for network, _ in labels)


def _cortex(centres: np.ndarray, anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Return grey voxels (x, y, z) bool, and the share of each that belongs to each region, (regions, voxels).

    Regions tile the cortex, so every grey voxel belongs to those nearest to it, with soft borders. Grey
    matter farther than REACH_MM from every region belongs to none.
    """
    here = centres @ anatomy.warp[:3, :3].T + anatomy.warp[:3, 3]
    inside = anatomy.mask & (anatomy.grey > 0)
    positions = anatomy.positions()[inside]
    zooms = np.diag(anatomy.affine)[:3]
    variance = REGION_SD_MM**2 + zooms**2 / 12  # a voxel averages over its own width
    near = np.stack([np.exp(-((positions - centre) ** 2 / (2 * variance)).sum(axis=-1)) for centre in here])
    none = np.exp(-(REACH_MM**2) / (2 * REGION_SD_MM**2))
    return inside, near / (near.sum(axis=0) + none) * anatomy.grey[inside]


def _patch(centre: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw dipoles (DIPOLES_PER_SOURCE, 3) of a cortical patch in MNI mm, and their directions."""
    points, grey = grey_points()
    chance = grey * np.exp(-((points - centre) ** 2).sum(axis=1) / (2 * REGION_SD_MM**2))
    dipoles = points[rng.choice(len(points), DIPOLES_PER_SOURCE, p=chance / chance.sum())]
    outward = centre / np.linalg.norm(centre)
    moments = outward + ORIENTATION_SD * rng.standard_normal(dipoles.shape)
    return dipoles, moments / np.linalg.norm(moments, axis=1, keepdims=True)
