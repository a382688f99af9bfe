from typing import Any

import pytest

from mixwise.errors import RecipeError
from mixwise.recipe import Recipe
from mixwise.study.horizons import plan_horizons


def recipe(**changes: Any) -> Recipe:
    """Four domains, a final run of 100 steps."""
    values: dict[str, Any] = {
        "base": "b",
        "domains": {name: {"files": name} for name in "abcd"},
        "horizon_tokens": 4000,
        "sequence_length": 10,
        "training": {"batch_sequences": 4, "warmup_steps": 1},
    }
    return Recipe.model_validate(values | changes)


@pytest.mark.parametrize(
    ("budget", "steps", "n_calibration"),
    [
        (0.25, 6, 0),
        (1.0, 25, 0),
        (2.0, 50, 0),
        (2.9, 72, 0),  # too little for a run of the final horizon: longer experts
        (3.0, 50, 1),
        (4.0, 50, 2),
        (6.0, 100, 2),
        (50.0, 100, 2),
    ],
)
def test_a_budget_buys_experts_then_calibration_then_longer_experts(
    budget: float, steps: int, n_calibration: int
) -> None:
    found = plan_horizons(recipe(budget=budget))
    assert (found.expert_steps, found.n_calibration) == (steps, n_calibration)
    assert found.price <= budget + 1e-9
    assert found.price == 4 * steps / 100 + n_calibration


def test_what_is_set_by_hand_is_taken() -> None:
    found = plan_horizons(
        recipe(experts={"horizon_tokens": 800}, calibration={"mixtures": 3, "seeds": 2})
    )
    assert (found.expert_steps, found.n_calibration, found.calibration_seeds) == (20, 3, 2)
    assert found.price == 4 * 0.2 + 6


def test_experts_are_merged_at_halves_of_their_run_beyond_the_warm_up() -> None:
    assert plan_horizons(recipe(budget=1.0)).points == (7, 13, 25)
    assert plan_horizons(recipe(budget=1.0, experts={"halvings": 1})).points == (13, 25)
    late = {"batch_sequences": 4, "warmup_steps": 10}
    assert plan_horizons(recipe(budget=1.0, training=late)).points == (15, 25)
    assert plan_horizons(recipe(budget=1.0, proxy={"continued": False})).points == (25,)
    assert plan_horizons(recipe(budget=6.0)).points == (100,)


def test_experts_that_are_brought_cost_nothing_and_have_an_end_alone() -> None:
    domains = {name: {"files": name, "expert": name} for name in "abcd"}
    found = plan_horizons(recipe(domains=domains, budget=1.0))
    assert (found.n_experts, found.points, found.n_calibration) == (0, (100,), 1)


def test_steps_of_the_warm_up_count_in_part() -> None:
    found = plan_horizons(recipe(training={"batch_sequences": 4, "warmup_steps": 3}, budget=1.0))
    assert found.effective(25) == 23  # rates 0, 1/3, 2/3, then 22 full ones
    none = {"batch_sequences": 4, "warmup_steps": 0}
    assert plan_horizons(recipe(training=none)).effective(25) == 25


def test_a_budget_that_buys_no_step_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"`budget` is 0\.01 .* raise it to 0\.04 or more"):
        plan_horizons(recipe(budget=0.01))


def test_experts_that_end_in_the_warm_up_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"experts of 6 steps end while .* `budget` to 0\.44"):
        plan_horizons(recipe(training={"batch_sequences": 4, "warmup_steps": 10}))


MANY = {f"d{k}": {"files": f"d{k}"} for k in range(12)}


def test_many_domains_with_few_steps_are_moved_along_gradients() -> None:
    found = plan_horizons(recipe(domains=MANY, budget=0.25))
    assert (found.expert_method, found.points, found.price) == ("gradients", (2,), 12 * 2 / 100)
    long = {"horizon_tokens": 40_000, "budget": 1.0, "domains": MANY}
    assert plan_horizons(recipe(**long)).expert_method == "training"  # 83 steps each
    few = dict(list(MANY.items())[:11])
    assert plan_horizons(recipe(domains=few, budget=1.0)).expert_method == "training"


def test_how_experts_are_made_can_be_asked_for() -> None:
    asked = plan_horizons(recipe(budget=1.0, experts={"method": "gradients"}))
    assert (asked.expert_method, asked.points) == ("gradients", (25,))
    trained = recipe(domains=MANY, budget=0.5, experts={"method": "training"})
    assert plan_horizons(trained).expert_method == "training"


def test_what_gradients_cannot_do_is_trained_by_itself() -> None:
    lora = {"batch_sequences": 4, "warmup_steps": 1, "method": "lora"}
    found = plan_horizons(recipe(domains=MANY, budget=0.5, training=lora))
    assert found.expert_method == "training"


def test_gradients_have_no_warm_up() -> None:
    late = {"batch_sequences": 4, "warmup_steps": 10}
    found = plan_horizons(recipe(domains=MANY, training=late))
    assert (found.expert_method, found.expert_steps) == ("gradients", 2)


def test_gradients_stand_for_short_runs_alone() -> None:
    by_hand = {"method": "gradients", "horizon_tokens": 4000}
    with pytest.raises(RecipeError, match=r"`experts.method: gradients` stands for short runs"):
        plan_horizons(recipe(experts=by_hand))
