from __future__ import annotations

from pathlib import Path

import pytest

from mixwise.data.tokenising import CorpusFacts
from mixwise.recipe import Recipe, load_recipe
from mixwise.study.token_needs import unmet_token_needs


def facts(train: int, heldout: int = 1000) -> CorpusFacts:
    return CorpusFacts(20, 0, 2, train, heldout, 4 * train)


def unmet(recipe: Recipe, counts: dict[str, CorpusFacts]) -> list[str]:
    """With experts of the final horizon."""
    return unmet_token_needs(recipe, counts, expert_tokens=recipe.run_tokens)


def recipe_of(pico: Path, *edits: tuple[str, str]) -> Recipe:
    text = (pico / "recipe.yaml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (pico / "other.yaml").write_text(text)
    return load_recipe(pico / "other.yaml")


@pytest.fixture
def recipe(pico: Path) -> Recipe:
    """Batches of 64 tokens, sequences of 16, at most 4 repetitions."""
    return recipe_of(pico, ("horizon_tokens: 256", "horizon_tokens: 10000"))


def test_enough_is_no_shortage(recipe: Recipe) -> None:
    assert recipe.run_tokens == 9984
    enough = {name: facts(2496) for name in recipe.domains} | {"mixed": facts(0, 16)}
    assert unmet(recipe, enough) == []


def test_one_horizon_that_fits_all_is_proposed(recipe: Recipe) -> None:
    counts = {"alpha": facts(2495), "beta": facts(1000), "gamma": facts(10**6)}
    [line] = unmet(recipe, counts)
    assert line == (
        "`experts.horizon_tokens`: an expert reads 9,984 tokens, which is more than "
        "`search.max_repetition` (4) allows for `alpha` (4.0 times 2,495), `beta` (10.0 times "
        "1,000): set `experts.horizon_tokens` to 3,968, raise the limit, add data, or bring an "
        "`expert` for each"
    )
    fitting = recipe.model_copy(update={"horizon_tokens": 3968})
    assert unmet(fitting, counts) == []
    assert unmet(recipe.model_copy(update={"horizon_tokens": 3968 + 64}), counts)


def test_where_no_batch_fits_no_horizon_is_proposed(recipe: Recipe) -> None:
    [_, line] = unmet(recipe, {"alpha": facts(15), "beta": facts(10**6)})
    assert "make batches smaller, raise the limit" in line
    assert line.endswith("bring an `expert` for it")


def test_a_domain_whose_expert_is_brought_may_be_small(pico: Path) -> None:
    alpha = "alpha: {files: alpha.jsonl"
    recipe = recipe_of(
        pico, ("horizon_tokens: 256", "horizon_tokens: 10000"), (alpha, f"{alpha}, expert: x")
    )
    assert unmet(recipe, {"alpha": facts(16), "beta": facts(10**6)}) == []


def test_one_length_that_fits_all_is_proposed(recipe: Recipe) -> None:
    plenty = 10**6
    counts = {
        "alpha": facts(plenty, 15),
        "beta": facts(plenty, 16),
        "gamma": facts(plenty, 9),
        "mixed": facts(0, 12),
    }
    [line] = unmet(recipe, counts)
    assert line == (
        "`sequence_length`: the tokens of `domains.alpha` (15 held-out), `domains.gamma` "
        "(9 held-out), `evaluation.sets.mixed` (12 held-out) do not fill one sequence of 16: "
        "lower it to 9, or add documents or raise `heldout.fraction`"
    )
    [line] = unmet(recipe, {"mixed": facts(0, 1)})
    assert line.endswith("do not fill one sequence of 16: add documents")


def test_training_rows_must_be_filled_too(recipe: Recipe) -> None:
    first, second = unmet(recipe, {"alpha": facts(10), "beta": facts(10**6)})
    assert "`domains.alpha` (10 training)" in first
    assert "(998.4 times 10)" in second
