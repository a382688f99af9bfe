"""The beds that run the product: their recipes, and how answers are compared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from benchmarks.task_beds import BEDS, DEFAULT, PUBLISHED, Scored, agreement, questions

from mixwise.mixture import Mixture
from mixwise.recipe import parse_recipe
from mixwise.search.methods.subsets import subsets


@pytest.mark.parametrize("name", list(BEDS))
def test_recipes_are_sound(name: str) -> None:
    for way in (PUBLISHED, DEFAULT, *BEDS[name].ways_of(10)):
        recipe = parse_recipe(BEDS[name].recipe(way), "recipe.yaml")
        assert recipe.n_steps == 120
        assert recipe.experts.horizon_tokens == recipe.run_tokens // way.part
        assert (recipe.proxy.answer, recipe.proxy.continued) == (way.answer, way.is_continued)
    assert (recipe.labels == "per-domain") == BEDS[name].has_heads


def observed(value: float, sets: list[str]) -> Any:
    return SimpleNamespace(values={f"{n}/{m}": value for n in sets for m in ("loss", "accuracy")})


def test_a_way_that_knows_the_truth_is_right_and_one_that_turns_it_round_is_wrong() -> None:
    names = tuple(BEDS["sentiment"].domains)
    mixtures = subsets(names)
    sets, values = [f"test-{name}" for name in names], np.linspace(0, 1, len(mixtures))
    truth = tuple(tuple(observed(v + e, sets) for e in (0, 1e-3, -1e-3)) for v in values)
    ways = {
        "knows": tuple(observed(v, sets) for v in values),
        "turns": tuple(observed(-v, sets) for v in values),
    }
    scored = Scored(mixtures, truth, ways)
    [asked] = questions("sentiment", mixtures).values()
    assert [len(question.chosen) for question in asked] == [7, 7, 7, 7]
    right, wrong = (agreement(scored, way, asked, "accuracy", "accuracy") for way in ways)
    assert (right.rho.value, right.regret) == (pytest.approx(1), pytest.approx(0))
    assert wrong.rho.value == pytest.approx(-1)
    assert wrong.regret > 0


def test_heads_are_asked_of_mixtures_of_all_domains_and_of_subsets() -> None:
    names = tuple(BEDS["heads"].domains)
    mixtures = [*subsets(names), Mixture(names, (0.2, 0.3, 0.5))]
    asked = questions("heads", mixtures)
    inner = [question.chosen for question in asked["all domains, own sets"]]
    assert all(max(chosen) == 7 and len(chosen) == 2 for chosen in inner)
    assert asked["subsets, tweets"][0].chosen == tuple(range(7))
