import pytest

from eeg2fmri.config import SplitConfig
from eeg2fmri.errors import ConfigError, LeakageError
from eeg2fmri.store import Split, split_subjects

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
