"""Mixtures of domains, and the region of the simplex in which they are searched.

Notation:
    λ: shares of the domains, by tokens or what else a recipe counts, ``(n_domains,)``, each in
    [0, 1], sum 1.
    l, u: bounds of each share, shape ``(n_domains,)``, l ≤ λ ≤ u.
    a, b, c: a limit of a sum of shares, b ≤ aᵀλ ≤ c.

Method:
    Shares live on a grid of 1e-9, so that two mixtures are equal exactly when they print the same;
    what is left over by rounding goes to the largest share. Bounds alone have formulas of their
    own here; with limits, `mixwise.polytope` has the geometry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError, nearest, printable
from mixwise.limit import Limit as Limit  # part of a space, and found beside it
from mixwise.limit import broken_words, rules_of
from mixwise.polytope.conflicts import find_conflict
from mixwise.polytope.grid import nearest_on_grid
from mixwise.polytope.programs import possible, reach
from mixwise.polytope.projection import project
from mixwise.polytope.region import Region

_DECIMALS = 9
_TOLERANCE = 1e-6
_ROUNDED = 1e-9  # by which rounding may leave a rule


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares of named domains, by tokens or the unit that a recipe names (`share_units`).

    Args:
        domains: Names of all domains of the study, in the study's order.
        shares: One share per domain, in [0, 1], sum 1 (to 1e-6; then rounded to the 1e-9 grid).

    Raises:
        RecipeError: If shares and domains differ in number, a share is outside [0, 1] or not
            finite, or the sum is not 1.

    Example:
        >>> str(Mixture(("math", "code"), (0.7, 0.3)))
        'math=0.7,code=0.3'
    """

    domains: tuple[str, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.domains) != len(self.shares) or not self.domains:
            raise RecipeError(
                f"a mixture needs one share per domain, but got {len(self.shares)} shares "
                f"for {len(self.domains)} domains"
            )
        shares = np.asarray(self.shares, dtype=np.float64)
        if not np.isfinite(shares).all() or (shares < -_TOLERANCE).any():
            raise RecipeError(f"every share must be a number ≥ 0, but got {self.shares}")
        if abs(shares.sum() - 1) > _TOLERANCE:
            raise RecipeError(
                f"the shares of a mixture must add up to 1, but {self.shares} add up to "
                f"{shares.sum():.6g}: divide each by that sum"
            )
        rounded = np.round(np.clip(shares, 0, 1), _DECIMALS)
        largest = int(rounded.argmax())
        rest = np.delete(rounded, largest).sum()
        rounded[largest] = round(1 - rest, _DECIMALS)
        object.__setattr__(self, "shares", tuple(float(share) for share in rounded))

    @classmethod
    def uniform(cls, domains: Iterable[str], members: Iterable[str] | None = None) -> Mixture:
        """Build the plain average of all domains, or of a subset of them.

        Args:
            domains: All domains of the study.
            members: The domains that share equally; all of them when left out.

        Returns:
            The mixture with share 1/n for each of the n members.

        Raises:
            RecipeError: If a member is not one of the domains.

        Example:
            >>> Mixture.uniform(["a", "b", "c"], ["a", "c"]).shares
            (0.5, 0.0, 0.5)
        """
        names = tuple(domains)
        chosen = set(names if members is None else members)
        unknown = chosen - set(names)
        if unknown:
            raise RecipeError(f"`{min(unknown)}` is not a domain: {nearest(min(unknown), names)}")
        return cls(names, tuple(1 / len(chosen) if name in chosen else 0.0 for name in names))

    @classmethod
    def single(cls, domains: Iterable[str], name: str) -> Mixture:
        """Build the mixture that holds one domain alone (a corner of the simplex)."""
        return cls.uniform(domains, [name])

    @classmethod
    def proportional(cls, amounts: Mapping[str, float]) -> Mixture:
        """Build the mixture whose shares are proportional to positive amounts, such as tokens."""
        total = sum(amounts.values())
        return cls(tuple(amounts), tuple(amount / total for amount in amounts.values()))

    @classmethod
    def parse(cls, text: str, domains: Iterable[str]) -> Mixture:
        """Read ``name=share,name=share``; domains that are not named get 0.

        Raises:
            RecipeError: If a part is not ``name=number``, a name is unknown or stands twice, or the
                shares do not add up to 1.

        Example:
            >>> Mixture.parse("b=1", ["a", "b"]).shares
            (0.0, 1.0)
        """
        names, place = tuple(domains), f"mixture `{printable(text)}`"
        if not text.strip(" ,"):
            raise RecipeError("a mixture must name at least one domain: write `name=1`")
        shares: dict[str, float] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, number = (piece.strip() for piece in part.partition("="))
            if name not in names:
                raise RecipeError(
                    f"{place}: `{printable(name, 80)}` is not a domain: {nearest(name, names)}"
                )
            if name in shares:
                raise RecipeError(f"{place}: `{name}` stands twice: name it once")
            try:
                shares[name] = float(number)
            except ValueError:
                raise RecipeError(
                    f"{place}: the share of `{name}` must be a number, but got "
                    f"`{printable(number, 80)}`: write `{name}=0.5`"
                ) from None
        return cls(names, tuple(shares.get(name, 0.0) for name in names))

    @property
    def array(self) -> Array:
        """The shares as an array of shape ``(n_domains,)``."""
        return np.asarray(self.shares, dtype=np.float64)

    @property
    def support(self) -> tuple[str, ...]:
        """The domains with a share above 0."""
        return tuple(name for name, share in self.as_dict().items() if share > 0)

    def as_dict(self) -> dict[str, float]:
        """The shares by domain, in the study's order."""
        return dict(zip(self.domains, self.shares, strict=True))

    def distance(self, other: Mixture) -> float:
        """Share of the tokens that would have to change domain (total variation, in [0, 1])."""
        return float(np.abs(self.array - other.array).sum() / 2)

    def __str__(self) -> str:
        parts = ((name, share) for name, share in self.as_dict().items() if share > 0)
        return ",".join(f"{name}={share:.9g}" for name, share in parts)


