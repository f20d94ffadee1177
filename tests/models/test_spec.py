"""Shape arithmetic of residual blocks against worked examples."""

from __future__ import annotations

import pytest

from eeg2fmri.config import PUBLISHED_EEG, PUBLISHED_FMRI, BlockSpec
from eeg2fmri.errors import SpecError
from eeg2fmri.models.spec import EEG_AXES, block_macs, block_shapes, conv_length

SMALL = BlockSpec(kernels=((3, 4, 2), (2, 2, 2)), strides=((1, 2, 1), (1, 1, 2)), pool=(2, 1, 2))


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "out"), [(9, 3, 1, 7), (9, 4, 2, 3), (10, 4, 2, 4), (5, 5, 5, 1)]
)
def test_conv_length(length, kernel, stride, out):
    assert conv_length(length, kernel, stride) == out


def test_conv_length_is_positive_exactly_if_the_kernel_fits():
    for length in range(1, 9):
        for kernel in range(1, 12):
            for stride in range(1, 5):
                assert (conv_length(length, kernel, stride) >= 1) == (kernel <= length)


def test_published_networks_end_at_their_targets():
    assert block_shapes((64, 134, 10), PUBLISHED_EEG) == [(19, 19, 9), (6, 6, 8)]
    assert block_shapes((64, 64, 30), PUBLISHED_FMRI) == [(25, 58, 18), (19, 54, 12), (7, 7, 7)]


def test_shapes_with_and_without_pool():
    assert block_shapes((10, 13, 8), SMALL) == [(7, 5, 6), (5, 4, 2)]
    assert block_shapes((10, 13, 8), SMALL, max_pool=False) == [(8, 5, 7), (7, 4, 3)]


def test_pool_stride_counts():
    spec = BlockSpec(kernels=((1, 2, 3),), strides=((1, 1, 1),), pool=(2, 2, 3), pool_stride=(2, 3, 1))
    assert block_shapes((8, 9, 10), spec) == [(4, 3, 6)]


def test_kernel_longer_than_its_input_names_block_axis_and_way_out():
    spec = BlockSpec(kernels=((7, 37, 2), (7, 37, 2)), strides=((3, 5, 1), (2, 2, 1)))
    with pytest.raises(SpecError) as err:
        block_shapes((64, 134, 10), spec, name="eeg encoder", axes=EEG_AXES)
    assert str(err.value) == (
        "eeg encoder, block 2, axis 1 (frequency): kernel 37 is longer than its input 20; "
        "use a kernel of at most 20 or a smaller stride before it"
    )


def test_kernel_of_the_first_block_blames_nothing_before_it():
    with pytest.raises(SpecError, match=r"block 1, axis 0 \(x\): kernel 3 .* input 2; .* at most 2$"):
        block_shapes((2, 13, 8), SMALL)


def test_pool_longer_than_its_input():
    with pytest.raises(SpecError, match=r"block 1, axis 0 \(x\): pool 2 is longer than its input 1"):
        block_shapes((3, 13, 8), SMALL)
    assert block_shapes((4, 13, 8), SMALL, max_pool=False)[0] == (2, 5, 7)


def test_macs_by_hand():
    first = 2 * (8 * 5 * 7) * (3 * 4 * 2) * 1 * 4 + (7 * 5 * 6) * 27 * 4 * 4
    second = 2 * (6 * 4 * 3) * (2 * 2 * 2) * 4 * 4 + (5 * 4 * 2) * 27 * 4 * 4
    assert block_macs((10, 13, 8), SMALL, 4) == first + second
    assert block_macs((64, 134, 10), PUBLISHED_EEG, 4) == 17_675_696
