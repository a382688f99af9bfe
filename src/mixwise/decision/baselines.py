"""The mixtures that every recommendation must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixwise.mixture import Mixture

EVERY = ("uniform", "available", "single")


@dataclass(frozen=True, slots=True)
class NamedMixture:
    """A mixture and what it is called in tables."""

    name: str
    mixture: Mixture


def baselines(kinds: Sequence[str], available: Mapping[str, int]) -> tuple[NamedMixture, ...]:
    """Uniform, proportional to the available tokens, and each single domain.

    Args:
        kinds: Any of ``uniform``, ``available``, ``single``.
        available: What there is to train on by domain, in the study's order, by the unit of its
            shares: by any, their shares are those of a run that reads all of it once.

    Returns:
        Named mixtures; one that equals an earlier one is left out.
    """
    domains = tuple(available)
    named = {
        "uniform": [NamedMixture("uniform", Mixture.uniform(domains))],
        "available": [NamedMixture("available tokens", Mixture.proportional(available))],
        "single": [NamedMixture(f"only {name}", Mixture.single(domains, name)) for name in domains],
    }
    chosen: dict[str, NamedMixture] = {}
    for kind in kinds:
        for entry in named[kind]:
            chosen.setdefault(str(entry.mixture), entry)
    return tuple(chosen.values())