@dataclass(frozen=True, slots=True)
class MixtureSpace:
    """The mixtures that may be recommended: the simplex cut by bounds and limits.

    Args:
        domains: Names, in the study's order.
        lower: Smallest share of each domain, in [0, 1].
        upper: Largest share of each domain, in [0, 1], not below the lower one.
        limits: Of sums of shares, each with a name of its own.
        grid: Step in which shares must be where a mixture is trained or recommended; 1 / grid is
            whole. None for any shares. What is only scored need not be on it.
        fixed_by: What fixes a share that must be as it is, such as ``share``, by domain; messages
            name it in place of ``min_share`` and ``max_share``.

    Raises:
        RecipeError: If a lower bound exceeds its upper bound, a limit is of another number of
            domains or named twice, or no mixture satisfies all of them; tells which clash.
    """

    domains: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    limits: tuple[Limit, ...] = ()
    grid: float | None = None
    fixed_by: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, low, high in zip(self.domains, self.lower, self.upper, strict=True):
            if not 0 <= low <= high <= 1:
                fixed = self.fixed_by.get(name)
                raise RecipeError(
                    f"the bounds of `{name}` must satisfy 0 ≤ min_share ≤ max_share ≤ 1, but got "
                    f"min_share {low:.6g} and max_share {high:.6g}"
                    f"{f', one of which is its {fixed}' if fixed else ''}: lower the first or "
                    "raise the second (a repetition limit lowers max_share too)"
                )
        if sum(self.lower) > 1 + _TOLERANCE:
            raise RecipeError(self._sum_words("min_share", self.lower, "at most", "lower"))
        if sum(self.upper) < 1 - _TOLERANCE:
            raise RecipeError(self._sum_words("max_share", self.upper, "at least", "raise"))
        if self.limits or self.grid is not None:
            self._require_possible()

    def _require_possible(self) -> None:
        names = [limit.name for limit in self.limits]
        for limit in self.limits:
            if len(limit.coefficients) != len(self.domains):
                raise RecipeError(
                    f"the limit `{limit.name}` has {len(limit.coefficients)} coefficients, but "
                    f"there are {len(self.domains)} domains: give one for each"
                )
            if names.count(limit.name) > 1:
                raise RecipeError(f"the limit `{limit.name}` stands twice: keep or rename one")
        if self.grid is not None and not _divides(self.grid):
            raise RecipeError(
                f"`grid` must be a step that divides 1, such as 0.05, but got {self.grid:g}: "
                "change it"
            )
        clash = dict.fromkeys(find_conflict(rules_of(self), len(self.domains), self.grid))
        if len(clash) == 1:
            raise RecipeError(
                f"no mixture satisfies {next(iter(clash))}: loosen it or leave it out"
            )
        if clash:
            raise RecipeError(
                "limits of the shares clash: no mixture satisfies all of these, though it would "
                f"without any one of them: {'; '.join(clash)}: loosen or leave out one"
            )

    def _sum_words(self, key: str, bounds: tuple[float, ...], rule: str, remedy: str) -> str:
        movable = {
            name: bound
            for name, bound in zip(self.domains, bounds, strict=True)
            if bound > 0 or remedy == "raise"
        }
        fixed = {name: why for name, why in self.fixed_by.items() if name in movable}
        keys = [key] * (len(fixed) < len(movable)) + ["share"] * ("share" in fixed.values())
        shown = ", ".join(
            f"`{name}` ({bound:.4g}{f', {fixed[name]}' if name in fixed else ''})"
            for name, bound in movable.items()
        )
        return (
            f"{' and '.join(f'`{each}`' for each in keys)} of the domains must add up to {rule} 1, "
            f"but they add up to {sum(bounds):.4g}: {remedy} one of {shown}"
        )

    @classmethod
    def whole(cls, domains: Iterable[str]) -> MixtureSpace:
        """The whole simplex over these domains."""
        names = tuple(domains)
        return cls(names, (0.0,) * len(names), (1.0,) * len(names))

    def contains(self, mixture: Mixture, *, tolerance: float = _TOLERANCE) -> bool:
        """Whether every share lies within its bounds, and the mixture within all limits.

        The grid is not asked for; see `is_on_grid`.

        Args:
            mixture: Of the same domains.
            tolerance: By which a rule may be missed, in shares.
        """
        shares = mixture.array
        return bool(
            (shares >= np.asarray(self.lower) - tolerance).all()
            and (shares <= np.asarray(self.upper) + tolerance).all()
            and all(each.missed(shares) <= tolerance * each.scale for each in self.limits)
        )

    def broken(self, mixture: Mixture) -> tuple[str, ...]:
        """What a mixture breaks, in words; empty where `contains` holds."""
        return broken_words(self, mixture.shares)

    @property
    def region(self) -> Region:
        """The same as arrays."""
        return _region(self)

    def reach(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Smallest and largest share that each domain has in any mixture of the space.

        Without limits these are the bounds as they were given, whatever the others allow.
        """
        if not self.limits:
            return self.lower, self.upper
        low, high = reach(self.region)
        return tuple(low.tolist()), tuple(high.tolist())

    def is_on_grid(self, mixture: Mixture) -> bool:
        """Whether all shares are whole steps of the grid (to 1e-6); always where there is none."""
        if self.grid is None:
            return True
        steps = mixture.array / self.grid
        return bool(np.abs(steps - steps.round()).max() * self.grid <= _TOLERANCE)

    def trainable(self, shares: Array) -> Mixture:
        """The nearest mixture that may be trained: of the space, and on its grid if it has one.

        Args:
            shares: Any real vector of shape ``(n_domains,)``.

        Returns:
            Without a grid that of `mixture`; else the mixture of the grid that is nearest to it in
            total variation.

        Example:
            >>> space = MixtureSpace(("a", "b"), (0.0, 0.0), (1.0, 0.3), grid=0.25)
            >>> space.trainable(np.array([0.6, 0.4])).shares
            (0.75, 0.25)
        """
        within = self.mixture(shares)
        if self.grid is None:
            return within
        found = nearest_on_grid(within.array, self.region, self.grid)
        assert found is not None, "a space has mixtures on its grid, which was tried"
        return Mixture(self.domains, tuple(found.tolist()))

    def mixture(self, shares: Array) -> Mixture:
        """Project shares onto this space (Euclidean) and name them.

        Args:
            shares: Any real vector of shape ``(n_domains,)``.

        Returns:
            The nearest mixture inside the bounds: λᵢ = clip(xᵢ − τ, lᵢ, uᵢ). Their sum falls with
            τ, linearly between breakpoints xᵢ − uᵢ and xᵢ − lᵢ, so the τ where it is 1 is exact.
            Where there are limits too, `mixwise.polytope.projection` finds it.

        Example:
            >>> space = MixtureSpace(("a", "b"), (0.0, 0.0), (0.6, 1.0))
            >>> space.mixture(np.array([1.0, 0.0])).shares
            (0.6, 0.4)
        """
        if self.limits:
            within = project(np.asarray(shares, dtype=np.float64)[None], self.region)[0]
            return Mixture(self.domains, tuple(within.tolist()))
        low, high = np.asarray(self.lower), np.asarray(self.upper)
        steps = np.sort(np.concatenate([shares - high, shares - low]))
        sums = np.clip(shares - steps[:, None], low, high).sum(axis=1)  # falls as τ grows
        k = int(np.clip(np.searchsorted(-sums, -1.0), 1, len(steps) - 1))
        fall = sums[k - 1] - sums[k]
        part = (sums[k - 1] - 1) / fall if fall > 0 else 0.0
        tau = steps[k - 1] + np.clip(part, 0, 1) * (steps[k] - steps[k - 1])
        projected = np.clip(shares - tau, low, high)
        return Mixture(self.domains, tuple(projected / projected.sum()))

    def rounded(self, shares: Array, decimals: int) -> Mixture:
        """Round shares that lie in this space, where the rounded ones lie in it too.

        Args:
            shares: A point of the space, shape ``(n_domains,)``.
            decimals: Of the rounded shares; the largest share takes what is left over.
        """
        near = shares.round(decimals)
        largest = int(near.argmax())
        near[largest] = round(1 - float(np.delete(near, largest).sum()), decimals)
        if near[largest] >= 0:
            mixture = Mixture(self.domains, tuple(near))
            if self.contains(mixture, tolerance=_ROUNDED):
                return mixture
        return self.mixture(shares)


@lru_cache(maxsize=64)
def _region(space: MixtureSpace) -> Region:
    none = len(space.limits), len(space.domains)
    region = Region(
        np.asarray(space.lower),
        np.asarray(space.upper),
        np.array([limit.coefficients for limit in space.limits]).reshape(none),
        np.array([-np.inf if x.least is None else x.least for x in space.limits]),
        np.array([np.inf if x.most is None else x.most for x in space.limits]),
    )
    return possible(region) if space.limits else region


def _divides(grid: float) -> bool:
    """Whether 1 is a whole number of steps."""
    return 0 < grid <= 1 and abs(round(1 / grid) * grid - 1) <= 1e-9
