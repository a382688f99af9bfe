"""What every merge rule must do, on tiny experts, runs and second moments."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.derived import DOMAINS
from tests.tiny_models import double_live, save_adapter, save_base, save_full_expert

from mixwise import registry
from mixwise.errors import CheckpointError, RecipeError
from mixwise.merging import rule_table
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rule_table import (
    RULES,
    NamedRule,
    find_rule,
    linear_in_vectors,
    register_rule,
)
from mixwise.merging.rules.inputs import ExtraRun
from mixwise.merging.rules.rule import LinearRule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE, Checkpoint
from mixwise.registry import Table, names

SHARES = (0.2, 0.3, 0.5)
PRUNING = {"ties", "dare", "dare-ties", "della", "breadcrumbs"}  # at no corner the expert
NOT_AT_CORNERS = PRUNING | {"scaled"}
OF_FACTORS = [RULES[name] for name in ("linear", "scaled", "centre", "pairs", "pairs+centre")]


def test_the_recipe_knows_the_same_names() -> None:
    assert set(names("merge rule")) == {"auto", *RULES} - {"references"}  # before a study has any


def test_unknown_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="`liner` is not a merge rule: did you mean `linear`"):
        find_rule("liner")


def test_a_rule_of_ones_own_is_found_and_its_name_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_table, "RULES", Table("merge rule", RULES.values()))
    monkeypatch.setattr(registry, "_added", {"merge rule": [], "search method": []})
    halves = NamedRule(
        "halves",
        "made up",
        lambda domains: (),
        frozenset(),
        linear_in_vectors(lambda pool: lambda shares: shares / 2),
    )
    register_rule(halves)
    assert find_rule("halves") is halves
    with pytest.raises(RecipeError, match="merge rule `halves` already: give yours another"):
        register_rule(halves)


def save_moments(expert: Checkpoint, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = load_file(expert.folder / "model.safetensors")
    moments = {n: torch.rand(t.shape, generator=generator) ** 4 for n, t in tensors.items()}
    save_file(moments, expert.folder / SECOND_MOMENTS_FILE)


def open_pool(rule: NamedRule, folder: Path, *, is_lora: bool = False) -> ExpertPool:
    """All that a rule needs, of three domains."""
    base = save_base("llama tied", folder / "base")
    save = save_adapter if is_lora else save_full_expert
    experts = {name: save(base, folder / name, k) for k, name in enumerate(DOMAINS)}
    needed = list(rule.extra_runs(DOMAINS))
    if "references" in rule.needs:
        needed += [Mixture(DOMAINS, (0.6, 0.2, 0.2)), Mixture(DOMAINS, (0.1, 0.1, 0.8))]
    extras = [
        ExtraRun(mixture, save(base, folder / f"run{k}", 3 + k)) for k, mixture in enumerate(needed)
    ]
    if "trajectories" in rule.needs:
        extras += [
            ExtraRun(Mixture.single(DOMAINS, name), save(base, folder / f"{name}-{f}", 9 + k), f)
            for k, name in enumerate(DOMAINS)
            for f in (0.3, 0.7)
        ]
    has_moments = "second moments" in rule.needs
    if has_moments:
        for k, expert in enumerate(experts.values()):
            save_moments(expert, k)
    return ExpertPool(double_live(base), experts, extras=extras, with_second_moments=has_moments)


def merged(pool: ExpertPool, rule: NamedRule, shares: tuple[float, ...]) -> dict[str, torch.Tensor]:
    pool.merge(Mixture(DOMAINS, shares), rule.bind(pool))
    return {name: tensor.clone() for name, tensor in pool.live.tensors.items()}


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_every_rule_merges_and_moves_with_the_shares(rule: NamedRule, tmp_path: Path) -> None:
    pool = open_pool(rule, tmp_path)
    here, there = merged(pool, rule, SHARES), merged(pool, rule, (0.3, 0.3, 0.4))
    assert all(torch.isfinite(tensor).all() for tensor in here.values())
    assert any(not torch.equal(here[name], there[name]) for name in here)
    again = merged(pool, rule, SHARES)
    assert all(torch.equal(here[name], again[name]) for name in here)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_corners_are_the_experts_unless_the_rule_prunes(rule: NamedRule, tmp_path: Path) -> None:
    pool = open_pool(rule, tmp_path)
    found = merged(pool, rule, (0.0, 1.0, 0.0))
    vector = pool.task_vectors["b"]
    gap = max(
        float((found[name] - pool.base_tensor(name).double() - vector.load(name)).abs().max())
        for name in found
    )
    assert (gap > 1e-3) == (rule.name in NOT_AT_CORNERS), gap


@pytest.mark.parametrize("rule", OF_FACTORS, ids=lambda rule: rule.name)
def test_adapters_are_merged_as_full_updates_are(rule: NamedRule, tmp_path: Path) -> None:
    pool = open_pool(rule, tmp_path, is_lora=True)
    found = merged(pool, rule, SHARES)
    bound = rule.bind(pool)
    assert isinstance(bound, LinearRule)
    merge_weights = bound.coefficients(torch.tensor(SHARES, dtype=torch.float64))
    for name, tensor in found.items():
        expected = pool.base_tensor(name).double()
        for vector, weight in zip(pool.vectors, merge_weights, strict=True):
            if name in vector:
                expected = expected + weight * vector.load(name)
        assert torch.allclose(tensor, expected, atol=1e-6), name


@pytest.mark.parametrize("name", ["scaled", "blend"])
def test_the_one_coefficient_is_fitted_by_least_squares(name: str, tmp_path: Path) -> None:
    """What is left of the uniform run is at right angles to where the coefficient could move."""
    pool = open_pool(RULES[name], tmp_path)
    rule = RULES[name].bind(pool)
    assert isinstance(rule, LinearRule)
    fitted = rule.coefficients(torch.full((3,), 1 / 3, dtype=torch.float64))
    linear = torch.zeros_like(fitted)
    linear[:3] = 1 / 3
    run = torch.zeros_like(fitted)
    run[3] = 1
    along = linear if name == "scaled" else fitted - linear
    assert abs(float(along @ pool.inner_products() @ (run - fitted))) < 1e-6
    assert float(along.abs().sum()) > 0


def test_inner_products_are_those_of_the_whole_vectors(tmp_path: Path) -> None:
    pool = open_pool(RULES["centre"], tmp_path)
    names = list(pool.live.tensors)
    flat = torch.stack([torch.cat([v.load(n).flatten() for n in names]) for v in pool.vectors])
    assert torch.allclose(pool.inner_products(), (flat @ flat.T).double(), rtol=1e-4)


def test_missing_second_moments_are_named(tmp_path: Path) -> None:
    pool = open_pool(RULES["linear"], tmp_path)
    with pytest.raises(CheckpointError, match="second moments: train the expert with mixwise"):
        ExpertPool(pool.live, pool.experts, with_second_moments=True)
