"""`eeg2fmri inspect --plot`: a picture of one instance, of what the store would hold."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from matplotlib.image import imread

from eeg2fmri import cli, plotting
from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.signals import bold_scaling
from eeg2fmri.store import Windows, build_store

SETTINGS = "data.frequencies=7; data.context=3; data.dropped_volumes=2; data.grid=[9,8,7]"


@pytest.fixture(autouse=True)
def _own_logging():
    """What the command sets up ends with the test."""
    logger = logging.getLogger("eeg2fmri")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


@pytest.fixture
def plot(tmp_path, bids_root, capsys, monkeypatch):
    """Run the command on the tiny dataset: (exit status, stderr), and the arguments of what was drawn."""
    drawn = {}
    original = plotting.instance_figure

    def remember(context, frequencies, tr, volume, **options):
        drawn.update(context=context, frequencies=frequencies, tr=tr, volume=volume, **options)
        return original(context, frequencies, tr, volume, **options)

    monkeypatch.setattr(plotting, "instance_figure", remember)

    def command(*options, out=tmp_path / "new" / "look.png"):
        status = cli.main(["inspect", str(bids_root), "--set", SETTINGS, "--plot", str(out), *options])
        return status, capsys.readouterr().err.splitlines(), drawn

    return command


def test_what_is_drawn_is_what_a_store_holds(plot, tmp_path, bids_root, tiny_config):
    status, _, drawn = plot("--volume", "9", "--channel", "oz")
    assert status == 0
    store = build_store(find_recordings(bids_root, DatasetConfig())[0], tmp_path / "store", tiny_config).store
    windows = Windows(store.recordings[:1], 3)
    (instance,) = np.flatnonzero(windows.volume == 9 - 2)
    row = store.signal.channels.index("Oz")
    np.testing.assert_array_equal(drawn["context"], windows.eeg([instance])[0, row].T)
    np.testing.assert_array_equal(drawn["frequencies"], store.signal.frequencies)
    expected = bold_scaling("recording").standardise(windows.volumes([instance]), store.recordings[0].statistics)[0]
    np.testing.assert_allclose(drawn["volume"], expected, rtol=1e-6)
    assert (drawn["channel"], drawn["tr"]) == ("Oz", 0.5)
    assert drawn["title"] == "sub-01_task-rest: volume 9 at 4.5 s and the 3 EEG windows before it"


def test_a_whole_png_is_written(plot, tmp_path):
    assert plot()[0] == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["look.png"]
    assert imread(tmp_path / "new" / "look.png").shape[:2] == (700, 1900)


def test_the_first_channel_and_the_first_volume_with_a_context_by_default(plot):
    _, lines, drawn = plot()
    assert drawn["channel"] == "Fp1"
    assert "volume 5 " in drawn["title"]
    assert "inspect: sub-01_task-rest, volume 5, channel Fp1: " in lines[-1]


def test_filters_choose_the_recording(plot):
    assert plot("--subjects", "02")[2]["title"].startswith("sub-02_task-rest")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--channel", "O1"], "--channel O1: sub-01_task-rest has no such channel; it has Fp1, Fp2, Cz, Oz"),
        (["--volume", "4"], "--volume 4: sub-01_task-rest has volumes 5 to 21 with a context"),
        (["--volume", "22"], "--volume 22: sub-01_task-rest has volumes 5 to 21"),
        (["--subjects", "09"], "09"),
    ],
)
def test_what_cannot_be_drawn_is_refused(plot, options, named, tmp_path):
    status, (line,), _ = plot(*options)
    assert status == 2
    assert named in line
    assert not (tmp_path / "new").exists()


def test_the_first_usable_recording_is_drawn_and_those_before_it_told(plot, bids_root):
    bold = bids_root / "sub-01/func/sub-01_task-rest_bold.nii.gz"
    bold.write_bytes(bold.read_bytes()[:100])
    status, lines, drawn = plot()
    assert status == 0
    assert str(bold) in lines[0]
    assert drawn["title"].startswith("sub-02_task-rest")


def test_where_nothing_can_be_written(plot, bids_root):
    file = bids_root / "README"
    file.write_text("a file")
    status, (line,), _ = plot(out=file / "look.png")
    assert status == 2
    assert "look.png: cannot be written (" in line
    assert "give another file" in line


def test_only_png(plot, tmp_path):
    status, (line,), _ = plot(out=tmp_path / "look.pdf")
    assert status == 2
    assert "look.pdf: a PNG file is written; give a name that ends in .png" in line


def test_channel_and_volume_go_with_plot(bids_root, capsys):
    assert cli.main(["inspect", str(bids_root), "--volume", "7"]) == 2
    assert "--channel and --volume say what --plot draws" in capsys.readouterr().err
