"""Which mixtures are trained, with how many seeds, and on which side of the split they are.

Both are fixed by a seed, before any result: *development* mixtures are for choosing and tuning,
*report* mixtures for what is claimed. Single domains, equal pairs and the uniform mixture are
development throughout, because some merge rules are trained on just those.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from mixwise.mixture import Mixture

Split = Literal["development", "report"]
_SEED = 20_261_123
_DECIMALS = 3
_N_SEEDS = 2
_N_SEEDS_MANY = 5
_N_MANY = 6  # mixtures of each side that get more seeds, in the full design
_N_AROUND = 12  # mixtures of each side, in every other setting
_N_FEW = 6
_CONCENTRATIONS = (0.4, 1.0, 3.0)  # of the Dirichlet draws, in turn


@dataclass(frozen=True, slots=True)
class Planned:
    """A mixture to be trained.

    Args:
        mixture: Its shares.
        split: The side that it is on.
        n_seeds: Runs; their seeds are 1, 2, …, and the experts' is 0.
    """

    mixture: Mixture
    split: Split
    n_seeds: int = _N_SEEDS


def planned(design: str, domains: tuple[str, ...]) -> tuple[Planned, ...]:
    """The mixtures of a design.

    Args:
        design: ``full``: 99 mixtures, twelve of them with five seeds. ``nine``: 60. ``around``: 24
            of the full design. ``few``: 12 of those.
        domains: The study's domains.
    """
    if design == "full":
        return _full(domains)
    if design == "nine":
        return _split(_random(domains, 48), _N_SEEDS) + _extremes(domains, singles=True)
    chosen = _full(domains)
    n = {"around": _N_AROUND, "few": _N_FEW}[design]
    sides: tuple[Split, ...] = ("development", "report")
    return tuple(
        Planned(row.mixture, side)
        for side in sides
        for row in [r for r in chosen if r.split == side and not _is_extreme(r.mixture)][:n]
    )


def _full(domains: tuple[str, ...]) -> tuple[Planned, ...]:
    """Random mixtures of both sides, averages of three or four domains, and the extremes."""
    random = _split(_random(domains, 68), _N_SEEDS)
    averages = [
        Mixture.uniform(domains, members)
        for size in range(3, len(domains))
        for members in combinations(domains, size)
    ]
    many: list[Planned] = []
    for side in ("development", "report"):
        rows = [row for row in random if row.split == side]
        many += [Planned(row.mixture, row.split, _N_SEEDS_MANY) for row in rows[:_N_MANY]]
        many += rows[_N_MANY:]
    return (*many, *_split(averages, _N_SEEDS), *_extremes(domains, singles=True), *_pairs(domains))


def _split(mixtures: list[Mixture], n_seeds: int) -> tuple[Planned, ...]:
    """Half of them, drawn at random, are for development."""
    order = np.random.default_rng(_SEED).permutation(len(mixtures))
    development = {int(index) for index in order[: len(mixtures) // 2]}
    return tuple(
        Planned(mixture, "development" if index in development else "report", n_seeds)
        for index, mixture in enumerate(mixtures)
    )


def _random(domains: tuple[str, ...], n: int) -> list[Mixture]:
    """Dirichlet draws, from sparse to even."""
    rng = np.random.default_rng(_SEED + len(domains))
    mixtures = []
    for k in range(n):
        concentration = _CONCENTRATIONS[k % len(_CONCENTRATIONS)]
        shares = rng.dirichlet(np.full(len(domains), concentration)).round(_DECIMALS)
        shares[shares.argmax()] += 1 - shares.sum()
        mixtures.append(Mixture(domains, tuple(shares)))
    return mixtures


def _extremes(domains: tuple[str, ...], *, singles: bool) -> tuple[Planned, ...]:
    rows = [Mixture.single(domains, name) for name in domains] if singles else []
    return tuple(Planned(mixture, "development") for mixture in (*rows, Mixture.uniform(domains)))


def _pairs(domains: tuple[str, ...]) -> tuple[Planned, ...]:
    pairs = (Mixture.uniform(domains, pair) for pair in combinations(domains, 2))
    return tuple(Planned(mixture, "development") for mixture in pairs)


def _is_extreme(mixture: Mixture) -> bool:
    return max(mixture.shares) - min(s for s in mixture.shares if s) < 10**-_DECIMALS


def extra_runs(domains: tuple[str, ...]) -> tuple[Mixture, ...]:
    """Runs that merge rules may be corrected by: the uniform mixture, then every equal pair."""
    pairs = (Mixture.uniform(domains, pair) for pair in combinations(domains, 2))
    return (Mixture.uniform(domains), *pairs)
