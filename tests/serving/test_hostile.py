"""Hostile requests: what they cost, and that none is answered otherwise than by a reason."""

from __future__ import annotations

import ast
import base64
import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from eeg2fmri.config import ServingConfig
from eeg2fmri.errors import MemoryLimitError, RequestError
from eeg2fmri.serving.arrays import decode, encode
from eeg2fmri.serving.requests import answer
from tests.fakes import CHANNELS, EEG_SHAPE, SAMPLING_RATE
from tests.serving.hostile import bad_requests

MOST = 10_000
MIB = 2**20


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def archive(*members: tuple[str, bytes], compression=zipfile.ZIP_DEFLATED) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return text(buffer.getvalue())


def npy(array: np.ndarray) -> bytes:
    return base64.b64decode(encode(array))


def header(fields: str, version: bytes = b"\1\0") -> bytes:
    return b"\x93NUMPY" + version + len(fields).to_bytes(2, "little") + fields.encode()


def patched(content: str, signature: bytes, offset: int, value: bytes) -> str:
    """An archive with some bytes of one of its records replaced."""
    raw = bytearray(base64.b64decode(content))
    at = raw.rindex(signature) + offset
    raw[at : at + len(value)] = value
    return text(bytes(raw))


class TestArrays:
    @pytest.mark.parametrize(
        "dtype", ["<f2", "<f4", ">f4", "<f8", "i1", "<i2", ">i4", "<i8", "u1", "<u2", "<u4", "<u8"]
    )
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_every_kind_of_number_is_read_as_numpy_reads_it(self, dtype, order, rng):
        array = np.asarray(rng.integers(0, 100, (2, 3, 4)), dtype, order=order)
        for sent in (encode(array), archive(("a.npy", npy(array))), archive(("a.npy", npy(array)), compression=0)):
            found = decode("a", sent, MOST)
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)

    @pytest.mark.parametrize("shape", [(), (0,), (5,), (1, 0, 3), (2, 1, 1, 1, 2)])
    @pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
    def test_every_shape_and_version(self, shape, version):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ones(shape), version)
        np.testing.assert_array_equal(decode("a", text(buffer.getvalue()), MOST), np.ones(shape))

    def test_an_archive_as_numpy_writes_it_to_a_pipe(self):
        class Pipe(io.RawIOBase):
            written = b""

            def writable(self):
                return True

            def write(self, part):
                self.written += bytes(part)
                return len(part)

        pipe = Pipe()
        np.savez_compressed(pipe, a=np.arange(6))
        np.testing.assert_array_equal(decode("a", text(pipe.written), MOST), np.arange(6))

    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            (archive(("a.txt", b"no array")), "not a .npy or .npz file"),
            (archive(("a.npy", npy(np.ones(3))), ("b.npy", npy(np.ones(3)))), "an archive of 2 files"),
            (archive(), "damaged|archive of 0 files"),
            (archive(("a.npy", npy(np.ones(3))[:-1])), "its header says"),
            (archive(("a.npy", npy(np.ones(3)) + b"1")), "its header says|damaged"),
            (patched(archive(("a.npy", npy(np.ones(3)))), b"PK\5\6", 16, b"\xff\xff\xff\x7f"), "damaged"),
            (patched(archive(("a.npy", npy(np.ones(3)))), b"PK\1\2", 8, b"\1"), "damaged"),
            (patched(archive(("a.npy", npy(np.ones(3)))), b"PK\1\2", 10, b"\x0e"), "damaged"),
            (patched(archive(("a.npy", npy(np.ones(3)))), b"PK\1\2", 16, b"\0\0\0\0"), "checksum"),
            (patched(archive(("a.npy", npy(np.ones(3)))), b"PK\1\2", 42, b"\xff\xff\0\0"), "damaged"),
            (text(b"PK"), "damaged"),
            (text(npy(np.ones(3))[:-1]), "of 151 bytes, its header says 152"),
            (text(npy(np.ones(3)) + b"1"), "of 153 bytes, its header says 152"),
            (text(b"\x93NUMPY\1"), "not a .npy"),
            (text(b"\x93NUMPY\x09\0" + bytes(200)), "not a .npy"),
            (text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }")), "damaged"),
            (text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}")), "damaged"),
            (text(header("{'descr': '<f4', 'fortran_order': __import__('os'), 'shape': (3,)}")), "damaged"),
            (text(header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}")), "damaged"),
            (text(header("{'descr': '<m8', 'fortran_order': False, 'shape': (3,)}")), "numbers are expected"),
            (text(header("{'descr': '<f1', 'fortran_order': False, 'shape': (3,)}")), "numbers are expected"),
            (text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (1 2,)}")), "no usable shape"),
            (text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 40 + ")}")), "no usable shape"),
            (text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 80 + ",)}")), "no usable shape"),
            (text(header("{" * 900)), "damaged"),
            (text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}" + " " * 2000)), "damaged"),
        ],
    )  # fmt: skip
    def test_what_is_damaged_or_has_no_numbers(self, sent, words, refuses):
        with refuses(RequestError, f"^field: .*({words})"):
            decode("field", sent, MOST)

    def test_more_values_than_allowed(self, refuses):
        sent = text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (10001,)}"))
        with refuses(MemoryLimitError, "^field: .*at most 10000"):
            decode("field", sent, MOST)

    @pytest.mark.parametrize("dtype", [np.int8, np.float32])
    def test_an_archive_of_zeros_is_not_inflated(self, dtype, refuses):
        """40 MB of zeros in 40 kB: refused by the shape, of which the header is enough."""
        zeros = np.zeros(40 * MIB // np.dtype(dtype).itemsize, dtype)
        sent = archive(("a.npy", npy(zeros)))
        del zeros
        tracemalloc.start()
        with refuses(MemoryLimitError, "at most 10000"):
            decode("field", sent, MOST)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(sent) + MIB
        tracemalloc.stop()

    def test_a_header_that_lies_about_an_archive_of_zeros(self, refuses):
        content = header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}") + bytes(40 * MIB)
        sent = archive(("a.npy", content))
        del content
        tracemalloc.start()
        with refuses(RequestError, "damaged"):
            decode("field", sent, MOST)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(sent) + MIB
        tracemalloc.stop()


