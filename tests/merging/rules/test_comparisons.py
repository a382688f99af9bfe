from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.functional import hessian

from mixwise.merging.rules.comparisons import (
    DENSITY,
    OUTLIERS,
    breadcrumbs,
    dare_linear,
    dare_ties,
    della,
    fisher,
    slerp,
    ties,
)
from mixwise.merging.rules.rule import Combine
from mixwise.merging.rules.sparsification import (
    drawn,
    drawn_by_rank,
    generator_for,
    largest,
    middle,
    rescaled,
)

GOLDENS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "mergekit.json").read_text(encoding="utf-8")
)
MERGEKIT: dict[str, Combine] = {
    "linear": lambda name, vectors, shares: torch.tensordot(shares, torch.stack([*vectors]), 1),
    "ties": ties,
    "dare_linear": dare_linear,
    "dare_ties": dare_ties,
    "della": della,
    "breadcrumbs": breadcrumbs,
    "multislerp": slerp,
    "nuslerp": slerp,
}
RULES: tuple[Combine, ...] = (ties, dare_linear, dare_ties, della, breadcrumbs, slerp, fisher)
SPARSE = RULES[:5]
EVERY_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
EVERY_SPARSE_RULE = pytest.mark.parametrize("rule", SPARSE, ids=lambda rule: rule.__name__)
TENSOR = "layer.weight"

positive = st.lists(st.floats(0.05, 1), min_size=3, max_size=3).map(
    lambda parts: torch.tensor(parts) / sum(parts)
)


def task_vectors(n: int, shape: tuple[int, ...] = (6, 20), *, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(n)]


def vectors_for(rule: Combine, n: int = 3) -> list[Tensor]:
    moments = [delta.square() + 0.1 for delta in task_vectors(n, seed=1)] if rule is fisher else []
    return task_vectors(n) + moments


def merged_by_mergekit(merge: dict[str, Any]) -> Tensor:
    return torch.tensor(merge["merged"]) - torch.tensor(GOLDENS["base"])


def merged_here(rule: Combine, weights: list[float]) -> Tensor:
    base = torch.tensor(GOLDENS["base"])
    vectors = [torch.tensor(expert) - base for expert in GOLDENS["experts"][: len(weights)]]
    return rule(GOLDENS["tensor"], vectors, torch.tensor(weights))


@pytest.mark.parametrize("merge", GOLDENS["merges"], ids=lambda merge: merge["method"])
def test_merges_as_mergekit_does(merge: dict[str, Any]) -> None:
    got = merged_here(MERGEKIT[merge["method"]], merge["weights"])
    torch.testing.assert_close(got, merged_by_mergekit(merge), rtol=0, atol=1e-6)


@pytest.mark.parametrize("merge", GOLDENS["merges"], ids=lambda merge: merge["method"])
def test_no_other_rule_merges_so(merge: dict[str, Any]) -> None:
    others = {rule for rule in MERGEKIT.values() if rule is not MERGEKIT[merge["method"]]}
    for rule in others:
        gap = merged_here(rule, merge["weights"]) - merged_by_mergekit(merge)
        assert gap.abs().max() > 1e-3


