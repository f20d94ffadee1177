"""Served records: what they may hold, what is refused, and how volumes come back."""

from __future__ import annotations

import base64
import gzip
import io

import mne
import nibabel
import numpy as np
import pytest

from eeg2fmri.config import ServingConfig
from eeg2fmri.errors import MemoryLimitError, RequestError
from eeg2fmri.serving.arrays import encode
from eeg2fmri.serving.requests import answer as answer_all
from tests.fakes import CHANNELS, EEG_SHAPE, GRID, SAMPLING_RATE, TR
from tests.served import in_brain


def answer(bundle, record, **params):
    """The reply to one record."""
    (reply,) = answer_all(bundle, [record], params)
    return reply


def as_npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return base64.b64encode(buffer.getvalue()).decode()


def as_text(content: bytes):
    return base64.b64encode(content).decode()


def volumes_of(reply):
    """Decode a reply the way a client does."""
    if "volumes" in reply:
        return np.asarray(reply["volumes"], np.float32)
    if "volumes_npy" in reply:
        return np.load(io.BytesIO(base64.b64decode(reply["volumes_npy"])))
    return np.load(io.BytesIO(base64.b64decode(reply["volumes_npz"])))["volumes"]


def changed(array, value):
    """The array as lists, with one of its values replaced."""
    lists = array.tolist()
    cell = lists
    while isinstance(cell[0], list):
        cell = cell[0]
    cell[0] = value
    return lists


def damaged(text):
    """Base64 of a file whose compressed data lost a few bytes in the middle."""
    content = base64.b64decode(text)
    return as_text(content[:70] + bytes(20) + content[90:])


PICKLED = io.BytesIO()
np.save(PICKLED, np.array([{"an": "object"}], dtype=object), allow_pickle=True)

# A header that claims petabytes, and no data.
HUGE = (
    b"\x93NUMPY\x01\x00F\x00"
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999999,)}".ljust(69)
    + b"\n"
)

W = np.ones((1, *EEG_SHAPE), np.float32)


def wave(samples: int) -> np.ndarray:
    """EEG that changes."""
    return np.resize(np.float32([30, -10, 40, -10, -50]), (len(CHANNELS), samples))


