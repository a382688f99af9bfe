from __future__ import annotations

import pytest

from mixwise.errors import RecipeError
from mixwise.merging.rule_table import RULES
from mixwise.merging.rules.extra_runs import (
    OWN_EXTRA_RUNS,
    centre_runs,
    extra_runs,
    pair_and_centre_runs,
    pair_runs,
)

DOMAINS = ("a", "b", "c")


def test_two_domains_have_one_run_for_pair_and_centre() -> None:
    assert len(pair_and_centre_runs(("a", "b"))) == 1
    assert len(pair_and_centre_runs(DOMAINS)) == 4
    assert centre_runs(("a", "b")) == pair_runs(("a", "b"))


@pytest.mark.parametrize("rule", RULES)
def test_planning_counts_the_runs_that_the_rule_itself_asks_for(rule: str) -> None:
    assert extra_runs(rule, DOMAINS) == RULES[rule].extra_runs(DOMAINS)


def test_every_row_is_that_of_a_rule_there_is() -> None:
    assert OWN_EXTRA_RUNS.keys() <= RULES.keys()
    assert [len(extra_runs(rule, DOMAINS)) for rule in ("linear", "centre", "pairs")] == [0, 1, 3]


def test_a_rule_that_nobody_knows_is_refused() -> None:
    with pytest.raises(RecipeError, match="`liner` is not a merge rule: did you mean `linear`"):
        extra_runs("liner", DOMAINS)
