"""Spatial principal components of more volumes than fit in memory.

n volumes, V voxels, K components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy import linalg

from eeg2fmri.errors import SpecError

Blocks = Callable[[], Iterable[np.ndarray]]
MEMORY = 2**29
NO_VARIANCE = 1e-7  # of the largest one: in float32 products, less than this may be rounding


def principal_components(
    blocks: Blocks,
    count: int,
    *,
    mean: np.ndarray | None = None,
    memory: int = MEMORY,
    shape: tuple[int, int] | None = None,
) -> np.ndarray:
    """Compute the leading principal components of volumes that are read block by block.

    They are exact, by the eigenvectors of the n × n Gram matrix (the "snapshots" of Sirovich 1987, Quarterly of
    Applied Mathematics 45:561). The Gram matrix is a sum over voxels. So each pass over the volumes holds only as
    many voxels as fit in `memory`. There are as many passes as such ranges, and one more that turns eigenvectors into
    components. Nothing is random.

    Parameters
    ----------
    blocks : called once for each pass; gives the same arrays (b, V) in the same order every time, of
        any number of rows. They decide what is decomposed: for instance volumes without the mean of
        their own recording.
    count : components wanted.
    mean : (V,), subtracted from every row; ``None`` if the blocks are centred already.
    memory : bytes for the range of voxels.
    shape : (n, V) of all blocks together, if it is known; a pass more finds it.

    Returns
    -------
    (K, V) float32, orthonormal rows, the component of largest variance first; the largest entry of each
    is positive. K is below `count` if the volumes vary in fewer directions.

    Raises
    ------
    SpecError
        If `count` is below 1, there is no volume, or no volume differs from the mean.
    """
    if count < 1:
        raise SpecError(f"{count} principal components asked for; at least 1 is needed")
    gram = _gram(blocks, mean, memory, shape)
    n = len(gram)
    values, vectors = linalg.eigh(gram, subset_by_index=[max(n - count, 0), n - 1])
    kept = values > max(values[-1] * NO_VARIANCE, 0)
    if not kept.any():
        raise SpecError(f"{n} volumes do not differ from their mean: they have no principal component")
    weights = np.ascontiguousarray((vectors[:, kept] / np.sqrt(values[kept]))[:, ::-1], np.float32)
    components, row = np.zeros((0, 0), np.float32), 0
    for block in blocks():
        part = weights[row : row + len(block)].T @ _centred(block, mean)
        components = components + part if row else part
        row += len(block)
    return _orthonormal(components)


def _gram(blocks: Blocks, mean: np.ndarray | None, memory: int, shape: tuple[int, int] | None) -> np.ndarray:
    """Compute products of all pairs of centred volumes, (n, n) float64."""
    shapes = [shape] if shape else [block.shape for block in blocks()]
    n, voxels = sum(rows for rows, _ in shapes), shapes[0][1] if shapes else 0
    if not n:
        raise SpecError("no volume to compute principal components of")
    width = max(1, min(voxels, memory // (4 * n)))
    gram = np.zeros((n, n))
    for start in range(0, voxels, width):
        part = slice(start, start + width)
        columns, row = np.empty((n, min(width, voxels - start)), np.float32), 0
        for block in blocks():  # copied at once: a view would keep the whole block in memory
            columns[row : row + len(block)] = _centred(block[:, part], None if mean is None else mean[part])
            row += len(block)
        gram += columns @ columns.T
    return gram


def _centred(block: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    return np.asarray(block if mean is None else block - mean, np.float32)


def _orthonormal(components: np.ndarray) -> np.ndarray:
    """Correct nearly orthonormal rows for the rounding of sums over thousands of volumes."""
    lower = linalg.cholesky((components @ components.T).astype(np.float64), lower=True)
    components = linalg.inv(lower).astype(np.float32) @ components
    largest = np.abs(components).argmax(axis=1)
    return components * np.sign(components[np.arange(len(components)), largest])[:, None]
