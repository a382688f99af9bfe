"""Maximise a cheap function over a mixture space.

Method:
    Many points spread over the space at several distances from its faces; from the best few,
    moving share from one domain to another in steps that shrink from 0.1 to 0.001. It needs no
    derivative, so that it serves trees as well as polynomials; equal maxima of a piecewise constant
    function are averaged, which is the middle of the plateau when it is convex. Of more than 256
    moves a random 64 are tried at a time, so that the cost of a step does not grow as N². Where
    there are limits, moves that break one are projected, so that they slide along it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.space.simplex import project, sample
from mixwise.search.space.vertices import extreme_points

Value = Callable[[Array], Array]
_N_STARTS = 8
_N_POINTS = 4096
_MOST_CORNERS = 512
_MOST_MOVES = 256  # all of which are tried at each step
_SOME_MOVES = 64
_STEPS = (0.1, 0.03, 0.01, 0.003, 0.001)


def maximise(value: Value, space: MixtureSpace, *, seed: int) -> Mixture:
    """Find the mixture with the largest value.

    Args:
        value: Shares ``(n, n_domains)`` → values ``(n,)``.
        space: Where the answer must lie.
        seed: Decides the starting points.

    Returns:
        The best mixture found, its shares rounded to 0.001 where the bounds allow it.
    """
    corners = extreme_points(space, _MOST_CORNERS, seed=seed)
    points = np.concatenate(
        [corners, corners.mean(axis=0)[None], sample(space, _N_POINTS, seed=seed)]
    )
    values = value(points)
    starts = points[np.argsort(-values, kind="stable")[:_N_STARTS]]
    rng = np.random.default_rng(seed)
    climbed = np.array([_climb(value, space, start, rng=rng) for start in starts])
    heights = value(climbed)
    top = climbed[heights >= heights.max() - 1e-12]
    middle = space.rounded(top.mean(axis=0), 3)
    best = space.rounded(climbed[int(heights.argmax())], 3)
    return middle if value(middle.array[None])[0] >= value(best.array[None])[0] else best


def _climb(value: Value, space: MixtureSpace, start: Array, *, rng: np.random.Generator) -> Array:
    low, high = np.asarray(space.lower), np.asarray(space.upper)
    n = len(start)
    moves = np.array([np.eye(n)[i] - np.eye(n)[j] for i in range(n) for j in range(n) if i != j])
    here, height = start, float(value(start[None])[0])
    for step in _STEPS:
        for _ in range(100):
            few = rng.choice(len(moves), _SOME_MOVES) if len(moves) > _MOST_MOVES else slice(None)
            there = here + step * moves[few]
            if space.limits:
                there = project(there, space)
            there = there[((there >= low - 1e-12) & (there <= high + 1e-12)).all(axis=1)]
            heights = value(there) if len(there) else np.array([-np.inf])
            if heights.max() <= height:
                break
            here, height = there[int(heights.argmax())], float(heights.max())
    return np.clip(here, low, high)
