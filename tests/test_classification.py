"""Subjects with EEG only: which are used, what their features are, and which are refused."""

from __future__ import annotations

import os
import shutil
import signal
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from distributed import KilledWorker

import eeg2fmri
from eeg2fmri.classification import (
    EEG,
    LATENTS,
    REGIONS,
    classify_subjects,
    find_labelled,
    parcellation,
    recording_features,
    subject_features,
    subjects,
)
from eeg2fmri.config import Config, MeanConfig
from eeg2fmri.errors import DatasetError, DiskFullError, IncompleteError, ModelError
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.signals import without_drift
from eeg2fmri.store import Windows
from tests.fakes import CHANNELS, CONTEXT, SAMPLING_RATE, recording
from tests.labelled import WINDOWS, labelled_bundle, write_labelled

CONFIG = Config.model_validate(
    {
        "classify": {"folds": 4, "permutations": 5, "block": 8.0, "penalties": [0.1, 10]},
        "evaluation": {"drift_cutoff": 8.0},
        "policy": {"level": 0.2},
    }
)


def changed(**settings) -> Config:
    return CONFIG.model_copy(update={"classify": CONFIG.classify.model_copy(update=settings)})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_labelled(tmp_path_factory.mktemp("labelled") / "study")


@pytest.fixture(scope="module")
def bundle():
    return labelled_bundle()


@pytest.fixture(scope="module")
def features(root, bundle):
    return subject_features(bundle, find_labelled(CONFIG, root), parcellation(bundle, CONFIG), CONFIG)


