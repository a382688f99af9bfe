"""What a share is a share of: shares by one unit as shares by another.

Notation:
    λ: shares by a unit, ``(n_domains,)``.  a, b: how many of two units each domain has to train on.

Method:
    A share of the one unit brings bᵢ / aᵢ as many of the other, so that the shares by the other are
    λᵢ bᵢ / aᵢ over their sum. What a domain has is its training side, read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from mixwise.mixture import Mixture

ShareUnit = Literal["tokens", "supervised_tokens", "rows"]
UNIT_WORDS: Mapping[ShareUnit, str] = {
    "tokens": "all tokens",
    "supervised_tokens": "learned tokens",
    "rows": "rows of data",
}


def convert_shares(mixture: Mixture, have: Mapping[str, int], want: Mapping[str, int]) -> Mixture:
    """The same data by other shares.

    Args:
        mixture: Shares by a unit.
        have: How many of that unit each domain has, > 0.
        want: How many of the other.

    Returns:
        Shares by the other unit; the mixture itself where both are the same.

    Example:
        >>> mixture = Mixture(("chat", "text"), (0.5, 0.5))
        >>> convert_shares(mixture, {"chat": 100, "text": 400}, {"chat": 400, "text": 400}).shares
        (0.8, 0.2)
    """
    if have == want:
        return mixture
    shares = mixture.as_dict()
    return Mixture.proportional({name: shares[name] * want[name] / have[name] for name in shares})


def largest_shares(
    shares: Mapping[str, float], have: Mapping[str, int], want: Mapping[str, int]
) -> dict[str, float]:
    """The most that a share by one unit can be by another, whatever the rest of the mixture is.

    The rest weighs least where it is of the domain with the smallest ratio r = b / a, so that a
    share x is at most x r / (x r + (1 − x) r_least).

    Args:
        shares: Share of each domain by the unit, in [0, 1]; each is taken by itself.
        have: How many of the unit each domain has, > 0.
        want: How many of the other, > 0.

    Example:
        >>> largest_shares({"a": 0.25, "b": 1.0}, {"a": 100, "b": 100}, {"a": 300, "b": 100})
        {'a': 0.5, 'b': 1.0}
    """
    if have == want:
        return dict(shares)
    ratios, least = _ratios(have, want)
    return {
        name: share * ratios[name] / (share * ratios[name] + (1 - share) * least[name])
        for name, share in shares.items()
    }


def safe_caps(
    caps: Mapping[str, float], have: Mapping[str, int], want: Mapping[str, int]
) -> dict[str, float]:
    """The largest shares by one unit that are never above caps by another: `largest_shares` undone.

    Args:
        caps: Largest share of each domain by the other unit; 1 or more for no limit.
        have: How many of the unit each domain has, > 0.
        want: How many of the other, > 0.

    Example:
        >>> safe_caps({"a": 0.5, "b": 1.5}, {"a": 100, "b": 100}, {"a": 300, "b": 100})
        {'a': 0.25, 'b': 1.5}
    """
    if have == want:
        return dict(caps)
    ratios, least = _ratios(have, want)
    return {
        name: cap
        if cap >= 1
        else cap * least[name] / (cap * least[name] + (1 - cap) * ratios[name])
        for name, cap in caps.items()
    }


def _ratios(
    have: Mapping[str, int], want: Mapping[str, int]
) -> tuple[dict[str, float], dict[str, float]]:
    """Ratios b / a of the domains, and the smallest one of all others for each."""
    ratios = {name: want[name] / have[name] for name in have}
    least = {
        name: min(ratio for other, ratio in ratios.items() if other != name) for name in ratios
    }
    return ratios, least
