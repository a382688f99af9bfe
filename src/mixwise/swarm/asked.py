"""What the command line says of a table's columns and of the shares that may be recommended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from mixwise.errors import RecipeError, nearest, printable
from mixwise.mixture import MixtureSpace
from mixwise.objective import Direction
from mixwise.prior import Prior
from mixwise.recipe import FitLimits, load_limits
from mixwise.swarm.table import Asked


def parse_asked(domains: str = "", metrics: Sequence[str] = (), by: Sequence[str] = ()) -> Asked:
    """Read what is said of the columns.

    Args:
        domains: Columns of shares, separated by commas; empty for those that add up to 1.
        metrics: ``NAME``, ``NAME:min`` or ``NAME:max`` each.
        by: Columns that tell runs apart.

    Example:
        >>> parse_asked("math,code", ["dev/loss:min"]).metrics
        {'dev/loss': 'min'}
    """
    found: dict[str, Direction | None] = {}
    for text in metrics:
        name, _, way = text.rpartition(":")
        is_told = name and way in get_args(Direction)
        found[name if is_told else text] = way if is_told else None  # type: ignore[assignment]
    names = tuple(name for name in (part.strip() for part in domains.split(",")) if name)
    return Asked(names, found, tuple(by))


def parse_space(
    domains: Sequence[str],
    smallest: Sequence[str] = (),
    largest: Sequence[str] = (),
    *,
    limits: Path | None = None,
    fixed: Mapping[str, float] = MappingProxyType({}),
) -> MixtureSpace:
    """The mixtures that may be recommended.

    Args:
        domains: Of the table.
        smallest: ``NAME=SHARE`` each: no less of the domain.
        largest: The same: no more of it.
        limits: File with more of them, as in a recipe's ``search``; of a domain that both name, the
            tighter bound holds.
        fixed: Shares that stay as they are, of domains that neither the two above nor the file's
            bounds name.

    Raises:
        RecipeError: If a name or a share is none, the file breaks a rule, or no mixture satisfies
            all of them.

    Example:
        >>> parse_space(["a", "b"], largest=["a=0.3"]).upper
        (0.3, 1.0)
    """
    low = _bounds("--min-share", smallest, domains)
    high = _bounds("--max-share", largest, domains)
    bounded = set(_read_limits(domains, limits).bounds) if limits else set()
    named = {*low, *high, *bounded}
    kept = {name: share for name, share in fixed.items() if name not in named}
    low, high = kept | low, kept | high
    space = MixtureSpace.whole(domains) if limits is None else _read_space(domains, limits)
    return replace(
        space,
        lower=tuple(
            max(low.get(name, 0.0), own) for name, own in zip(domains, space.lower, strict=True)
        ),
        upper=tuple(
            min(high.get(name, 1.0), own) for name, own in zip(domains, space.upper, strict=True)
        ),
        fixed_by={**space.fixed_by, **dict.fromkeys(kept, "all runs have it")},
    )


def parse_prior(domains: Sequence[str], limits: Path | None) -> Prior | None:
    """The mixture to stay close to, as a file of limits names it.

    Args:
        domains: Of the table.
        limits: The file; None for none.

    Raises:
        RecipeError: If the file breaks a rule.
    """
    asked = _read_limits(domains, limits).prior if limits else None
    return asked.prior(dict.fromkeys(domains, 1.0)) if asked else None


def _read_limits(domains: Sequence[str], limits: Path) -> FitLimits:
    found = load_limits(limits)
    problems = found.limit_problems(domains, key="")
    problems += found.prior.problems(domains, key="") if found.prior else []
    if problems:
        raise RecipeError(*(f"{printable(str(limits))}: {problem}" for problem in problems))
    return found


def _read_space(domains: Sequence[str], limits: Path) -> MixtureSpace:
    found = _read_limits(domains, limits)
    try:
        return found.space(dict.fromkeys(domains, 1.0))
    except RecipeError as error:
        raise RecipeError(f"{printable(str(limits))}: {error}") from None


def _bounds(option: str, texts: Sequence[str], domains: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not equals:
            raise RecipeError(
                f"`{option} {printable(text, 80)}`: the share is missing: write "
                f"`{printable(text, 80)}=0.3`"
            )
        if name in found:
            raise RecipeError(f"`{option} {printable(name, 80)}=…` stands twice: say it once")
        if name not in domains:
            raise RecipeError(
                f"`{option} {printable(text, 80)}`: `{printable(name, 80)}` is not a domain: "
                f"{nearest(name, domains)}"
            )
        try:
            found[name] = float(number)
        except ValueError:
            raise RecipeError(
                f"`{option} {printable(text, 80)}`: the share must be a number: write `{name}=0.3`"
            ) from None
    return found