def test_ties_by_hand() -> None:
    one = torch.tensor([0.1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    other = torch.tensor([1.0, -1, -9, 0.1, 5, 6, 7, 8, 9, 10])
    merged = ties("w", [one, other], torch.tensor([0.75, 0.25]))
    # trimmed: one[0], other[3]; elected: +, + (1.5 > .25), even (2.25 = 2.25) counts as +, +
    assert merged[:6].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    merged = ties("w", [one, other], torch.tensor([0.25, 0.75]))
    assert merged[:4].tolist() == [1.0, -1.0, -9.0, 4.0]


def test_breadcrumbs_by_hand() -> None:
    one, other = torch.arange(1.0, 101), torch.arange(100.0, 0, -1)
    merged = breadcrumbs("w", [one, other], torch.tensor([0.5, 0.5]))
    assert merged[:10].tolist() == [0.0, 49.5, 49.0, 48.5, 48.0, 47.5, 47.0, 46.5, 46.0, 50.5]
    assert torch.equal(merged, merged.flip(0))


def test_slerp_by_hand() -> None:
    half = torch.tensor([0.5, 0.5])
    right_angle = slerp("w", [torch.tensor([3.0, 0]), torch.tensor([0.0, 4])], half)
    assert right_angle.tolist() == pytest.approx([3 * 0.5**0.5, 4 * 0.5**0.5])
    third = torch.full((3,), 1 / 3)
    axes = [length * axis for length, axis in zip((1, 2, 3), torch.eye(3), strict=True)]
    assert slerp("w", axes, third).tolist() == pytest.approx([2 / 3**0.5] * 3)


def test_fisher_by_hand() -> None:
    deltas = [torch.tensor([4.0, 4, 4]), torch.tensor([8.0, 8, 8])]
    moments = [torch.tensor([1.0, 3, 0]), torch.tensor([3.0, 1, 0])]
    merged = fisher("w", [*deltas, *moments], torch.tensor([0.5, 0.5]))
    assert merged.tolist() == [7.0, 5.0, 6.0]  # the last one has no information: shares alone


@given(positive)
@settings(max_examples=20)
def test_fisher_is_its_formula(shares: Tensor) -> None:
    vectors = vectors_for(fisher)
    deltas, moments = torch.stack(vectors[:3]).double(), torch.stack(vectors[3:]).double()
    weights = shares.double()[:, None, None] * moments
    expected = (weights * deltas).sum(0) / weights.sum(0)
    torch.testing.assert_close(fisher(TENSOR, vectors, shares), expected.float())


@given(positive)
@settings(max_examples=20)
def test_the_tangent_step_of_multislerp_is_nil(shares: Tensor) -> None:
    deltas, weights = torch.stack(task_vectors(3)).double().flatten(1), shares.double()[:, None]
    lengths = deltas.norm(dim=1, keepdim=True)
    units = deltas / lengths
    centre = (weights * units).sum(0)
    centre = centre / centre.norm()
    tangent = (weights * (units - (units @ centre)[:, None] * centre)).sum(0)
    assert tangent.norm() < 1e-12
    expected = centre * (weights * lengths).sum()
    got = slerp(TENSOR, task_vectors(3), shares).double().flatten()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rule", [slerp, fisher], ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("n", [2, 3])
def test_a_corner_is_the_expert(rule: Combine, n: int) -> None:
    vectors = vectors_for(rule, n)
    for k, shares in enumerate(torch.eye(n)):
        torch.testing.assert_close(rule(TENSOR, vectors, shares), vectors[k])


@EVERY_SPARSE_RULE
def test_a_corner_is_what_the_mask_leaves_of_the_expert(rule: Combine) -> None:
    vectors, generator = task_vectors(3), generator_for(TENSOR)
    expected = {
        ties: lambda v: v * largest(v, DENSITY),
        breadcrumbs: lambda v: v * middle(v, DENSITY, OUTLIERS),
        della: lambda v: rescaled(v, drawn_by_rank(v, DENSITY, 0.01, generator)),
    }.get(rule, lambda v: rescaled(v, drawn(v, DENSITY, generator)))
    for vector, shares in zip(vectors, torch.eye(3), strict=True):
        got = rule(TENSOR, vectors, shares)
        torch.testing.assert_close(got, expected(vector))
        assert not torch.allclose(got, vector)


@pytest.mark.parametrize("rule", [dare_linear, breadcrumbs], ids=lambda rule: rule.__name__)
@given(shares=positive)
@settings(max_examples=20)
def test_candidates_meet_the_same_masks(rule: Combine, shares: Tensor) -> None:
    vectors = task_vectors(3)
    corners = torch.stack([rule(TENSOR, vectors, corner) for corner in torch.eye(3)])
    expected = torch.tensordot(shares, corners, dims=1)
    torch.testing.assert_close(rule(TENSOR, vectors, shares), expected)


@pytest.mark.parametrize("rule", [dare_linear, dare_ties, della], ids=lambda rule: rule.__name__)
def test_other_tensors_meet_other_masks(rule: Combine) -> None:
    shares = torch.tensor([0.5, 0.3, 0.2])
    assert not torch.equal(rule("a", task_vectors(3), shares), rule("b", task_vectors(3), shares))


def test_dare_is_the_linear_merge_in_the_mean_over_masks() -> None:
    vectors, shares = task_vectors(2), torch.tensor([0.6, 0.4])
    mean = torch.stack([dare_linear(str(k), vectors, shares) for k in range(500)]).mean(0)
    linear = 0.6 * vectors[0] + 0.4 * vectors[1]
    noise = torch.stack([0.6 * vectors[0], 0.4 * vectors[1]]).norm(dim=0) * (0.1 / 0.9) ** 0.5
    assert ((mean - linear).abs() < 5 * noise / 500**0.5 + 1e-2 * linear.abs()).all()


@pytest.mark.parametrize("rule", [ties, breadcrumbs, slerp, fisher], ids=lambda rule: rule.__name__)
@given(shares=positive)
@settings(max_examples=20)
def test_experts_have_no_order(rule: Combine, shares: Tensor) -> None:
    vectors = vectors_for(rule)
    turned = [vectors[k + i] for k in range(0, len(vectors), 3) for i in (2, 0, 1)]
    merged = rule(TENSOR, turned, shares[[2, 0, 1]])
    torch.testing.assert_close(merged, rule(TENSOR, vectors, shares))


@EVERY_RULE
@pytest.mark.parametrize("n", [2, 3])
def test_slopes_are_those_of_finite_differences(rule: Combine, n: int) -> None:
    vectors = [vector[:2].double() for vector in vectors_for(rule, n)]
    shares = torch.tensor([0.5, 0.3, 0.2][:n], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: rule(TENSOR, vectors, s), shares)
    assert torch.autograd.gradgradcheck(lambda s: rule(TENSOR, vectors, s), shares)


@EVERY_RULE
@pytest.mark.parametrize("n", [1, 2, 3])
def test_what_no_expert_changes_stays(rule: Combine, n: int) -> None:
    vectors = [torch.zeros(4, 3)] * (2 * n if rule is fisher else n)
    shares = torch.full((n,), 1 / n)
    assert torch.equal(rule(TENSOR, vectors, shares), torch.zeros(4, 3))
    bent = hessian(lambda s: rule(TENSOR, vectors, s).sum(), shares)
    assert torch.equal(bent, torch.zeros(n, n))


def test_colinear_or_opposed_experts_are_merged_linearly() -> None:
    one, shares = task_vectors(1)[0], torch.tensor([0.75, 0.25])
    torch.testing.assert_close(slerp(TENSOR, [one, 2 * one], shares), 1.25 * one)
    torch.testing.assert_close(slerp(TENSOR, [one, -one], shares), 0.5 * one)
    balanced = torch.tensor([0.25, 0.5, 0.25])
    torch.testing.assert_close(slerp(TENSOR, [one, -one, one], balanced), torch.zeros_like(one))


@pytest.mark.parametrize("angle", [1e-3, 4e-3, 5e-3, 1e-2])
def test_nothing_jumps_where_the_circle_becomes_a_line(angle: float) -> None:
    turn = torch.tensor(angle, dtype=torch.float64)
    vectors = [torch.tensor([1.0, 0.0]), torch.stack([turn.cos(), turn.sin()]).float()]
    expected = torch.stack([(turn / 4).cos(), (turn / 4).sin()]).float()
    got = slerp(TENSOR, vectors, torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
