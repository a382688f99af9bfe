import numpy as np
import pytest
from benchmarks.synthetic import KINDS, Instance, Kind, instance

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.methods.subsets import subsets
from mixwise.search.methods.subsets_fast import design_subsets_fast, search_subsets_fast
from mixwise.search.problem import SearchProblem


def problem(made: Instance) -> SearchProblem:
    corners = [Mixture.single(made.space.domains, name) for name in made.space.domains]
    known = made.scorer.score(corners)
    made.scorer.asked.clear()
    return SearchProblem(made.scorer, made.space, made.objective, made.scale, None, 0, known)


@pytest.mark.parametrize(
    ("n_domains", "kind"),
    [
        *((4, kind) for kind in KINDS),
        *((10, kind) for kind in ("interior", "noisy")),
        *(
            pytest.param(10, kind, marks=pytest.mark.slow)
            for kind in KINDS
            if kind not in ("interior", "noisy")
        ),
    ],
)
def test_the_answer_is_that_of_enumeration_at_a_fifth_of_the_passes(
    n_domains: int, kind: Kind
) -> None:
    made = instance(kind, n_domains, 11)
    asked = problem(made)
    found = search_subsets_fast(asked)
    passes = sum(o.tokens_evaluated for o in made.scorer.asked)
    table = made.scorer.score(subsets(made.space.domains))
    best = max(table, key=asked.value).mixture
    assert best is not None
    assert found.best.mixture is not None
    if kind == "noisy":  # the best score of a noisy table is the luckiest, so that truth decides
        loss, gain = made.truth(np.array([best.shares, found.best.mixture.shares]))
        assert gain >= loss - 0.03 * asked.value_range(table)
    else:
        assert found.best.mixture == best
    if n_domains == 10:
        assert passes <= sum(o.tokens_evaluated for o in table) / 5


def test_only_subsets_within_the_bounds_are_scored() -> None:
    made = instance("interior", 4, 1)
    space = MixtureSpace(made.space.domains, (0.2, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 0.0))
    asked = SearchProblem(made.scorer, space, made.objective, made.scale, None, 0)
    found = search_subsets_fast(asked)
    assert all(space.contains(o.mixture) for o in found.scored if o.mixture is not None)
    inside = [m for m in subsets(made.space.domains) if space.contains(m)]
    values = made.truth(np.array([m.shares for m in inside]))
    assert found.best.mixture == inside[int(values.argmax())]


def test_the_first_is_the_largest_that_fits() -> None:
    space = MixtureSpace(tuple("abc"), (0.0,) * 3, (1.0, 1.0, 0.0))
    assert [str(m) for m in design_subsets_fast(space, None, 0)] == ["a=0.5,b=0.5"]


def test_too_many_domains_and_empty_bounds_are_told() -> None:
    many = MixtureSpace.whole(f"d{i}" for i in range(17))
    with pytest.raises(RecipeError, match="takes at most 16 domains, but there are 17"):
        design_subsets_fast(many, None, 0)
    with pytest.raises(RecipeError, match=r"satisfies the limits of the search: widen them"):
        design_subsets_fast(MixtureSpace(("a", "b"), (0.6, 0.1), (0.9, 0.4)), None, 0)


def test_slopes_are_asked_for_first() -> None:
    made = instance("interior", 4, 1)
    search_subsets_fast(problem(made))
    assert made.scorer.asked[0].measurements[0].derivatives is not None
