"""Rules that correct the linear merge by what extra runs show.

Notation:
    λ: shares, ``(n,)``.  δᵢ: task vector of expert i.  μₖ, δ(μₖ): mixture and task vector of extra
    run k, ``n`` and ``m`` of them.  Rₖ = δ(μₖ) − Σ μₖᵢ δᵢ: what the linear merge misses there.
    h(λ) = (1 − Σ λᵢ²) / (1 − 1/n): 0 at the corners, 1 at the uniform mixture.

Method:
    δ(λ) = Σ λᵢ δᵢ + Σ wₖ(λ) Rₖ, so the merge weights are λᵢ − Σ wₖ μₖᵢ for the experts and wₖ for
    the extra runs. Rules differ in w alone:

    centre        w = h(λ), one run at the uniform mixture
    pairs         wᵢⱼ = 4 λᵢ λⱼ, one run at ½, ½ of every pair; exact to second order under SGD
    pairs+centre  wᵢⱼ = 4 λᵢ λⱼ − w 4/n², w = Σ_{i<j<k} λᵢλⱼλₖ n³ / C(n, 3) at the centre, which is
                  zero wherever only two domains mix: exact at all of the runs
    references    w = k(λ, M) (K + νI)⁻¹ with whatever runs there are, M; k(λ, μ) =
                  a² h(λ) h(μ) + b² Σᵢⱼ 16 λᵢλⱼμᵢμⱼ: a Gaussian process whose mean is the linear
                  merge, in the space of weights

Source:
    The second-order gap between mixed training and merging, −½(ηT)² Cov_λ(H, g), is a quadratic
    form in λ that vanishes at the corners: Wang et al. 2026 (arXiv 2601.17858), appendix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from mixwise.errors import RecipeError
from mixwise.merging.rules.extra_runs import pair_mixtures
from mixwise.merging.rules.inputs import Ingredients
from mixwise.merging.rules.rule import Coefficients

if TYPE_CHECKING:
    from torch import Tensor

_SAME = 1e-6  # shares that differ by less are the same mixture's
_COMMON, _OWN = 1.0, 0.5  # a, b: how much of what is missed all pairs share, and each has alone
_NOISE = 0.3  # ν: what training with another seed changes, in units of the same variance


def evenness(shares: Tensor) -> Tensor:
    """h(λ): 0 for a single domain, 1 for the uniform mixture."""
    n = shares.shape[-1]
    return (1 - (shares**2).sum(-1)) / (1 - 1 / n)


def pair_products(shares: Tensor) -> Tensor:
    """4 λᵢ λⱼ of every pair i < j, ``(…, n)`` → ``(…, n (n − 1) / 2)``."""
    first, second = torch.triu_indices(shares.shape[-1], shares.shape[-1], offset=1)
    return 4 * shares[..., first] * shares[..., second]


def triple_products(shares: Tensor) -> Tensor:
    """Σ λᵢ λⱼ λₖ over i < j < k, as a part of what it is at the uniform mixture; n ≥ 3."""
    n = shares.shape[-1]
    first, second, third = (shares.pow(k).sum(-1) for k in (1, 2, 3))
    return (first**3 - 3 * first * second + 2 * third) / 6 * n**3 / math.comb(n, 3)


def by_centre(ingredients: Ingredients) -> Coefficients:
    """Merge weights of the centre-corrected merge."""
    [centre] = find_runs(ingredients, [_uniform(ingredients.n_domains)])

    def run_weights(shares: Tensor) -> Tensor:
        return evenness(shares)[None]

    return _corrected(ingredients, [centre], run_weights)


def by_pairs(ingredients: Ingredients) -> Coefficients:
    """Merge weights of the pair-corrected merge."""
    runs = find_runs(ingredients, pair_mixtures(ingredients.n_domains))
    return _corrected(ingredients, runs, pair_products)


def by_pairs_and_centre(ingredients: Ingredients) -> Coefficients:
    """Merge weights that are exact at every pair and at the centre."""
    n = ingredients.n_domains
    runs = find_runs(ingredients, [*pair_mixtures(n), _uniform(n)])

    def run_weights(shares: Tensor) -> Tensor:
        central = triple_products(shares)[None]
        return torch.cat([pair_products(shares) - central * 4 / n**2, central])

    if n == 2:  # the pair is the centre
        return by_centre(ingredients)
    return _corrected(ingredients, runs, run_weights)


def by_references(ingredients: Ingredients) -> Coefficients:
    """Merge weights that are learned from whatever runs there are.

    Raises:
        RecipeError: If there is none.
    """
    if not ingredients.mixtures:
        raise RecipeError(
            "merge rule `references` needs at least one trained reference: set "
            "`calibration.mixtures` or `validation.mixtures` to 1 or more, and run `mixwise "
            "search` or `mixwise validate`"
        )
    known = torch.tensor(ingredients.mixtures, dtype=torch.float64)
    noise = _NOISE * torch.eye(len(known), dtype=torch.float64)
    inverse = torch.linalg.inv(_kernel(known, known) + noise)

    def run_weights(shares: Tensor) -> Tensor:
        return (_kernel(shares.double()[None], known)[0] @ inverse).to(shares.dtype)

    return _corrected(ingredients, range(len(known)), run_weights)


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    common = torch.outer(evenness(left), evenness(right))
    own = pair_products(left) @ pair_products(right).T
    return _COMMON**2 * common + _OWN**2 * own


def _uniform(n: int) -> tuple[float, ...]:
    return (1 / n,) * n


def find_runs(ingredients: Ingredients, wanted: Sequence[tuple[float, ...]]) -> list[int]:
    """Index of the extra run that was trained on each mixture.

    Raises:
        RecipeError: If there is none.
    """
    known = torch.tensor(ingredients.mixtures, dtype=torch.float64).view(-1, ingredients.n_domains)
    found = []
    for shares in wanted:
        gaps = (known - torch.tensor(shares, dtype=torch.float64)).abs().amax(dim=-1)
        if not len(gaps) or float(gaps.min()) > _SAME:
            raise RecipeError(
                "the merge rule needs a model trained on the mixture "
                f"{tuple(round(share, 3) for share in shares)}, but there is none: train it first"
            )
        found.append(int(gaps.argmin()))
    return found


def _corrected(
    ingredients: Ingredients, runs: Sequence[int], run_weights: Callable[[Tensor], Tensor]
) -> Coefficients:
    """Merge weights of all vectors from those of the corrections of some runs."""
    mixtures = torch.tensor(ingredients.mixtures, dtype=torch.float64)[list(runs)]
    place = torch.zeros(len(runs), len(ingredients.mixtures), dtype=torch.float64)
    place[range(len(runs)), list(runs)] = 1

    def coefficients(shares: Tensor) -> Tensor:
        weights = run_weights(shares)
        missed = weights @ mixtures.to(weights)
        return torch.cat([shares - missed, weights @ place.to(weights)])

    return coefficients
