"""What a price has bought: between the measured prices, and nothing beyond them."""

from __future__ import annotations

import pytest

from mixwise.study.worth import MEASURED, expected_worth


def test_measured_prices_are_found_again() -> None:
    prices = [row.price for row in MEASURED]
    assert prices == sorted(prices)
    for row in MEASURED:
        found = expected_worth(row.price)
        assert found is not None
        assert (found.share, found.low, found.high) == pytest.approx((row.share, row.low, row.high))
        assert row.low <= row.share <= row.high


@pytest.mark.parametrize("price", [0.0, 0.04, 5.1, 100.0])
def test_nothing_is_said_of_prices_that_were_not_measured(price: float) -> None:
    assert expected_worth(price) is None
