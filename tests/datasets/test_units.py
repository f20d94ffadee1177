"""Units: every way to state one gives µV, everything else is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.config import DatasetConfig, SimulationConfig
from eeg2fmri.datasets import find_recordings, open_eeg_file, survey
from eeg2fmri.datasets.amplitudes import BOUNDS, Amplitudes
from eeg2fmri.datasets.channels import named_type
from eeg2fmri.datasets.eeg import wanted_channels
from eeg2fmri.errors import DatasetError
from eeg2fmri.simulation import simulate
from eeg2fmri.store import prepare
from tests.conftest import CHANNELS, RATE_HZ

NAMES, RATE = ("Fp1", "Cz", "Oz", "ECG"), 200.0
AMPLITUDES = np.array([10.0, 20, 30, 80])  # µV, of a sine of 10 Hz
SAME = "µV".encode()


@pytest.fixture
def signal():
    seconds = np.arange(2000) / RATE
    return AMPLITUDES[:, None] * np.sin(2 * np.pi * 10 * seconds)


@pytest.fixture
def vhdr(tmp_path, signal):
    """Write BrainVision files whose header gives `unit` (bytes) to the first channels and hold `signal` × `scale`."""

    def write(unit=SAME, scale=1.0, only=None, tail=b""):
        path = tmp_path / "sub-01_task-rest_eeg.vhdr"
        (scale * signal).T.astype("<f4").tofile(path.with_suffix(".eeg"))
        rows = [
            f"Ch{n}={name},,1,".encode() + (unit if only in (None, name) else b"uV") + tail
            for n, name in enumerate(NAMES, 1)
        ]
        head = (
            "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
            f"DataFile={path.stem}.eeg\nMarkerFile={path.stem}.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
            f"NumberOfChannels={len(NAMES)}\nSamplingInterval={1e6 / RATE:g}\n[Binary Infos]\n"
            "BinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\n"
        )
        path.write_bytes(head.encode() + b"\n".join(rows) + b"\n")
        path.with_suffix(".vmrk").write_text(
            "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\n"
            f"DataFile={path.stem}.eeg\n[Marker Infos]\nMk1=New Segment,,1,1,0\n"
        )
        return path

    return write


@pytest.fixture
def table(tmp_path):
    def write(units="µV", types=()):
        path = tmp_path / "sub-01_task-rest_channels.tsv"
        kinds = {"ECG": "ECG"} | dict(types)
        rows = "".join(f"{name}\t{kinds.get(name, 'EEG')}\t{units}\n" for name in NAMES)
        path.write_text("name\ttype\tunits\n" + rows, encoding="utf-8")
        return path

    return write


def edf(path, signal, dimension, limits=("-3276.8", "3276.7")):
    """EDF with 1 s records; the numbers are those of `signal`."""
    count, rate = len(signal), int(RATE)
    fields = [
        *(name.ljust(16) for name in NAMES), *[" " * 80] * count, *[dimension.ljust(8)] * count,
        *[limits[0].ljust(8)] * count, *[limits[1].ljust(8)] * count, *["-32768".ljust(8)] * count,
        *["32767".ljust(8)] * count, *[" " * 80] * count, *[str(rate).ljust(8)] * count, *[" " * 32] * count,
    ]  # fmt: skip
    start = "0".ljust(8) + " " * 160 + "01.01.24" + "12.00.00" + str(256 * (count + 1)).ljust(8) + " " * 44
    start += str(signal.shape[1] // rate).ljust(8) + "1".ljust(8) + str(count).ljust(4)
    records = np.rint(signal * 10).astype("<i2").reshape(count, -1, rate).transpose(1, 0, 2)
    path.write_bytes((start + "".join(fields)).encode("latin-1") + records.tobytes())
    return path


def amplitudes(path, channels=None):
    """Amplitude (µV) of the sine of every EEG channel, and the notes."""
    raw = open_eeg_file(path, channels)
    picks = wanted_channels(raw, ("eeg",))
    Amplitudes(raw, picks).check()
    data = raw.read(picks)
    return np.round(data.std(axis=1) * np.sqrt(2), 1).tolist(), raw.notes


@pytest.mark.parametrize(
    ("unit", "scale"),
    [(b"uV", 1), ("µV".encode(), 1), ("µV".encode("latin-1"), 1), ("μV".encode(), 1), (b"mV", 1e-3), (b"V", 1e-6),
     (b"nV", 1e3), (b"", 1)],
)  # fmt: skip
def test_a_unit_of_brainvision_is_followed_without_a_word(unit, scale, vhdr):
    assert amplitudes(vhdr(unit, scale)) == ([10, 20, 30], ())


@pytest.mark.parametrize("unit", ["ÂµV", "\ufffdV", "?V", "UV", "microV", "uVolt", "microvolts"])
def test_a_mangled_micro_sign_is_a_note(unit, vhdr):
    values, (note,) = amplitudes(vhdr(unit.encode()))
    assert values == [10, 20, 30]
    assert note == f"Fp1, Cz, Oz, ECG: the unit {unit!r} of the file is read as µV"


@pytest.mark.parametrize("unit", ["uV", "UV", "\xb5V", "microV"])
def test_a_unit_of_edf(unit, tmp_path, signal):
    assert amplitudes(edf(tmp_path / "x_eeg.edf", signal, unit))[0] == [10, 20, 30]


@pytest.mark.parametrize(("unit", "scale"), [("mV", 1), ("V", 1)])
def test_larger_units_of_edf(unit, scale, tmp_path, signal):
    with pytest.raises(DatasetError, match="too large; correct the unit"):
        amplitudes(edf(tmp_path / "x_eeg.edf", signal, unit))
    smallest = {"mV": 0.001, "V": 1e-6}[unit]
    limits = (f"{-3276.8 * smallest:.6g}"[:8], f"{3276.7 * smallest:.6g}"[:8])
    values, _ = amplitudes(edf(tmp_path / "x_eeg.edf", signal, unit, limits))
    np.testing.assert_allclose(values, [10, 20, 30], rtol=0.01)


@pytest.mark.parametrize("unit", ["µV", "uV", "microV", "μV"])
def test_the_table_gives_the_unit_that_a_header_leaves_open(unit, tmp_path, signal, table):
    values, notes = amplitudes(edf(tmp_path / "x_eeg.edf", signal, ""), table(unit))
    assert values == [10, 20, 30]
    assert notes == ("Fp1, Cz, Oz, ECG: sub-01_task-rest_channels.tsv gives the unit µV",)


@pytest.mark.parametrize(("unit", "scale"), [("V", 1e-6), ("mV", 1e-3), ("nV", 1e3)])
@pytest.mark.parametrize("stated", [b"", b"abc"])
def test_the_table_scales_a_header_without_unit(unit, scale, stated, vhdr, table):
    assert amplitudes(vhdr(stated, scale), table(unit))[0] == [10, 20, 30]


def test_eeglab_takes_the_unit_of_the_table(tmp_path, signal, table):
    path = eeglab(tmp_path, signal * 1e-3)
    assert amplitudes(path, table("mV"))[0] == [10, 20, 30]
    with pytest.raises(DatasetError, match="mV read as µV: 1e3 too small"):
        amplitudes(path)
    with pytest.raises(DatasetError, match="1e3 too large"):
        amplitudes(path, table("V"))


def eeglab(folder, numbers):
    import mne

    raw = mne.io.RawArray(numbers * 1e-6, mne.create_info(list(NAMES), RATE, "eeg"), verbose="error")
    path = folder / "sub-01_task-rest_eeg.set"
    mne.export.export_raw(path, raw, overwrite=True, verbose="error")
    return path


@pytest.mark.parametrize(
    ("header", "channels", "words"),
    [
        (
            {},
            {"units": "V"},
            r"eeg\.vhdr: Fp1, Cz, Oz: the file gives the unit µV and sub-01_.*tsv gives V, a factor of 1e6",
        ),
        (
            {"unit": b"mV", "scale": 1e-3},
            {},
            "the file gives the unit mV and .* gives µV, a factor of 1e3; correct the",
        ),
        ({"unit": b"abc"}, {"units": "n/a"}, r"the unit 'abc' is not known; write it \(uV, mV, V or nV\) into"),
        ({"unit": b"C", "only": "Cz"}, {}, "Cz: the unit in the file is C, which is no voltage; give another type"),
        ({}, {"units": "S"}, r"the unit in sub-01_task-rest_channels\.tsv is S, which is no voltage"),
        ({"tail": b",uV", "unit": b"5"}, {}, r"the resolution in 'Ch1=Fp1,,1,5' has a decimal comma"),
        ({}, {"types": {"ECG": "EEG"}}, r"channels\.tsv: ECG has the type EEG, but the name of an ECG; give it"),
        ({}, {"types": dict.fromkeys(NAMES, "n/a")}, r"no channel of type eeg among \['n/a'\]; .* fill in the column"),
        ({"scale": 0}, {}, "every EEG channel is constant"),
    ],
)
def test_what_contradicts_is_refused(header, channels, words, vhdr, table, refuses):
    with refuses(DatasetError, words):
        amplitudes(vhdr(**header), table(**channels))


def test_no_unit_in_edf_is_refused(tmp_path, signal, refuses):
    with refuses(
        DatasetError, r"x_eeg\.edf: Fp1, Cz, Oz: no unit is stated; write it .* column units of channels\.tsv"
    ):
        amplitudes(edf(tmp_path / "x_eeg.edf", signal, ""))


def test_an_empty_range_in_edf_is_refused_and_mne_s_warning_kept(tmp_path, signal, refuses):
    path = edf(tmp_path / "x_eeg.edf", signal, "uV", ("0", "0"))
    assert any("Physical range is not defined" in note for note in open_eeg_file(path).notes)
    with refuses(DatasetError, r"Fp1, Cz, Oz: its range in the header is empty \(0 to 0, .*; export the file again"):
        amplitudes(path)


def test_a_unit_of_a_channel_that_is_not_wanted_does_not_matter(vhdr):
    raw = open_eeg_file(vhdr(b"abc", only="ECG"))
    assert len(wanted_channels(raw, ("eeg",))) == 3
    with pytest.raises(DatasetError, match="ECG: the unit 'abc' is not known"):
        wanted_channels(raw, ("eeg", "ecg"))


def test_a_channel_of_another_quantity_is_no_eeg_and_that_is_said(vhdr):
    values, notes = amplitudes(vhdr("°C".encode(), only="Cz"))
    assert values == [10, 30]
    assert notes == ("the unit of Cz is no voltage: not used as EEG without a channel table",)


@pytest.mark.parametrize("name", ["ECG", "ekg2", "EEG ECG-Ref", "BIP1_EKG"])
def test_an_ecg_is_known_by_its_name(name):
    assert named_type(name, "eeg") == "ecg"
    assert {named_type(other, "eeg") for other in ("FC1", "EEG Fp1-Ref", "FCz", "Heck")} == {"eeg"}


# --- amplitudes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (1e-6, "EEG channels of 2e-05 µV, 0.7 to 700 µV are expected; it looks like volts read as µV: 1e6 too small"),
        (1e-3, "looks like mV read as µV: 1e3 too small"),
        (1e3, "looks like µV read as mV or nV as µV: 1e3 too large"),
        (1e6, "looks like µV read as volts: 1e6 too large"),
    ],
)
def test_amplitudes_of_another_unit_are_refused(scale, words, vhdr, refuses):
    with refuses(DatasetError, words):
        amplitudes(vhdr(scale=scale))


@pytest.mark.parametrize("scale", [0.06, 1, 20])
def test_quiet_and_loud_eeg_is_not(scale, vhdr):
    amplitudes(vhdr(scale=scale))


def test_offsets_dead_channels_and_bursts_do_not_count(vhdr, signal):
    signal += 250_000  # the electrode potentials of a DC-coupled amplifier
    signal[0] = 7
    signal[:, 300:340] += 16_000
    amplitudes(vhdr())
    with pytest.raises(DatasetError, match="1e3 too small"):
        amplitudes(vhdr(scale=1e-3))


@pytest.mark.parametrize("factor", [1000, 1e-3])
def test_one_channel_of_another_unit_is_refused_or_marked_as_bad(factor, vhdr, signal, tmp_path, refuses):
    signal[2] *= factor
    names = open_eeg_file(vhdr()).channels
    with refuses(DatasetError, f"channel {names[2]} has .* µV, the other EEG channels .* mark it as bad"):
        amplitudes(vhdr())
    table = tmp_path / "marked.tsv"
    rows = [
        f"{name}\t{'ECG' if name == 'ECG' else 'EEG'}\tµV\t{'bad' if name == names[2] else 'good'}" for name in names
    ]
    table.write_text("\n".join(["name\ttype\tunits\tstatus", *rows]) + "\n", encoding="utf-8")
    amplitudes(vhdr(), table)


def test_the_scanner_s_artefact_passes_and_its_factors_do_not(tmp_path):
    """Raw EEG of the simulator, gradient artefacts of 3 to 12 mV in it."""
    size = {"subjects": 1, "volumes": 6, "grid": (8, 8, 8), "channels": 8, "raw": True}
    root = simulate(SimulationConfig.model_validate(size), tmp_path / "raw")
    raw = open_eeg_file(next(root.glob("sub-*/eeg/*.vhdr")))
    picks = wanted_channels(raw, ("eeg",))
    assert np.abs(raw.read(picks)).max() > 3000
    Amplitudes(raw, picks).check()
    for factor in (1e-6, 1e-3, 1e3, 1e6):
        raw.scales.factors[:] *= factor
        with pytest.raises(DatasetError, match=f"{BOUNDS['eeg'][0]:g} to {BOUNDS['eeg'][1]:g} µV are expected"):
            Amplitudes(raw, picks).check()
        raw.scales.factors[:] /= factor


@pytest.mark.parametrize("fault", ["volts", "no type", "no unit", "no numbers"])
def test_inspect_and_preprocess_refuse_alike(fault, bids_root, tiny_config, refuses):
    for tsv in bids_root.glob("sub-*/eeg/*_channels.tsv"):
        if fault == "no type":
            tsv.write_text(tsv.read_text().replace("\tEEG", "\tn/a"))
        if fault == "no unit":
            header = next(tsv.parent.glob("*.vhdr"))
            header.write_text(header.read_text().replace("µV", "abc"))
            tsv.write_text(tsv.read_text().replace("\tuV", "\tn/a"))
        if fault == "volts":
            data = next(tsv.parent.glob("*.eeg"))
            (np.fromfile(data, "<f4") * np.float32(1e-6)).tofile(data)
        if fault == "no numbers":
            data = next(tsv.parent.glob("*.eeg"))
            samples = np.fromfile(data, "<f4").reshape(-1, len(CHANNELS))
            samples[:, 1] = np.nan
            samples.tofile(data)
    words = {"volts": "volts read as µV: 1e6 too small", "no type": "no channel of type eeg", "no unit": "is not known",
             "no numbers": "NaN or infinite samples in"}  # fmt: skip
    config = tiny_config.model_copy(update={"channel_types": ("eeg",)})
    overview = survey(bids_root, DatasetConfig(), config)
    assert overview.usable == 0
    assert sum(words[fault] in problem for _, problem in overview.problems) == 3
    with refuses(DatasetError, words[fault]):
        prepare(find_recordings(bids_root)[0][0], config)


def test_fif_holds_volts_whatever_a_table_says(write_recording, rng, tmp_path):
    import mne

    folder = write_recording(tmp_path)
    header = folder / "eeg/sub-01_task-rest_eeg.vhdr"
    data = rng.normal(0, 2e-5, (len(CHANNELS), 1270))
    raw = mne.io.RawArray(data, mne.create_info(list(CHANNELS), RATE_HZ, "eeg"), verbose="error")
    raw.save(header.with_suffix(".fif"), verbose="error")
    opened = open_eeg_file(header.with_suffix(".fif"), folder / "eeg/sub-01_task-rest_channels.tsv")
    np.testing.assert_allclose(opened.read([0]), data[:1] * 1e6, rtol=1e-4)
    assert any("channels.tsv says uV; the format of the file holds V" in note for note in opened.notes)


def test_a_table_that_contradicts_itself_is_refused(write_recording, tmp_path, refuses):
    table = write_recording(tmp_path) / "eeg/sub-01_task-rest_channels.tsv"
    table.write_text(table.read_text() + "Cz\tEOG\tuV\n")
    with refuses(DatasetError, r"channels\.tsv: two rows describe Cz differently; keep one of them"):
        open_eeg_file(table.with_name("sub-01_task-rest_eeg.vhdr"), table)


@pytest.mark.parametrize(("name", "kind"), [("Heart", "ecg"), ("Resp", "resp"), ("ECG1", "ecg"), ("FC1", "eeg")])
def test_channels_of_the_body_are_told_by_their_names(name, kind):
    assert named_type(name, "eeg") == kind
