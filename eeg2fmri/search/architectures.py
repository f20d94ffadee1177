"""The exact space of encoder architectures, and how Optuna draws from it.

Along one axis, a network is a sequence of (kernel, stride), one per residual block, whose valid
convolutions and pools carry the input length to the target length exactly. A network is one such
sequence per axis, all of the same depth.

Symbols
-------
length : positions along one axis at the input of a block.
after : positions along that axis after the block, that is after its pool.
target : positions after the last block.
kernel, stride : of the block's convolution, ``kernel >= stride >= 1``.
pool, pool_stride : of the max-pool after each convolution, fixed for the network; 1, 1 is no pool.
depth : blocks still to come, this one included.

Counting
--------
A convolution reaches every length up to its input's, hence a block every `after` up to the pool's
output: the lengths from which the target can still be reached are one interval. Given `length` and
`after`, the kernels of each stride are one interval too. So sequences are counted by a recursion over
(length, depth) without listing them, and the same recursion turns a sequence into an integer
(`AxisSpace.rank`) and back (`AxisSpace.unrank`), ordered by (after, kernel, stride), block by block.

Why Optuna does not draw that integer
-------------------------------------
Three blocks have 421,935 sequences along the published frequency axis: a sampler would have to resolve
1e-5 of the range to learn anything beyond the first block. Each block and axis gets two numbers in
[0, 1] instead:

- ``length``: where `after` lies, geometrically, between the shortest length from which the target can
  still be reached and the longest that the pool leaves (the last block has none: it ends at the target);
- ``kernel``: where (kernel, stride) lies among those that give this length, sorted, small kernels and
  so large strides first.

Each means the same whatever was chosen before it, and every value is valid. Geometric, because
shrinking is multiplicative: the median cost of a draw (`block_macs`, both encoders) is near that of
the published pair, and a third to a half below that of a uniform choice of the length. Numbers of
blocks beyond the drawn depth are drawn and not used: the space is then the same in every trial, and
multivariate TPE and the Gaussian process model only parameters that all trials share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from eeg2fmri.config import BlockSpec, Triple
from eeg2fmri.errors import SpecError
from eeg2fmri.models.spec import conv_length

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Option = tuple[int, int]


@dataclass(frozen=True)
class AxisSpace:
    """All sequences of `depth` (kernel, stride) that carry `length` to `target` along one axis."""

    length: int
    target: int
    depth: int
    pool: int
    pool_stride: int

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if value < 1:
                raise SpecError(f"{key} of an architecture space must be at least 1, found {value}")

    @property
    def count(self) -> int:
        """Number of sequences, counted without listing them; 0 if the target cannot be reached."""
        return self._count(self.length, self.depth)

    def lengths(self, length: int, depth: int) -> range:
        """Lengths after a block fed with `length` from which ``depth - 1`` more reach the target."""
        longest = conv_length(length, self.pool, self.pool_stride)
        if depth == 1:
            return range(self.target, min(longest, self.target) + 1)
        shortest = self.target
        for _ in range(depth - 1):
            shortest = (shortest - 1) * self.pool_stride + self.pool
        return range(shortest, longest + 1)

    def options(self, length: int, after: int) -> tuple[Option, ...]:
        """Every (kernel, stride) of a block that carries `length` to `after`, sorted."""
        intervals = self._kernels(length, after)
        return tuple(sorted((kernel, stride) for stride, kernels in intervals for kernel in kernels))

    def steps(self, sequence: Sequence[Option]) -> Iterator[tuple[int, int, int]]:
        """The (length, after, depth) of each block; SpecError if the sequence is not of this space."""
        if len(sequence) != self.depth:
            raise SpecError(f"a sequence of this space has {self.depth} blocks, found {len(sequence)}")
        length = self.length
        for number, (kernel, stride) in enumerate(sequence, start=1):
            depth = self.depth - number + 1
            after = 0
            if 1 <= stride <= kernel <= length:
                after = conv_length(conv_length(length, kernel, stride), self.pool, self.pool_stride)
            if after not in self.lengths(length, depth):
                raise SpecError(
                    f"block {number}: kernel {kernel}, stride {stride} on length {length} is no step from "
                    f"{self.length} to {self.target} in {self.depth} blocks with pool {self.pool}, stride "
                    f"{self.pool_stride}; expected 1 <= stride <= kernel <= length and a reachable target"
                )
            yield length, after, depth
            length = after

    def rank(self, sequence: Sequence[Option]) -> int:
        """Number of a sequence, from 0 to ``count - 1``; SpecError if it is not of this space."""
        index = 0
        for option, (length, after, depth) in zip(sequence, self.steps(sequence), strict=True):
            index += sum(self._through(length, m, depth) for m in self.lengths(length, depth) if m < after)
            index += self.options(length, after).index(option) * self._count(after, depth - 1)
        return index

    def unrank(self, index: int) -> tuple[Option, ...]:
        """The sequence with this number; a uniform number gives a uniform draw of the space."""
        if not 0 <= index < self.count:
            raise SpecError(f"the number of a sequence must be in [0, {self.count}), found {index}")
        length, sequence = self.length, []
        for depth in range(self.depth, 0, -1):
            for after in self.lengths(length, depth):
                ways = self._through(length, after, depth)
                if index < ways:
                    break
                index -= ways
            place, index = divmod(index, self._count(after, depth - 1))
            sequence.append(self.options(length, after)[place])
            length = after
        return tuple(sequence)

    def _through(self, length: int, after: int, depth: int) -> int:
        """Sequences from `length` whose first block ends at `after`."""
        ways = sum(len(kernels) for _, kernels in self._kernels(length, after))
        return ways * self._count(after, depth - 1)

    def _kernels(self, length: int, after: int) -> Iterator[tuple[int, range]]:
        """Each stride with the interval of kernels that carry `length` to `after`."""
        first = (after - 1) * self.pool_stride + self.pool
        for out in range(first, first + self.pool_stride):
            for stride in range(1, length // out + 1):
                longest = length - (out - 1) * stride
                yield stride, range(max(stride, longest - stride + 1), longest + 1)

    @cache  # noqa: B019 - a space is a few integers
    def _count(self, length: int, depth: int) -> int:
        """Sequences of `depth` blocks from `length` to the target."""
        if depth == 0:
            return int(length == self.target)
        return sum(self._through(length, after, depth) for after in self.lengths(length, depth))


def count(length: int, target: int, depth: int, pool: int, pool_stride: int) -> int:
    """Sequences of `depth` (kernel, stride) that carry `length` to `target` exactly."""
    return AxisSpace(length, target, depth, pool, pool_stride).count


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


def block_parameters(spec: BlockSpec, name: str, shape: Triple, target: Triple) -> dict[str, float]:
    """Parameters with which `suggest_blocks` draws `spec`, for ``study.enqueue_trial``.

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
    """Draw the sequence of one axis; numbers are asked for down to block `deepest`."""
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
    """The most blocks of `depths` that reach the target on every axis; fewer blocks then do as well."""
    low, high = depths
    if not 1 <= low <= high:
        raise SpecError(f"{name} architectures: blocks must be 1 <= low <= high, found ({low}, {high})")
    for depth in range(high, low - 1, -1):
        short = [a for a, s in enumerate(_spaces(shape, target, depth, pool, pool_stride)) if not s.count]
        if not short:
            return depth
    raise SpecError(
        f"{name} architectures: {low} to {high} blocks with pool {pool}, stride {pool_stride} cannot carry "
        f"the input {shape} to the target {target}: on axis {short[0]} even {low} blocks with kernels of 1 "
        f"end below {target[short[0]]}; use a smaller target or pool, or fewer blocks"
    )
