from __future__ import annotations

import numpy as np
import pytest
from tests.derived import DOMAINS, LINEAR, make_suite
from tests.tiny_models import KINDS, save_adapter, save_base

from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.mixture import Mixture
from mixwise.models.live_model import LiveModel
from mixwise.observation import Measurement
from mixwise.scorer import Part
from mixwise.scoring.worker.adapter_batch import candidate_cost, measure_unmerged

SHARES = np.array(
    [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.1, 0, 0.9]]
)
SUITE = PreparedSuite(make_suite(), "cpu")


@pytest.fixture(scope="module", params=KINDS)
def pool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExpertPool:
    folder = tmp_path_factory.mktemp("batch")
    base = save_base(request.param, folder / "base")
    experts = {name: save_adapter(base, folder / name, k) for k, name in enumerate(DOMAINS)}
    return ExpertPool(LiveModel.load(base), experts)


def experts_of(pool: ExpertPool) -> list[LoraExpert]:
    return [vector for vector in pool.task_vectors.values() if isinstance(vector, LoraExpert)]


def merged(pool: ExpertPool, shares: np.ndarray, part: Part) -> tuple[Measurement, ...]:
    pool.merge(Mixture(DOMAINS, tuple(shares.tolist())), LINEAR)
    return SUITE.evaluate(pool.live.module, part)


@pytest.mark.parametrize("part", [Part(), Part(0, 1, 2)])
@pytest.mark.parametrize("memory_bytes", [1 << 30, 1 << 16, 1])  # all at once; some; one by one
def test_every_candidate_is_measured_as_if_it_were_merged(
    pool: ExpertPool, part: Part, memory_bytes: int
) -> None:
    found = measure_unmerged(
        pool.live, experts_of(pool), SHARES, SUITE, part=part, memory_bytes=memory_bytes
    )
    assert len(found) == len(SHARES)
    for shares, measurements in zip(SHARES, found, strict=True):
        for own, expected in zip(measurements, merged(pool, shares, part), strict=True):
            assert own.metric == expected.metric
            assert own.examples == pytest.approx(expected.examples, abs=1e-4)
            assert (own.example_weights == expected.example_weights).all()


def test_candidates_are_not_mixed_up(pool: ExpertPool) -> None:
    found = measure_unmerged(pool.live, experts_of(pool), SHARES[::-1], SUITE)
    expected = merged(pool, SHARES[0], Part())[0]
    assert np.abs(found[0][0].examples - expected.examples).max() > 1e-2
    assert found[-1][0].examples == pytest.approx(expected.examples, abs=1e-4)


def test_the_base_is_what_is_left(pool: ExpertPool) -> None:
    merged(pool, SHARES[0], Part())
    [base] = measure_unmerged(pool.live, experts_of(pool), np.zeros((1, 3)), SUITE)
    again = SUITE.evaluate(pool.live.module)
    assert [m.value for m in base] == pytest.approx([m.value for m in again], rel=1e-6)


def test_an_expert_that_no_candidate_uses_is_not_read(pool: ExpertPool) -> None:
    experts = experts_of(pool)
    shares = SHARES.copy()
    shares[:, 1] = 0
    expected = measure_unmerged(pool.live, experts, shares, SUITE)
    experts[1] = None  # type: ignore[call-overload]
    found = measure_unmerged(pool.live, experts, shares, SUITE)
    assert [m.value for m in found[0]] == [m.value for m in expected[0]]


def test_short_evaluations_are_served_unmerged_and_long_ones_merged(pool: ExpertPool) -> None:
    def cost(n_batches: int) -> bool:
        costs = candidate_cost(
            pool.live, experts_of(pool), n_candidates=4, n_batches=n_batches, batch_tokens=8
        )
        return costs.unmerged < costs.merged

    assert cost(1)
    assert not cost(1000)


def test_cost_by_hand(pool: ExpertPool) -> None:
    experts = experts_of(pool)
    costs = candidate_cost(pool.live, experts, n_candidates=2, n_batches=3, batch_tokens=1)
    shapes = [tuple(pool.live.tensors[name].shape) for name in experts[0].factors]
    size = sum(tensor.numel() for tensor in pool.live.tensors.values())
    assert costs.merged == sum(6 * out * width for out, width in shapes) + 3 * size
    assert costs.unmerged == 3 * sum(6 * (out + width) for out, width in shapes)
