import pytest

from eeg2fmri.config import SplitConfig
from eeg2fmri.errors import ConfigError, LeakageError
from eeg2fmri.store import Split, open_store, settled, split_store, split_subjects, summary

SUBJECTS = ["sub-04", "sub-02", "sub-05", "sub-01", "sub-03"]


def test_the_last_subjects_test_and_those_before_validate():
    split = split_subjects(SUBJECTS, SplitConfig(validation=1, test=2))
    assert split == Split(("sub-01", "sub-02"), ("sub-03",), ("sub-04", "sub-05"))


def test_subjects_can_be_named_with_or_without_their_prefix():
    split = split_subjects(SUBJECTS, SplitConfig(validation=("sub-05",), test=("02", "01")))
    assert split == Split(("sub-03", "sub-04"), ("sub-05",), ("sub-02", "sub-01"))


def test_a_number_of_validation_subjects_leaves_out_the_named_test_subjects():
    split = split_subjects(SUBJECTS, SplitConfig(validation=2, test=("05",)))
    assert split == Split(("sub-01", "sub-02"), ("sub-03", "sub-04"), ("sub-05",))


def test_no_test_subject_is_allowed():
    assert split_subjects(SUBJECTS, SplitConfig(validation=1, test=0)).test == ()


def test_every_subject_is_in_exactly_one_part():
    split = split_subjects(SUBJECTS, SplitConfig(validation=2, test=1))
    assert sorted(split.train + split.validation + split.test) == sorted(SUBJECTS)


@pytest.mark.parametrize(
    "config", [SplitConfig(validation=("04",), test=2), SplitConfig(validation=("1",), test=("1",))]
)
def test_a_subject_in_two_parts_is_leakage(config, refuses):
    subjects = [*SUBJECTS, "sub-1"] if config.test != 2 else SUBJECTS
    with refuses(LeakageError, r"split: sub-0?[14] in validation and in test; split by subject"):
        split_subjects(subjects, config)


def test_a_split_cannot_be_made_with_shared_subjects(refuses):
    with refuses(LeakageError, "sub-01, sub-02 in train and in test"):
        Split(("sub-01", "sub-02", "sub-03"), (), ("sub-02", "sub-01"))


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (SplitConfig(validation=1, test=6), r"split\.test: 6 subjects asked for, 5 are in the store"),
        (SplitConfig(validation=4, test=2), r"split\.validation: 4 subjects asked for, 3 are in the store"),
        (SplitConfig(validation=0, test=2), "no subject left for validation among 5"),
        (SplitConfig(validation=3, test=2), "no subject left for train among 5"),
        (SplitConfig(validation=1, test=("07",)), r"split\.test: sub-07 not in the store, which has sub-01"),
        (SplitConfig(validation=("9",), test=1), r"split\.validation: sub-9 not in the store"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(config, text, refuses):
    with refuses(ConfigError, text):
        split_subjects(SUBJECTS, config)


def test_parts_have_names(refuses):
    split = Split(("sub-01",), ("sub-02",), ("sub-03",))
    assert [split.part(p) for p in ("train", "validation", "test")] == [("sub-01",), ("sub-02",), ("sub-03",)]
    with refuses(ConfigError, "split 'dev' is not known; expected one of train, validation, test"):
        split.part("dev")


@pytest.mark.parametrize(
    ("config", "kept", "expected"),
    [
        (SplitConfig(), SplitConfig(), (1, 2)),
        (SplitConfig(), SplitConfig(test=1), (1, 1)),
        (SplitConfig(), SplitConfig(validation=("03",), test=0), (("03",), 0)),
        (SplitConfig(test=("02",)), SplitConfig(validation=3, test=1), (3, ("02",))),
        (SplitConfig(validation=0, test=3), SplitConfig(validation=2, test=1), (0, 3)),
    ],
)
def test_a_configuration_comes_before_the_store_and_that_before_the_default(config, kept, expected):
    found = settled(config, kept)
    assert (found.validation, found.test) == expected
    assert found == settled(found, SplitConfig(validation=9, test=9)), "what is settled stays"


def test_a_store_keeps_the_split_that_it_was_prepared_with(build, tmp_path):
    first, _ = build(name="a-study", split=SplitConfig(test=("sub-01",)))
    again, seen = build(name="a-study")  # nothing is set: nothing changes
    assert {kept for _, kept in seen} == {True}
    assert again.split == first.split == SplitConfig(test=("sub-01",))
    assert split_store(again, SplitConfig()) == Split(("sub-02",), ("sub-03",), ("sub-01",))
    assert split_store(again, SplitConfig(test=1)) == Split(("sub-01",), ("sub-02",), ("sub-03",))
    other, _ = build(name="a-study", split=SplitConfig(validation=("02",)))
    assert open_store(tmp_path / "store").split == other.split == SplitConfig(validation=("02",), test=("sub-01",))
    assert other.digest == first.digest == build()[0].digest, "neither split nor name is part of the digest"
    assert "data set   a-study" in summary(other)
    assert "split      validation 02, test sub-01" in summary(other)


def test_a_store_of_another_data_set_keeps_no_split(build):
    build(name="a-study", split=SplitConfig(test=1))
    store, _ = build(name="another")
    assert (store.name, store.split) == ("another", SplitConfig())
    assert "split      validation 1, test 2" in summary(store)


@pytest.mark.parametrize(
    ("split", "error", "text"),
    [
        (SplitConfig(test=("07",)), ConfigError, r"split\.test: sub-07 not in the store, which has sub-01, sub-02"),
        (SplitConfig(test=2), ConfigError, "no subject left for train among 3"),
        (SplitConfig(validation=("01",), test=("01",)), LeakageError, "sub-01 in validation and in test"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused_before_anything_is_written(
    build, tmp_path, refuses, split, error, text
):
    with refuses(error, text):
        build(name="a-study", split=split)
    assert not (tmp_path / "store").exists()
