"""The contract fails where a family does not keep it."""

from __future__ import annotations

import inspect

import pytest

from eeg2fmri.testing import FamilyTests

NAME = "tests.families.faulty:FAMILY"


@pytest.mark.parametrize(
    ("fault", "test", "reason"),
    [
        ("seed", FamilyTests.test_the_same_seed_gives_the_same_model, "Not equal to tolerance"),
        (
            "score",
            FamilyTests.test_the_score_that_is_reported_is_that_of_the_model_that_is_kept,
            "Not equal to tolerance",
        ),
        ("restart", FamilyTests.test_a_killed_fit_goes_on_as_if_never_killed, "the first epoch was fitted again"),
        ("device", FamilyTests.test_it_computes_where_it_is_told, "it was fitted on the GPU"),
        ("save", FamilyTests.test_a_saved_model_is_the_same_to_the_bit, "Arrays are not equal"),
        ("served device", FamilyTests.test_it_is_served_by_a_fresh_process, "it was served on the GPU"),
    ],
)
def test_a_fault_is_found(fault, test, reason, tmp_path):
    class Faulty(FamilyTests):
        model = {"family": NAME, "fault": fault}  # noqa: RUF012

    arguments = (tmp_path,) if "tmp_path" in inspect.signature(test).parameters else ()
    with pytest.raises(AssertionError, match=reason):
        test(Faulty(), *arguments)
