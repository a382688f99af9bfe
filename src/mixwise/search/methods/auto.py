"""The default: which method suits the objective.

Method:
    | metrics of the objective | method |
    |---|---|
    | all differentiable (losses, bits per byte) | `slopes` |
    | any that jumps (accuracies) | `bayes` |

    Neither depends on the number of domains: slopes cost three forward passes for any of them, and
    `bayes` starts from one mixture per domain. Where a scorer gives no slopes of a metric that has
    them, as references do not, `slopes` goes on as `bayes`. The result names the method that ran.
"""

from __future__ import annotations

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Objective
from mixwise.search.methods.bayes import search_bayes
from mixwise.search.methods.slopes import design_slopes, search_slopes
from mixwise.search.problem import SearchProblem, SearchResult


def choose(objective: Objective) -> str:
    """Name the method that suits an objective.

    Example:
        >>> from mixwise.objective import Metric, Term
        >>> choose(Objective((Term(Metric("code", "loss", "min"), 1.0),)))
        'slopes'
    """
    return "slopes" if all(m.is_differentiable for m in objective.metrics) else "bayes"


def design_auto(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
    """The centre, with which either method begins.

    Raises:
        RecipeError: If the budget does not allow a step from there.
    """
    return design_slopes(space, budget, seed)


def search_auto(problem: SearchProblem) -> SearchResult:
    """Search by the method that suits the objective.

    Raises:
        RecipeError: As that method.
    """
    searches = {"slopes": search_slopes, "bayes": search_bayes}
    return searches[choose(problem.objective)](problem)
