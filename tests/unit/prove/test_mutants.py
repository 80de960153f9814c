"""When a mutation counts as caught."""

import pytest
from prove.content_hashes import ROOT
from prove.mutants import Outcome
from prove.mutations import MUTATIONS
from prove.mutations.mutation import Mutation
from prove.pytest_runs import Case

PASSED = Case("tests.unit.test_a", "test_b[x-y]", "passed", "")


def failed(message: str, outcome: str = "failure") -> Case:
    return Case("tests.unit.test_a", "test_c", outcome, message)


@pytest.mark.parametrize(
    ("cases", "trouble"),
    [
        ([PASSED, failed("assert 1 == 2")], ""),
        ([failed("AssertionError: \nNot equal to tolerance")], ""),
        ([PASSED], "passed by"),
        ([], "passed by"),
        ([failed("NameError: name 'x' is not defined")], "test_c ended by NameError"),
        ([failed("collection failure", "error")], "test_c: error"),
        ([failed("assert 1 == 2"), failed("no broker", "skipped")], "test_c: skipped"),
    ],
)
def test_only_a_failed_assertion_counts(cases: list[Case], trouble: str) -> None:
    found = Outcome(MUTATIONS[0], 1, cases).trouble
    assert found.startswith(trouble)
    assert bool(found) == bool(trouble)


def test_a_text_that_stands_twice_does_not_count() -> None:
    assert "2 times" in Outcome(MUTATIONS[0], 2, []).trouble


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_every_text_stands_once_and_is_replaced(mutation: Mutation) -> None:
    """So that an edit of a line that is mutated is noticed at once."""
    assert (ROOT / mutation.file).read_text().count(mutation.text) == 1
    assert mutation.text != mutation.replacement
    assert (ROOT / mutation.test.partition("::")[0]).exists()


def test_parameters_are_parted_at_hyphens() -> None:
    assert PASSED.parameters == ["x", "y"]
    assert PASSED.function == "test_b"