E = wave(160)
RATE = {"sampling_rate": SAMPLING_RATE}
FAULTS = {
    "a rate that is true": ({"eeg": E.tolist(), "sampling_rate": True}, "sampling_rate: .*valid number"),
    "a rate that is text": ({"eeg": E.tolist(), "sampling_rate": "250"}, "sampling_rate: .*valid number"),
    "not an object": ([1, 2], "must be an object with fields, found list"),
    "record is null": (None, "found NoneType"),
    "no input": ({"channels": ["Cz"]}, "exactly one of .* found none"),
    "empty record": ({}, "exactly one of .* found none"),
    "two inputs": ({"windows": W.tolist(), "eeg": E.tolist(), **RATE}, "exactly one of .* found windows, eeg"),
    "unknown field": ({"windowss": W.tolist()}, "unknown field 'windowss'; did you mean 'windows'"),
    "unknown field, none near": ({"windows": W.tolist(), "qqqq": 1}, "unknown field 'qqqq'; known are windows"),
    "null windows": ({"windows": None}, "exactly one"),
    "windows a number": ({"windows": 3}, "windows: .*list"),
    "windows text": ({"windows": encode(W)}, "windows: .*list"),
    "windows empty": ({"windows": []}, r"windows: shape \(0,\)"),
    "windows NaN": ({"windows": changed(W, float("nan"))}, "windows: 1 NaN or infinite"),
    "windows infinite": ({"windows": changed(W, float("-inf"))}, "windows: 1 NaN or infinite"),
    "windows beyond float32": ({"windows": changed(W, 1e300)}, "windows: 1 NaN or infinite"),
    "windows negative": ({"windows": changed(W, -0.5)}, "windows: negative"),
    "windows with text": ({"windows": changed(W, "0.5")}, "windows: numbers are expected"),
    "windows with null": ({"windows": changed(W, None)}, "windows: numbers are expected"),
    "windows of flags": ({"windows": (W > 0).tolist()}, "windows: numbers are expected, found values of type bool"),
    "windows of huge integers": ({"windows": changed(W, 10**400)}, "windows: a number is too large"),
    "channels of long names": ({"eeg": E.tolist(), **RATE, "channels": ["x" * 65]}, "channels: .*64 characters"),
    "channels without end": ({"eeg": E.tolist(), **RATE, "channels": ["x"] * 1025}, "channels: .*at most 1024 items"),
    "windows ragged": ({"windows": changed(W, [1.0, 2.0])}, "windows: not a rectangular array"),
    "windows of another shape": ({"windows": W[:, :, 1:].tolist()}, r"shape \(1, 6, 12, 3\), expected \(6, 13, 3\)"),
    "windows swapped": ({"windows": W.swapaxes(1, 2).tolist()}, r"windows: shape \(1, 13, 6, 3\)"),
    "windows of rank 2": ({"windows": W[0, 0].tolist()}, r"windows: shape \(13, 3\)"),
    "windows of rank 5": ({"windows": W[None].tolist()}, r"windows: shape \(1, 1, 6, 13, 3\)"),
    "no windows": ({"windows_npy": encode(W[:0])}, r"windows_npy: shape \(0, 6, 13, 3\)"),
    "npy NaN": ({"windows_npy": encode(W * np.nan)}, "windows_npy: 234 NaN"),
    "npy complex": ({"windows_npy": encode(W * 1j)}, "windows_npy: numbers are expected, found values of type '<c"),
    "npy not base64": ({"windows_npy": "@@@not base64@@@"}, "windows_npy: not base64"),
    "npy not ASCII": ({"windows_npy": "µµµµ"}, "windows_npy: not base64"),
    "npy empty": ({"windows_npy": ""}, "windows_npy: not a .npy"),
    "npy of another file": ({"windows_npy": as_text(b"GIF89a and so on")}, "windows_npy: not a .npy or .npz file"),
    "npy cut short": ({"windows_npy": encode(W)[:400]}, "windows_npy: .npy file of 300 bytes, its header says 1064"),
    "npy header damaged": (
        {"windows_npy": as_text(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4(")}, "windows_npy: header .* is damaged"
    ),
    "npy claims a huge array": (
        {"windows_npy": as_text(HUGE)},
        "windows_npy: 1e[+]15 values, at most 33554432 fit",
    ),
    "npy pickled": ({"windows_npy": as_text(PICKLED.getvalue())}, "windows_npy: numbers are expected, found .*O"),
    "npz cut short": ({"windows_npy": as_text(base64.b64decode(as_npz(a=W))[:60])}, "windows_npy: the .npz file is da"),
    "npz damaged": (
        {"windows_npy": damaged(as_npz(a=W))}, "windows_npy: .*damaged"
    ),
    "npz of two arrays": ({"windows_npy": as_npz(a=W, b=W)}, "windows_npy: an archive of 2 files"),
    "npz pickled": ({"windows_npy": as_npz(a=np.array([{}], dtype=object))}, "windows_npy: numbers are expected"),
    "npy a list": ({"windows_npy": [1, 2]}, "windows_npy: .*string"),
    "eeg without rate": ({"eeg": E.tolist()}, "sampling_rate"),
    "rate zero": ({"eeg": E.tolist(), "sampling_rate": 0}, "sampling_rate: .*greater than 0"),
    "rate NaN": ({"eeg": E.tolist(), "sampling_rate": float("nan")}, "sampling_rate"),
    "rate text": ({"eeg": E.tolist(), "sampling_rate": "fast"}, "sampling_rate: .*number"),
    "rate below the frequencies": ({"eeg": E.tolist(), "sampling_rate": 50}, "sampling_rate: 50 Hz"),
    "eeg too short": ({"eeg": E[:, :90].tolist(), **RATE}, "eeg: 1.41 s of EEG, at least 1.50 s"),
    "eeg empty": ({"eeg": [], **RATE}, r"eeg: shape \(0,\)"),
    "eeg NaN": ({"eeg": changed(E, float("nan")), **RATE}, "eeg: 1 NaN"),
    "eeg of rank 1": ({"eeg": E[0].tolist(), **RATE}, r"eeg: shape \(160,\), expected \(channels, samples\)"),
    "eeg of rank 3": ({"eeg_npy": encode(E[None]), **RATE}, r"eeg_npy: shape \(1, 6, 160\)"),
    "eeg ragged": ({"eeg": [*E[:5].tolist(), [1.0]], **RATE}, "eeg: not a rectangular array"),
    "eeg of 5 channels": ({"eeg": E[:5].tolist(), **RATE}, "eeg: 5 channels, the model needs 6"),
    "channel missing": ({"eeg": E.tolist(), **RATE, "channels": [*CHANNELS[:5], "EOG"]}, "channels: ECG missing"),
    "channels too few": ({"eeg": E.tolist(), **RATE, "channels": list(CHANNELS[:5])}, "channels: 5 names for 6 rows"),
    "channels twice": (
        {"eeg": np.ones((7, 160)).tolist(), **RATE, "channels": [*CHANNELS, "Cz"]}, "channels: 'Cz' named twice"
    ),
    "channels of numbers": ({"eeg": E.tolist(), **RATE, "channels": [1, 2, 3, 4, 5, 6]}, "channels: .*string"),
}  # fmt: skip


@pytest.mark.parametrize("record", [{"eeg": np.zeros_like(E).tolist(), **RATE}, {"windows": (0 * W).tolist()},
                                    {"eeg": (E * 0 + 7).tolist(), **RATE}])  # fmt: skip
def test_eeg_of_an_amplifier_without_signal_is_refused(bundle, record, refuses):
    with refuses(RequestError, "every channel is constant"):
        answer(bundle, record)


class TestInputs:
    @pytest.mark.parametrize(
        "record",
        [
            lambda w: {"windows": w.astype(float).tolist()},
            lambda w: {"windows_npy": encode(w)},
            lambda w: {"windows_npy": encode(w.astype(np.float64))},
            lambda w: {"windows_npy": as_npz(any_name=w)},
            lambda w: {"windows_npy": encode(np.asfortranarray(w))},
            lambda w: {"windows_npy": encode(w.astype(">f4"))},
        ],
        ids=["json", "npy", "float64", "npz", "fortran", "big-endian"],
    )
    def test_windows_in_every_form(self, bundle, windows, record):
        volumes = volumes_of(answer(bundle, record(windows)))
        np.testing.assert_array_equal(volumes, in_brain(bundle, windows))

    def test_one_window_without_its_first_axis(self, bundle, windows):
        reply = answer(bundle, {"windows": windows[1].tolist()})
        assert reply["shape"] == [1, *GRID]
        np.testing.assert_array_equal(volumes_of(reply), in_brain(bundle, windows[1:]))

    def test_integers_are_numbers(self, bundle):
        record = {"windows": (1 + np.arange(np.prod(EEG_SHAPE)) % 7).reshape(EEG_SHAPE).tolist()}
        assert answer(bundle, record)["shape"] == [1, *GRID]

    @pytest.mark.parametrize("record", [lambda e: {"eeg": e.tolist()}, lambda e: {"eeg_npy": encode(e)}])
    def test_raw_eeg_in_both_forms(self, bundle, eeg, record):
        reply = answer(bundle, {**record(eeg), "sampling_rate": SAMPLING_RATE})
        assert reply["shape"] == [3, *GRID]
        expected = in_brain(bundle, bundle.windows(eeg, SAMPLING_RATE))
        np.testing.assert_array_equal(volumes_of(reply), expected)

    def test_channels_in_any_order_by_name(self, bundle, eeg):
        names = ["T8", "ECG", "Fp1", "Oz", "Cz", "T7"]
        mixed = eeg[[CHANNELS.index(name) for name in names]]
        record = {"eeg": mixed.tolist(), "sampling_rate": SAMPLING_RATE, "channels": names}
        expected = answer(bundle, {"eeg": eeg.tolist(), "sampling_rate": SAMPLING_RATE})
        np.testing.assert_array_equal(volumes_of(answer(bundle, record)), volumes_of(expected))

    def test_other_scalings(self, other_scalings, windows):
        volumes = volumes_of(answer(other_scalings, {"windows": windows.tolist()}))
        np.testing.assert_array_equal(volumes, in_brain(other_scalings, windows))


class TestChannels:
    """Only the linear bundle: windows do not depend on the family."""

    def test_case_of_a_name_does_not_count(self, bundles, eeg):
        record = {"eeg_npy": encode(eeg), **RATE}
        named = record | {"channels": [f" {name.upper()}" for name in CHANNELS]}
        np.testing.assert_array_equal(
            volumes_of(answer(bundles["linear"], named)), volumes_of(answer(bundles["linear"], record))
        )

    def test_a_missing_one_is_interpolated_if_that_is_allowed(self, bundles, eeg):
        kept = [row for row, name in enumerate(CHANNELS) if name != "Cz"]
        record = {"eeg_npy": encode(eeg[kept]), **RATE, "channels": [CHANNELS[row] for row in kept]}
        reply = answer(bundles["linear"], record, max_interpolated=0.2)
        assert reply["interpolated"] == ["Cz"]
        info = mne.create_info([*CHANNELS[:5]], SAMPLING_RATE, "eeg").set_montage("standard_1005", verbose="error")
        raw = mne.io.RawArray(eeg[:5], info, verbose="error")  # the ECG has no position
        raw.info["bads"] = ["Cz"]
        whole = eeg.copy()
        whole[:5] = raw.interpolate_bads(verbose="error").get_data()
        expected = volumes_of(answer(bundles["linear"], {"eeg_npy": encode(whole), **RATE}))
        np.testing.assert_allclose(volumes_of(reply), expected, rtol=1e-3)
        assert not np.allclose(expected, volumes_of(answer(bundles["linear"], {"eeg_npy": encode(eeg), **RATE})))

    def test_nothing_is_interpolated_if_all_are_there(self, bundles, eeg):
        record = {"eeg_npy": encode(eeg), **RATE, "channels": CHANNELS}
        assert answer(bundles["linear"], record, max_interpolated=0.9)["interpolated"] == []

    @pytest.mark.parametrize(
        ("lacks", "share", "words"),
        [
            (("Cz",), 0.1, r"Cz missing \(1 of 6\), max_interpolated 0.1 allows 0"),
            (("Cz", "Oz"), 0.2, r"Cz, Oz missing \(2 of 6\), max_interpolated 0.2 allows 1"),
            (("ECG",), 0.5, "ECG missing, and not to be interpolated: each needs a 10-05 position"),
            (("Cz", "Oz"), 0.5, "Cz, Oz missing, and not to be interpolated: .* 4 channels with one"),
            (("Cz",), 0.0, "Cz missing .*max_interpolated"),
        ],
    )
    def test_too_many_or_without_a_position(self, bundles, eeg, lacks, share, words, refuses):
        kept = [row for row, name in enumerate(CHANNELS) if name not in lacks]
        record = {"eeg_npy": encode(eeg[kept]), **RATE, "channels": [CHANNELS[row] for row in kept]}
        with refuses(RequestError, words):
            answer(bundles["linear"], record, max_interpolated=share)

    def test_one_named_twice_is_not_interpolated_from(self, bundles, eeg, refuses):
        record = {"eeg_npy": encode(eeg), **RATE, "channels": ["Fp1", "fp1", *CHANNELS[2:]]}
        with refuses(RequestError, "channels: 'Fp1' named twice"):
            answer(bundles["linear"], record, max_interpolated=0.5)


class TestReplies:
    @pytest.mark.parametrize("reply", ["npz", "npy", "json"])
    def test_all_decode_to_the_same_volumes(self, bundle, windows, reply):
        answered = answer(bundle, {"windows": windows.tolist()}, reply=reply)
        field = {"npz": "volumes_npz", "npy": "volumes_npy", "json": "volumes"}[reply]
        assert set(answered) == {"shape", "affine", "tr", "start_time", "interpolated", field}
        volumes = volumes_of(answered)
        assert answered["shape"] == list(volumes.shape) == [2, *GRID]
        assert volumes.dtype == np.float32
        np.testing.assert_array_equal(volumes, in_brain(bundle, windows))

    def test_npy_unless_asked_otherwise(self, bundle, windows):
        assert "volumes_npy" in answer(bundle, {"windows": windows.tolist()})

    @pytest.mark.parametrize("reply", ["npz", "npy"])
    def test_half_precision(self, bundle, windows, reply):
        volumes = volumes_of(answer(bundle, {"windows": windows.tolist()}, reply=reply, dtype="float16"))
        assert volumes.dtype == np.float16
        np.testing.assert_allclose(volumes, in_brain(bundle, windows), rtol=2**-11)

    def test_says_where_and_when_the_volumes_are(self, bundle, windows):
        reply = answer(bundle, {"windows": windows.tolist()})
        assert reply["affine"] == [list(row) for row in bundle.signal.affine]
        assert (reply["tr"], reply["start_time"]) == (TR, pytest.approx(3 * TR))

    def test_nifti(self, bundle, windows):
        reply = answer(bundle, {"windows": windows.tolist()}, reply="nifti")
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(reply["volumes_nii_gz"])))
        np.testing.assert_allclose(image.affine, reply["affine"])
        assert image.header.get_zooms()[3] == pytest.approx(TR)
        expected = in_brain(bundle, windows)
        np.testing.assert_array_equal(np.moveaxis(np.asanyarray(image.dataobj), 3, 0), expected)

    def test_courses_of_a_label_image(self, bundle, windows, rng):
        labels = rng.choice([0, 3, 7, 40], GRID).astype(np.int16)
        reply = answer(bundle, {"windows": windows.tolist(), "labels_npy": encode(labels)}, reply="courses")
        assert reply["regions"] == [3, 7, 40]
        mask, volumes = bundle.model.bold_statistics.mask, bundle.model.synthesise(windows)
        expected = [[volume[mask & (labels == label)].mean() for label in (3, 7, 40)] for volume in volumes]
        np.testing.assert_allclose(reply["courses"], expected, rtol=1e-5)

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            (np.ones((8, 7, 4), int), r"labels_npy: shape \(8, 7, 4\) .* model's grid \(8, 7, 5\)"),
            (np.ones(GRID, np.float32), "labels_npy: .*float32, expected whole numbers"),
            (-np.ones(GRID, int), "labels_npy: labels from -1 to -1"),
            (np.zeros(GRID, int), "labels_npy: no label has a voxel"),
            (np.full(GRID, 2**40), "labels_npy: labels from 1099511627776"),
        ],
    )
    def test_labels_that_do_not_fit(self, bundles, labels, words, refuses):
        with refuses(RequestError, words):
            answer(bundles["linear"], {"windows_npy": encode(W), "labels_npy": encode(labels)}, reply="courses")


