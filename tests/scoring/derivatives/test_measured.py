from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from tests.derived import (
    BENT_SUM,
    BENT_WEIGHTS,
    DOMAINS,
    LINEAR,
    MIXTURE,
    Reference,
    central_difference,
    make_pool,
    make_suite,
)
from tests.tiny_models import save_adapter

from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import MergeRule
from mixwise.observation import Derivatives, Measurement
from mixwise.scorer import Part, Request
from mixwise.scoring.derivatives.curvature import AdapterCurvature, ModelCurvature
from mixwise.scoring.derivatives.measured import differentiator, measure_derivatives
from mixwise.scoring.derivatives.slopes import AdapterSlopes, ModelSlopes

EVERY_SET = ("news", "code", "quiz")
SUITE = PreparedSuite(make_suite(), "cpu")
PART = Part(1, 2, 2)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ExpertPool:
    return make_pool("llama tied", tmp_path_factory.mktemp("full"), is_lora=False)


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> ExpertPool:
    return make_pool("gpt2", tmp_path_factory.mktemp("lora"), is_lora=True)


def measure(
    pool: ExpertPool,
    rule: MergeRule,
    order: Literal[1, 2],
    *,
    per_example: bool = False,
    part: Part = Part(),  # noqa: B008
    sets: tuple[str, ...] = EVERY_SET,
) -> dict[str, Measurement]:
    request = Request(order, per_example, part)
    found = measure_derivatives(pool, MIXTURE, rule, SUITE, request=request, sets=sets)
    return {measurement.metric: measurement for measurement in found}


def derivatives_of(measurement: Measurement) -> Derivatives:
    assert measurement.derivatives is not None
    return measurement.derivatives


@pytest.mark.parametrize("part", [Part(), PART])
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_values_are_those_of_the_plain_forward(
    kind: str, part: Part, request: pytest.FixtureRequest
) -> None:
    pool = request.getfixturevalue(kind)
    found = measure(pool, LINEAR, 1, part=part)
    pool.merge(MIXTURE, LINEAR)
    expected = SUITE.evaluate(pool.live.module, part)
    assert list(found) == [measurement.metric for measurement in expected]
    for measurement in expected:
        own = found[measurement.metric]
        assert own.examples == pytest.approx(measurement.examples, rel=1e-6)
        assert (own.example_weights == measurement.example_weights).all()
        has_slopes = "accuracy" not in measurement.metric
        assert (own.derivatives is not None) == has_slopes


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("metric", ["news/loss", "code/bits_per_byte", "quiz/answer_bits_per_byte"])
def test_slopes_are_the_differences_of_the_values(
    kind: str, metric: str, request: pytest.FixtureRequest
) -> None:
    pool = request.getfixturevalue(kind)
    found = measure(pool, BENT_WEIGHTS, 1, per_example=True)[metric]
    chosen = next(s for s in SUITE.suite.sets if s.name == metric.partition("/")[0])

    def values(shares: torch.Tensor) -> torch.Tensor:
        nats = np.empty(len(chosen.rows()))
        for batch in SUITE.batches(chosen):
            nats[batch.rows] = Reference(pool, BENT_WEIGHTS, batch)(shares).numpy()
        return torch.from_numpy(
            next(m for m in chosen.measure(nats) if m.metric == metric).examples
        )

    expected = central_difference(values, MIXTURE.shares, 0.01)
    slopes = derivatives_of(found)
    assert slopes.example_slopes == pytest.approx(expected, rel=1e-3, abs=1e-3)
    whole = np.average(expected, axis=0, weights=found.example_weights)
    assert slopes.slopes == pytest.approx(whole, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("rule", [LINEAR, BENT_SUM], ids=lambda rule: rule.name)
def test_examples_add_up_to_the_whole(
    kind: str, rule: MergeRule, request: pytest.FixtureRequest
) -> None:
    pool = request.getfixturevalue(kind)
    whole, single = measure(pool, rule, 2), measure(pool, rule, 2, per_example=True)
    for metric, measurement in whole.items():
        if measurement.derivatives is None:
            continue
        own, examples = derivatives_of(measurement), derivatives_of(single[metric])
        assert own.example_slopes is None
        assert own.example_hessians is None
        for summed, each in (
            (own.slopes, examples.example_slopes),
            (own.hessian, examples.example_hessians),
        ):
            assert each is not None
            mean = np.average(each, axis=0, weights=measurement.example_weights)
            assert summed == pytest.approx(mean, rel=1e-4, abs=1e-4)


def test_parts_make_up_the_whole(full: ExpertPool) -> None:
    whole = measure(full, LINEAR, 1, per_example=True)["news/loss"]
    halves = [
        measure(full, LINEAR, 1, per_example=True, part=Part(k, k + 1, 2))["news/loss"]
        for k in range(2)
    ]
    order = np.concatenate([Part(k, k + 1, 2).examples(3) for k in range(2)])
    found = np.concatenate([derivatives_of(half).example_slopes for half in halves])
    expected = derivatives_of(whole).example_slopes
    assert expected is not None
    assert found == pytest.approx(expected[order], rel=1e-6)


def test_only_the_sets_that_were_asked_for_are_differentiated(full: ExpertPool) -> None:
    found = measure(full, LINEAR, 1, sets=("code",))
    assert {m for m in found if found[m].derivatives is not None} == {
        "code/loss",
        "code/bits_per_byte",
    }
    assert list(found) == list(measure(full, LINEAR, 1))


def test_first_order_has_no_hessian(full: ExpertPool) -> None:
    slopes = derivatives_of(measure(full, LINEAR, 1)["news/loss"])
    assert {f.name for f in fields(slopes) if getattr(slopes, f.name) is not None} == {"slopes"}


def test_the_cheapest_way_is_chosen(full: ExpertPool, lora: ExpertPool, tmp_path: Path) -> None:
    first, second = Request(1), Request(2)
    assert chosen_way(full, LINEAR, first) is ModelSlopes
    assert chosen_way(full, LINEAR, second) is ModelCurvature
    assert chosen_way(lora, BENT_SUM, first) is ModelSlopes  # factors have no part in it
    assert chosen_way(lora, LINEAR, first) is AdapterSlopes
    assert chosen_way(lora, LINEAR, second) is AdapterCurvature
    base = lora.live.base
    thick = {name: save_adapter(base, tmp_path / name, 6 + k) for k, name in enumerate(DOMAINS)}
    pool = ExpertPool(lora.live, thick)  # ranks 7 + 8 + 9 on weights 12 wide
    assert chosen_way(pool, LINEAR, first) is ModelSlopes
    assert chosen_way(pool, LINEAR, Request(1, per_example=True)) is AdapterSlopes


def chosen_way(pool: ExpertPool, rule: MergeRule, request: Request) -> type:
    return type(differentiator(pool, MIXTURE, rule, request))
