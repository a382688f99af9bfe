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
"""

from __future__ import annotations

from mixwise.objective import Objective
from mixwise.registry import Table, add_name
from mixwise.scorer import SLOPES
from mixwise.search.methods import bayes, mirror, trust_region
from mixwise.search.methods.bayes import design_bayes, search_bayes
from mixwise.search.methods.demix import design_demix, search_demix
from mixwise.search.methods.lattice import N_CHECKS, design_lattice, search_lattice
from mixwise.search.methods.mergemix import design_mergemix, search_mergemix
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
from mixwise.search.problem import SearchMethod, SearchProblem, SearchResult


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


def method_for(name: str, objective: Objective) -> SearchMethod:
    """The row of a name; of ``auto`` the row that it chooses for an objective."""
    return METHODS[choose(objective) if name == "auto" else name]
