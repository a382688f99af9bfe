"""Groups of domains, as a hierarchy names them: each domain belongs to exactly one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mixwise.errors import RecipeError, nearest, printable


@dataclass(frozen=True, slots=True)
class DomainGroup:
    """Some domains whose shares are decided together.

    Args:
        name: Of the group; that of its domain where it is one alone that no group names.
        members: Its domains, in the study's order.
    """

    name: str
    members: tuple[str, ...]


def group_domains(
    domains: Sequence[str], hierarchy: Mapping[str, Sequence[str]]
) -> tuple[DomainGroup, ...]:
    """The groups of a hierarchy, in its order, then every domain that none of them names.

    Args:
        domains: All domains of the study.
        hierarchy: Members by group; a member may be a pattern such as ``web-*``.

    Raises:
        RecipeError: If a member is no domain, a pattern fits none, a domain stands in two places,
            a group has a domain's name, or all domains are in one group.

    Example:
        >>> group_domains(("gsm", "proofs", "c"), {"maths": ("gsm", "proofs")})[1]
        DomainGroup(name='c', members=('c',))
    """
    owner: dict[str, str] = {}
    for group, members in hierarchy.items():
        if group in domains:
            raise RecipeError(
                f"`search.hierarchy.{printable(group, 80)}`: is the name of a domain too: rename "
                "the group"
            )
        for member in members:
            for domain in _matching(member, domains, group):
                if domain in owner:
                    raise RecipeError(
                        f"`search.hierarchy.{printable(group, 80)}`: `{domain}` stands in "
                        f"`{printable(owner[domain], 80)}` already: keep one"
                    )
                owner[domain] = group
    groups = [
        DomainGroup(group, tuple(domain for domain in domains if owner.get(domain) == group))
        for group in hierarchy
    ]
    groups += [DomainGroup(domain, (domain,)) for domain in domains if domain not in owner]
    if len(groups) < 2:
        raise RecipeError(
            "`search.hierarchy` must leave at least two groups to share between, but got one of "
            "all domains: make two of it, or use another `search.method`"
        )
    return tuple(groups)


def _matching(member: str, domains: Sequence[str], group: str) -> list[str]:
    """The domains that a member names."""
    place = f"`search.hierarchy.{printable(group, 80)}`: `{printable(member, 80)}`"
    if member in domains:
        return [member]
    found = [domain for domain in domains if fnmatchcase(domain, member)]
    if any(sign in member for sign in "*?["):
        if not found:
            raise RecipeError(f"{place} fits no domain: correct it or leave it out")
        return found
    raise RecipeError(f"{place} is not a domain: {nearest(member, domains)}")