@pytest.mark.parametrize(
    ("record", "params", "words"),
    [
        ({}, {"reply": "gif"}, "reply: .*'npy', 'npz', 'json', 'nifti' or 'courses'"),
        ({}, {"replly": "npy"}, "unknown field 'replly'; did you mean 'reply'"),
        ({}, {"max_interpolated": 1.0}, "max_interpolated: .*less than 1"),
        ({}, {"max_interpolated": float("nan")}, "max_interpolated: "),
        ({}, {"dtype": "float64"}, "dtype: .*'float32' or 'float16'"),
        ({}, {"dtype": "float16", "reply": "json"}, "dtype float16 is for the replies npy and npz, not for json"),
        ({}, {"reply": "courses"}, "reply 'courses' and the field labels_npy go together"),
        ({"labels_npy": encode(np.ones(GRID, int))}, {}, "reply 'courses' and the field labels_npy go together"),
        ({"reply": "npy"}, {}, "unknown field 'reply': it is an option; send it in params"),
        ({}, [], "params must be an object with fields, found list"),
    ],
)
def test_options_that_are_not_valid(bundles, record, params, words, refuses):
    with refuses(RequestError, words):
        answer_all(bundles["linear"], [{"windows_npy": encode(W)} | record], params)


@pytest.mark.parametrize("records", [{}, "text", None, 3])
def test_records_are_a_list(bundles, records, refuses):
    with refuses(RequestError, "inputs: .*expected a list of records"):
        answer_all(bundles["linear"], records)


