"""The exact space of encoder architectures, and its member that is nearest to the published one.

Along one axis, a network is a sequence of (kernel, stride), one per residual block. Its valid convolutions and pools
carry the input length to the target length exactly. A network is one such sequence per axis, all of the same depth.

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
A convolution reaches every length up to its input's, so a block reaches every `after` up to the
pool's output. The lengths from which the target can still be reached are one interval. Given `length` and
`after`, the kernels of each stride are one interval too. So a recursion over (length, depth) counts
sequences without listing them. The same recursion turns a sequence into an integer
(`AxisSpace.rank`) and back (`AxisSpace.unrank`), ordered by (after, kernel, stride), block by block.

Fit to shape
------------
An encoder without a specification is derived from its input's shape, axis by axis. The candidates are all
sequences with the published number of blocks and the published pools that carry the axis to the published target
(EEG 6 × 6 × 8, BOLD 7 × 7 × 7). The one with the least sum of |kernel - published| and |stride - published| over
its blocks is used; of several, the first in the order of their kernels and strides, block by block. The published
shapes, 64 × 134 × 10 and 64 × 64 × 30, get the published encoders. An axis too short for its target ends at the longest
possible length: all its kernels are 1 then, and only the pools shorten it. An axis too short even for the pools has
none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from eeg2fmri.config import PUBLISHED_EEG, PUBLISHED_FMRI, BlockSpec, Calhas2022Config, Triple
from eeg2fmri.errors import SpecError
from eeg2fmri.models.spec import conv_length

Option = tuple[int, int]
# Output shapes of the published encoders on the published shapes, 64 × 134 × 10 and 64 × 64 × 30.
EEG_TARGET: Triple = (6, 6, 8)
FMRI_TARGET: Triple = (7, 7, 7)


class Candidates(NamedTuple):
    """Encoders that a mixture weighs: of EEG, and of fMRI (none if the model has no such encoder)."""

    eeg: tuple[BlockSpec, ...]
    fmri: tuple[BlockSpec, ...]


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
        """Count the sequences without listing them; 0 if the target cannot be reached."""
        return self._count(self.length, self.depth)

    def lengths(self, length: int, depth: int) -> range:
        """Return the lengths after a block with input `length` from which ``depth - 1`` more reach the target."""
        longest = conv_length(length, self.pool, self.pool_stride)
        if depth == 1:
            return range(self.target, min(longest, self.target) + 1)
        shortest = self.target
        for _ in range(depth - 1):
            shortest = (shortest - 1) * self.pool_stride + self.pool
        return range(shortest, longest + 1)

    def options(self, length: int, after: int) -> tuple[Option, ...]:
        """Return every (kernel, stride) of a block that carries `length` to `after`, sorted."""
        intervals = self._kernels(length, after)
        return tuple(sorted((kernel, stride) for stride, kernels in intervals for kernel in kernels))

    def steps(self, sequence: Sequence[Option]) -> Iterator[tuple[int, int, int]]:
        """Return the (length, after, depth) of each block; SpecError if the sequence is not of this space."""
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
                    f"block {number}: no path from {self.length} to {self.target} ({self.depth} blocks, pool "
                    f"{self.pool}, stride {self.pool_stride}) has kernel {kernel}, stride {stride} on length "
                    f"{length}; expected 1 <= stride <= kernel <= length and a reachable target"
                )
            yield length, after, depth
            length = after

    def rank(self, sequence: Sequence[Option]) -> int:
        """Return the number of a sequence, from 0 to ``count - 1``; SpecError if it is not of this space."""
        index = 0
        for option, (length, after, depth) in zip(sequence, self.steps(sequence), strict=True):
            index += sum(self._through(length, m, depth) for m in self.lengths(length, depth) if m < after)
            index += self.options(length, after).index(option) * self._count(after, depth - 1)
        return index

    def unrank(self, index: int) -> tuple[Option, ...]:
        """Return the sequence with this number; a uniform number gives a uniform draw of the space."""
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

    def nearest(self, published: Sequence[Option]) -> tuple[Option, ...]:
        """Return the sequence with the least summed difference to `published`, the first one of several.

        It is as long as `depth`; the space must not be empty.
        """
        return self._nearest(self.length, tuple(published))[1]

    @cache  # noqa: B019 - a space is a few integers
    def _nearest(self, length: int, published: tuple[Option, ...]) -> tuple[int, tuple[Option, ...]]:
        """Return the least difference from `length` to the target, and its sequence."""
        if not published:
            return 0, ()
        (kernel, stride), left = published[0], published[1:]
        found = []
        for after in self.lengths(length, len(published)):
            difference, rest = self._nearest(after, left)
            for step, kernels in self._kernels(length, after):
                size = min(max(kernel, kernels[0]), kernels[-1])
                found.append((difference + abs(size - kernel) + abs(step - stride), ((size, step), *rest)))
        return min(found)

    def _through(self, length: int, after: int, depth: int) -> int:
        """Yield sequences from `length` whose first block ends at `after`."""
        ways = sum(len(kernels) for _, kernels in self._kernels(length, after))
        return ways * self._count(after, depth - 1)

    def _kernels(self, length: int, after: int) -> Iterator[tuple[int, range]]:
        """Yield each stride with the interval of kernels that carry `length` to `after`."""
        first = (after - 1) * self.pool_stride + self.pool
        for out in range(first, first + self.pool_stride):
            for stride in range(1, length // out + 1):
                longest = length - (out - 1) * stride
                yield stride, range(max(stride, longest - stride + 1), longest + 1)

    @cache  # noqa: B019 - a space is a few integers
    def _count(self, length: int, depth: int) -> int:
        """Count sequences of `depth` blocks from `length` to the target."""
        if depth == 0:
            return int(length == self.target)
        return sum(self._through(length, after, depth) for after in self.lengths(length, depth))


def encoders(config: Calhas2022Config, eeg_shape: Triple, grid: Triple) -> tuple[BlockSpec, BlockSpec]:
    """Return blocks of EEG and fMRI encoder: those configured, or those derived from the shapes.

    Parameters
    ----------
    eeg_shape : (C, F, T).
    grid : (X, Y, Z).
    """
    return (
        config.eeg or nearest_blocks(eeg_shape, PUBLISHED_EEG, EEG_TARGET),
        config.fmri or nearest_blocks(grid, PUBLISHED_FMRI, FMRI_TARGET),
    )


def with_encoders(config: Calhas2022Config, eeg_shape: Triple, grid: Triple) -> Calhas2022Config:
    """Return the same model with its `encoders` written out."""
    eeg, fmri = encoders(config, eeg_shape, grid)
    return config.model_copy(update={"eeg": eeg, "fmri": fmri})


@cache
def nearest_blocks(shape: Triple, published: BlockSpec, target: Triple) -> BlockSpec:
    """Find blocks that carry `shape` to `target`, nearest to the published ones (see the top of this file).

    Parameters
    ----------
    shape : (a, b, c), lengths of the input, each at least 1.
    published : its number of blocks and its pools are kept.
    target : lengths after the last block; a shorter axis ends as near to it as its pools allow.
    """
    spaces, sequences = [], []
    for axis, length in enumerate(shape):
        options = [(k[axis], s[axis]) for k, s in zip(published.kernels, published.strides, strict=True)]
        pool, pool_stride = published.pool[axis], published.pool_stride[axis]
        longest = length
        for _ in options:
            longest = conv_length(longest, pool, pool_stride)
        if longest < 1:
            pool, pool_stride, longest = 1, 1, length
        spaces.append(AxisSpace(length, min(target[axis], longest), len(options), pool, pool_stride))
        sequences.append(spaces[-1].nearest(options))
    kernels, strides = ([tuple(o[i] for o in block) for block in zip(*sequences, strict=True)] for i in (0, 1))
    pools = {"pool": [s.pool for s in spaces], "pool_stride": [s.pool_stride for s in spaces]}
    return BlockSpec.model_validate({"kernels": kernels, "strides": strides, **pools})
