"""The simplex cut by bounds and limits: projections, random points, the climb to a maximum.

Notation:
    l, u: bounds of each share.  J(λ), ∇J: function to maximise and its slopes in the shares.
    P(x): projection onto {l ≤ λ ≤ u, Σλ = 1}.

Method:
    Both projections have one unknown, found by bisection for all points at once:
    Euclidean clip(x − τ, l, u), and that of the Kullback-Leibler divergence clip(τ x, l, u). Where
    the result breaks a limit, `mixwise.polytope.projection` has one unknown more for each.
    Climb: spectral projected gradient. Steps α = ⟨s, s⟩ / −⟨s, y⟩ from the last change of point s
    and of slopes y, along P(λ + α∇J) − λ, halved until the value rises enough over the worst of the
    last few; all starts at once.

Source:
    Birgin, Martínez and Raydan 2000 (SIAM J. Optim. 10, algorithm 2.2: SPG2) for the climb;
    Beck and Teboulle 2003 (Oper. Res. Lett. 31) for mirror descent under the entropy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import MixtureSpace
from mixwise.polytope import projection
from mixwise.polytope.region import Region
from mixwise.search.space.vertices import extreme_points

Ascent = Callable[[Array], tuple[Array, Array]]
_BISECTIONS = 60
_EXACT = 1e-12  # by which a limit may be missed
_MEMORY = 8  # values that a step is compared with
_HALVINGS = 12
_RISE = 1e-4  # share of the promised rise that a step must bring
_STILL = 1e-7  # a projected step below this ends the climb


def project(points: Array, space: MixtureSpace) -> Array:
    """Nearest points of the space in the Euclidean sense.

    Args:
        points: Any real vectors, shape ``(n, n_domains)``.
        space: Where the answers lie.

    Example:
        >>> project(np.array([[1.0, 1.0]]), MixtureSpace.whole(["a", "b"])).round(9).tolist()
        [[0.5, 0.5]]
    """
    low, high = np.asarray(space.lower), np.asarray(space.upper)
    left = (points - high).min(axis=1, keepdims=True)  # every share at its upper bound
    right = (points - low).max(axis=1, keepdims=True)
    for _ in range(_BISECTIONS):
        middle = (left + right) / 2
        is_too_much = np.clip(points - middle, low, high).sum(axis=1, keepdims=True) > 1
        left = np.where(is_too_much, middle, left)
        right = np.where(is_too_much, right, middle)
    within = np.asarray(np.clip(points - (left + right) / 2, low, high))
    return _within_limits(points, within, space, projection.project)


def project_entropic(points: Array, space: MixtureSpace) -> Array:
    """Nearest points of the space in Kullback-Leibler divergence from the given ones.

    Args:
        points: Positive vectors, shape ``(n, n_domains)``.
        space: Where the answers lie.

    Example:
        >>> space = MixtureSpace.whole(["a", "b"])
        >>> project_entropic(np.array([[3.0, 1.0]]), space).round(9).tolist()
        [[0.75, 0.25]]
    """
    low, high = np.asarray(space.lower), np.asarray(space.upper)
    logs = np.log(np.maximum(points, 1e-300))
    floor, ceiling = np.log(np.maximum(low, 1e-12)), np.log(np.maximum(high, 1e-12))
    left = (floor - logs).min(axis=1, keepdims=True)
    right = (ceiling - logs).max(axis=1, keepdims=True)
    for _ in range(_BISECTIONS):
        middle = (left + right) / 2
        is_too_much = np.clip(np.exp(logs + middle), low, high).sum(axis=1, keepdims=True) > 1
        right = np.where(is_too_much, middle, right)
        left = np.where(is_too_much, left, middle)
    within = np.asarray(np.clip(np.exp(logs + (left + right) / 2), low, high))
    return _within_limits(points, within, space, projection.project_entropic)


def _within_limits(
    points: Array, within: Array, space: MixtureSpace, project: Callable[[Array, Region], Array]
) -> Array:
    """Points that were projected onto the bounds, those that break a limit projected anew."""
    if space.limits:
        is_out = ~space.region.holds(within, tolerance=_EXACT)
        if is_out.any():
            within[is_out] = project(points[is_out], space.region)
    return within


def sample(space: MixtureSpace, n: int, *, seed: int) -> Array:
    """Random points of every sparsity, from near the extreme points to the middle.

    Args:
        space: Where they lie.
        n: How many.
        seed: Decides them.
    """
    rng = np.random.default_rng(seed)
    corners = extreme_points(space, 256, seed=seed)
    concentration = rng.choice([0.1, 0.3, 1.0, 3.0], (n, 1))
    # the smallest concentrations may draw nothing but zeros; a floor makes their share uniform
    drawn = np.maximum(rng.gamma(concentration, size=(n, len(corners))), 1e-300)
    return np.asarray(drawn / drawn.sum(axis=1, keepdims=True) @ corners)


def climb(ascent: Ascent, space: MixtureSpace, starts: Array, *, n_steps: int = 200) -> Array:
    """Climb to a local maximum of a smooth function from every start.

    Args:
        ascent: Shares ``(n, n_domains)`` → values ``(n,)`` and slopes ``(n, n_domains)``.
        space: Where the answers must lie.
        starts: Points of the space, shape ``(n, n_domains)``.
        n_steps: At most so many steps.

    Returns:
        The best point of each climb, shape ``(n, n_domains)``.
    """
    here = project(starts, space)
    values, slopes = ascent(here)
    best, heights = here.copy(), values.copy()
    memory = np.full((_MEMORY, len(here)), -np.inf)
    step = 0.1 / np.maximum(np.abs(slopes).max(axis=1, keepdims=True), 1e-12)
    for k in range(n_steps):
        memory[k % _MEMORY] = values
        move = project(here + step * slopes, space) - here
        if np.abs(move).max() < _STILL:
            break
        there, new_values, new_slopes = _backtrack(
            ascent, here, move, slopes, np.where(np.isfinite(memory), memory, np.inf).min(axis=0)
        )
        step = _spectral_step(there - here, new_slopes - slopes)
        here, values, slopes = there, new_values, new_slopes
        is_higher = values > heights
        best[is_higher], heights[is_higher] = here[is_higher], values[is_higher]
    return np.asarray(best)


def _backtrack(
    ascent: Ascent, here: Array, move: Array, slopes: Array, floor: Array
) -> tuple[Array, Array, Array]:
    """Halve the move of each start until its value rises enough."""
    promise = (move * slopes).sum(axis=1)
    share = np.ones(len(here))
    for _ in range(_HALVINGS):
        there = here + share[:, None] * move
        values, new_slopes = ascent(there)
        is_short = values < floor + _RISE * share * promise
        if not is_short.any():
            break
        share = np.where(is_short, share / 2, share)
    return there, values, new_slopes


def _spectral_step(moved: Array, turned: Array) -> Array:
    length = (moved * moved).sum(axis=1, keepdims=True)
    bend = -(moved * turned).sum(axis=1, keepdims=True)
    step = np.where(bend > 1e-12 * length, length / np.maximum(bend, 1e-300), 1e3)
    return np.asarray(np.clip(step, 1e-6, 1e3))
