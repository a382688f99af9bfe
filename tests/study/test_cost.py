import dataclasses
import math

import pytest
from tests.study.test_plan import SHAPE, counted, plan, recipe

from mixwise.study.cost import StudyCost, estimate, training_flops
from mixwise.study.devices import DEVICES, Fleet
from mixwise.study.plan import Plan

H100 = DEVICES["H100"]
PEAK = H100.float32_flops  # the recipe's precision is float32


def cost(made: Plan, n_devices: int = 4, **options: float) -> StudyCost:
    return estimate(made, SHAPE, recipe(), Fleet(n_devices, H100), **options)


def alone(n_experts: int = 2) -> Plan:
    chosen = recipe(validation={"mixtures": 0}, final={"train": False})
    return plan(chosen, counts=counted(chosen, n_experts=n_experts))


def test_flops_of_a_token_worked_by_hand() -> None:
    lora = dataclasses.replace(SHAPE, n_trainable=1000)
    again = recipe(training={"batch_sequences": 4, "gradient_checkpointing": True})
    assert training_flops(SHAPE, recipe(), 10) == 10 * 6 * 1_000_000
    assert training_flops(SHAPE, again, 10) == 10 * 8 * 1_000_000
    assert training_flops(lora, recipe(), 10) == 10 * (4 * 1_000_000 + 2 * 1000)


def test_seconds_of_experts_worked_by_hand() -> None:
    found = cost(alone(), utilisation=0.5)
    experts, scoring = found.stages
    arithmetic = 1000 * 6e6 / (0.5 * PEAK)
    n_saved = 2 + 3 * recipe().training.snapshots
    disk = 2 * (4e6 + n_saved * 4e6) / 2e9
    assert (experts.name, experts.bottleneck) == ("experts", "starting runs")
    assert experts.seconds == pytest.approx(arithmetic + disk + 2)
    assert experts.busy == pytest.approx(2 / 4 * arithmetic / experts.seconds)
    evaluated = 500 * 2e6 / (0.5 * PEAK * 4)  # the base alone: there is no candidate
    assert scoring.seconds == pytest.approx(evaluated + 2 * 8e6 / 2e9 + 7)
    assert found.seconds == pytest.approx(experts.seconds + scoring.seconds)
    assert found.seconds_range == (found.seconds, found.seconds)
    assert not found.notes


def test_runs_that_find_no_device_wait_for_the_next_wave() -> None:
    one, two = (cost(alone(n), 4).stages[0].seconds for n in (4, 5))
    assert two == pytest.approx(2 * one, rel=0.05)


def test_a_few_experts_that_wait_for_the_others_are_told_with_what_ends_it() -> None:
    assert not cost(alone(4), 4).notes
    assert not cost(alone(7), 4).notes
    [note] = cost(alone(5), 4).notes
    assert "1 of 5 experts train after the others" in note
    assert "5 devices take 1 round(s) in place of 2" in note
    assert "3 devices take 2 round(s) in place of 3" not in cost(alone(9), 4).notes[0]
    assert "5 devices take 2 round(s) in place of 3" in cost(alone(9), 4).notes[0]


def test_a_range_stands_beside_what_was_not_measured_and_money_follows_time() -> None:
    made = dataclasses.replace(alone(), expert_tokens=10**12)
    found = cost(made, price_per_hour=2.0)
    least, most = found.seconds_range
    assert least < found.seconds < most
    assert most / least == pytest.approx(0.5 / 0.2, rel=1e-3)
    assert found.price(3600) == 2.0 * 4
    assert cost(made).price(3600) is None
    assert found.stages[0].bottleneck == "arithmetic"


def test_a_run_that_does_not_fit_takes_more_devices_and_says_so() -> None:
    big = dataclasses.replace(alone(), run_memory_bytes=int(200e9))
    found = cost(big)
    assert found.run_devices == 4
    [note] = found.notes
    assert "needs about 200 GB, and one H100 has 80 GB: it takes 4 of them" in note
    assert "only" not in note
    assert "only 2 are there" in cost(big, 2).notes[0]


def test_a_run_takes_the_devices_of_its_processes() -> None:
    spread = recipe(training={"batch_sequences": 4, "processes_per_run": 4})
    made = dataclasses.replace(alone(4), expert_tokens=10**12)
    found = estimate(made, SHAPE, spread, Fleet(8, H100), utilisation=0.5)
    assert found.run_devices == 4
    experts = found.stages[0]  # four runs on eight devices: two waves, each four times as fast
    single = estimate(made, SHAPE, recipe(), Fleet(8, H100), utilisation=0.5).stages[0]
    assert experts.seconds == pytest.approx(2 * single.seconds / 4, rel=1e-3)
    assert not found.notes
    [note] = estimate(alone(2), SHAPE, spread, Fleet(2, H100)).notes
    assert "`training.processes_per_run` is 4, but only 2 device(s) are there" in note


def test_checkpoints_on_the_way_are_of_experts_alone() -> None:
    made = dataclasses.replace(alone(), n_references=2)
    kept = recipe(training={"batch_sequences": 4, "trajectory_checkpoints": 3})
    without, with_them = (
        {s.name: s.seconds for s in estimate(made, SHAPE, each, Fleet(4, H100)).stages}
        for each in (recipe(), kept)
    )
    assert with_them["experts"] - without["experts"] == pytest.approx(2 * 3 * 4e6 / 2e9)
    assert with_them["references"] == without["references"]


def test_adapters_are_read_in_place_of_whole_task_vectors() -> None:
    shape = dataclasses.replace(SHAPE, n_parameters=10**10, n_trainable=10**7)
    made = dataclasses.replace(alone(), n_candidates=10**6, evaluation_tokens=1)
    lora = recipe(training={"batch_sequences": 4, "method": "lora"})
    dense, adapters = (
        next(s for s in estimate(made, shape, each, Fleet(1, H100)).stages if s.name == "scoring")
        for each in (recipe(), lora)
    )
    assert dense.bottleneck == "link to the host"
    assert adapters.seconds < dense.seconds / 100


def test_kept_experts_are_read_too() -> None:
    made = dataclasses.replace(alone(), readings=1, evaluation_tokens=10**12)
    more = dataclasses.replace(made, n_kept=3)
    assert cost(more).stages[1].seconds / cost(made).stages[1].seconds == pytest.approx(6 / 3, 1e-3)


@pytest.mark.parametrize("n_parameters", [10**6, 10**12])
def test_task_vectors_that_fit_nowhere_are_read_over_the_link(n_parameters: int) -> None:
    chosen = recipe(validation={"mixtures": 0}, final={"train": False})
    made = plan(chosen, counts=counted(chosen, n_candidates=10**6))
    shape = dataclasses.replace(SHAPE, n_parameters=n_parameters)
    stage = estimate(made, shape, chosen, Fleet(1, H100)).stages[1]
    expected = "memory of the devices" if n_parameters < 10**9 else "link to the host"
    assert stage.bottleneck in (expected, "arithmetic")


@pytest.mark.parametrize("name", list(DEVICES))
def test_more_devices_never_take_longer(name: str) -> None:
    seconds = [
        estimate(alone(64), SHAPE, recipe(), Fleet(n, DEVICES[name])).seconds
        for n in (1, 2, 16, 256)
    ]
    assert seconds == sorted(seconds, reverse=True)
    assert all(map(math.isfinite, seconds))
