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


def baselines(
    kinds: Sequence[str], available_tokens: Mapping[str, int]
) -> tuple[NamedMixture, ...]:
    """Uniform, proportional to the available tokens, and each single domain.

    Args:
        kinds: Any of ``uniform``, ``available``, ``single``.
        available_tokens: Training tokens by domain, in the study's order.

    Returns:
        Named mixtures; one that equals an earlier one is left out.
    """
    domains = tuple(available_tokens)
    named = {
        "uniform": [NamedMixture("uniform", Mixture.uniform(domains))],
        "available": [NamedMixture("available tokens", Mixture.proportional(available_tokens))],
        "single": [NamedMixture(f"only {name}", Mixture.single(domains, name)) for name in domains],
    }
    chosen: dict[str, NamedMixture] = {}
    for kind in kinds:
        for entry in named[kind]:
            chosen.setdefault(str(entry.mixture), entry)
    return tuple(chosen.values())
