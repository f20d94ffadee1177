"""Bad requests, generated: one fault or more in a valid one, damaged files, wrong types, sizes that lie."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


DTYPES = ("<f2", "<f4", ">f4", "<f8", "<i1", "<i2", "<u4", "<i8", "|b1", "<c8", "<c16", "<U3", "|S5", "|V8", "<m8[s]")
HUGE = 2**62
WORDS = st.text(max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    WORDS,
    st.just("x" * 5000),
    st.binary(max_size=9).map(text),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    """An array of a shape near the right one, of any type, with any few values."""
    wanted = list(shape)
    for _ in range(draw(st.integers(0, 2))):
        change = draw(st.sampled_from(("size", "axis", "less", "swap")))
        at = draw(st.integers(0, len(wanted) - 1)) if wanted else 0
        if change == "axis":
            wanted.insert(at, draw(st.integers(0, 3)))
        elif change == "less" and wanted:
            wanted.pop(at)
        elif change == "swap":
            wanted.reverse()
        elif wanted:
            wanted[at] = draw(st.sampled_from((0, 1, 2, 50, 3000)))
    while np.prod(wanted, dtype=float) > 200_000:
        wanted[int(np.argmax(wanted))] = 2
    values = np.full(wanted, draw(st.sampled_from((0, 1, 20, 1e-9, 1e30, -1, np.nan, np.inf))), "<f4")
    if not np.isfinite(values).all() or draw(st.booleans()):
        return values
    return values.clip(-1, 99).astype("<i8").astype(draw(st.sampled_from(DTYPES)))


@st.composite
def headers(draw: st.DrawFn, content: bytes) -> bytes:
    """A .npy file whose header lies or is damaged."""
    sizes = st.lists(st.sampled_from((0, 1, 3, 13, 10**6, HUGE, -1)), max_size=9)
    fields = {
        "descr": repr(draw(st.sampled_from((*DTYPES, "|O", "O", "<f16", "<f1", "", "<f4" * 9)))),
        "fortran_order": draw(st.sampled_from(("True", "False", "None", "2", "__import__('os')"))),
        "shape": draw(st.one_of(sizes.map(lambda axes: repr(tuple(axes))), st.just("(" * 400), st.just("(1 2)"))),
    }
    words = "{" + ", ".join(f"'{key}': {value}" for key, value in fields.items()) + ", }"
    length = draw(st.sampled_from((len(words), 0, 65535)))
    version = draw(st.sampled_from((b"\1\0", b"\2\0", b"\3\0", b"\0\0", b"\xff\xff")))
    return b"\x93NUMPY" + version + length.to_bytes(2, "little") + words.encode() + content


@st.composite
def files(draw: st.DrawFn, shape: tuple[int, ...]) -> str:
    """Base64 of a .npy or .npz file, often damaged."""
    buffer = io.BytesIO()
    np.save(buffer, draw(arrays(shape)), allow_pickle=False)
    content = buffer.getvalue()
    kind = draw(st.sampled_from(("npy", "header", "npz", "zip", "two", "bomb", "pickle", "noise", "text")))
    if kind == "header":
        content = draw(headers(content[128:]))
    elif kind in ("npz", "two", "zip", "bomb"):
        inside = {"npz": content, "two": content, "zip": draw(st.binary(max_size=50))}.get(kind)
        if inside is None:  # zeros behind a header that is right, or small
            says = draw(st.sampled_from((f"({4_000_000},)", f"(6, {600_000})", "(3,)", "(1, 6, 13, 3)")))
            words = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {says}, }}".encode()
            inside = b"\x93NUMPY\1\0" + len(words).to_bytes(2, "little") + words + bytes(4_000_000)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", draw(st.sampled_from((0, 8, 12)))) as archive:
            for name in ("a.npy", "b.npy")[: 1 + (kind == "two")]:
                archive.writestr(name, inside)
        content = buffer.getvalue()
    elif kind == "pickle":
        buffer = io.BytesIO()
        np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
        content = buffer.getvalue()
    elif kind == "noise":
        content = draw(st.binary(max_size=300))
    if len(content) and draw(st.booleans()):
        at = draw(st.integers(0, len(content) - 1))
        content = content[:at] + draw(st.binary(max_size=4)) + content[at + draw(st.integers(0, 6)) :]
    return draw(WORDS) if kind == "text" else text(content[: draw(st.sampled_from((None, 40, 130, -1)))])


@st.composite
def bad_requests(draw: st.DrawFn, window: tuple[int, int, int], channels: Sequence[str], rate: float) -> dict[str, Any]:
    """A request with `inputs` and `params`, hardly ever valid."""
    record: dict[str, Any] = {}
    field = draw(st.sampled_from(("windows_npy", "eeg_npy", "windows", "eeg", "labels_npy", "other")))
    eeg = (len(channels), draw(st.sampled_from((0, 1, 95, 96, 400))))
    shape = window if field.startswith("windows") else eeg
    if field.endswith("npy"):
        record[field] = draw(files(shape))
    elif field in ("windows", "eeg"):
        record[field] = draw(st.one_of(arrays(shape).filter(lambda a: a.size < 5000 and a.dtype.kind in "fiubU")
                                       .map(lambda array: array.tolist()), TREES))  # fmt: skip
    if field.startswith("eeg"):
        rates = st.sampled_from(
            (rate, 0, -1, 1e-300, 1e300, rate * 1000, float("nan"), float("inf"), str(rate), [rate])
        )
        record["sampling_rate"] = draw(rates)
    if draw(st.booleans()):
        names = st.one_of(st.just(list(channels)), st.lists(st.sampled_from([*channels, "Pz", "EOG", "\n", "x" * 999])))
        record["channels"] = draw(st.one_of(names, TREES))
    for _ in range(draw(st.integers(0, 2))):
        known = st.sampled_from(("windows", "windows_npy", "eeg", "eeg_npy", "sampling_rate", "labels_npy", "reply"))
        record[draw(st.one_of(known, WORDS))] = draw(st.one_of(TREES, files(shape)))
    options = st.one_of(st.sampled_from(("npy", "npz", "json", "nifti", "courses", "float16", 0.5, 1, "gif")), TREES)
    names = st.one_of(st.sampled_from(("reply", "dtype", "max_interpolated")), WORDS)
    params = draw(st.one_of(st.just({}), st.dictionaries(names, options, max_size=3), TREES))
    return {"inputs": draw(st.one_of(st.just([record]), st.just([record] * 3), TREES)), "params": params}
