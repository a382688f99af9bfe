import numpy as np
import pytest

from mixwise.decision.bootstrap import (
    Array,
    bootstrap_objective,
    interval,
    near_optimal,
    standings,
)
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Measurement, Observation

LOSS, ACCURACY = Metric("x", "loss", "min"), Metric("q", "accuracy", "max", is_differentiable=False)
OBJECTIVE = Objective((Term(LOSS, 1.0), Term(ACCURACY, 1.0)))
LOSS_ALONE = Objective((Term(LOSS, 1.0),))
SPREAD = {"x/loss": 0.5, "q/accuracy": 0.1}


def observe(
    loss: Array, accuracy: Array | None = None, loss_weights: Array | None = None
) -> Observation:
    hits = np.full(4, 0.5) if accuracy is None else accuracy
    weights = np.ones(len(loss)) if loss_weights is None else loss_weights
    measurements = (
        Measurement("x/loss", loss, weights),
        Measurement("q/accuracy", hits, np.ones(len(hits))),
    )
    return Observation(None, "proxy", "", (), measurements, 0, 0, 0, "f")


def draw(
    models: list[Observation], base: Observation, objective: Objective = LOSS_ALONE, seed: int = 0
) -> Array:
    scale = Scale(base.values, SPREAD)
    return bootstrap_objective(models, base, objective, scale, seed=seed)


def examples(n: int, seed: int) -> Array:
    return np.random.default_rng(seed).gamma(2.0, 1.0, n)


def test_one_example_leaves_nothing_to_draw() -> None:
    base, model = observe(np.array([3.0])), observe(np.array([2.0]))
    assert draw([model, base], base) == pytest.approx(np.tile([2.0, 0.0], (1000, 1)))


def test_what_is_hard_for_all_models_cancels() -> None:
    hard = examples(50, 0)
    base, model = observe(hard), observe(hard - 0.25)
    assert draw([model], base) == pytest.approx(np.full((1000, 1), 0.5))


def test_draws_are_centred_on_the_objective_and_as_wide_as_theory_says() -> None:
    n = 400
    base = observe(examples(n, 0))
    model = observe(base.measurement("x/loss").examples + np.random.default_rng(1).normal(0, 1, n))
    draws = draw([model], base)[:, 0]
    change = model.measurement("x/loss").examples - base.measurement("x/loss").examples
    assert draws.mean() == pytest.approx(-change.mean() / 0.5, abs=0.02)
    assert draws.std() == pytest.approx(change.std() / np.sqrt(n) / 0.5, rel=0.1)


def test_heavy_examples_count_by_their_weight() -> None:
    weights = np.array([3.0, 1.0])
    base = observe(np.array([1.0, 1.0]), loss_weights=weights)
    model = observe(np.array([1.0, 2.0]), loss_weights=weights)
    found = {round(float(x), 9) for x in draw([model], base)[:, 0]}
    assert found == {0.0, -0.5, -2.0}  # none, one or two draws of the second: 0, 1/4, 1 of its loss


def test_the_slow_reference_agrees_in_distribution() -> None:
    base, model = observe(examples(30, 0)), observe(examples(30, 1))
    rng = np.random.default_rng(2)
    change = model.measurement("x/loss").examples - base.measurement("x/loss").examples
    slow = [-change[rng.integers(0, 30, 30)].mean() / 0.5 for _ in range(4000)]
    assert interval(draw([model], base)) == pytest.approx(
        np.percentile(slow, [2.5, 97.5]).tolist(), abs=0.15
    )


def test_metrics_are_drawn_apart_and_aggregated() -> None:
    base = observe(examples(40, 0), np.array([0.0, 1.0, 0.0, 1.0]))
    model = observe(examples(40, 0) - 0.5, np.array([1.0, 1.0, 0.0, 1.0]))
    draws = draw([model], base, OBJECTIVE)[:, 0]
    # the loss gains 1 in every draw; of four answers 0 to 4 turn right: 0, 2.5, 5, 7.5 or 10
    assert {round(float(x), 6) for x in draws} <= {0.5, 1.75, 3.0, 4.25, 5.5}
    assert draws.mean() == pytest.approx((1 + 2.5) / 2, abs=0.15)


def test_the_same_seed_gives_the_same_draws() -> None:
    base, model = observe(examples(30, 0)), observe(examples(30, 1))
    first, again, other = (draw([model], base, seed=seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_a_model_is_drawn_alike_whatever_stands_beside_it() -> None:
    base, model, other = (observe(examples(30, seed)) for seed in range(3))
    assert draw([model], base)[:, 0] == pytest.approx(draw([other, model], base)[:, 1])


def test_the_interval_is_the_middle_of_the_draws() -> None:
    assert interval(np.arange(1001.0)) == (25.0, 975.0)
    assert interval(np.full(10, 3.0)) == (3.0, 3.0)


def test_near_optimal_worked_by_hand() -> None:
    best = np.linspace(0, 1, 1000)
    clearly_worse = best - 0.1
    sometimes_better = best - 0.1 + 0.2 * (np.arange(1000) % 10 == 0)
    draws = np.stack([clearly_worse, best, sometimes_better], axis=1)
    assert near_optimal(draws, 1) == [1, 2]


def test_standings_say_which_side_the_interval_of_the_difference_lies_on() -> None:
    best = np.linspace(0, 1, 1000)
    crossing = best + np.where(np.arange(1000) % 2, 0.1, -0.1)
    draws = np.stack([best - 0.1, best, crossing, best + 0.1, best], axis=1)
    assert standings(draws, 1) == ["behind", "recommended", "equal", "ahead", "equal"]
    assert near_optimal(draws, 1) == [1, 2, 3, 4]


def test_the_best_one_is_near_itself() -> None:
    assert near_optimal(np.zeros((1000, 1)), 0) == [0]


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_differences_are_near_optimal_and_true_ones_are_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hard = examples(200, seed)
    noise = rng.normal(0, 0.2, 200)
    best, same, worse = (
        observe(hard + change)
        for change in (noise, rng.permutation(noise), noise + 0.1 + rng.normal(0, 0.1, 200))
    )
    assert near_optimal(draw([best, same, worse], observe(hard)), 0) == [0, 1]
