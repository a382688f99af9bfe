"""Where the answer may lie, as a recipe says it: bounds, groups, limits, costs, steps of shares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mixwise.errors import RecipeError, nearest, printable
from mixwise.limit import Limit
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.prior import Prior
from mixwise.recipe.linear import parse_limit
from mixwise.recipe.names import NAME
from mixwise.section import Section

Share = Annotated[float, Field(ge=0, le=1)]
Money = Annotated[float, Field(ge=0, le=10**12)]
LimitText = Annotated[str, Field(min_length=1, max_length=1000)]
_MILLION = 10**6
_DIVIDES = 1e-9  # of a whole number of steps


class Bounds(Section):
    """Smallest and largest share of one domain, or the ``share`` that it must have."""

    min_share: Share = 0.0
    max_share: Share = 1.0
    share: Share | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_share > self.max_share:
            raise ValueError(
                f"`min_share` ({self.min_share:g}) must not exceed `max_share` "
                f"({self.max_share:g}): change one"
            )
        if self.share is not None and self.model_fields_set & {"min_share", "max_share"}:
            raise ValueError(
                f"`share` ({self.share:g}) stands for both `min_share` and `max_share`: leave them "
                "out, or it"
            )
        return self

    @property
    def least(self) -> float:
        """The smallest share."""
        return self.min_share if self.share is None else self.share

    @property
    def most(self) -> float:
        """The largest share."""
        return self.max_share if self.share is None else self.share


class GroupBounds(Bounds):
    """The same of the sum of some domains' shares."""

    domains: Annotated[tuple[str, ...], Field(min_length=1)]


class TokenCosts(Section):
    """What a training token of each domain costs, and how much the final run may cost.

    ``per_million_tokens``: of each domain, in any currency; 0 where a domain is not named. Every
    token that is read counts, also when it is read again. ``max_mean``: of the mixture, per million
    tokens; ``max_total``: of the final run.
    """

    per_million_tokens: dict[str, Money]
    max_mean: Money | None = None
    max_total: Money | None = None

    @model_validator(mode="after")
    def _is_limited(self) -> Self:
        if self.max_mean is None and self.max_total is None:
            raise ValueError("has no effect without `max_mean` or `max_total`: give one")
        return self


class PriorChoice(Section):
    """A mixture to stay close to.

    ``shares``: those of the ``available`` tokens, ``uniform``, or each domain's own. ``weight``:
    units of the objective for each nat of the divergence KL(mixture‖prior).
    """

    shares: Literal["available", "uniform"] | dict[str, Share]
    weight: Annotated[float, Field(gt=0, le=10**6)]

    def problems(self, domains: Collection[str], key: str = "search.") -> list[str]:
        """What does not fit the domains, a line each.

        Args:
            domains: Their names.
            key: What the keys begin with in the messages.
        """
        if not isinstance(self.shares, dict):
            return []
        place = f"{key}prior.shares"
        unknown = [name for name in self.shares if name not in domains]
        if unknown:
            return [
                f"`{place}.{printable(name, 80)}`: not a domain: {nearest(name, domains)}"
                for name in unknown
            ]
        try:
            self.prior(dict.fromkeys(domains, 1.0))
        except RecipeError as error:
            return [f"`{place}`: {error}"]
        return []

    def prior(self, available: Mapping[str, float]) -> Prior:
        """The same as a value.

        Args:
            available: What each domain has to train on, by the unit of the shares.

        Raises:
            RecipeError: If it is no mixture in which every domain has a share.
        """
        if self.shares == "available":
            mixture = Mixture.proportional(available)
        elif self.shares == "uniform":
            mixture = Mixture.uniform(available)
        else:
            mixture = Mixture(tuple(available), tuple(self.shares.get(n, 0.0) for n in available))
        return Prior(mixture, self.weight)


