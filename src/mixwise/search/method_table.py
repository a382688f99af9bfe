"""The table of search methods, and the choice that the method `auto` makes among them.

Method:
    | metrics of the objective | method |
    |---|---|
    | all differentiable (losses, bits per byte) | `slopes` |
    | any that jumps (accuracies) | `bayes` |

    Neither depends on the number of domains: slopes cost three forward passes for any of them, and
    `bayes` starts from one mixture per domain. Where a scorer gives no slopes of a metric that has
    them, as references do not, `slopes` goes on as `bayes`. Both begin at the centre. The result
    names the method that ran.

    | many domains, in groups | first | inner method, sweeps |
    |---|---|---|
    | `top-down` | across the groups | that of `auto`, up to 2 |
    | `bottom-up` | within each group | that of `auto`, up to 2 |
    | `mergemix-top-down` | across the groups | `mergemix`, 1 |
    | `mergemix-bottom-up` | within each group | `mergemix`, 1 |
"""

from __future__ import annotations

from functools import partial

from mixwise.domain_groups import DomainGroup
from mixwise.objective import Objective
from mixwise.registry import Table, add_name
from mixwise.scorer import SLOPES, VALUES, Request
from mixwise.search.methods import bayes, mirror, trust_region
from mixwise.search.methods.bayes import design_bayes, search_bayes
from mixwise.search.methods.demix import design_demix, search_demix
from mixwise.search.methods.hierarchical import (
    Levels,
    design_levels,
    most_scored,
    search_levels,
)
from mixwise.search.methods.lattice import N_CHECKS, design_lattice, search_lattice
from mixwise.search.methods.mergemix import N_POINTS, design_mergemix, search_mergemix
from mixwise.search.methods.mirror import design_mirror, search_mirror
from mixwise.search.methods.newton import CURVATURE, design_newton, search_newton
from mixwise.search.methods.random import design_random, search_random
from mixwise.search.methods.slopes import design_slopes, search_slopes
from mixwise.search.methods.subsets import design_subsets, search_subsets, search_subsets_race
from mixwise.search.methods.subsets_fast import (
    MOST_CHECKS,
    design_subsets_fast,
    search_subsets_fast,
)
from mixwise.search.problem import Design, SearchMethod, SearchProblem, SearchResult


def choose(objective: Objective) -> str:
    """Name the method that suits an objective.

    Example:
        >>> from mixwise.objective import Metric, Term
        >>> choose(Objective((Term(Metric("code", "loss", "min"), 1.0),)))
        'slopes'
    """
    return "slopes" if all(m.is_differentiable for m in objective.metrics) else "bayes"


def search_auto(problem: SearchProblem) -> SearchResult:
    """Search by the method that suits the objective.

    Raises:
        RecipeError: As that method.
    """
    return METHODS[choose(problem.objective)].search(problem)


_CHECKS_OF_A_STAGE = 8  # beside its corners, of a stage by the default method


def _most_of_a_stage(n_free: int) -> int:
    return n_free + _CHECKS_OF_A_STAGE


TOP_DOWN = Levels("top-down", "top-down", design_slopes, search_auto, _most_of_a_stage, 2)
BOTTOM_UP = Levels("bottom-up", "bottom-up", design_slopes, search_auto, _most_of_a_stage, 2)
_PUBLISHED = (design_mergemix, search_mergemix, lambda n_free: max(N_POINTS, n_free + 2), 1)
MERGEMIX_TOP_DOWN = Levels("mergemix-top-down", "top-down", *_PUBLISHED)
MERGEMIX_BOTTOM_UP = Levels("mergemix-bottom-up", "bottom-up", *_PUBLISHED)


def _in_levels(
    levels: Levels, request: Request, groups: tuple[DomainGroup, ...] = ()
) -> SearchMethod:
    """The row of a hierarchical method, over groups where there are any."""
    design: Design = partial(design_levels, levels, groups)
    return SearchMethod(
        levels.name,
        "arXiv 2601.17858",
        design,
        partial(search_levels, levels),
        most_scored(levels, groups) if groups else 0,
        request,
        over=partial(_in_levels, levels, request),
    )


METHODS: Table[SearchMethod] = Table(
    "search method",
    (
        SearchMethod("auto", "no paper", design_slopes, search_auto, bayes.N_STEPS, SLOPES),
        SearchMethod(
            "slopes",
            "Solak et al. 2003; Conn et al. 2000",
            design_slopes,
            search_slopes,
            trust_region.N_STEPS,
            SLOPES,
        ),
        SearchMethod(
            "newton",
            "Bertsekas 1982",
            design_newton,
            search_newton,
            trust_region.N_STEPS,
            CURVATURE,
        ),
        SearchMethod(
            "mirror",
            "Kivinen and Warmuth 1997",
            design_mirror,
            search_mirror,
            mirror.N_STEPS,
            SLOPES,
        ),
        SearchMethod(
            "bayes", "Picheny et al. 2013", design_bayes, search_bayes, bayes.N_STEPS, SLOPES
        ),
        SearchMethod("lattice", "Scheffé 1958", design_lattice, search_lattice, N_CHECKS),
        SearchMethod("mergemix", "arXiv 2601.17858", design_mergemix, search_mergemix, 1),
        SearchMethod("demix", "arXiv 2602.00747", design_demix, search_demix, 48),
        SearchMethod("random", "no paper", design_random, search_random, 0),
        SearchMethod(
            "subsets",
            "arXiv 2505.16066",
            design_subsets,
            search_subsets,
            0,
            is_of_subsets=True,
        ),
        SearchMethod(
            "subsets-fast",
            "arXiv 2505.16066; Cox and John 1997",
            design_subsets_fast,
            search_subsets_fast,
            MOST_CHECKS,
            SLOPES,
            is_of_subsets=True,
        ),
        SearchMethod(
            "subsets-race",
            "arXiv 2505.16066; Maron and Moore 1997",
            design_subsets,
            search_subsets_race,
            0,
            is_of_subsets=True,
        ),
        _in_levels(TOP_DOWN, SLOPES),
        _in_levels(BOTTOM_UP, SLOPES),
        _in_levels(MERGEMIX_TOP_DOWN, VALUES),
        _in_levels(MERGEMIX_BOTTOM_UP, VALUES),
    ),
)


def register_method(method: SearchMethod) -> None:
    """Add a search method of your own to the table, and let recipes name it.

    Args:
        method: The new row.

    Raises:
        RecipeError: If the name is taken.
    """
    add_name("search method", method.name)
    METHODS.add(method)


def method_for(
    name: str, objective: Objective, groups: tuple[DomainGroup, ...] = ()
) -> SearchMethod:
    """The row of a name; of ``auto`` the row that it chooses for an objective.

    Args:
        name: As in recipes.
        objective: What is maximised.
        groups: Of the domains; a method that searches in levels is that over them.
    """
    row = METHODS[choose(objective) if name == "auto" else name]
    return row.over(groups) if row.over is not None else row
