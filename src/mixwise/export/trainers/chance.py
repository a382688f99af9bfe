"""How far a random draw strays from the shares that it has on average."""

from __future__ import annotations

import math
from collections.abc import Mapping


def largest_deviation(
    probabilities: Mapping[str, float], tokens_each: Mapping[str, float], n_draws: float
) -> float:
    """Standard deviation of a domain's share of tokens after n draws, of whichever strays most.

    With D the domain of a draw, p its probability and m_D its tokens, the share of domain i is
    λᵢ on average and has variance E[m_D² (1[D = i] − λᵢ)²] / (n E[m_D]²), to first order in 1/n.

    Args:
        probabilities: p, of each domain.
        tokens_each: m, which is taken to be the same for all draws of a domain.
        n_draws: n.

    Example:
        >>> round(largest_deviation({"a": 0.5, "b": 0.5}, {"a": 1, "b": 1}, 100), 3)
        0.05
    """
    mean = sum(p * tokens_each[name] for name, p in probabilities.items())
    shares = {name: p * tokens_each[name] / mean for name, p in probabilities.items()}
    variances = (
        sum(
            p * tokens_each[other] ** 2 * ((other == name) - share) ** 2
            for other, p in probabilities.items()
        )
        for name, share in shares.items()
    )
    return math.sqrt(max(variances) / n_draws) / mean


def draw_note(deviation: float) -> str:
    """What a file says of a draw's chance."""
    return (
        f"Drawn at random: shares of tokens stray by some {100 * deviation:.2f} points (one "
        "standard deviation). `--materialise` is exact."
    )
