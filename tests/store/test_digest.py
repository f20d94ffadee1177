"""What the digests of a store and its recordings depend on."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from eeg2fmri.errors import StoreError
from eeg2fmri.store import check_digest
from tests.store.files import NAMES


def _flip(path, offset=-1):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_the_digest_does_not_depend_on_the_path(build, bids_root, tmp_path):
    first, _ = build()
    moved = shutil.move(bids_root, tmp_path / "elsewhere")
    assert build(tmp_path / "other", root=Path(moved))[0].digest == first.digest


@pytest.mark.parametrize("change", [{"context": 4}, {"iqr": True}, {"channel_types": ("eeg",)}, {"frequencies": 6}])
def test_the_digest_changes_with_a_setting(change, build, tmp_path, tiny_config):
    subjects = ("sub-01",)
    first, _ = build(subjects=subjects)
    other, _ = build(tmp_path / "other", tiny_config.model_copy(update=change), subjects=subjects)
    assert other.digest != first.digest
    assert other.recordings[0].digest != first.recordings[0].digest


@pytest.mark.parametrize("name", ["eeg/sub-02_task-rest_eeg.eeg", "eeg/sub-02_task-rest_eeg.vhdr", "func/bold"])
def test_the_digest_changes_with_one_byte_of_a_source(name, build, bids_root, tmp_path):
    first, _ = build()
    if name == "func/bold":  # one byte of the voxels; the compressed file would be corrupt
        path = bids_root / "sub-02/func/sub-02_task-rest_bold.nii.gz"
        image = nibabel.load(path)
        values = np.asarray(image.dataobj).copy()
        values[4, 3, 2, 1] += 1
        nibabel.save(nibabel.Nifti1Image(values, image.affine, image.header), path)
    elif name.endswith(".vhdr"):
        path = bids_root / "sub-02" / name
        path.write_bytes(path.read_bytes().replace(b"; ", b";.", 1))
    else:
        _flip(bids_root / "sub-02" / name, 100)
    other, seen = build(tmp_path / "other")
    assert other.digest != first.digest
    assert [a.digest == b.digest for a, b in zip(first.recordings, other.recordings, strict=True)] == [1, 0, 1]
    again, seen = build()
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], True)]
    assert again.digest == other.digest


def test_other_code_writes_every_recording_anew_from_the_same_sources(build, monkeypatch):
    before, _ = build()
    for module in ("build", "write"):
        monkeypatch.setattr(f"eeg2fmri.store.{module}.code_digest", lambda *entries: "another version")
    after, seen = build()
    assert seen == [(name, False) for name in NAMES]
    assert after.digest != before.digest
    assert [r.source_digest for r in after.recordings] == [r.source_digest for r in before.recordings]


def test_a_store_of_another_digest_is_refused(build, refuses):
    store, _ = build(subjects=("sub-01",))
    for wanted in (None, store.digest, store.digest[:8]):
        check_digest(store, wanted)
    with refuses(
        StoreError, r"its digest is .*, but the configuration has run\.store_digest 0123456789abcdef; give that"
    ):
        check_digest(store, "0123456789abcdef" * 4)
