"""The mixtures that merge rules must train besides the experts; torch is not loaded for them.

Notation:
    n: number of domains.

Method:
    A row for each of mixwise's own rules that needs any; the others need none. What a study costs
    is planned by these rows alone. A rule of the user's own says it in its own row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from mixwise.mixture import Mixture
from mixwise.registry import own_names

ExtraRuns = Callable[[Sequence[str]], tuple[Mixture, ...]]


def no_runs(domains: Sequence[str]) -> tuple[Mixture, ...]:
    """Nothing: the experts are enough."""
    return ()


def centre_runs(domains: Sequence[str]) -> tuple[Mixture, ...]:
    """The uniform mixture."""
    return (Mixture.uniform(domains),)


def pair_runs(domains: Sequence[str]) -> tuple[Mixture, ...]:
    """Every two domains alike; two domains have one pair, which is the centre too."""
    return tuple(Mixture(tuple(domains), pair) for pair in pair_mixtures(len(domains)))


def pair_and_centre_runs(domains: Sequence[str]) -> tuple[Mixture, ...]:
    """Both, the centre first."""
    return tuple(dict.fromkeys((*centre_runs(domains), *pair_runs(domains))))


def pair_mixtures(n: int) -> list[tuple[float, ...]]:
    """Shares of the equal mixture of every pair i < j."""
    return [tuple(0.5 * (k in pair) for k in range(n)) for pair in combinations(range(n), 2)]


OWN_EXTRA_RUNS: Mapping[str, ExtraRuns] = {
    "scaled": centre_runs,
    "blend": centre_runs,
    "centre": centre_runs,
    "pairs": pair_runs,
    "pairs+centre": pair_and_centre_runs,
    "optimiser-aware+centre": centre_runs,
}


def extra_runs(rule: str, domains: Sequence[str]) -> tuple[Mixture, ...]:
    """What a merge rule must train besides the experts.

    Args:
        rule: Its name; only for one of the user's own is the table of rules loaded.
        domains: Names of the domains.

    Raises:
        RecipeError: If there is no such rule.
    """
    if rule in own_names("merge rule"):
        return OWN_EXTRA_RUNS.get(rule, no_runs)(domains)
    from mixwise.merging.rule_table import find_rule

    return find_rule(rule).extra_runs(domains)