def test_nothing_is_synthesised_if_one_record_is_refused(bundles, monkeypatch, refuses):
    monkeypatch.setattr(type(bundles["linear"].model), "synthesise", None)
    with refuses(RequestError, "exactly one"):
        answer_all(bundles["linear"], [{"windows_npy": encode(W)}, {}])


class TestLimits:
    """Each is refused before the work, and what is just below it is done."""

    def test_windows_of_a_request(self, bundles, refuses):
        limits = ServingConfig(max_windows=5)
        records = [{"windows_npy": encode(np.repeat(W, n, 0))} for n in (2, 3)]
        assert len(answer_all(bundles["linear"], records, limits=limits)) == 2
        with refuses(RequestError, "1 windows, 0 are left of the 5 of a request"):
            answer_all(bundles["linear"], [*records, {"windows_npy": encode(W)}], limits=limits)

    def test_volumes_of_raw_eeg(self, bundles, refuses, monkeypatch):
        limits = ServingConfig(max_windows=3)
        for samples, allowed in ((5 * 32, True), (6 * 32, False)):
            record = {"eeg_npy": encode(wave(samples)), **RATE}
            if allowed:
                assert answer_all(bundles["linear"], [record], limits=limits)[0]["shape"][0] == 3
                continue
            monkeypatch.setattr(type(bundles["linear"]), "windows", None)  # no spectrogram is computed
            with refuses(RequestError, "4 windows, 3 are left"):
                answer_all(bundles["linear"], [record], limits=limits)

    def test_memory_of_volumes(self, bundles, refuses):
        """A voxel of a JSON reply takes five times that of an array."""
        limits = ServingConfig(max_memory=1)
        record = {"windows_npy": encode(np.repeat(W, 17, 0))}
        assert answer_all(bundles["linear"], [record], {}, limits)[0]["shape"][0] == 17
        with refuses(MemoryLimitError, r"17 windows need 1.0 MiB, 0.9 are left of the 1 MiB .*serving.max_memory"):
            answer_all(bundles["linear"], [record], {"reply": "json"}, limits)

    def test_memory_of_arrays(self, bundles, refuses):
        """17 values per channel and sample take more than 1 MiB, as bool and int8 do when they are converted."""
        values = np.ones((len(CHANNELS), 2**16 // len(CHANNELS) + 1), np.int8)
        with refuses(MemoryLimitError, "eeg_npy: 6.554e[+]04 values, at most 65536 fit into serving.max_memory"):
            answer_all(bundles["linear"], [{"eeg_npy": encode(values), **RATE}], limits=ServingConfig(max_memory=1))

    def test_channels(self, bundles, refuses):
        with refuses(RequestError, "eeg_npy: shape .*1024 channels at most"):
            answer(bundles["linear"], {"eeg_npy": encode(np.ones((1025, 160), np.int8)), **RATE})


@pytest.mark.parametrize("fault", FAULTS)
def test_refuses(bundles, fault):
    record, words = FAULTS[fault]
    with pytest.raises(RequestError, match=words) as caught:
        answer(bundles["linear"], record)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_what_the_faults_start_from_is_valid(bundles):
    for record in ({"windows": W.tolist()}, {"windows_npy": encode(W)}, {"eeg": E.tolist(), **RATE}):
        assert answer(bundles["linear"], record)["shape"][1:] == list(GRID)
    assert E.shape[1] > 3 * TR * SAMPLING_RATE


def test_eeg_too_large_for_a_finite_volume_is_refused(bundles, windows):
    windows[:, 0] *= np.float32(1e25)  # one channel, so the amplitude of most is right
    with pytest.raises(RequestError, match="too large for a finite volume"):
        answer(bundles["linear"], {"windows_npy": encode(windows)})


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1e-6, "looks like volts read as µV: 1e6 too small; send clean EEG in µV"),
        (1e-3, "looks like mV read as µV: 1e3 too small"),
        (1e3, "looks like µV read as mV or nV as µV: 1e3 too large"),
    ],
)
def test_eeg_in_another_unit_is_refused(bundles, windows, eeg, factor, words):
    for record in ({"eeg_npy": encode(eeg * factor), "sampling_rate": SAMPLING_RATE},
                   {"windows_npy": encode(windows * factor)}):  # fmt: skip
        with pytest.raises(RequestError, match=f"(eeg|windows).* times the amplitude of .*{words}"):
            answer(bundles["linear"], record)


def test_a_loud_and_a_quiet_person_are_not_refused(bundles, windows, eeg):
    for factor in (0.15, 6.0):
        answer(bundles["linear"], {"eeg_npy": encode(eeg * factor), "sampling_rate": SAMPLING_RATE})
        answer(bundles["linear"], {"windows_npy": encode(windows * factor)})
