"""Files that are whole or absent."""

import pytest

from eeg2fmri.files import written_whole


def test_a_file_gets_its_name_when_it_is_done(tmp_path):
    path = tmp_path / "new" / "image.nii.gz"
    with written_whole(path) as part:
        part.write_text("whole")
        assert part.name.endswith("image.nii.gz")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "image.json"
    path.write_text("old")

    def write():
        with written_whole(path) as part:
            part.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
