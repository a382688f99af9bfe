"""Limits of sums of shares, and what bounds and limits say in words.

Notation:
    λ: shares, ``(n_domains,)``.  a, b, c: a limit, b ≤ aᵀλ ≤ c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError
from mixwise.polytope.conflicts import Rule
from mixwise.polytope.region import TOLERANCE


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of a weighted sum of shares: least ≤ aᵀλ ≤ most.

    Args:
        name: What tells it from others, as messages and reports show it.
        coefficients: a, one per domain, in the study's order.
        least: Smallest value of the sum; None for none.
        most: Largest value of the sum; None for none.

    Raises:
        RecipeError: If a number is not finite, all coefficients are 0, there is neither a least nor
            a most, or the least exceeds the most.

    Example:
        >>> Limit("code >= 2 * math", (1.0, -2.0), 0.0, None).value(np.array([0.7, 0.3])).round(9)
        np.float64(0.1)
    """

    name: str
    coefficients: tuple[float, ...]
    least: float | None
    most: float | None

    def __post_init__(self) -> None:
        ends = [end for end in (self.least, self.most) if end is not None]
        if not np.isfinite([*self.coefficients, *ends]).all():
            raise RecipeError(f"the limit `{self.name}` must have finite numbers: correct them")
        if not any(self.coefficients):
            raise RecipeError(f"the limit `{self.name}` names no domain: name one or leave it out")
        if not ends:
            raise RecipeError(f"the limit `{self.name}` has neither a least nor a most: give one")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise RecipeError(
                f"the limit `{self.name}` must have its least ({self.least:g}) not above its most "
                f"({self.most:g}): change one"
            )

    @property
    def scale(self) -> float:
        """Its largest coefficient, by which tolerances are measured."""
        return max(abs(each) for each in self.coefficients)

    @property
    def cutting(self) -> tuple[float | None, float | None]:
        """Least and most, each None where shares that add up to 1 cannot miss it.

        Example:
            >>> Limit("a or b", (1.0, 1.0, 0.0), 0.0, 0.6).cutting
            (None, 0.6)
        """
        lowest, highest = min(self.coefficients), max(self.coefficients)
        return (
            None if self.least is None or self.least <= lowest else self.least,
            None if self.most is None or self.most >= highest else self.most,
        )

    def value(self, shares: Array) -> Array:
        """aᵀλ, ``(…, n_domains)`` → ``(…)``."""
        return np.asarray(shares @ np.asarray(self.coefficients))[()]

    def missed(self, shares: Array) -> float:
        """By how much shares miss it, in units of the sum; 0 where they keep it."""
        value = float(self.value(shares))
        below = 0.0 if self.least is None else self.least - value
        above = 0.0 if self.most is None else value - self.most
        return max(below, above, 0.0)


class Bounded(Protocol):
    """Bounds of the shares of some domains, and limits of their sums."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Names."""
        ...

    @property
    def lower(self) -> tuple[float, ...]:
        """Smallest share of each."""
        ...

    @property
    def upper(self) -> tuple[float, ...]:
        """Largest share of each."""
        ...

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Limits of sums."""
        ...

    @property
    def fixed_by(self) -> Mapping[str, str]:
        """What fixes a share, by domain, as messages name it."""
        ...


def rules_of(space: Bounded) -> list[Rule]:
    """Every side of a bound or limit that cuts something off, bounds first."""
    rules, corners = [], np.eye(len(space.domains))
    rows = zip(space.domains, space.lower, space.upper, corners, strict=True)
    for name, low, high, own in rows:
        fixed = space.fixed_by.get(name) if low == high else None
        both = fixed and f"`{name}` = {low:.6g} ({fixed})"
        if low > 0:
            rules.append(Rule(both or f"`{name}` ≥ {low:.6g} (min_share)", -own, -low))
        if high < 1:
            text = both or f"`{name}` ≤ {high:.6g} (max_share or repetition)"
            rules.append(Rule(text, own, high))
    for limit in space.limits:
        row, (least, most) = np.asarray(limit.coefficients), limit.cutting
        if least is not None:
            rules.append(Rule(f"`{limit.name}` (≥ {least:.6g})", -row, -least))
        if most is not None:
            rules.append(Rule(f"`{limit.name}` (≤ {most:.6g})", row, most))
    return rules


def broken_words(space: Bounded, shares: Sequence[float]) -> tuple[str, ...]:
    """What shares break, in words."""
    rows = zip(space.domains, shares, space.lower, space.upper, strict=True)
    found = [
        _broken(name, share, low if share < low else None, high)
        for name, share, low, high in rows
        if not low - TOLERANCE <= share <= high + TOLERANCE
    ]
    for limit in space.limits:
        if limit.missed(np.asarray(shares)) > TOLERANCE * limit.scale:
            value = float(limit.value(np.asarray(shares)))
            is_low = limit.least is not None and value < limit.least
            found.append(_broken(limit.name, value, limit.least if is_low else None, limit.most))
    return tuple(found)


def _broken(name: str, value: float, least: float | None, most: float | None) -> str:
    rule = (
        f"at most {most:.4g} is allowed" if least is None else f"at least {least:.4g} is asked for"
    )
    return f"`{name}` is {value:.4g}, {rule}"