class SpaceLimits(Section):
    """Where the answer may lie.

    ``bounds``: of each domain's share. ``groups``: of the joint share of some domains, by a name of
    theirs. ``limits``: between domains and groups, such as ``code >= 2 * math``. ``cost``: of the
    tokens. ``grid``: step in which the shares are of all that is trained or recommended.
    """

    bounds: dict[str, Bounds] = Field(default_factory=dict)
    groups: dict[str, GroupBounds] = Field(default_factory=dict)
    limits: tuple[LimitText, ...] = ()
    cost: TokenCosts | None = None
    grid: Annotated[float, Field(gt=0, le=0.5)] | None = None

    @model_validator(mode="after")
    def _grid_divides(self) -> Self:
        if self.grid is not None and abs(round(1 / self.grid) * self.grid - 1) > _DIVIDES:
            raise ValueError(
                f"`grid` must divide 1, such as 0.05, but got {self.grid:g}: change it"
            )
        return self

    def limit_problems(self, domains: Collection[str], key: str = "search.") -> list[str]:
        """What does not fit the domains, a line each.

        Args:
            domains: Their names.
            key: What the keys begin with in the messages.
        """

        def unknown(place: str, names: Collection[str]) -> list[str]:
            return [
                f"`{key}{place}.{printable(name, 80)}`: not a domain: {nearest(name, domains)}"
                for name in names
                if name not in domains
            ]

        problems = unknown("bounds", self.bounds)
        for name, group in self.groups.items():
            place = f"groups.{printable(name, 80)}"
            problems += unknown(f"{place}.domains", dict.fromkeys(group.domains))
            if name in domains or not NAME.fullmatch(name):
                problems.append(
                    f"`{key}{place}`: a group needs a name like a domain's that no domain has: "
                    "rename it"
                )
            if len(set(group.domains)) < len(group.domains):
                problems.append(f"`{key}{place}.domains`: a domain stands twice: keep one")
        if self.cost is not None:
            problems += unknown("cost.per_million_tokens", self.cost.per_million_tokens)
        if not problems:
            problems += self._unread(tuple(domains), key)
        return problems

    def _unread(self, domains: tuple[str, ...], key: str) -> list[str]:
        problems, seen = [], set[str]()
        groups = {name: group.domains for name, group in self.groups.items()}
        for k, text in enumerate(self.limits):
            place = f"`{key}limits.{k}` (`{printable(text, 80)}`)"
            try:
                name = parse_limit(text, domains, groups).name
            except RecipeError as error:
                problems.append(f"{place}: {error}")
                continue
            if name in seen:
                problems.append(f"{place}: stands twice: keep one")
            seen.add(name)
        return problems

    def space(
        self,
        caps: Mapping[str, float],
        *,
        run_tokens: int | None = None,
        tokens: Mapping[str, float] | None = None,
    ) -> MixtureSpace:
        """The mixtures within all limits.

        Args:
            caps: Largest share of each domain for other reasons; 1 or more for no limit.
            run_tokens: Tokens of the final run, which `max_total` is of; None where none is known.
            tokens: How many tokens one unit of each domain's share brings, in any measure; None
                where shares are by tokens.

        Raises:
            RecipeError: If no mixture satisfies them.
        """
        domains = tuple(caps)
        bounds = [self.bounds.get(name, Bounds()) for name in domains]
        groups = {name: group.domains for name, group in self.groups.items()}
        return MixtureSpace(
            domains,
            tuple(each.least for each in bounds),
            tuple(min(each.most, cap) for each, cap in zip(bounds, caps.values(), strict=True)),
            (
                *(_joint(name, group, domains) for name, group in self.groups.items()),
                *(parse_limit(text, domains, groups) for text in self.limits),
                *(self._cost_limits(domains, run_tokens, tokens)),
            ),
            self.grid,
            {
                name: "share"
                for name in domains
                if self.bounds.get(name, Bounds()).share is not None
            },
        )

    def _cost_limits(
        self,
        domains: tuple[str, ...],
        run_tokens: int | None,
        tokens: Mapping[str, float] | None,
    ) -> list[Limit]:
        if self.cost is None:
            return []
        costs = [self.cost.per_million_tokens.get(name, 0.0) for name in domains]
        limit = _by_tokens(costs) if tokens is None else _by_others(costs, list(tokens.values()))
        found = []
        if self.cost.max_mean is not None:
            found.append(limit("cost.max_mean", 1.0, self.cost.max_mean))
        if self.cost.max_total is not None:
            if run_tokens is None:
                raise RecipeError(
                    "`cost.max_total`: the tokens of a run are not known here: use `cost.max_mean`"
                )
            found.append(limit("cost.max_total", run_tokens / _MILLION, self.cost.max_total))
        return [each for each in found if any(each.coefficients)]


class FitLimits(SpaceLimits):
    """What a fit of runs reads from a file: where the answer may lie, and what it stays close to.

    ``prior``: a mixture that leaving costs.
    """

    prior: PriorChoice | None = None

    @model_validator(mode="after")
    def _prior_is_known(self) -> Self:
        if self.prior is not None and self.prior.shares == "available":
            raise ValueError(
                "`prior.shares: available`: the tokens of the runs' domains are not known: write "
                "`uniform`, or each domain's own share"
            )
        return self


_MakeLimit = Callable[[str, float, float], Limit]


def _by_tokens(costs: list[float]) -> _MakeLimit:
    """Makes a limit of the cost of some millions of tokens: Σ cᵢλᵢ × millions ≤ most."""

    def limit(name: str, millions: float, most: float) -> Limit:
        return Limit(name, tuple(cost * millions for cost in costs), None, most)

    return limit


def _by_others(costs: list[float], tokens: list[float]) -> _MakeLimit:
    """The same where a share brings rᵢ tokens: Σ cᵢrᵢλᵢ ≤ most / millions × Σ rᵢλᵢ."""

    def limit(name: str, millions: float, most: float) -> Limit:
        mean = most / millions
        rows = ((cost - mean) * ratio for cost, ratio in zip(costs, tokens, strict=True))
        return Limit(name, tuple(rows), None, 0.0)

    return limit


def _joint(name: str, group: GroupBounds, domains: tuple[str, ...]) -> Limit:
    row = tuple(float(domain in group.domains) for domain in domains)
    return Limit(f"groups.{name}", row, group.least, group.most)
