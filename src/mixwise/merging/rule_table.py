"""The table of merge rules: what each needs, and how it is made ready for a pool.

Source:
    Each row names its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import pad

from mixwise.errors import RecipeError
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.comparisons import (
    breadcrumbs,
    dare_linear,
    dare_ties,
    della,
    fisher,
    slerp,
    ties,
)
from mixwise.merging.rules.corrections import (
    by_centre,
    by_pairs,
    by_pairs_and_centre,
    by_references,
    find_runs,
)
from mixwise.merging.rules.extra_runs import OWN_EXTRA_RUNS, ExtraRuns, no_runs
from mixwise.merging.rules.inputs import Ingredients
from mixwise.merging.rules.optimiser_aware import optimiser_aware, optimiser_aware_by_centre
from mixwise.merging.rules.rule import (
    LINEAR,
    Coefficients,
    Combine,
    LinearRule,
    MergeRule,
    TensorRule,
    shares_as_merge_weights,
)
from mixwise.merging.rules.trajectory import along_trajectories, blended
from mixwise.registry import Table, add_name

Need = Literal["trajectories", "references", "second moments"]


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A merge rule by its name, a row of the table.

    Args:
        name: Name in recipes, on the command line and in the ledger.
        source: Paper that it comes from.
        extra_runs: The mixtures that it must train besides the experts, from the domains' names.
        needs: What else it is made from.
        make: Makes the rule of this row for a pool.
    """

    name: str
    source: str
    extra_runs: ExtraRuns
    needs: frozenset[Need]
    make: Callable[[NamedRule, ExpertPool], MergeRule]

    def bind(self, pool: ExpertPool) -> MergeRule:
        """The rule, ready to merge a pool.

        Raises:
            RecipeError: If the pool lacks something that the rule needs.
        """
        return self.make(self, pool)


def _linear(pool: ExpertPool) -> Coefficients:
    return shares_as_merge_weights


def _scaled(pool: ExpertPool) -> Coefficients:
    """Every merge weight times the number that brings the uniform merge closest to its run."""
    n_extras = len(pool.vectors) - len(pool.domains)
    factor = _fitted(pool, torch.zeros_like, shares_as_merge_weights)
    return lambda shares: pad(factor * shares, (0, n_extras))


def _blend(pool: ExpertPool) -> Coefficients:
    """The linear merge and the trajectory rule, in the parts that fit the uniform run best."""
    other = along_trajectories(pool.ingredients)
    return blended(shares_as_merge_weights, other, _fitted(pool, shares_as_merge_weights, other))


def _fitted(pool: ExpertPool, start: Coefficients, end: Coefficients) -> float:
    """T that brings the merge (1 − t) start + t end at the uniform mixture closest to its run."""
    uniform = torch.full((len(pool.domains),), 1 / len(pool.domains), dtype=torch.float64)
    [centre] = find_runs(pool.ingredients, [tuple(uniform.tolist())])
    n = len(pool.vectors)
    first, last = (pad(c(uniform), (0, n - len(c(uniform)))) for c in (start, end))
    target = torch.zeros(n, dtype=torch.float64)
    target[len(pool.domains) + centre] = 1
    along = last - first
    products = pool.inner_products()
    return float(along @ products @ (target - first) / (along @ products @ along))


def linear_in_vectors(
    make: Callable[[ExpertPool], Coefficients],
) -> Callable[[NamedRule, ExpertPool], LinearRule]:
    """For `NamedRule.make`: a rule that maps shares to merge weights, made for a pool."""
    return lambda row, pool: LinearRule(row.name, row.source, make(pool))


def tensor_by_tensor(combine: Combine) -> Callable[[NamedRule, ExpertPool], TensorRule]:
    """For `NamedRule.make`: a rule that combines tensors alike in every pool."""
    return lambda row, pool: TensorRule(row.name, row.source, combine)


def _by_ingredients(
    make: Callable[[Ingredients], Coefficients],
) -> Callable[[NamedRule, ExpertPool], LinearRule]:
    return linear_in_vectors(lambda pool: make(pool.ingredients))


def _tensors_by_ingredients(
    make: Callable[[Ingredients], Combine],
) -> Callable[[NamedRule, ExpertPool], TensorRule]:
    return lambda row, pool: TensorRule(row.name, row.source, make(pool.ingredients))


_NOTHING: frozenset[Need] = frozenset()
_TRAJECTORIES: frozenset[Need] = frozenset({"trajectories"})
_MOMENTS: frozenset[Need] = frozenset({"second moments"})
_REFERENCES: frozenset[Need] = frozenset({"references"})
_OWN = "own; docs/science.md"


def _row(
    name: str,
    source: str,
    needs: frozenset[Need],
    make: Callable[[NamedRule, ExpertPool], MergeRule],
) -> NamedRule:
    return NamedRule(name, source, OWN_EXTRA_RUNS.get(name, no_runs), needs, make)


RULES: Table[NamedRule] = Table(
    "merge rule",
    (
        _row("linear", LINEAR.source, _NOTHING, linear_in_vectors(_linear)),
        _row("scaled", "arXiv 2212.04089", _NOTHING, linear_in_vectors(_scaled)),
        _row("trajectory", _OWN, _TRAJECTORIES, _by_ingredients(along_trajectories)),
        _row("blend", _OWN, _TRAJECTORIES, linear_in_vectors(_blend)),
        _row("centre", _OWN, _NOTHING, _by_ingredients(by_centre)),
        _row("pairs", _OWN, _NOTHING, _by_ingredients(by_pairs)),
        _row(
            "pairs+centre",
            _OWN,
            _NOTHING,
            _by_ingredients(by_pairs_and_centre),
        ),
        _row("references", _OWN, _REFERENCES, _by_ingredients(by_references)),
        _row(
            "optimiser-aware",
            _OWN,
            _MOMENTS,
            _tensors_by_ingredients(optimiser_aware),
        ),
        _row(
            "optimiser-aware+centre",
            _OWN,
            _MOMENTS,
            _tensors_by_ingredients(optimiser_aware_by_centre),
        ),
        _row("ties", "arXiv 2306.01708", _NOTHING, tensor_by_tensor(ties)),
        _row("dare", "arXiv 2311.03099", _NOTHING, tensor_by_tensor(dare_linear)),
        _row("dare-ties", "arXiv 2311.03099", _NOTHING, tensor_by_tensor(dare_ties)),
        _row("della", "arXiv 2406.11617", _NOTHING, tensor_by_tensor(della)),
        _row("breadcrumbs", "arXiv 2312.06795", _NOTHING, tensor_by_tensor(breadcrumbs)),
        _row("slerp", "Shoemake 1985", _NOTHING, tensor_by_tensor(slerp)),
        _row("fisher", "arXiv 2111.09832", _MOMENTS, tensor_by_tensor(fisher)),
    ),
)


def register_rule(rule: NamedRule) -> None:
    """Add a rule of your own to the table, and let recipes name it.

    Args:
        rule: The new row.

    Raises:
        RecipeError: If the name is taken.
    """
    add_name("merge rule", rule.name)
    RULES.add(rule)


def find_rule(name: str) -> NamedRule:
    """Look a rule up by name.

    Raises:
        RecipeError: If there is no such rule.
    """
    try:
        return RULES.find(name)
    except RecipeError as error:
        raise RecipeError(
            f"{error}; worker processes know a rule of your own by an entry point, or set "
            "`engine.workers: 1`"
        ) from None
