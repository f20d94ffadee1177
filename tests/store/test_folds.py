"""Folds of the protocols: who is in which part, what cannot be made, and the file that publishes them."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

from eeg2fmri.config import CrossvalConfig, SplitConfig
from eeg2fmri.errors import ConfigError, LeakageError
from eeg2fmri.store import Split, Store, folds_content, make_folds, read_folds, split_store
from eeg2fmri.store.splits import subject_of
from tests.fakes import SIGNAL, recording
from tests.mlflow_store import SETTINGS


def subjects(count):
    """Sessions of so many subjects without sessions: the label of each is that of the subject."""
    return {f"sub-{n:02d}": [f"sub-{n:02d}"] for n in range(1, count + 1)}


def sessions(**counts):
    return {f"sub-{s}": [f"sub-{s}_ses-{n}" for n in range(1, count + 1)] for s, count in counts.items()}


def store_of(*labels):
    """A store in memory with a recording of each label."""
    recordings = []
    for seed, label in enumerate(labels):
        made = recording(subject_of(label), seed)
        recordings.append(dataclasses.replace(made, attributes={**made.attributes, "name": f"{label}_task-rest"}))
    return Store(Path("memory"), "d" * 64, SETTINGS, SIGNAL, tuple(recordings))


TWO_EACH = ("sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1", "sub-2_ses-2", "sub-3_ses-1", "sub-3_ses-2")


@pytest.mark.parametrize(
    ("count", "settings", "folds"),
    [
        (5, {}, 5),
        (7, {"validation": 3}, 7),
        (7, {"protocol": "k-fold", "folds": 3}, 3),
        (8, {"protocol": "k-fold", "folds": 4, "validation": 2}, 4),
        (6, {"protocol": "k-fold", "folds": 6}, 6),
    ],
)
def test_every_subject_is_tested_once_and_is_in_one_part(count, settings, folds):
    config = CrossvalConfig.model_validate(settings)
    made = make_folds(subjects(count), config)
    assert len(made) == folds
    assert Counter(s for fold in made for s in fold.test) == Counter([*subjects(count)])
    for fold in made:
        assert sorted((*fold.train, *fold.validation, *fold.test)) == sorted(subjects(count))
        assert len(fold.validation) == config.validation
    sizes = [len(fold.test) for fold in made]
    assert max(sizes) - min(sizes) <= 1


def test_the_next_subject_validates():
    made = make_folds(subjects(4), CrossvalConfig())
    assert [fold.validation for fold in made] == [("sub-02",), ("sub-03",), ("sub-04",), ("sub-01",)]
    assert made[1] == Split(("sub-01", "sub-04"), ("sub-03",), ("sub-02",))


def test_as_many_folds_as_subjects_leave_one_out():
    assert make_folds(subjects(5), CrossvalConfig(protocol="k-fold", folds=5)) == make_folds(
        subjects(5), CrossvalConfig()
    )


def test_sessions_of_a_subject_stay_together_unless_the_protocol_says_so():
    made = make_folds(sessions(a=2, b=1, c=3), CrossvalConfig())
    assert all("_ses-" not in label for fold in made for label in (*fold.train, *fold.validation, *fold.test))


def test_one_session_of_every_subject_is_left_out():
    made = make_folds(sessions(a=2, b=1, c=3), CrossvalConfig(protocol="leave-one-session-out"))
    assert [fold.test for fold in made] == [
        ("sub-a_ses-1", "sub-c_ses-1"),
        ("sub-a_ses-2", "sub-c_ses-2"),
        ("sub-c_ses-3",),
    ]
    assert made[0] == Split(("sub-b_ses-1", "sub-c_ses-2", "sub-c_ses-3"), ("sub-a_ses-2",), made[0].test)
    for fold in made:  # who validates does not train, with no session
        assert not {subject_of(label) for label in fold.train} & {subject_of(label) for label in fold.validation}


@pytest.mark.parametrize(
    ("given", "settings", "named"),
    [
        (subjects(2), {}, "leave-one-subject-out: 2 subjects, a fold needs 3 .1 to test, 1 to validate, 1 to train"),
        (subjects(4), {"validation": 3}, "4 subjects, a fold needs 5"),
        (subjects(4), {"protocol": "k-fold"}, "crossval.folds=5: the store has 4 subjects .*use at most 4 folds"),
        (subjects(4), {"protocol": "k-fold", "folds": 2, "validation": 2}, "a fold needs 5 .2 to test, 2 to validate"),
        (sessions(a=1, b=1), {"protocol": "leave-one-session-out"}, "no subject of the store has a second session"),
        (sessions(a=2), {"protocol": "leave-one-session-out"}, "1 subjects, a fold needs 2"),
    ],
)
def test_too_few_subjects_or_sessions_are_refused(given, settings, named, refuses):
    with refuses(ConfigError, named):
        make_folds(given, CrossvalConfig.model_validate(settings))


@pytest.mark.parametrize("parts", [(("sub-1",), ("sub-1_ses-2",)), (("sub-1_ses-2",), ("sub-1",))])
def test_a_subject_and_a_session_of_it_are_not_in_two_parts(parts, refuses):
    with refuses(LeakageError, "split: sub-1_ses-2 in train and in test; split by subject"):
        Split(parts[0], ("sub-2",), parts[1])


def test_a_store_is_split_by_sessions_where_they_are_named():
    store = store_of(*TWO_EACH)
    split = split_store(store, SplitConfig(validation=("2",), test=("1_ses-2",)))
    assert split == Split(
        ("sub-1_ses-1", "sub-3_ses-1", "sub-3_ses-2"), ("sub-2_ses-1", "sub-2_ses-2"), ("sub-1_ses-2",)
    )
    assert [r.session for r in store.of(split.test)] == ["sub-1_ses-2"]
    assert [r.session for r in store.of(("sub-1",))] == ["sub-1_ses-1", "sub-1_ses-2"]
    assert split_store(store, SplitConfig(validation=1, test=1)) == Split(("sub-1",), ("sub-2",), ("sub-3",))


@pytest.mark.parametrize(
    ("config", "kind", "named"),
    [
        (SplitConfig(validation=1, test=("1_ses-2",)), ConfigError, "split.validation: a number beside labels of"),
        (SplitConfig(validation=("2",), test=("1_ses-7",)), ConfigError, "sub-1_ses-7 not in the store"),
        (SplitConfig(validation=("1",), test=("1_ses-2",)), LeakageError, "sub-1_ses-2 in validation and in test"),
    ],
)
def test_sessions_that_cannot_be_split_are_refused(config, kind, named, refuses):
    with refuses(kind, named):
        split_store(store_of(*TWO_EACH), config)


@pytest.fixture
def published(tmp_path):
    """A split file of six sessions, and a function that writes it with a change."""
    store = store_of(*TWO_EACH)
    folds = make_folds(store.sessions, CrossvalConfig())
    content = folds_content(folds, "leave-one-subject-out", 4, store)

    def write(**changes):
        (tmp_path / "split.json").write_text(json.dumps(content | changes))
        return tmp_path / "split.json"

    return store, folds, write


def test_a_split_file_is_repeated_exactly(published):
    store, folds, write = published
    assert read_folds(write(), store) == ("leave-one-subject-out", folds)
    content = json.loads(write().read_text())
    assert content["recordings"]["sub-3_ses-1_task-rest"] == "source 4"
    assert (content["seed"], content["data_digest"]) == (4, store.digest)


@pytest.mark.parametrize(
    ("fold", "kind", "named"),
    [
        ({"train": ["sub-1"], "validation": ["sub-2"], "test": ["sub-3", "sub-9"]}, ConfigError,
         "fold 1 names sub-9, not in the store, which has sub-1, sub-1_ses-1"),
        ({"train": ["sub-1"], "validation": ["sub-2"], "test": ["sub-3_ses-1"]}, ConfigError,
         "fold 1 says nothing of sub-3_ses-2_task-rest in the store"),
        ({"train": ["sub-1", "sub-3"], "validation": ["sub-2"], "test": ["sub-3_ses-1"]}, LeakageError,
         "sub-3_ses-1 in train and in test"),
        ({"train": ["sub-1"]}, ConfigError, "split.json: not a split file of crossval .KeyError"),
    ],
)  # fmt: skip
def test_a_split_file_of_other_data_or_with_a_leak_is_refused(published, fold, kind, named, refuses):
    store, _, write = published
    with refuses(kind, named):
        read_folds(write(folds=[fold]), store)


def test_a_file_that_is_no_split_file_is_refused(published, tmp_path, refuses):
    (tmp_path / "x.json").write_text("no JSON")
    with refuses(ConfigError, "x.json: not a split file"):
        read_folds(tmp_path / "x.json", published[0])


def test_other_source_files_are_reported(published, caplog):
    store, _, write = published
    with caplog.at_level("WARNING", "eeg2fmri"):
        read_folds(write(recordings={r.name: "another" if "sub-2_ses-1" in r.name else r.source_digest
                                     for r in store.recordings}), store)  # fmt: skip
    assert [m for m in caplog.messages if "other source files" in m] == caplog.messages
    assert len(caplog.messages) == 1
