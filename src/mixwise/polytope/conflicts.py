"""Which rules clash: the fewest that cannot hold together, by leaving out one after the other.

Method:
    Deletion filter: a rule without which the others still clash is left out for good. What is left
    clashes, and would not without any one of it.

Source:
    Chinneck and Dravnieks 1991 (ORSA J. Comput. 3): irreducible infeasible subsets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mixwise.arrays import Array
from mixwise.polytope.grid import has_point
from mixwise.polytope.programs import least_missed
from mixwise.polytope.region import TOLERANCE, Region


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One side of a bound or of a limit: aᵀλ ≤ h.

    Args:
        text: What it says, for people.
        side: a, ``(n_domains,)``.
        end: h.
    """

    text: str
    side: Array
    end: float


def find_conflict(
    rules: Sequence[Rule], n_domains: int, grid: float | None = None
) -> tuple[str, ...]:
    """Name rules that cannot hold together for shares that add up to 1.

    Args:
        rules: All there are.
        n_domains: Shares.
        grid: Step of the shares; None for any shares.

    Returns:
        The texts of an irreducible set of them, empty where all can hold; where they clash on the
        grid alone, that is the last text.

    Example:
        >>> most = [Rule("a ≤ 0.3", np.eye(2)[0], 0.3), Rule("b ≤ 0.6", np.eye(2)[1], 0.6)]
        >>> find_conflict([*most, Rule("a ≤ 0.5", np.eye(2)[0], 0.5)], 2)
        ('a ≤ 0.3', 'b ≤ 0.6')
    """
    clash = partial(_clash, n_domains)
    if clash(rules):
        return tuple(rule.text for rule in _reduced(rules, clash))
    if grid is None:
        return ()
    on_grid = partial(_clash_on_grid, n_domains, grid)
    if not on_grid(rules):
        return ()
    texts = [rule.text for rule in _reduced(rules, on_grid)]
    return (*texts, f"shares in steps of {grid:g}")


def _reduced(rules: Sequence[Rule], clash: Callable[[Sequence[Rule]], bool]) -> list[Rule]:
    kept = list(rules)
    for rule in rules:
        others = [other for other in kept if other is not rule]
        if clash(others):
            kept = others
    return kept


def _clash(n_domains: int, rules: Sequence[Rule]) -> bool:
    sides = np.array([rule.side for rule in rules]).reshape(len(rules), n_domains)
    scale = np.maximum(np.abs(sides).max(axis=1, initial=0.0), 1e-300)
    ends = np.array([rule.end for rule in rules]) / scale
    return least_missed(sides / scale[:, None], ends, n_domains) > TOLERANCE / 2


def _clash_on_grid(n_domains: int, grid: float, rules: Sequence[Rule]) -> bool:
    sides = np.array([rule.side for rule in rules]).reshape(len(rules), n_domains)
    region = Region(
        np.zeros(n_domains),
        np.ones(n_domains),
        sides,
        np.full(len(rules), -np.inf),
        np.array([rule.end for rule in rules]),
    )
    return not has_point(region, grid)
