"""A recording that mne-lsl's player replays on this machine, from `eeg2fmri stream` to its file and its stream."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import mne
import nibabel
import numpy as np
import pytest

from eeg2fmri.cli import main
from eeg2fmri.errors import RequestError, StreamError
from eeg2fmri.serving import LiveSynthesis, synthesise_samples
from eeg2fmri.serving.lsl import EegStream, use_lsl
from tests.fakes import CHANNELS, GRID, SAMPLING_RATE, TR

pytest.importorskip("mne_lsl", reason="the extra lsl (mne-lsl) is not installed")
pytestmark = pytest.mark.slow
TYPES = ("eeg", "ecg")
MODEL = {"Name": "study", "Version": "2", "Digest": "d"}
MADE, SHORT = f"made-{os.getpid()}", f"short-{os.getpid()}"


@pytest.fixture(scope="module")
def lsl():
    return use_lsl()


@pytest.fixture(scope="module")
def recording():
    """20 s in V, as MNE has them; no two samples are equal."""
    eeg = np.random.default_rng(5).normal(0, 20e-6, (len(CHANNELS), round(20 * SAMPLING_RATE)))
    info = mne.create_info(list(CHANNELS), SAMPLING_RATE, ["ecg" if name == "ECG" else "eeg" for name in CHANNELS])
    return mne.io.RawArray(eeg, info, verbose="error")


@pytest.fixture
def player(lsl, recording):
    from mne_lsl.player import PlayerLSL

    playing = PlayerLSL(recording, chunk_size=8, name=f"player-{os.getpid()}", source_id=f"test-{os.getpid()}")
    playing.start()
    yield playing
    if playing._outlet is not None:
        playing.stop()


def test_volumes_of_a_stream_are_those_of_its_samples(lsl, player, bundles, recording):
    source = EegStream(lsl, player.name, TYPES)
    live = LiveSynthesis(bundles["linear"], source.sampling_rate, source.channels)
    blocks, found = [], []
    for eeg, times in source.blocks():
        blocks.append(eeg)
        found += live.push(eeg, times)
        if len(found) == 4:
            break
    source.close()
    samples = np.concatenate(blocks, axis=1)
    whole = recording.get_data() * 1e6
    first = int(np.argmin(np.abs(whole[0] - samples[0, 0])))
    np.testing.assert_allclose(samples, whole[:, first : first + samples.shape[1]], rtol=1e-9)
    expected = synthesise_samples(bundles["linear"], samples.astype(np.float32), SAMPLING_RATE, CHANNELS).image
    np.testing.assert_allclose(
        np.stack([volume.values for volume in found], axis=-1), np.asarray(expected.dataobj), rtol=1e-5, atol=1e-4
    )


@pytest.fixture
def stream(player, bundles, monkeypatch):
    """Run the command on the player's stream; after some seconds do something."""

    def run(*options, seconds, then):
        monkeypatch.setattr("eeg2fmri.cli.verbs._named_model", lambda *_: (bundles["linear"], "uri", MODEL))
        timer = threading.Timer(seconds, then)
        timer.start()
        status = main(["stream", "--stream", player.name, *map(str, options)])
        timer.join()
        return status

    return run


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_with_a_whole_file_and_the_stream_can_be_read(stream, lsl, tmp_path, capsys):
    received = []

    def read_then_end():
        (info,) = lsl.resolve_streams(timeout=5, name=MADE)
        inlet = lsl.StreamInlet(info)
        inlet.open_stream(timeout=5)
        full = inlet.get_sinfo(timeout=5)
        samples = [(values.copy(), when) for values, when in (inlet.pull_sample(timeout=5) for _ in range(3))]
        received.append((full.sfreq, full.get_channel_names(), samples))
        ctrl_c()

    assert stream("--out", tmp_path / "bold.nii", "--publish", MADE, seconds=3.0, then=read_then_end) == 0
    image = nibabel.load(tmp_path / "bold.nii")
    assert image.shape[:3] == GRID
    assert image.shape[3] >= 3
    assert not list(tmp_path.glob("*.part*"))
    rate, names, samples = received[0]
    volumes = image.get_fdata(dtype=np.float32)
    assert rate == 1 / TR
    mask = volumes.any(axis=3)
    assert names == [f"{x}-{y}-{z}" for x, y, z in np.argwhere(mask)]
    columns = [int(np.argmin(np.abs(volumes[mask] - values[:, None]).sum(axis=0))) for values, _ in samples]
    assert columns == list(range(columns[0], columns[0] + 3))
    np.testing.assert_array_equal(np.stack([values for values, _ in samples], axis=1), volumes[mask][:, columns])
    assert np.diff([when for _, when in samples]) == pytest.approx([TR, TR], abs=1e-3)
    assert "Traceback" not in capsys.readouterr().err


