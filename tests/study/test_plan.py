import dataclasses
from typing import Any

import pytest

from mixwise.recipe import Recipe
from mixwise.study.horizons import plan_horizons
from mixwise.study.plan import (
    Counts,
    DomainPlan,
    Measured,
    ModelShape,
    Plan,
    diagnosis_bytes,
    evaluation_bytes,
    make_plan,
    training_bytes,
)

SHAPE = ModelShape(
    n_parameters=1_000_000, n_trainable=1_000_000, hidden=10, n_layers=4, vocabulary=100
)
DOMAIN = DomainPlan("a", 5, 1000, 100, 2.0, 0.5, 1.0, 1.0)


def recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "base": "b",
        "domains": {"a": {"files": "a"}, "b": {"files": "b"}},
        "horizon_tokens": 1000,
        "sequence_length": 10,
        "training": {"batch_sequences": 4},
        "calibration": {"mixtures": 0},
        "experts": {"horizon_tokens": 1000},
    }
    return Recipe.model_validate(values | changes)


MEASURED = Measured(
    step_seconds=0.4, evaluation_seconds=0.5, reading_seconds=0.8, objective_seconds=0.3
)


def besides(n_rounds: int) -> float:
    """What starting the workers takes, and so many rounds of runs beside their steps."""
    return 7 + 2 * n_rounds


def counted(
    chosen: Recipe,
    *,
    n_experts: int = 2,
    n_candidates: int = 0,
    n_besides: int = 0,
    candidate_passes: int = 1,
    readings: int = 0,
    n_baselines: int = 0,
) -> Counts:
    horizons = dataclasses.replace(plan_horizons(chosen), n_experts=n_experts)
    return Counts(horizons, n_candidates, n_besides, candidate_passes, readings, n_baselines)


def plan(chosen: Recipe, n_workers: int = 1, counts: Counts | None = None) -> Plan:
    return make_plan(
        chosen,
        (DOMAIN,),
        counts or counted(chosen, n_candidates=10, n_baselines=3),
        SHAPE,
        evaluation_tokens=500,
        n_workers=n_workers,
    )


def test_runs_and_tokens_worked_by_hand() -> None:
    made = plan(recipe(validation={"mixtures": 5, "seeds": 3}, final={"seeds": 2}))
    assert (made.n_experts, made.n_references, made.n_final) == (2, 15, 8)
    assert made.n_runs == 25
    assert (made.run_tokens, made.run_steps) == (1000, 25)
    assert made.trained_tokens == 25_000


def test_calibration_trains_references_too() -> None:
    made = plan(
        recipe(validation={"mixtures": 5, "seeds": 3}, calibration={"mixtures": 2, "seeds": 4})
    )
    assert (made.n_references, made.n_calibration) == (5 * 3, 2 * 4)
    assert made.price == 2 + 2 * 4
    assert made.n_verification == 5 * 3 + 3


def test_nothing_is_trained_at_the_end_when_the_recipe_says_so() -> None:
    assert plan(recipe(final={"train": False})).n_final == 0


def test_seconds_worked_by_hand() -> None:
    made = plan(recipe(validation={"mixtures": 0}, final={"train": False}))
    # 2 runs of 25 steps; the base and 10 candidates are evaluated
    assert made.time(MEASURED) == pytest.approx(besides(2) + 2 * 25 * 0.4 + 11 * 0.5)


def test_two_workers_halve_rounds_of_training_and_time_of_evaluation() -> None:
    chosen = recipe(validation={"mixtures": 0}, final={"train": False})
    counts = counted(chosen, n_experts=3)
    assert plan(chosen, 1, counts).time(MEASURED) == pytest.approx(besides(3) + 30 + 0.5)
    assert plan(chosen, 2, counts).time(MEASURED) == pytest.approx(besides(2) + 20 + 0.5 / 2)


def test_memory_of_a_run_worked_by_hand() -> None:
    positions = 4 * 10
    expected = 600 * 2**20 + 16 * 1_000_000 + 4 * positions * (10 * 16 * 4 + 100 * 3)
    assert training_bytes(SHAPE, recipe()) == expected


def test_memory_of_a_diagnosis_worked_by_hand() -> None:
    shape = dataclasses.replace(SHAPE, n_heads=5)
    positions = 4 * 10  # four sequences of each set, at most
    numbers = 3 * 1_000_000 + positions * (10 * 107 * 4 + 7 * 10 * 5 * 4 + 100 * 8)
    assert diagnosis_bytes(shape, recipe()) == 600 * 2**20 + 4 * numbers
    two = recipe(evaluation={"batch_sequences": 2})
    assert diagnosis_bytes(shape, two) < diagnosis_bytes(shape, recipe())


def test_the_store_of_task_vectors_is_counted_once() -> None:
    store = 2 * 4 * 1_000_000  # two domains
    made = plan(recipe(), 3)
    assert made.memory_bytes == 3 * made.run_memory_bytes + 600 * 2**20 + store
    assert made.diagnosis_bytes == diagnosis_bytes(SHAPE, recipe()) + store
    lora = plan(recipe(training={"batch_sequences": 4, "method": "lora"}))
    assert lora.diagnosis_bytes == diagnosis_bytes(SHAPE, recipe())


def test_smaller_micro_batches_and_checkpointing_save_activations() -> None:
    plain = training_bytes(SHAPE, recipe())
    micro = {"batch_sequences": 4, "gradient_accumulation_steps": 4}
    saved = {"batch_sequences": 4, "gradient_checkpointing": True}
    assert training_bytes(SHAPE, recipe(training=micro)) < plain
    assert training_bytes(SHAPE, recipe(training=saved)) < plain


