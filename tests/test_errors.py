"""Errors as lines."""

import pytest

from eeg2fmri.errors import DatasetError, one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DatasetError("a.set: broken;\n  fetch it"), "a.set: broken; fetch it"),
        (OSError("disk\n\tfull"), "OSError: disk full"),
        (ValueError("x" * 400), f"ValueError: {'x' * 288}"),
        (KeyError(), "KeyError:"),
    ],
)
def test_an_error_is_one_line(error, line):
    assert one_line(error) == line
