from dataclasses import replace

import numpy as np
import pytest
from tests.decision.tables import SPACE, UNIFORM, Formula, peak

from mixwise.engine.local import LocalEngine
from mixwise.engine.serial import HereEngine
from mixwise.merging.rule_table import RULES, NamedRule, linear_in_vectors
from mixwise.mixture import Mixture
from mixwise.search.method_table import METHODS
from mixwise.search.problem import SearchProblem, SearchResult
from mixwise.search.space.vertices import list_vertices
from mixwise.testing import check_engine, check_merge_rule, check_scorer, check_search_method

MIXTURES = [UNIFORM, Mixture.single(SPACE.domains, "a"), Mixture.single(SPACE.domains, "c")]


@pytest.mark.parametrize("name", ["slopes", "bayes", "lattice", "random", "subsets"])
def test_own_methods_keep_the_contract(name: str) -> None:
    check_search_method(METHODS[name])


def test_a_method_that_finds_nothing_is_caught() -> None:
    def search(problem: SearchProblem) -> SearchResult:
        corner = next(iter(list_vertices(problem.space)))
        [scored] = problem.scorer.score([corner])
        return SearchResult("corner", scored, (scored,))

    with pytest.raises(AssertionError, match="the maximum of a quadratic must be nearly found"):
        check_search_method(replace(METHODS["random"], search=search))


def test_a_method_that_recommends_what_it_has_not_scored_is_caught() -> None:
    def search(problem: SearchProblem) -> SearchResult:
        found = METHODS["lattice"].search(problem)
        return replace(found, scored=found.scored[:1])

    with pytest.raises(AssertionError, match=r"must have been scored|must hold all"):
        check_search_method(replace(METHODS["lattice"], search=search))


def test_own_scorer_keeps_the_contract_and_a_forgetful_one_does_not() -> None:
    scorer = Formula(peak(0.2, 0.3, 0.5))
    check_scorer(scorer, MIXTURES)

    class Drifting(Formula):
        def _loss(self, mixture: Mixture, seed: int) -> float:
            return float(self.n)

    with pytest.raises(AssertionError, match="score alone what it scores among others"):
        check_scorer(Drifting(scorer.value), MIXTURES)


def test_own_rules_keep_the_contract_and_a_halving_one_does_not() -> None:
    check_merge_rule(RULES["linear"])
    check_merge_rule(RULES["slerp"])
    check_merge_rule(RULES["ties"], keeps_corners=False)
    halves = NamedRule(
        "halves",
        "made up",
        lambda domains: (),
        frozenset(),
        linear_in_vectors(lambda pool: lambda shares: np.asarray(shares) / 2),
    )
    with pytest.raises(AssertionError, match="share 1 must give the expert"):
        check_merge_rule(halves)


def test_own_engines_keep_the_contract() -> None:
    check_engine(LocalEngine(2, 1))
    check_engine(HereEngine())


def test_an_engine_that_drops_jobs_is_caught() -> None:
    class Forgetful(HereEngine):
        def run(self, function, jobs, on_step):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return super().run(function, jobs[:-1], on_step)

    with pytest.raises(AssertionError, match="every job must run once"):
        check_engine(Forgetful())
