from __future__ import annotations

from typing import Any

import pytest

from mixwise.swarm.cells import as_key, as_number, is_number_or_gap


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3.0), ("1e-3", 1e-3), (True, None), ("nan", None), ("x", None), (10**400, None)],
)
def test_what_is_a_finite_number_is_one(value: Any, number: float | None) -> None:
    assert as_number(value) == number


def test_one_number_in_several_spellings_is_one_key() -> None:
    assert {as_key(value) for value in (3, 3.0, "3", " 3.0", "03")} == {"3"}
    assert as_key("12345678901234567") != as_key("12345678901234568")
    assert as_key(None) == as_key("") == as_key(float("nan")) == ""


def test_gaps_are_no_texts() -> None:
    assert all(map(is_number_or_gap, (1, None, "", "NaN", float("inf"), "n/a")))
    assert not is_number_or_gap("diverged")
