import pytest

from mixwise.decision.fidelity import Estimate
from mixwise.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (-0.0004, "−0.0004"),
        (12345.678, "1.23e+04"),
        (9999.5, "9999.500"),
        (None, "—"),
    ],
)
def test_three_decimals_or_three_digits(value: float | None, text: str) -> None:
    assert numbers.number(value) == text


def test_a_minus_is_a_true_minus_everywhere() -> None:
    texts = [numbers.number(-1.0), numbers.signed(-1.0), numbers.widths(-1.0), numbers.count(-1)]
    assert all(text.startswith("−") for text in texts)
    assert numbers.interval((-2.0, -1.0)) == "−2.000 to −1.000"
    assert numbers.interval(None) == "—"


def test_an_estimate_without_interval_stands_alone() -> None:
    assert numbers.estimate(Estimate(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"
    assert numbers.estimate(Estimate(0.5, None, None)) == "0.500"
    assert numbers.estimate(Estimate(None, None, None)) == "—"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0 %"), (0.0004, "<0.1 %"), (0.0006, "0.1 %"), (0.5, "50 %")]
)
def test_a_small_share_is_not_shown_as_none(value: float, text: str) -> None:
    assert numbers.share(value) == text


def test_subsets_are_named_by_their_members() -> None:
    assert numbers.is_subset({"a": 0.5, "b": 0.5, "c": 0.0})
    assert not numbers.is_subset({"a": 0.5, "b": 0.3, "c": 0.2})
    assert not numbers.is_subset({"a": 0.0})
    assert numbers.mixture({"a": 1.0, "b": 0.0}) == "a"


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.9, "59.9 s"), (60, "1.0 min"), (3599, "60.0 min"), (7200, "2.0 h")]
)
def test_a_time_is_in_the_unit_that_fits_it(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_very_many_domains_are_named_in_part() -> None:
    alike = dict.fromkeys("abcdefgh", 1 / 8) | {"i": 0.0}
    assert numbers.brief(alike) == "8 of 9 domains alike: a, b, c, d, e, f, and 2 more"
    uneven = {"a": 0.1} | dict.fromkeys("bcdefg", 0.15)
    assert numbers.brief(uneven) == numbers.mixture(uneven)  # one more name costs no more words
