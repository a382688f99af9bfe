"""What a price has bought so far: the regret of the product's own answers, measured.

Method:
    On beds of small models whose mixtures were really trained, the product answered at each price;
    its regret is a share of what a random mixture regrets, over all beds, objectives and draws,
    with its 95 % interval. Between two prices the share is straight in the logarithm of the price.
    Beyond them nothing is known. A share below zero is an unbiased judge that meets a best mixture
    whose luck was taken away.

Source:
    ``python -m benchmarks.price`` prints the table; ``docs/science.md`` has the beds. Of experts by
    gradients: ``python -m benchmarks.many``, and ``python -m benchmarks.truth.gradients``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Worth:
    """What an answer at a price is expected to lose.

    Args:
        price: Tokens trained before the final run, in final runs.
        share: Its regret as a share of a random mixture's.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    price: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WorthOnBed:
    """What answers from experts by gradients have lost on a bed, over its prices and objectives.

    Args:
        n_domains: Domains of the bed.
        least: Smallest regret as a share of a random mixture's.
        most: Largest.
    """

    n_domains: int
    least: float
    most: float


BY_GRADIENTS: Sequence[WorthOnBed] = (
    WorthOnBed(16, 0.04, 0.42),  # at .25, .5 and 1
    WorthOnBed(12, 0.58, 1.31),  # at .38 and .75
)
MEASURED: Sequence[Worth] = (
    Worth(0.05, 0.385, 0.313, 0.451),
    Worth(0.1, 0.156, 0.118, 0.187),
    Worth(0.25, 0.175, 0.071, 0.272),
    Worth(0.5, -0.030, -0.123, 0.044),
    Worth(1, 0.073, 0.037, 0.116),
    Worth(2, -0.061, -0.169, 0.027),
    Worth(5, -0.004, -0.138, 0.081),
)  # five domains


def expected_worth(price: float, measured: Sequence[Worth] = MEASURED) -> Worth | None:
    """What an answer at a price should be worth; None where that was not measured.

    Args:
        price: Tokens trained before the final run, in final runs.
        measured: What is known, prices rising.

    Example:
        >>> known = (Worth(0.1, 0.4, 0.2, 0.6), Worth(1.0, 0.2, 0.1, 0.4))
        >>> round(expected_worth(10**-0.5, known).share, 6)
        0.3
    """
    prices = [row.price for row in measured]
    if not prices or not prices[0] <= price <= prices[-1]:
        return None
    share, low, high = (
        float(np.interp(np.log(price), np.log(prices), [getattr(row, name) for row in measured]))
        for name in ("share", "low", "high")
    )
    return Worth(price, share, low, high)
