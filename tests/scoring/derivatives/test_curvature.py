from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.derived import (
    BENT_WEIGHTS,
    EVERY_RULE,
    LINEAR,
    MIXTURE,
    PLAIN_SUM,
    Reference,
    central_difference,
    make_pool,
    padded_batch,
)
from tests.scoring.derivatives.test_slopes import adapter_slopes, model_slopes
from tests.tiny_models import KINDS
from torch.autograd.functional import hessian
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import MergeRule
from mixwise.scoring.derivatives.curvature import AdapterCurvature, ModelCurvature
from mixwise.scoring.derivatives.slopes import BatchDerivatives


@pytest.fixture(scope="module", params=KINDS)
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExpertPool:
    return make_pool(request.param, tmp_path_factory.mktemp("full"), is_lora=False)


@pytest.fixture(scope="module", params=KINDS)
def lora(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExpertPool:
    return make_pool(request.param, tmp_path_factory.mktemp("lora"), is_lora=True)


def model_curvature(pool: ExpertPool, rule: MergeRule) -> BatchDerivatives:
    return ModelCurvature(pool.live, model_slopes(pool, MIXTURE, rule).tangents)(padded_batch())


def adapter_curvature(pool: ExpertPool, rule: MergeRule) -> BatchDerivatives:
    slopes = adapter_slopes(pool, MIXTURE, rule)
    return AdapterCurvature(pool.live, slopes.adapters, slopes.weight_map)(padded_batch())


def expected_hessian(pool: ExpertPool, rule: MergeRule, row: int | None = None) -> np.ndarray:
    reference = Reference(pool, rule, padded_batch())
    at = torch.tensor(MIXTURE.shares, dtype=torch.float64)

    def score(shares: torch.Tensor) -> torch.Tensor:
        nats = reference(shares)
        return nats.sum() if row is None else nats[row]

    embedding = pool.live.module.get_input_embeddings()
    padding, embedding.padding_idx = embedding.padding_idx, None  # autograd leaves its row out
    with sdpa_kernel(SDPBackend.MATH):
        found: torch.Tensor = hessian(score, at)
    embedding.padding_idx = padding
    return found.numpy()


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.name)
def test_hessian_is_that_of_the_slow_path(full: ExpertPool, rule: MergeRule) -> None:
    found = model_curvature(full, rule)
    assert found.hessians is not None
    expected = expected_hessian(full, rule)
    assert found.hessians[0] == pytest.approx(expected, rel=1e-4, abs=1e-4 * np.abs(expected).max())
    slopes = model_slopes(full, MIXTURE, rule)(padded_batch())
    assert found.slopes == pytest.approx(slopes.slopes, rel=1e-4, abs=1e-4)
    assert found.nats == pytest.approx(slopes.nats, rel=1e-5)


@pytest.mark.parametrize("rule", [LINEAR, BENT_WEIGHTS], ids=lambda rule: rule.name)
def test_every_row_of_adapters_has_its_hessian(lora: ExpertPool, rule: MergeRule) -> None:
    found = adapter_curvature(lora, rule)
    assert found.hessians is not None
    for row, own in enumerate(found.hessians):
        expected = expected_hessian(lora, rule, row)
        assert own == pytest.approx(expected, rel=1e-4, abs=1e-4 * np.abs(expected).max())
    together = model_curvature(lora, rule)
    assert together.hessians is not None
    assert found.hessians.sum(axis=0) == pytest.approx(together.hessians[0], rel=1e-4, abs=1e-4)
    assert found.slopes == pytest.approx(adapter_slopes(lora, MIXTURE, rule)(padded_batch()).slopes)


def test_hessian_is_the_central_difference_of_the_slopes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pool = make_pool("gpt2", tmp_path_factory.mktemp("gpt2"), is_lora=False)  # float64 throughout
    found = model_curvature(pool, LINEAR).hessians
    reference = Reference(pool, LINEAR, padded_batch())

    def slopes(shares: torch.Tensor) -> torch.Tensor:
        summed = central_difference(lambda at: reference(at).sum(), shares.tolist(), 0.003)
        return torch.from_numpy(summed)

    expected = central_difference(slopes, MIXTURE.shares, 0.003)
    assert found is not None
    assert found[0] == pytest.approx(expected, rel=1e-5, abs=1e-5 * np.abs(expected).max())


def test_the_rules_own_curvature_is_in_it(full: ExpertPool) -> None:
    straight, bent = model_curvature(full, PLAIN_SUM), model_curvature(full, BENT_WEIGHTS)
    assert straight.hessians is not None
    assert bent.hessians is not None
    assert straight.hessians == pytest.approx(model_curvature(full, LINEAR).hessians, rel=1e-4)
    assert np.abs(bent.hessians - straight.hessians).max() > 1