def test_a_lost_stream_is_one_line_and_courses_are_kept(stream, player, bundles, tmp_path, capsys, monkeypatch):
    labels = np.where(bundles["linear"].model.bold_statistics.mask, 1, 0).astype(np.int16)
    labels[:, :4] *= 2
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([2.0, 3.0, 4.0, 1.0])), tmp_path / "my-atlas_1_dseg.nii")
    (tmp_path / "my-atlas_1_dseg.tsv").write_text("index\tname\n1\tfront\n2\tback\n")
    monkeypatch.setattr("eeg2fmri.serving.lsl.FIND_S", 1.0)
    monkeypatch.setattr("eeg2fmri.serving.lsl.SILENT_S", 0.5)
    options = ("--out", tmp_path / "courses.tsv", "--atlas", tmp_path / "my-atlas_1_dseg.nii")
    assert stream(*options, seconds=4.0, then=player.stop) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("eeg2fmri")]
    rows = [row.split("\t") for row in (tmp_path / "courses.tsv").read_text().splitlines()]
    assert rows[0] == ["time", "front", "back"]
    assert len(rows) > 2
    sidecar = json.loads((tmp_path / "courses.json").read_text())
    assert (sidecar["Model"], sidecar["Stream"], sidecar["Atlas"]["Label"]) == (MODEL, player.name, "my-atlas_1")
    assert line.startswith(f"eeg2fmri stream: stream {player.name} is lost: its source has ended or cannot be reached")
    assert line.endswith(f"; {len(rows) - 1} volumes were made and are kept")


def groups():
    """Multicast groups that this machine listens to, with the number of listeners."""
    lines = Path("/proc/net/igmp").read_text().splitlines()
    return [tuple(line.split()[:2]) for line in lines if line.startswith("\t")]


@pytest.mark.skipif(not Path("/proc/net/igmp").exists(), reason="only Linux lists the multicast groups so")
def test_discovery_stays_on_this_machine(lsl):
    before = groups()
    outlet = made_outlet(lsl)
    (found,) = lsl.resolve_streams(timeout=5, name=SHORT)
    assert found.name == SHORT
    assert groups() == before
    del outlet


def test_a_stream_that_is_not_there_is_refused(lsl, monkeypatch, refuses):
    monkeypatch.setattr("eeg2fmri.serving.lsl.FIND_S", 0.5)
    with refuses(StreamError, r"no stream called none on this machine within 0\.5 s \(found .*\); start it, name it"):
        EegStream(lsl, "none", TYPES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"units": None}, "the unit of Fp1 is not stated; give --unit uV, mV or V"),
        ({"units": "furlongs"}, "the unit of Fp1 is furlongs; give --unit"),
        ({"names": None}, "its channels have no names"),
        ({"types": "gsr"}, "no channel of type eeg or ecg, found gsr"),
        ({"rate": 0.0}, "no regular samples of numbers"),
    ],
)
def test_a_stream_that_says_too_little_is_refused(lsl, change, words, refuses):
    outlet = made_outlet(lsl, **change)
    with refuses(RequestError, words):
        EegStream(lsl, SHORT, TYPES)
    del outlet


def made_outlet(lsl, *, units="microvolts", names=("Fp1", "Cz"), types="eeg", rate=50.0):
    info = lsl.StreamInfo(SHORT, "EEG", 2, rate, "float32", f"short-{time.monotonic_ns()}")
    if names:
        info.set_channel_names(list(names))
    if names and types:
        info.set_channel_types(types)
    if names and units:
        info.set_channel_units(units)
    return lsl.StreamOutlet(info)


@pytest.mark.parametrize(("stated", "given", "factor"), [("microvolts", None, 1.0), ("-3", None, 1e3), ("?", "V", 1e6)])
def test_numbers_are_brought_to_microvolts(lsl, stated, given, factor):
    outlet = made_outlet(lsl, units=stated)
    source = EegStream(lsl, SHORT, TYPES, given)
    blocks = source.blocks()
    values = np.zeros((0,))
    while not values.size:
        outlet.push_sample(np.array([2.0, -3.0], np.float32))
        values = next(blocks)[0]
    source.close()
    np.testing.assert_allclose(values[:, 0], [2 * factor, -3 * factor])


def test_a_clock_that_starts_again_ends_with_a_whole_file(lsl, bundles, monkeypatch, tmp_path, capsys):
    """So does an outlet whose program was started again, or one that sends its recording twice."""
    eeg = np.random.default_rng(6).normal(0, 20, (round(4 * TR * SAMPLING_RATE), len(CHANNELS))).astype(np.float32)
    info = lsl.StreamInfo(SHORT, "EEG", len(CHANNELS), SAMPLING_RATE, "float32", f"again-{time.monotonic_ns()}")
    info.set_channel_names(list(CHANNELS))
    info.set_channel_types(["ecg" if name == "ECG" else "eeg" for name in CHANNELS])
    info.set_channel_units("microvolts")
    outlet = lsl.StreamOutlet(info)

    def send():
        outlet.wait_for_consumers(timeout=10)
        begin = lsl.local_clock()
        for _ in range(2):
            outlet.push_chunk(eeg, begin + np.arange(len(eeg)) / SAMPLING_RATE)

    monkeypatch.setattr("eeg2fmri.cli.verbs._named_model", lambda *_: (bundles["linear"], "uri", MODEL))
    sender = threading.Thread(target=send)
    sender.start()
    status = main(["stream", "--stream", SHORT, "--out", str(tmp_path / "bold.nii")])
    sender.join()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("eeg2fmri")]
    made = 4 - bundles["linear"].window_shape[2] + 1
    assert (status, sorted(path.name for path in tmp_path.iterdir())) == (1, ["bold.json", "bold.nii"]), line
    assert line == (
        f"eeg2fmri stream: the clock of the stream goes back by {4 * TR:.1f} s; start again; {made} volumes were made "
        f"and are kept"
    )
    volumes = nibabel.load(tmp_path / "bold.nii").get_fdata(dtype=np.float32)
    expected = synthesise_samples(bundles["linear"], eeg.T, SAMPLING_RATE, CHANNELS).image
    np.testing.assert_allclose(volumes, np.asarray(expected.dataobj), rtol=1e-5, atol=1e-4)
