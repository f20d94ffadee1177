"""Shape arithmetic of the residual blocks of an encoder, without Keras.

A block is conv(kernel, stride, valid), then max-pool(pool, pool_stride, valid), then convolutions
that keep the shape. All of it works axis by axis.

Symbols
-------
length : positions along one axis before a convolution or a pool.
kernel, stride : size and step of the window along that axis, both >= 1.
shape : (a, b, c), lengths of the three axes; filters and batch are left out. An EEG context is
    (channels, frequencies, windows), a BOLD volume is (x, y, z).
"""

from __future__ import annotations

import math

from eeg2fmri.config import BlockSpec, Calhas2022Config, Triple
from eeg2fmri.errors import SpecError

Axes = tuple[str, str, str]
EEG_AXES: Axes = ("channel", "frequency", "context")
FMRI_AXES: Axes = ("x", "y", "z")


def conv_length(length: int, kernel: int, stride: int) -> int:
    """Return the length after a valid convolution or pool: ``floor((length - kernel) / stride) + 1``.

    The result is below 1 exactly if the kernel is longer than its input.
    """
    return (length - kernel) // stride + 1


def block_shapes(
    shape: Triple,
    spec: BlockSpec,
    *,
    max_pool: bool = True,
    name: str = "encoder",
    axes: Axes = FMRI_AXES,
) -> list[Triple]:
    """Return the shape after each residual block, that is after its pool.

    Parameters
    ----------
    shape : (a, b, c), lengths of the input.
    spec : kernels and strides of the blocks, and the pool that all of them share.
    max_pool : whether the blocks pool at all, default=True.
    name : name of the network in an error, for instance ``"eeg encoder"``.
    axes : names of the axes in an error, default=``("x", "y", "z")``.

    Returns
    -------
    list of shapes, one per block; the last one is flattened into the latent.

    Raises
    ------
    SpecError
        If a kernel or a pool is longer than its input.
    """
    shapes = []
    for number, (kernel, stride) in enumerate(zip(spec.kernels, spec.strides, strict=True), start=1):
        where = f"{name}, block {number}"
        shape = _window(shape, kernel, stride, where, "kernel", axes, "a smaller stride" * (number > 1))
        if max_pool:
            shape = _window(shape, spec.pool, spec.pool_stride, where, "pool", axes, "a smaller kernel or stride")
        shapes.append(shape)
    return shapes


def check_shapes(config: Calhas2022Config, eeg_shape: Triple, grid: Triple) -> None:
    """Refuse configured encoders that do not fit; those derived from the shapes do.

    Parameters
    ----------
    eeg_shape : (C, F, T).
    grid : (X, Y, Z).

    Raises
    ------
    SpecError
        If a kernel or a pool is longer than its input.
    """
    if config.eeg is not None:
        block_shapes(eeg_shape, config.eeg, max_pool=config.max_pool, name="eeg encoder", axes=EEG_AXES)
    if config.fmri is not None and config.aligns:
        block_shapes(grid, config.fmri, max_pool=config.max_pool, name="fmri encoder", axes=FMRI_AXES)


def block_macs(shape: Triple, spec: BlockSpec, filters: int, *, max_pool: bool = True) -> int:
    """Count multiply-adds of the residual blocks, one forward pass of one sample.

    The left and the right convolution of each block count, and the 3x3x3 one after the pool. The cost of networks of
    one constraint space spans three orders of magnitude: a search can refuse the most expensive ones before building
    them.

    Parameters
    ----------
    shape : (a, b, c), lengths of the input, which has one feature.
    spec : kernels, strides and pool of the blocks; it must fit `shape`.
    filters : features of every convolution.
    max_pool : whether the blocks pool, default=True.

    Raises
    ------
    SpecError
        If a kernel or a pool is longer than its input.
    """
    total, features, source = 0, 1, shape
    shapes = block_shapes(shape, spec, max_pool=max_pool)
    for kernel, stride, after in zip(spec.kernels, spec.strides, shapes, strict=True):
        positions = math.prod(map(conv_length, source, kernel, stride))
        total += 2 * positions * math.prod(kernel) * features * filters
        total += math.prod(after) * 27 * filters * filters
        features, source = filters, after
    return total


def _window(shape: Triple, kernel: Triple, stride: Triple, where: str, what: str, axes: Axes, other: str) -> Triple:
    """Return the shape after one convolution or pool; `what` and `other` complete the error."""
    out = []
    for axis, (length, size, step) in enumerate(zip(shape, kernel, stride, strict=True)):
        if size > length:
            raise SpecError(
                f"{where}, axis {axis} ({axes[axis]}): {what} {size} is longer than its input {length}; "
                f"use a {what} of at most {length}" + (f" or {other} before it" if other else "")
            )
        out.append(conv_length(length, size, step))
    return out[0], out[1], out[2]
