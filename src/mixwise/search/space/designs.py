"""Points of the mixture space at which to score: lattice, centre, spread inside.

Notation:
    N: domains.  {N, 2} lattice: corners and midpoints of the edges, N(N+1)/2 points.
    l, u: bounds of each share.

Method:
    Where bounds or limits cut the simplex, its corners give way to the extreme points of what is
    left, and edges to pairs of those. Points inside are a Sobol sequence mapped by −log,
    normalised, which spreads evenly over the simplex, shrunk to l + (1 − Σl) z; those beyond u or a
    limit are passed over, and only where too few are left are they projected.

Source:
    Scheffé 1958 (simplex lattice); McLean and Anderson 1966 (extreme vertices).
"""

from __future__ import annotations

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.problem import Design, distinct, require_budget
from mixwise.search.space.vertices import list_vertices
from mixwise.search.surrogates.regressors import quadratic_features

_MOST_CORNERS = 256  # whose pairs are looked at
_MOST_NUMBERS = 2**24  # features of pairs
_SOBOL_POINTS = 2**14  # drawn at most to find points within the bounds


def centre(space: MixtureSpace) -> Mixture:
    """The mixture of the space that is nearest to uniform, on its grid if it has one."""
    n = len(space.domains)
    return space.trainable(np.full(n, 1 / n))


def centre_design(method: str) -> Design:
    """The initial design of a method that climbs from the centre; it depends on no seed.

    Args:
        method: Its name, for the RecipeError where the budget does not allow a step from there.
    """

    def design(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
        require_budget(budget, 2, f"the centre and one step of the method `{method}`")
        return (centre(space),)

    return design


def lattice(space: MixtureSpace) -> tuple[Mixture, ...]:
    """Extreme points and midpoints of their pairs: enough for a full quadratic, and no more.

    Args:
        space: Where the points must lie.

    Returns:
        The {N, 2} lattice for the whole simplex. Where bounds make more points than a quadratic has
        coefficients, those that determine it best (greedy D-optimality).

    Example:
        >>> [str(m) for m in lattice(MixtureSpace.whole(["a", "b"]))]
        ['a=1', 'b=1', 'a=0.5,b=0.5']
    """
    n_domains = len(space.domains)
    corners = _corners(space)[: _most_corners(n_domains)]
    points = np.concatenate([corners, _midpoints(corners)])
    wanted = n_domains * (n_domains + 1) // 2
    if len(points) > wanted:
        points = points[_most_telling(points, wanted)]
    return distinct([Mixture(space.domains, tuple(point)) for point in points])


def lattice_size(space: MixtureSpace) -> int:
    """How many points the lattice of a space has, without choosing them.

    Example:
        >>> lattice_size(MixtureSpace.whole(["a", "b", "c"]))
        6
    """
    n_domains = len(space.domains)
    n_corners = len(_corners(space)[: _most_corners(n_domains)])
    wanted = n_domains * (n_domains + 1) // 2
    if n_corners * (n_corners + 1) // 2 > wanted:
        return wanted
    return len(lattice(space))


def low_discrepancy(space: MixtureSpace, n: int, *, seed: int) -> tuple[Mixture, ...]:
    """Low-discrepancy points inside the space.

    Args:
        space: Where the points must lie.
        n: How many; fewer where limits leave no more that differ.
        seed: Scrambles the sequence.
    """
    if n <= 0:
        return ()
    from scipy.stats import qmc  # a second to import, and `check` does without it

    low, high = np.asarray(space.lower), np.asarray(space.upper)
    uniform = qmc.Sobol(len(low), seed=seed).random(_SOBOL_POINTS)
    spacings = -np.log(np.clip(uniform, 1e-12, 1 - 1e-12))
    points = low + (1 - low.sum()) * spacings / spacings.sum(axis=1, keepdims=True)
    is_inside = (points <= high).all(axis=1) & space.region.holds(points, tolerance=0.0)
    chosen = np.concatenate([points[is_inside], points[~is_inside]])[:n]
    return distinct([space.mixture(point) for point in chosen])


def seed_points(space: MixtureSpace, n: int, *, seed: int) -> tuple[Mixture, ...]:
    """Corners, centre, edge midpoints, and low-discrepancy points inside.

    Args:
        space: Where the points must lie.
        n: How many in all; edges take at most half of what corners and centre leave.
        seed: Decides which edges, where there are too many, and scrambles the points inside.
    """
    corners = _corners(space)[: max(1, n - 1)]
    fixed = distinct([*_mixtures(space, corners), centre(space)])[:n]
    edges = _midpoints(corners[:_MOST_CORNERS])
    room = (n - len(fixed)) // 2
    if len(edges) > room:
        edges = edges[np.sort(np.random.default_rng(seed).permutation(len(edges))[:room])]
    points = distinct([*fixed, *_mixtures(space, edges)])
    return distinct([*points, *low_discrepancy(space, n - len(points), seed=seed)])


def _most_corners(n_domains: int) -> int:
    """Corners whose pairs are looked at: fewer where the features of all pairs would be too many.

    Example:
        >>> _most_corners(9), _most_corners(64)
        (256, 126)
    """
    n_features = n_domains * (n_domains + 1) // 2
    fit = int(np.sqrt(2 * _MOST_NUMBERS / n_features)) - 1
    return max(n_domains + 1, min(_MOST_CORNERS, fit))


def _corners(space: MixtureSpace) -> Array:
    return np.array([vertex.shares for vertex in list_vertices(space)])


def _midpoints(corners: Array) -> Array:
    """Midpoints of all pairs, which lie in the space because it is convex."""
    left, right = np.triu_indices(len(corners), k=1)
    return np.asarray((corners[left] + corners[right]) / 2)


def _mixtures(space: MixtureSpace, points: Array) -> list[Mixture]:
    return [Mixture(space.domains, tuple(point)) for point in points]


def _most_telling(points: Array, n: int) -> list[int]:
    """Greedy D-optimal choice: each point adds most to the determinant of the information."""
    features = quadratic_features(points)
    inverse = np.eye(features.shape[1]) * 1e6
    leverage = 1e6 * (features**2).sum(axis=1)
    chosen: list[int] = []
    for _ in range(n):
        leverage[chosen] = -np.inf
        best = int(leverage.argmax())
        chosen.append(best)
        column = inverse @ features[best]
        size = 1 + features[best] @ column
        inverse -= np.outer(column, column) / size
        leverage -= (features @ column) ** 2 / size
    return sorted(chosen)
