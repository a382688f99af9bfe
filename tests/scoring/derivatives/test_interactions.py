from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.derived import DOMAINS, make_pool, make_suite
from torch.func import functional_call, grad
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixwise.diagnostics.interference import Interactions
from mixwise.evaluation.likelihood.rows import Row
from mixwise.evaluation.sets import EvaluationSet
from mixwise.evaluation.suite import WHOLE, PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.scorer import Part
from mixwise.scoring.derivatives.interactions import measure_interactions

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module", params=[("llama tied", False), ("gpt2", False), ("qwen2", True)])
def pool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExpertPool:
    kind, is_lora = request.param
    return make_pool(kind, tmp_path_factory.mktemp("interactions"), is_lora=is_lora)


def measured(pool: ExpertPool, part: Part = WHOLE, batch_sequences: int = 8) -> Interactions:
    suite = make_suite()
    suite = type(suite)(suite.sets, batch_sequences)
    prepared = PreparedSuite.of(suite, pool.live.module)
    return measure_interactions(pool, prepared, sets=("news", "quiz"), part=part)


def counted_rows(chosen: EvaluationSet) -> list[Row]:
    counted = chosen.differentiable().counted
    return [row for row, counts in zip(chosen.rows(), counted, strict=True) if counts]


def slow_products(pool: ExpertPool, chosen: EvaluationSet) -> tuple[Tensors, list[Tensors]]:
    """G and Hδⱼ of a set's first metric at the base, whole, from a loss that is written out."""
    base = {name: pool.base_tensor(name).double() for name in pool.live.tensors}
    factor = chosen.differentiable().metrics[0].factor

    def metric(tensors: Tensors) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for row in counted_rows(chosen):
            ids = torch.from_numpy(row.ids)[None]
            logits = functional_call(pool.live.module, tensors, kwargs={"input_ids": ids}).logits
            nats = logits.log_softmax(dim=-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
            total = total - nats[-row.n_scored :].sum()
        return factor * total

    def slope(tensors: Tensors, delta: Tensors) -> torch.Tensor:
        return sum((grad(metric)(tensors)[n] * d).sum() for n, d in delta.items())

    deltas = [
        {n: vector.load(n).double() for n in base if n in vector}
        for vector in pool.task_vectors.values()
    ]
    return grad(metric)(base), [grad(slope)(base, delta) for delta in deltas]


def dot(pool: ExpertPool, domain: str, tensors: Tensors) -> float:
    vector = pool.task_vectors[domain]
    return sum(float((vector.load(n) * t).sum()) for n, t in tensors.items() if n in vector)


def moved_norm(pool: ExpertPool, tensors: Tensors) -> float:
    """Norm over the tensors that some expert moves."""
    vectors = pool.task_vectors.values()
    moved = [t for n, t in tensors.items() if any(n in vector for vector in vectors)]
    return float(sum(t.square().sum() for t in moved) ** 0.5)


def test_products_are_those_of_the_slow_path(pool: ExpertPool) -> None:
    found = measured(pool)
    assert found.domains == DOMAINS
    assert found.metrics == ("news/loss", "news/bits_per_byte", "quiz/answer_bits_per_byte")
    assert found.n_tokens == 3 * 9 + sum(len(row.ids) for row in counted_rows(make_suite().sets[2]))
    sets = {s.name: s for s in make_suite().sets}
    embedding = pool.live.module.get_input_embeddings()
    padding, embedding.padding_idx = embedding.padding_idx, None  # autograd leaves its row out
    for m, name in ((0, "news"), (2, "quiz")):
        with sdpa_kernel(SDPBackend.MATH):
            gradient, products = slow_products(pool, sets[name])
        for i, domain in enumerate(DOMAINS):
            assert found.slopes[m, i] == pytest.approx(dot(pool, domain, gradient), rel=1e-5)
            for j in range(3):
                expected = dot(pool, domain, products[j])
                assert found.curvatures[m, i, j] == pytest.approx(expected, rel=1e-4, abs=1e-6)
            vector = pool.task_vectors[domain]
            own = {n: vector.load(n) for n in pool.live.tensors if n in vector}
            expected = moved_norm(pool, products[i]) / dot(pool, domain, own) ** 0.5
            assert found.curvature_norms[m, i] == pytest.approx(expected, rel=1e-4)
    embedding.padding_idx = padding


def test_batches_change_nothing_but_the_norm(pool: ExpertPool) -> None:
    together, apart = measured(pool), measured(pool, batch_sequences=1)
    assert apart.slopes == pytest.approx(together.slopes, rel=1e-4)  # norms are in float32
    assert apart.curvatures == pytest.approx(together.curvatures, rel=1e-3, abs=1e-6)
    assert (
        apart.curvature_norms >= together.curvature_norms * (1 - 1e-4)
    ).all()  # a mean of norms, not of products
    assert apart.n_tokens == together.n_tokens


def test_metrics_of_one_set_differ_by_a_factor(pool: ExpertPool) -> None:
    found = measured(pool)
    factors = [metric.factor for metric in make_suite().sets[0].differentiable().metrics]
    for products in (found.slopes, found.curvatures, found.curvature_norms):
        assert products[1] == pytest.approx(products[0] * factors[1] / factors[0])


def test_parts_are_read_alone_and_make_up_the_whole(pool: ExpertPool) -> None:
    first, second = measured(pool, Part(0, 1, 3)), measured(pool, Part(1, 3, 3))
    whole = measured(pool)
    assert first.n_tokens + second.n_tokens == whole.n_tokens
    news = first.slopes[0] / 3 + 2 * second.slopes[0] / 3  # one and two of three rows
    assert news == pytest.approx(whole.slopes[0], rel=1e-4)


def test_the_live_model_holds_the_base_afterwards(pool: ExpertPool) -> None:
    pool.live.write(
        next(iter(pool.live.tensors)),
        torch.zeros(1).expand(next(iter(pool.live.tensors.values())).shape),
    )
    measured(pool)
    for name, tensor in pool.live.tensors.items():
        assert torch.equal(tensor.float(), pool.base_tensor(name).float())
        assert not tensor.requires_grad
    assert all(p.grad is None for p in pool.live.module.parameters())
    assert np.isfinite(measured(pool).curvature_norms).all()
