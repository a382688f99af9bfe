"""Rules that follow each expert along its own run instead of shrinking its end.

Notation:
    λᵢ: share of domain i.  φₖ ∈ (0, 1): fractions of the horizon at which checkpoints were taken.
    δᵢ(φ): task vector of expert i after the fraction φ of its run; δᵢ(0) = 0.

Method:
    trajectory: δ(λ) = Σ δᵢ(λᵢ), linear between checkpoints: an expert has read just as many tokens
    as the mixture holds of its domain. blend: (1 − β) of the linear merge and β of the trajectory;
    β is fitted by least squares to the run at the uniform mixture where there is one, else ½.

Source:
    To second order under SGD the trajectory misses only the cross-domain terms, the linear merge
    only the covariance of curvature and gradient; an own derivation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mixwise.errors import RecipeError
from mixwise.merging.rules.inputs import Ingredients
from mixwise.merging.rules.rule import Coefficients


def along_trajectories(ingredients: Ingredients) -> Coefficients:
    """Merge weights of the trajectory rule.

    Raises:
        RecipeError: If an expert has no checkpoints along its run.
    """
    mine = [_points_of(ingredients, domain) for domain in range(ingredients.n_domains)]

    def coefficients(shares: Tensor) -> Tensor:
        total = torch.zeros(ingredients.n_domains + len(ingredients.mixtures)).to(shares)
        for share, (fractions, places) in zip(shares, mine, strict=True):
            total = total.index_add(0, places, _hats(share, fractions.to(shares)))
        return total

    return coefficients


def blended(linear: Coefficients, other: Coefficients, fraction: float) -> Coefficients:
    """(1 − β) of one rule's merge weights and β of another's, of the same vectors."""

    def coefficients(shares: Tensor) -> Tensor:
        theirs = other(shares)
        mine = torch.nn.functional.pad(linear(shares), (0, len(theirs) - len(shares)))
        return (1 - fraction) * mine + fraction * theirs

    return coefficients


def _points_of(ingredients: Ingredients, domain: int) -> tuple[Tensor, Tensor]:
    """Fractions of an expert's checkpoints, its end included, and their places in the pool."""
    points = [(1.0, domain)]
    for k, (mixture, fraction) in enumerate(
        zip(ingredients.mixtures, ingredients.fractions, strict=True)
    ):
        if mixture[domain] == 1 and fraction < 1:
            points.append((fraction, ingredients.n_domains + k))
    if len(points) == 1:
        raise RecipeError(
            "merge rule `trajectory` needs checkpoints along the runs of all experts, which "
            "are kept only while they are trained: set `training.trajectory_checkpoints` to 1 or "
            "more and train the experts in a new study"
        )
    points.sort()
    fractions, places = zip(*points, strict=True)
    return torch.tensor(fractions, dtype=torch.float64), torch.tensor(places)


def _hats(share: Tensor, fractions: Tensor) -> Tensor:
    """Weights of the checkpoints in the line between the two that a share lies between."""
    knots = torch.cat([torch.zeros(1).to(fractions), fractions])
    up = ((share - knots[:-1]) / (knots[1:] - knots[:-1])).clamp(0, 1)
    return up - torch.cat([up[1:], torch.zeros(1).to(up)])