def test_features_have_a_row_for_each_subject(features):
    assert {name: set(kinds) for name, kinds in features.items()} == {
        REGIONS: {"spread", "correlation"},
        LATENTS: {"spread", "correlation"},
        EEG: {"mean", "spread"},
    }
    regions = features[REGIONS]["spread"].shape[1]
    assert features[REGIONS]["correlation"].shape == (12, regions * (regions - 1) // 2)
    assert features[LATENTS]["spread"].shape == (12, 4)
    assert features[EEG]["mean"].shape == (12, len(CHANNELS) * 4)  # no bin is in the gamma band
    assert all(np.isfinite(values).all() for kinds in features.values() for values in kinds.values())


def test_features_are_those_of_the_synthesised_courses(bundle):
    windows = recording("sub-09", 9, windows=WINDOWS)
    eeg = Windows([windows], CONTEXT).eeg(np.arange(WINDOWS - CONTEXT))
    atlas = parcellation(bundle, CONFIG)
    found = recording_features(bundle, eeg, atlas, CONFIG)
    volumes = bundle.model.synthesise(eeg)
    courses = np.stack([volumes[:, atlas.labels == label].mean(axis=1, dtype=float) for label in atlas.names], axis=1)
    still = without_drift(courses, bundle.signal.tr, 8.0)
    np.testing.assert_allclose(found[REGIONS]["spread"], np.log(still.std(axis=0)), atol=1e-3)
    r = np.corrcoef(still.T)[np.triu_indices(len(atlas.names), 1)]
    np.testing.assert_allclose(np.tanh(found[REGIONS]["correlation"]), r, atol=1e-3)
    alpha = np.square(eeg[:, 2, 3:6, -1]).sum(axis=1)  # 8, 10, 12 Hz at Oz; the third of four bands
    np.testing.assert_allclose(found[EEG]["mean"][2 * 4 + 2], np.log(alpha).mean(), rtol=1e-5)


def test_what_fluctuates_separates_and_is_compared_with_the_eeg(features, root):
    labels = find_labelled(CONFIG, root).labels
    done = []
    result = classify_subjects(features, labels, CONFIG, lambda: done.append(1))
    assert len(done) == 3 * 5
    assert result.found[REGIONS].score > 0.8
    assert result.found[REGIONS].p_value == pytest.approx(1 / 6)
    assert result.chance == result.majority == 0.5
    pair = result.beside_eeg[REGIONS]
    right, eeg = result.found[REGIONS].correct, result.found[EEG].correct
    assert (pair.won, pair.lost) == ((right & ~eeg).sum(), (eeg & ~right).sum())
    assert pair.difference == pytest.approx(result.found[REGIONS].score - result.found[EEG].score)


def test_recordings_of_one_subject_are_averaged(bundle, root, tmp_path, features):
    two = tmp_path / "two"
    shutil.copytree(root, two)
    for run, source in (("1", "01"), ("2", "03")):
        for ending in ("eeg", "vhdr", "vmrk"):
            path = root / f"sub-{source}" / "eeg" / f"sub-{source}_task-rest_eeg.{ending}"
            text = path.read_bytes().replace(f"sub-{source}_task-rest_eeg".encode(),
                                             f"sub-01_task-rest_run-{run}_eeg".encode())  # fmt: skip
            (two / "sub-01" / "eeg" / f"sub-01_task-rest_run-{run}_eeg.{ending}").write_bytes(text)
            (two / "sub-01" / "eeg" / f"sub-01_task-rest_eeg.{ending}").unlink(missing_ok=True)
    found = subject_features(bundle, find_labelled(CONFIG, two), parcellation(bundle, CONFIG), CONFIG)
    own = features[EEG]["mean"]
    np.testing.assert_allclose(found[EEG]["mean"][0], (own[0] + own[2]) / 2, rtol=1e-6)
    np.testing.assert_allclose(found[EEG]["mean"][1:], own[1:], rtol=1e-6)


def loaded(bundle, digest="d"):
    """The model as if it had been read from files."""
    return replace(bundle, digest=digest)


def kept(bundle, root, workdir, config=CONFIG, **options):
    """Features, and of each recording whether they were there before, in the order of `find_labelled` of one worker."""
    done = []
    found = subject_features(bundle, find_labelled(config, root), parcellation(bundle, config), config,
                             workdir=workdir, on_recording=lambda one: done.append(one.kept), **options)  # fmt: skip
    return found, done


def equal(found, other):
    assert {name: kinds.keys() for name, kinds in found.items()} == {name: k.keys() for name, k in other.items()}
    for name, kinds in found.items():
        for kind, values in kinds.items():
            np.testing.assert_array_equal(values, other[name][kind])


def test_a_killed_call_continues_with_the_same_numbers(bundle, root, tmp_path, features):
    def die(_):
        if len([*(tmp_path / "features").glob("sub-*.npz")]) == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    model, labelled, atlas = loaded(bundle), find_labelled(CONFIG, root), parcellation(bundle, CONFIG)
    if not (child := os.fork()):
        try:
            subject_features(model, labelled, atlas, CONFIG, workdir=tmp_path, on_recording=die)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len([*(tmp_path / "features").iterdir()]) == 5
    found, done = kept(model, root, tmp_path)
    assert sum(done) == 5
    equal(found, features)


def test_features_are_computed_again_if_something_else_makes_them(bundle, tmp_path, features):
    root = write_labelled(tmp_path / "study")
    assert kept(loaded(bundle), root, tmp_path)[1] == [False] * 12
    names = [source.name for source in find_labelled(CONFIG, root).recordings]
    (damaged,) = (tmp_path / "features").glob("sub-04*")
    damaged.write_bytes(damaged.read_bytes()[:200])
    found, done = kept(loaded(bundle), root, tmp_path)
    assert done == [name != "sub-04_task-rest" for name in names]
    equal(found, features)
    samples = root / "sub-02" / "eeg" / "sub-02_task-rest_eeg.eeg"
    samples.write_bytes((np.frombuffer(samples.read_bytes(), "<f4") * 2).tobytes())
    assert kept(loaded(bundle), root, tmp_path)[1] == [name != "sub-02_task-rest" for name in names]
    assert not any(kept(loaded(bundle, "other"), root, tmp_path)[1])
    assert not any(kept(loaded(bundle), root, tmp_path, changed(block=9.0))[1])
    assert not any(kept(loaded(bundle), root, tmp_path, changed(bands={"alpha": (8, 13)}))[1])
    assert all(kept(loaded(bundle), root, tmp_path, changed(permutations=6, folds=3))[1])


def damage(path, what):
    """Overwrite one byte of a file of features: deflated data, the method in its table, or the slash in a name."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        first, table = archive.infolist()[0], archive.start_dir
    name, extra = (int.from_bytes(content[first.header_offset + at :][:2], "little") for at in (26, 28))
    places = {
        "data": first.header_offset + 30 + name + extra,
        "method": table + 10,
        "slash": table + 46 + first.filename.index("/"),
    }
    content[places[what]] = 0xFF  # deflated data cannot begin with it: zlib.error, before any checksum
    path.write_bytes(content)


def test_features_are_computed_again_after_damage_to_one_byte(bundle, root, tmp_path, features):
    kept(loaded(bundle), root, tmp_path)
    for subject, what in (("04", "data"), ("06", "method"), ("09", "slash")):
        (path,) = (tmp_path / "features").glob(f"sub-{subject}*")
        damage(path, what)
    found, done = kept(loaded(bundle), root, tmp_path)
    assert done == [s.subject not in ("04", "06", "09") for s in find_labelled(CONFIG, root).recordings]
    equal(found, features)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (RuntimeError("odd"), IncompleteError,
         r"eeg.vhdr: failed \(RuntimeError: odd\); --workers 1 --debug shows where; finished recordings are kept"),
        (KilledWorker("task", SimpleNamespace(address="tcp://a"), 3), IncompleteError,
         r"its worker died each time \(KilledWorker: .*\); give fewer --workers"),
        (DatasetError("as it is"), DatasetError, "^as it is$"),
    ],
)  # fmt: skip
def test_an_error_of_a_worker_says_what_happened(bundle, root, monkeypatch, error, kind, message):
    def failing(_, recordings, **__):
        yield recordings[0], error

    monkeypatch.setattr(subjects, "each", failing)
    with pytest.raises(kind, match=message) as caught:
        kept(bundle, root, None, workers=2)
    assert caught.value.__cause__ is (None if caught.value is error else error)


def test_a_full_disk_is_one_line_and_leaves_no_half_file(bundle, root, tmp_path, refuses, small_files):
    with refuses(DiskFullError, "sub-01_task-rest.*no space left"), small_files(1000):
        kept(loaded(bundle), root, tmp_path)
    assert not [*(tmp_path / "features").iterdir()]


@pytest.mark.slow
def test_two_workers_find_the_same(bundle, root, tmp_path, features, refuses):
    found, done = kept(loaded(bundle), root, tmp_path / "two", workers=2)
    assert not any(done)
    equal(found, features)
    other = shutil.copytree(root, tmp_path / "other")
    (other / "sub-03" / "eeg" / "sub-03_task-rest_eeg.eeg").unlink()
    with refuses(DatasetError, "sub-03_task-rest_eeg"):
        kept(loaded(bundle), other, None, workers=2)


def test_remarks_that_recordings_share_are_one_line(bundle, root, tmp_path, caplog):
    """The EEG of two subjects paused for a second."""
    other = shutil.copytree(root, tmp_path / "other")
    for subject in ("03", "04"):
        markers = other / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-rest_eeg.vmrk"
        head = markers.read_text().partition("Mk1=")[0]
        markers.write_text(f"{head}Mk1=New Segment,,1,1,0,20240101120000000000\n"
                           f"Mk2=New Segment,,{SAMPLING_RATE * 5 + 1:.0f},1,0,20240101120006000000\n")  # fmt: skip
    with caplog.at_level("INFO", "eeg2fmri"):
        kept(bundle, other, None)
    gaps = [record for record in caplog.records if "gap" in record.getMessage()]
    zero = [record for record in caplog.records if "time zero" in record.getMessage()]
    assert [record.levelname for record in (*gaps, *zero)] == ["WARNING", "INFO"]
    assert "sub-03_task-rest_eeg.vhdr and 1 more: volumes with a gap" in gaps[0].getMessage()
    assert "12 of 12 recordings" in zero[0].getMessage()


def test_classify_in_python(bundle, root, tmp_path, features, refuses):
    found = eeg2fmri.classify(bundle, root, CONFIG, column="Group")
    expected = classify_subjects(features, find_labelled(CONFIG, root).labels, CONFIG)
    assert found.table.equals(expected.table)
    assert found.table["features"].tolist() == ["most frequent label", REGIONS, LATENTS, EEG]
    assert found.table["balanced accuracy"].tolist()[1:] == [each.score for each in found.found.values()]
    assert found.by_subject["subject"].tolist() == [f"sub-{n:02d}" for n in range(1, 13)]
    assert found.beside_eeg == expected.beside_eeg
    with refuses(ModelError, "has no digest"):
        eeg2fmri.classify(bundle, root, CONFIG, workdir=tmp_path)
    with refuses(DatasetError, "no column 'grup'"):
        eeg2fmri.classify(bundle, root, CONFIG, column="grup")
    with refuses(DatasetError, "none.nii: no such file"):
        eeg2fmri.classify(bundle, root, CONFIG, atlas=tmp_path / "none.nii")


def test_subjects_without_a_label_are_left_out_and_named(root, tmp_path, caplog):
    text = (root / "participants.tsv").read_text()
    other = write_labelled(tmp_path / "other")
    (other / "participants.tsv").write_text(text.replace("sub-02\tb", "sub-02\tn/a") + "sub-77\ta\t50\n")
    found = find_labelled(CONFIG, other)
    assert found.left_out == ("sub-02", "sub-77")
    assert found.counts == {"a": 6, "b": 5}
    assert "sub-02, sub-77" in caplog.text
    assert len(found.recordings) == 11


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"column": "grup"}, r"participants.tsv: no column 'grup' with labels; did you mean 'group'"),
        ({"column": "age"}, r"'age' has these labels .*30: 1, .*at least 2 labels of 4 subjects each"),
        ({"folds": 7}, r"\(a: 6, b: 6\); at least 2 labels of 7 subjects each are expected \(classify.folds 7\)"),
        ({"permutations": 4}, r"4 permutations .* no p below 0.2, policy.level is 0.2; set classify.permutations=5"),
    ],
)
def test_labels_that_prove_nothing_are_refused(root, refuses, settings, message):
    with refuses(DatasetError, message):
        find_labelled(changed(**settings), root)


def test_a_dataset_without_eeg_or_without_a_table_is_refused(root, tmp_path, refuses):
    with refuses(DatasetError, "no EEG recording"):
        find_labelled(CONFIG, tmp_path)
    other = write_labelled(tmp_path / "other", 2)
    (other / "participants.tsv").unlink()
    with refuses(DatasetError, "participants.tsv: no such file"):
        find_labelled(CONFIG, other)
    (other / "participants.tsv").write_text("participant_id\tgroup\nsub-01\ta\n01\tb\n")
    with refuses(DatasetError, "sub-01 is there more than once"):
        find_labelled(CONFIG, other)


def test_a_model_that_ignores_the_eeg_is_refused(bundle, refuses):
    parts = (Windows([recording(f"sub-0{n}", n)], CONTEXT) for n in (1, 2))
    mean = replace(bundle, model=fit(MeanConfig(), *parts, FitSettings()).model)
    eeg = Windows([recording("sub-09", 9)], CONTEXT).eeg(np.arange(20))
    with refuses(ModelError, "synthesises the same volume for any EEG"):
        recording_features(mean, eeg, parcellation(mean, CONFIG), CONFIG)
