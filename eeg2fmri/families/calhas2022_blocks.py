"""Draws by Optuna from the exact space of encoder architectures (`eeg2fmri.models.architectures`).

Why Optuna does not draw the number of a sequence
-------------------------------------------------
Three blocks have 421,935 sequences along the published frequency axis. A sampler would need to resolve
1e-5 of the range to learn anything beyond the first block. Each block and axis gets two numbers in
[0, 1] instead:

- ``length``: the place of `after`, geometrically, between the shortest length from which the target can
  still be reached and the longest that the pool leaves (the last block has none: it ends at the target);
- ``kernel``: the place of (kernel, stride) among those that give this length, sorted: small kernels, and so large
  strides, first.

The meaning of each does not depend on earlier choices, and every value is valid. The scale is geometric because
shrinking is multiplicative: the median cost of a draw (`block_macs`, both encoders) is near that of
the published pair, and a third to a half below that of a uniform choice of the length. Numbers of
blocks beyond the drawn depth are drawn and not used: the space is then the same in every trial, and
multivariate TPE and the Gaussian process model only parameters that all trials share.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from eeg2fmri.config import BlockSpec, Triple
from eeg2fmri.errors import SpecError
from eeg2fmri.models.architectures import AxisSpace, Option
from eeg2fmri.models.spec import conv_length

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def suggest_blocks(
    trial: BaseTrial,
    name: str,
    shape: Triple,
    target: Triple,
    depths: tuple[int, int],
    pool: Triple,
    pool_stride: Triple,
) -> BlockSpec:
    """Draw a network that carries `shape` to `target` exactly.

    Parameters
    ----------
    trial : asked for ``{name}.depth``, ``{name}.axis0.block1.length``, ``{name}.axis0.block1.kernel``, ...
    name : prefix of the parameters and name in errors, for instance ``"eeg"``.
    shape, target : (a, b, c), lengths before the first block and after the last one.
    depths : fewest and most blocks; depths that cannot reach the target are not offered.
    pool, pool_stride : of every block; all 1 for a network without pooling.

    Raises
    ------
    SpecError
        If no depth reaches the target on every axis.
    """
    deepest = _deepest(name, shape, target, depths, pool, pool_stride)
    spaces = _spaces(shape, target, trial.suggest_int(f"{name}.depth", depths[0], deepest), pool, pool_stride)
    drawn = [_draw(trial, f"{name}.axis{axis}", space, deepest) for axis, space in enumerate(spaces)]
    kernels, strides = ([tuple(o[i] for o in block) for block in zip(*drawn, strict=True)] for i in (0, 1))
    return BlockSpec.model_validate({"kernels": kernels, "strides": strides, "pool": pool, "pool_stride": pool_stride})


def check_target(name: str, shape: Triple, spec: BlockSpec, target: Triple, depths: tuple[int, int]) -> None:
    """Refuse a target that networks with the pool of `spec`, or those without a pool, cannot reach.

    Raises
    ------
    SpecError
        If one of the two cannot; the message has the nearest length that can be reached.
    """
    for pool, pool_stride in ((spec.pool, spec.pool_stride), ((1, 1, 1), (1, 1, 1))):
        _deepest(name, shape, target, depths, pool, pool_stride)


def block_parameters(spec: BlockSpec, name: str, shape: Triple, target: Triple) -> dict[str, float]:
    """Return the parameters with which `suggest_blocks` draws `spec`, for ``study.enqueue_trial``.

    SpecError if the network does not carry `shape` to `target` exactly.
    """
    depth = len(spec.kernels)
    found: dict[str, float] = {f"{name}.depth": depth}
    for axis, space in enumerate(_spaces(shape, target, depth, spec.pool, spec.pool_stride)):
        sequence = [(k[axis], s[axis]) for k, s in zip(spec.kernels, spec.strides, strict=True)]
        for option, (length, after, left) in zip(sequence, space.steps(sequence), strict=True):
            prefix = f"{name}.axis{axis}.block{depth - left + 1}"
            lengths, options = space.lengths(length, left), space.options(length, after)
            found[f"{prefix}.kernel"] = (options.index(option) + 0.5) / len(options)
            if left > 1:
                spread = math.log(lengths[-1] / lengths[0]) or 1.0
                found[f"{prefix}.length"] = math.log(after / lengths[0]) / spread
    return found


def _draw(trial: BaseTrial, prefix: str, space: AxisSpace, deepest: int) -> list[Option]:
    """Draw the sequence of one axis; ask for numbers down to block `deepest`."""
    length, sequence = space.length, []
    for block in range(1, deepest + 1):
        where = trial.suggest_float(f"{prefix}.block{block}.length", 0, 1) if block < deepest else 0.0
        which = trial.suggest_float(f"{prefix}.block{block}.kernel", 0, 1)
        if block <= space.depth:
            lengths = space.lengths(length, space.depth - block + 1)
            after = round(lengths[0] * (lengths[-1] / lengths[0]) ** where)
            options = space.options(length, after)
            sequence.append(options[min(int(which * len(options)), len(options) - 1)])
            length = after
    return sequence


def _spaces(shape: Triple, target: Triple, depth: int, pool: Triple, pool_stride: Triple) -> list[AxisSpace]:
    return [AxisSpace(shape[a], target[a], depth, pool[a], pool_stride[a]) for a in range(3)]


def _deepest(
    name: str, shape: Triple, target: Triple, depths: tuple[int, int], pool: Triple, pool_stride: Triple
) -> int:
    """Return the most blocks of `depths` that reach the target on every axis; then fewer blocks reach it too."""
    low, high = depths
    if not 1 <= low <= high:
        raise SpecError(f"{name} architectures: blocks must be 1 <= low <= high, found ({low}, {high})")
    for depth in range(high, low - 1, -1):
        short = [a for a, s in enumerate(_spaces(shape, target, depth, pool, pool_stride)) if not s.count]
        if not short:
            return depth
    axis = short[0]
    reachable = shape[axis]
    for _ in range(low):
        reachable = max(conv_length(reachable, pool[axis], pool_stride[axis]), 0)
    nearest = f"the nearest that can be is {reachable}" if reachable else "nothing can be"
    raise SpecError(
        f"{name}_target {target[axis]} on axis {axis} cannot be reached from {shape[axis]} by {low} blocks with pool "
        f"{pool[axis]}; {nearest}; set a lower search.ranges.*.{name}_target, a smaller pool, or fewer blocks"
    )
