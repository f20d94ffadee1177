"""Tables and sidecars as systems of all kinds write them."""

import pytest

from eeg2fmri.datasets.files import read_json, read_table
from eeg2fmri.errors import DatasetError

TABLE = "onset\ttrial_type\tunits\n1.5\tR128\tµV\n2.5\tstärker … \tµV\n"
ROWS = [
    {"onset": "1.5", "trial_type": "R128", "units": "µV"},
    {"onset": "2.5", "trial_type": "stärker …", "units": "µV"},
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
def test_tables_of_every_encoding_and_line_end(encoding, eol, tmp_path):
    path = tmp_path / "events.tsv"
    path.write_bytes(TABLE.replace("\n", eol).replace("…", "ß").encode(encoding))
    rows = read_table(path, ("onset",))
    assert rows == [ROWS[0], {**ROWS[1], "trial_type": "stärker ß"}]


def test_a_character_that_latin_1_takes_for_a_line_end_breaks_no_row(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_bytes(TABLE.encode("cp1252"))  # its dots are 0x85, the next line of latin-1
    assert [row["onset"] for row in read_table(path)] == ["1.5", "2.5"]


@pytest.mark.parametrize("cell", ['"R128"', '"R""128"', '"R\t128"'])
def test_quoted_cells(cell, tmp_path):
    path = tmp_path / "events.tsv"
    path.write_text(f"onset\ttrial_type\n1\t{cell}\n2\tS 1\n")
    inside = cell[1:-1].replace('""', '"')
    assert read_table(path) == [{"onset": "1", "trial_type": inside}, {"onset": "2", "trial_type": "S 1"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (TABLE.encode("utf-16-le"), r"it contains zeros, as UTF-16 does without a byte-order mark; save it as UTF-8"),
        (b'onset\ttrial_type\n1\t"R128\n2\tR128\n', r"not a readable table \(Error: unexpected end of data\)"),
        (b"onset\tonset\n1\t2\n", r"column onset is there more than once; leave one"),
        (b"onset\ttrial_type\n1\n", r"row 2 has 1 columns, 2 are expected"),
    ],
)
def test_a_table_that_cannot_be_read_right_is_refused(content, reason, tmp_path, refuses):
    (tmp_path / "events.tsv").write_bytes(content)
    with refuses(DatasetError, rf"events\.tsv: .*{reason}"):
        read_table(tmp_path / "events.tsv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_sidecars_of_every_encoding(encoding, tmp_path):
    (tmp_path / "bold.json").write_bytes('{"TaskName": "Müde", "RepetitionTime": 2}'.encode(encoding))
    assert read_json(tmp_path / "bold.json") == {"TaskName": "Müde", "RepetitionTime": 2}
