"""A part of the mixture space in which fewer shares are free, as a search problem of its own.

Notation:
    λ: shares of all domains, ``(N,)``.  z: free shares, ``(n,)``, sum 1.
    λ = o + A z: how a part lies in the whole; o ``(N,)``, A ``(N, n)``, whose columns have one sum.
    l, u: bounds of λ.  λ⁰: a mixture of the space.  g: a group of domains.  σ_g: Σ_{i ∈ g} λ_i.
    w: directions inside the groups, ``(N,)``, w ≥ 0, Σ_{i ∈ g} w_i = 1.
    a, b, c: a limit, b ≤ aᵀλ ≤ c.

Method:
    Inside a group everything else stays as in λ⁰: λ_g = σ_g z. Across the groups z are their joint
    shares, and a group grows from its lower bounds in the proportions that it has:

        λ_i = l_i + (z_g − Σ_{j ∈ g} l_j) w_i ,   w_i ∝ λ⁰_i − l_i ,

    or w_i ∝ u_i − l_i where λ⁰ has nothing of the group above its bounds. Both maps are affine, so
    that the chain rule gives the slopes Aᵀ∇ and Hessian Aᵀ∇²A for nothing, bounds of λ are bounds
    of z, and a limit is one of z, b − aᵀo ≤ (Aᵀa)ᵀz ≤ c − aᵀo, left out where all z keep it. What
    leaving a prior costs at z is what it costs at λ. Parts have no grid. What falls outside the
    space by rounding is moved to its nearest mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mixwise.arrays import Array
from mixwise.domain_groups import DomainGroup
from mixwise.mixture import Limit, Mixture, MixtureSpace
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.prior import Pull
from mixwise.scorer import VALUES, Request, Scorer
from mixwise.search.space.one_share import one_share

_SAME = 1e-5  # of a share
_DECIMALS = 7  # of shares that are put together
_LEAST = 1e-3  # share of a group below which nothing is shared out in it
_KEPT = 1e-7  # of a limit's largest coefficient, by which it may be missed and yet counts as kept


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """A part of a space.

    Args:
        whole: The space.
        free: The space of z.
        origin: o, shape ``(N,)``.
        directions: A, shape ``(N, n)``.
    """

    whole: MixtureSpace
    free: MixtureSpace
    origin: Array
    directions: Array

    def mixture(self, part: Mixture) -> Mixture:
        """The λ of a z."""
        shares = np.clip(self.origin + self.directions @ part.array, 0, 1)
        return self.whole.rounded(shares / shares.sum(), _DECIMALS)

    def part(self, mixture: Mixture) -> Mixture | None:
        """The z of a λ; None where the mixture does not lie in the subspace."""
        moved = mixture.array - self.origin
        shares = np.clip(np.linalg.lstsq(self.directions, moved, rcond=None)[0], 0, None)
        if not shares.any():
            return None
        shares /= shares.sum()
        is_here = np.abs(self.directions @ shares - moved).max() < _SAME
        return Mixture(self.free.domains, tuple(shares)) if is_here else None

    @property
    def has_room(self) -> bool:
        """Whether there is more than one mixture in it."""
        low, high = map(np.asarray, self.free.reach())
        most, least = 1 - (low.sum() - low), 1 - (high.sum() - high)  # what the others leave
        return bool((np.minimum(high, most) - np.maximum(low, least)).max() > _SAME)

    def pull(self, whole: Pull) -> Pull:
        """What leaving a prior of the whole costs, by z."""
        return _PartPull(self, whole)

    def reduce(self, observation: Observation, part: Mixture) -> Observation:
        """An observation of λ as one of z."""
        measured = tuple(self._reduce(one) for one in observation.measurements)
        return replace(observation, mixture=part, measurements=measured)

    def _reduce(self, measurement: Measurement) -> Measurement:
        found, a = measurement.derivatives, self.directions
        if found is None:
            return measurement
        each, bends = found.example_slopes, found.example_hessians
        reduced = Derivatives(
            a.T @ found.slopes,
            None if found.hessian is None else a.T @ found.hessian @ a,
            None if each is None else each @ a,
            None if bends is None else a.T @ bends @ a,
        )
        return replace(measurement, derivatives=reduced)


@dataclass(frozen=True, slots=True, eq=False)
class _PartPull:
    """See `mixwise.prior.Pull`, of z."""

    subspace: Subspace
    whole: Pull

    def penalty(self, shares: Array) -> Array:
        return self.whole.penalty(self._wholes(shares))

    def slopes(self, shares: Array) -> Array:
        return self.whole.slopes(self._wholes(shares)) @ self.subspace.directions

    def _wholes(self, shares: Array) -> Array:
        return self.subspace.origin + shares @ self.subspace.directions.T


def across(space: MixtureSpace, groups: Sequence[DomainGroup], at: Mixture | None) -> Subspace:
    """Joint shares of the groups, each in the proportions that it has.

    Args:
        space: The whole.
        groups: Every domain in one of them.
        at: λ⁰; None before anything is known, when every group grows to all its upper bounds alike,
            and z has no limits but bounds.
    """
    low, high = np.asarray(space.lower), np.asarray(space.upper)
    belongs = _membership(space, groups)
    most = high - low
    above = most if at is None else np.clip(at.array - low, 0, most)
    is_empty = belongs.T @ above < _SAME
    above = np.where(belongs @ is_empty, most, above)
    sums = belongs.T @ above
    is_fixed = sums < _SAME  # no member may be more than its lower bound
    above = np.where(belongs @ is_fixed, 1.0, above)
    directions = belongs * (above / (belongs @ (belongs.T @ above)))[:, None]
    floors = belongs.T @ low
    room = np.divide(most, directions.sum(axis=1), where=above > 0, out=np.full(len(low), np.inf))
    reach = np.array([room[column > 0].min() for column in belongs.T])
    upper = np.minimum(floors + reach, 1.0)
    origin = low - directions @ floors
    names = tuple(group.name for group in groups)
    if at is None:
        free = MixtureSpace(names, tuple(floors), tuple(np.maximum(upper, floors)))
        return Subspace(space, free, origin, directions)
    here = np.clip(belongs.T @ at.array, 0, 1)
    upper = np.maximum(np.maximum(upper, floors), here)  # rounding must not leave it outside
    free = MixtureSpace(names, tuple(floors), tuple(upper))
    free = _tightened(free, _limits(space, origin, directions, here), here)
    return Subspace(space, free, origin, directions)


def inside(space: MixtureSpace, group: DomainGroup, at: Mixture) -> Subspace | None:
    """Shares within a group, everything else as it is.

    Args:
        space: The whole.
        group: Two domains or more.
        at: λ⁰.

    Returns:
        None where λ⁰ has hardly a share of the group, so that there is nothing to be shared.
    """
    places = [space.domains.index(name) for name in group.members]
    share = float(at.array[places].sum())
    if share < _LEAST:
        return None
    origin = at.array.copy()
    origin[places] = 0
    directions = share * np.eye(len(space.domains))[:, places]
    here = at.array[places] / share
    lower = np.minimum(np.asarray(space.lower)[places] / share, here)
    upper = np.maximum(np.minimum(np.asarray(space.upper)[places] / share, 1.0), here)
    free = MixtureSpace(group.members, tuple(lower), tuple(upper))
    free = _tightened(free, _limits(space, origin, directions, here), here)
    return Subspace(space, free, origin, directions)


def _tightened(free: MixtureSpace, limits: Sequence[Limit], here: Array) -> MixtureSpace:
    """Within limits of z too, and around z⁰ whatever is rounded.

    Limits of one share become bounds, within which every method is faster.
    """
    lower, upper, kept = list(free.lower), list(free.upper), []
    for limit in limits:
        row = np.asarray(limit.coefficients)
        one = one_share(row, limit.least, limit.most)
        if one is None:
            kept.append(limit)
            continue
        k, now = one.place, float(here[one.place])
        lower[k] = max(lower[k], min(one.least, now))
        upper[k] = min(upper[k], max(one.most, now))
    return replace(free, lower=tuple(lower), upper=tuple(upper), limits=tuple(kept))


def tied_limits(space: MixtureSpace, groups: Sequence[DomainGroup]) -> tuple[str, ...]:
    """Names of the limits along which neither level alone can move.

    They are neither of one share, nor of joint shares of groups, nor of the proportions within one
    group, which stay as they are while its joint share moves.

    Args:
        space: The whole.
        groups: Every domain in one of them.
    """
    belongs = _membership(space, groups)
    found = []
    for limit in space.limits:
        row = np.asarray(limit.coefficients)
        inner = [row[column > 0] for column in belongs.T]
        uneven = [k for k, part in enumerate(inner) if np.ptp(part) > 0]
        others = row[belongs[:, uneven].sum(axis=1) == 0]
        is_within = len(uneven) == 1 and not (len(others) and np.ptp(others) > 0)
        rest = others[0] if len(others) else 0.0  # shares sum to 1: it may be taken off both sides
        ends = [end - rest for end in (limit.least, limit.most) if end is not None]
        is_within &= not any(abs(end) > _KEPT * limit.scale for end in ends)
        if uneven and not is_within and one_share(row, limit.least, limit.most) is None:
            found.append(limit.name)
    return tuple(found)


def _limits(
    space: MixtureSpace, origin: Array, directions: Array, here: Array
) -> tuple[Limit, ...]:
    """Limits of z, those left out that all z keep; rounding leaves z⁰ inside."""
    found = []
    for limit in space.limits:
        whole = np.asarray(limit.coefficients)
        row, fixed = whole @ directions, float(whole @ origin)
        now, spare = float(row @ here), _KEPT * limit.scale
        least = None if limit.least is None else min(limit.least - fixed, now)
        most = None if limit.most is None else max(limit.most - fixed, now)
        may_fall_short = least is not None and row.min() < least - spare
        may_exceed = most is not None and row.max() > most + spare
        if may_fall_short or may_exceed:
            found.append(Limit(limit.name, tuple(row.tolist()), least, most))
    return tuple(found)


def _membership(space: MixtureSpace, groups: Sequence[DomainGroup]) -> Array:
    """1 where a domain belongs to a group, shape ``(N, n_groups)``."""
    return np.array([[float(name in group.members) for group in groups] for name in space.domains])


@dataclass(slots=True)
class RememberingScorer:
    """Asks for no mixture twice, and counts.

    Args:
        scorer: Who answers.
        known: Whole observations by mixture, with all that was asked of them.
        n_asked: How many mixtures were asked for.
        is_plain: Whether the scorer was found to give no derivatives.
    """

    scorer: Scorer
    known: dict[str, tuple[Request, Observation]] = field(default_factory=dict)
    n_asked: int = 0
    is_plain: bool = False

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Score what is not known with as much as is asked for."""
        missing = {str(m): m for m in mixtures if not self._has(m, request)}
        if missing:
            answers = self.scorer.score(list(missing.values()), request)
            self.known |= {key: (request, one) for key, one in zip(missing, answers, strict=True)}
            self.n_asked += len(missing)
            given = (m.derivatives is not None for one in answers for m in one.measurements)
            self.is_plain |= request.order > 0 and not any(given)
        return tuple(self.known[str(mixture)][1] for mixture in mixtures)

    def _has(self, mixture: Mixture, request: Request) -> bool:
        if str(mixture) not in self.known:
            return False
        asked, _ = self.known[str(mixture)]
        is_rest_alike = replace(asked, order=request.order) == request
        return is_rest_alike and (asked.order >= request.order or self.is_plain)


@dataclass(slots=True)
class SubspaceScorer:
    """Scores the mixtures of a subspace as those of the whole that they are.

    Args:
        subspace: The part.
        scorer: Scores mixtures of the whole.
        answers: The whole's observations by z.
    """

    subspace: Subspace
    scorer: Scorer
    answers: dict[str, Observation] = field(default_factory=dict)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """See `mixwise.scorer.Scorer.score`."""
        wholes = self.scorer.score([self.subspace.mixture(part) for part in mixtures], request)
        self.answers |= {str(part): one for part, one in zip(mixtures, wholes, strict=True)}
        return tuple(
            self.subspace.reduce(one, part) for part, one in zip(mixtures, wholes, strict=True)
        )