def test_adapters_need_less_memory_and_disk() -> None:
    adapters = ModelShape(1_000_000, 10_000, 10, 4, 100)
    lora = recipe(training={"batch_sequences": 4, "method": "lora"})
    assert training_bytes(SHAPE, recipe()) - training_bytes(adapters, lora) == 12 * 990_000


def test_every_worker_needs_its_own_memory() -> None:
    one, three = plan(recipe(), 1), plan(recipe(), 3)
    assert three.memory_bytes - one.memory_bytes == 2 * one.run_memory_bytes
    assert one.run_memory_bytes >= training_bytes(SHAPE, recipe())


def test_slopes_cost_their_passes() -> None:
    chosen = recipe(validation={"mixtures": 0}, final={"train": False})
    counts = counted(chosen, n_experts=0, n_candidates=4, candidate_passes=3)
    assert plan(chosen, 1, counts).time(MEASURED) == pytest.approx(besides(0) + (1 + 12) * 0.5)


def test_baselines_that_are_no_candidates_are_scored_too() -> None:
    chosen = recipe(validation={"mixtures": 0}, final={"train": False})
    counts = counted(chosen, n_experts=0, n_candidates=4, n_besides=2)
    assert plan(chosen, 1, counts).time(MEASURED) == pytest.approx(besides(0) + (1 + 6) * 0.5)


def test_a_coarser_store_of_task_vectors_takes_less_disk() -> None:
    sizes = {
        precision: plan(recipe(engine={"task_vectors": precision})).disk_bytes
        for precision in ("float32", "bfloat16", "int8")
    }
    assert sizes["float32"] - sizes["bfloat16"] == 2 * 2 * 1_000_000  # two domains
    assert sizes["bfloat16"] > sizes["int8"]


def test_layer_by_layer_takes_what_it_is_given() -> None:
    wanted = recipe(evaluation={"placement": "layers", "memory_gb": 2})
    assert evaluation_bytes(SHAPE, wanted) == 600 * 2**20 + 2 * 10**9


def test_disk_grows_with_runs_and_trajectories() -> None:
    settings = {"batch_sequences": 4, "snapshots": 0}
    small = recipe(training=settings, validation={"mixtures": 0}, final={"train": False})
    longer = recipe(
        training=settings | {"trajectory_checkpoints": 3},
        validation={"mixtures": 0},
        final={"train": False},
    )
    checkpoint = 4_000_000
    assert plan(small).disk_bytes >= 2 * checkpoint
    assert plan(longer).disk_bytes - plan(small).disk_bytes == 3 * 2 * checkpoint
    kept = small.model_copy(update={"training": small.training.model_copy(update={"snapshots": 8})})
    assert plan(kept).disk_bytes > plan(small).disk_bytes


def test_phases_wait_for_each_other() -> None:
    chosen = recipe(validation={"mixtures": 5, "seeds": 1}, final={"seeds": 1})
    counts = counted(chosen, n_experts=3, n_baselines=2)
    made = plan(chosen, 2, counts)
    # 2 + 3 + 2 rounds; base, 5 references and their merges, and 3 final mixtures are evaluated
    assert made.time(MEASURED) == pytest.approx(besides(7) + 7 * 25 * 0.4 + (1 + 10 + 3) * 0.5 / 2)


def test_short_experts_cost_their_part() -> None:
    chosen = recipe(
        experts={"horizon_tokens": 400}, validation={"mixtures": 0}, final={"train": False}
    )
    made = plan(chosen)
    assert (made.expert_tokens, made.expert_points) == (400, (4, 6, 10))
    assert made.price == made.expert_price == 2 * 400 / 1000
    assert made.trained_tokens == 800
    # the base, and ten candidates
    assert made.time(MEASURED) == pytest.approx(besides(2) + 2 * 10 * 0.4 + (1 + 10) * 0.5)


def test_predictions_cost_readings_of_every_expert_and_longer_steps_those_of_the_objective() -> (
    None
):
    chosen = recipe(
        experts={"horizon_tokens": 400}, validation={"mixtures": 0}, final={"train": False}
    )
    counts = counted(chosen, n_candidates=10, candidate_passes=0, readings=3)
    trained, read = besides(2) + 2 * 10 * 0.4, 2 * (3 * 0.8 + 3 * 0.3)
    assert plan(chosen, counts=counts).time(MEASURED) == pytest.approx(trained + 0.5 + read)
    merged_too = counted(chosen, n_candidates=10, candidate_passes=1, readings=3)
    both = plan(chosen, 2, merged_too).time(MEASURED)
    assert both == pytest.approx(besides(1) + 10 * 0.4 + (11 * 0.5 + read) / 2)
    once = counted(chosen, candidate_passes=0, readings=1)
    assert plan(chosen, counts=once).time(MEASURED) == pytest.approx(trained + 0.5 + 2 * 0.8)


def test_the_diagnosis_of_steps_differentiates_nothing() -> None:
    chosen = recipe(experts={"horizon_tokens": 400})
    counts = counted(chosen)
    of_steps = dataclasses.replace(counts.horizons, points=(10,), expert_method="gradients")
    moved = dataclasses.replace(counts, horizons=of_steps)
    trained, made = plan(chosen, counts=counts), plan(chosen, counts=moved)
    store = 2 * 4_000_000
    assert made.diagnosis_bytes == 600 * 2**20 + 4_000_000 + store
    assert trained.diagnosis_bytes > made.diagnosis_bytes
