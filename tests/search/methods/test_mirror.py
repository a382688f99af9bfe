from dataclasses import replace

import numpy as np
import pytest
from benchmarks.synthetic import Instance, extremes, instance

from mixwise.errors import RecipeError
from mixwise.mixture import MixtureSpace
from mixwise.objective import Metric, Objective, Term
from mixwise.search.methods.mirror import search_mirror
from mixwise.search.problem import SearchProblem


def problem(made: Instance) -> SearchProblem:
    return SearchProblem(made.scorer, made.space, made.objective, made.scale, None, 0)


@pytest.mark.parametrize("kind", ["interior", "face", "corner"])
def test_it_climbs_near_to_the_optimum(kind: str) -> None:
    made = instance(kind, 4, 3)  # type: ignore[arg-type]
    best, worst = extremes(made)
    found = search_mirror(problem(made))
    assert best - made.objective.value(found.best.values, made.scale) < 0.05 * (best - worst)


def test_bounds_are_kept_at_every_step() -> None:
    made = instance("corner", 4, 3)
    space = MixtureSpace(made.space.domains, (0.05,) * 4, (0.5,) * 4)
    found = search_mirror(problem(replace(made, space=space)))
    assert all(space.contains(o.mixture) for o in found.scored if o.mixture is not None)


def test_every_step_that_is_kept_rises() -> None:
    made = instance("interior", 4, 3)
    found = search_mirror(problem(made))
    values = [made.objective.value(o.values, made.scale) for o in found.scored]
    assert max(values) > values[0]
    assert found.best is found.scored[int(np.argmax(values))]


def test_a_metric_without_slopes_is_refused() -> None:
    made = instance("interior", 4, 3)
    jumps = Metric("set0", "loss", "min", is_differentiable=False)
    asked = problem(made)
    asked = replace(asked, objective=Objective((Term(jumps, 1.0),)), scorer=_Blind(made))
    with pytest.raises(RecipeError, match="there are none of `set0/loss`: use the method `bayes`"):
        search_mirror(asked)


class _Blind:
    def __init__(self, made: Instance) -> None:
        self.made = made

    def score(self, mixtures, request=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return self.made.scorer.score(mixtures)
