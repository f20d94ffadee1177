"""Two parts of a recording share no EEG and no volume, and the second starts after a gap."""

from dataclasses import replace

import numpy as np
import pytest

from eeg2fmri.store import divided
from tests.fakes import CONTEXT, recording

WINDOWS = 40


def volumes(windows) -> set[int]:
    """Numbers of the volumes that are instances, within the whole recording."""
    return {windows.recordings[o].part[0] + v for o, v in zip(windows.owner, windows.volume, strict=True)}


def test_the_parts_are_a_gap_apart():
    whole = recording("sub-01", 1, windows=WINDOWS)
    own, rest = divided(whole, 15, CONTEXT)
    assert volumes(own) == set(range(CONTEXT, 15))
    assert volumes(rest) == set(range(15 + 2 * CONTEXT, WINDOWS))
    # The contexts of the rest start after the last volume of the first part, and a gap.
    np.testing.assert_array_equal(rest.recordings[0].spectrogram[0], whole.spectrogram[15 + CONTEXT])
    np.testing.assert_array_equal(rest.volumes(np.arange(1))[0], whole.volumes[15 + 2 * CONTEXT])


@pytest.mark.parametrize(("first", "there"), [(CONTEXT, (False, True)), (WINDOWS, (True, False)), (99, (True, False))])
def test_a_part_without_an_instance_is_none(first, there):
    assert tuple(part is not None for part in divided(recording("sub-01", 1, windows=WINDOWS), first, CONTEXT)) == there


def test_a_gap_of_the_eeg_is_in_no_part():
    whole = recording("sub-01", 1, windows=WINDOWS)
    whole = replace(whole, attributes={**whole.attributes, "gap_windows": [10, 30]})
    own, rest = divided(whole, 16, CONTEXT)
    assert [piece.part for piece in own.recordings] == [(0, 11), (11, 5)]
    assert [piece.part for piece in rest.recordings] == [(19, 12), (31, 9)]
