from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.derived import (
    BENT_WEIGHTS,
    DOMAINS,
    EVERY_RULE,
    LINEAR,
    MIXTURE,
    Reference,
    central_difference,
    make_pool,
    padded_batch,
)
from tests.tiny_models import KINDS

from mixwise.evaluation.likelihood.rows import batch_nats
from mixwise.merging.multi_lora import UnmergedAdapters
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LinearRule, MergeRule
from mixwise.merging.tangents import WeightMap, tangents_of
from mixwise.mixture import Mixture
from mixwise.scoring.derivatives.slopes import AdapterSlopes, ModelSlopes, differentiable_tensors


@pytest.fixture(scope="module", params=KINDS)
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExpertPool:
    return make_pool(request.param, tmp_path_factory.mktemp("full"), is_lora=False)


@pytest.fixture(scope="module", params=KINDS)
def lora(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExpertPool:
    return make_pool(request.param, tmp_path_factory.mktemp("lora"), is_lora=True)


def model_slopes(pool: ExpertPool, mixture: Mixture, rule: MergeRule) -> ModelSlopes:
    pool.merge(mixture, rule)
    vectors = [pool.task_vectors[domain] for domain in mixture.domains]
    return ModelSlopes(pool.live, tangents_of(rule, vectors, mixture.shares))


def adapter_slopes(pool: ExpertPool, mixture: Mixture, rule: MergeRule) -> AdapterSlopes:
    assert isinstance(rule, LinearRule)
    pool.merge(mixture, rule)
    vectors = [pool.task_vectors[domain] for domain in mixture.domains]
    weight_map = WeightMap.of(rule.coefficients, mixture.shares)
    return AdapterSlopes(pool.live, UnmergedAdapters(pool.live, vectors), weight_map)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.name)
def test_slopes_are_those_of_the_slow_path(full: ExpertPool, rule: MergeRule) -> None:
    batch = padded_batch()
    found = model_slopes(full, MIXTURE, rule)(batch)
    reference = Reference(full, rule, batch)
    assert found.nats == pytest.approx(reference(torch.tensor(MIXTURE.shares)).numpy(), rel=1e-5)
    expected = central_difference(reference, MIXTURE.shares, 0.01).sum(axis=0)
    assert found.slopes[0] == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("rule", [LINEAR, BENT_WEIGHTS], ids=lambda rule: rule.name)
def test_slopes_of_adapters_are_those_of_the_slow_path(lora: ExpertPool, rule: MergeRule) -> None:
    batch = padded_batch()
    found = adapter_slopes(lora, MIXTURE, rule)(batch)
    expected = central_difference(Reference(lora, rule, batch), MIXTURE.shares, 0.01)
    assert found.slopes == pytest.approx(expected, rel=1e-3, abs=1e-3)
    together = model_slopes(lora, MIXTURE, rule)(batch).slopes
    assert found.slopes.sum(axis=0) == pytest.approx(together[0], rel=1e-5)


def test_slopes_agree_to_many_digits_in_float64(tmp_path_factory: pytest.TempPathFactory) -> None:
    pool = make_pool("gpt2", tmp_path_factory.mktemp("gpt2"), is_lora=False)  # float64 throughout
    batch = padded_batch()
    found = model_slopes(pool, MIXTURE, LINEAR)(batch).slopes[0]
    expected = central_difference(Reference(pool, LINEAR, batch), MIXTURE.shares, 0.003)
    assert found == pytest.approx(expected.sum(axis=0), rel=2e-6, abs=2e-6)


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.0, 0.5, 0.5)])
def test_an_expert_with_no_share_has_a_slope(full: ExpertPool, shares: tuple[float, ...]) -> None:
    batch = padded_batch()
    found = model_slopes(full, Mixture(DOMAINS, shares), LINEAR)(batch).slopes[0]
    expected = central_difference(Reference(full, LINEAR, batch), shares, 0.01).sum(axis=0)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert np.abs(found).min() > 0.01


def test_slopes_follow_the_order_of_the_mixture(full: ExpertPool) -> None:
    batch = padded_batch()
    found = model_slopes(full, MIXTURE, LINEAR)(batch).slopes[0]
    turned = model_slopes(full, Mixture(DOMAINS[::-1], MIXTURE.shares[::-1]), LINEAR)
    assert turned(batch).slopes[0] == pytest.approx(found[::-1], rel=1e-4)
    assert np.abs(found - found[::-1]).max() > 0.1


def test_the_padding_token_counts_in_the_text(tmp_path_factory: pytest.TempPathFactory) -> None:
    pool = make_pool("llama untied", tmp_path_factory.mktemp("padded"), is_lora=False)
    embedding = pool.live.module.get_input_embeddings()
    slopes, batch = model_slopes(pool, MIXTURE, LINEAR), padded_batch()
    found = slopes(batch).slopes[0]
    assert embedding.padding_idx == 0
    expected = central_difference(Reference(pool, LINEAR, batch), MIXTURE.shares, 0.01)
    assert found == pytest.approx(expected.sum(axis=0), rel=1e-3, abs=1e-3)
    batch.ids[batch.ids == 0] = 1
    other = slopes(batch).slopes[0]
    batch.ids.zero_()
    assert np.abs(slopes(batch).slopes[0] - other).max() > 0.1


def test_no_gradient_is_kept_and_the_model_is_left_as_it_was(full: ExpertPool) -> None:
    slopes = model_slopes(full, MIXTURE, LINEAR)
    parameters = list(full.live.module.parameters())
    parameters[0].requires_grad_(False)
    alive: list[int] = []
    backward(full, slopes, lambda *_: alive.append(sum(p.grad is not None for p in parameters)))
    assert alive == [0] * len(full.live.tensors)  # tied tensors once; none kept beside another
    assert [p.requires_grad for p in parameters] == [False] + [True] * (len(parameters) - 1)
    assert all(p.grad is None and not p._post_accumulate_grad_hooks for p in parameters)
    parameters[0].requires_grad_(True)


def test_a_backward_pass_that_breaks_off_leaves_nothing_behind(full: ExpertPool) -> None:
    slopes = model_slopes(full, MIXTURE, LINEAR)
    expected = slopes(padded_batch()).slopes

    def refuse(name: str, gradient: torch.Tensor) -> None:
        raise ValueError(f"broken off at {name}")

    with pytest.raises(ValueError, match="broken off at"):
        backward(full, slopes, refuse)
    assert all(p.grad is None for p in full.live.module.parameters())
    assert slopes(padded_batch()).slopes == pytest.approx(expected)


def backward(
    pool: ExpertPool, slopes: ModelSlopes, take: Callable[[str, torch.Tensor], None]
) -> None:
    with differentiable_tensors(pool.live, slopes.tangents, take):
        batch_nats(pool.live.module, padded_batch()).sum().backward()