def test_no_header_is_parsed_as_python(monkeypatch):
    """`numpy.load` does: `ast` raised a SystemError now and then if threads switched within it (Python 3.11)."""

    def broken(*_):
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr(ast, "literal_eval", broken)
    sent = encode(np.ones(EEG_SHAPE, np.float32))
    with pytest.raises(SystemError):
        np.load(io.BytesIO(base64.b64decode(sent)))
    assert decode("a", sent, MOST).shape == EEG_SHAPE


@pytest.mark.parametrize("rate", [1e300, 1e-300, 1e9])
def test_a_rate_that_does_not_fit_its_eeg(bundles, rate, refuses):
    with refuses(RequestError, "sampling_rate|eeg"):
        answer(bundles["linear"], [{"eeg_npy": encode(np.ones((len(CHANNELS), 400))), "sampling_rate": rate}])


def test_raw_eeg_that_asks_for_hours_of_volumes(bundles, refuses):
    """16 kB of zeros that asked for 62,498 volumes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros((len(CHANNELS), 2_000_000), np.int8))
    record = {"eeg_npy": text(buffer.getvalue()), "sampling_rate": SAMPLING_RATE}
    with refuses(RequestError, "62498 windows, .*serving.max_windows"):
        answer(bundles["linear"], [record])


def test_lists_that_are_nested_deeply(bundles, refuses):
    nested: list = [1.0]
    for _ in range(400):
        nested = [nested]
    with refuses(RequestError, "not a rectangular array|shape"):
        answer(bundles["linear"], [{"windows": nested}])


def test_a_long_text_among_numbers(bundles, refuses):
    """As one array of text it would take 4 GB: every cell is as long as the longest."""
    tracemalloc.start()
    with refuses(RequestError, "windows: numbers are expected, found values of type str"):
        answer(bundles["linear"], [{"windows": ["x" * MIB, *[1.0] * 1000]}])
    assert tracemalloc.get_traced_memory()[1] < 3 * MIB
    tracemalloc.stop()


@pytest.mark.parametrize("fields", [{f"field {n}": 1 for n in range(200_000)}, {"channels": [1] * 500_000}])
def test_many_faults_cost_no_more_than_one(bundles, fields, refuses):
    tracemalloc.start()
    with refuses(RequestError, "unknown field|channels"):
        answer(bundles["linear"], [{"eeg_npy": "", "sampling_rate": SAMPLING_RATE} | fields])
    assert tracemalloc.get_traced_memory()[1] < 30 * MIB
    tracemalloc.stop()


@settings(max_examples=300, deadline=2000, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(request=bad_requests(EEG_SHAPE, CHANNELS, SAMPLING_RATE))
def test_generated_requests_get_a_reason_or_volumes(bundle_of_mean, request):
    limits = ServingConfig(max_windows=20, max_memory=16)
    reason = ""
    try:
        answer(bundle_of_mean, request["inputs"], request["params"], limits)
    except RequestError as err:
        reason = str(err)
    assert "\n" not in reason
    assert len(reason) < 300
