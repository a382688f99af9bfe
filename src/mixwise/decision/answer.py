"""The answer in one sentence: what to train on, or that nothing is known to be better."""

from __future__ import annotations

from collections.abc import Mapping

from mixwise.decision.outcome import Outcome
from mixwise.mixture import Mixture

_MOST_NAMED = 6
_SIMPLEST = {"uniform": "uniform", "available": "the shares of the available tokens"}


def answer_words(
    mixture: Mixture,
    *,
    preferred: str,
    is_anchor: bool,
    outcome: Outcome | None,
    unit: str = "",
) -> str:
    """Say what to train on.

    Args:
        mixture: The recommended mixture.
        preferred: What is simplest among equals: ``uniform``, ``available`` or ``none``.
        is_anchor: Whether the simplest mixture is recommended because nothing can be told from it.
        outcome: What real training showed; None before it.
        unit: What its shares count, in words; empty where all tokens are alike.

    Example:
        >>> mixture = Mixture(("math", "code"), (0.3, 0.7))
        >>> answer_words(mixture, preferred="uniform", is_anchor=False, outcome=None)
        'Train on 70 % code and 30 % math.'
    """
    shares = share_words(mixture.as_dict()) + (f", by {unit}" if unit else "")
    if is_anchor:
        name = _SIMPLEST[preferred]
        is_plain = preferred != "uniform" or mixture == Mixture.uniform(mixture.domains)
        within = "" if is_plain else ", as near as the bounds allow"
        return f"Cannot be told from {name}: use {name}{within} ({shares})."
    return f"Train on {shares}{_trained_words(outcome)}."


def share_words(shares: Mapping[str, float]) -> str:
    """Shares in words, the largest first; domains without a share are left out."""
    ranked = sorted((name for name in shares if shares[name] > 0), key=lambda name: -shares[name])
    named = [f"{_percent(shares[name])} {name}" for name in ranked[:_MOST_NAMED]]
    if len(ranked) > _MOST_NAMED:
        named.append(f"{len(ranked) - _MOST_NAMED} more domains")
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 else "under 1 %"


def _trained_words(outcome: Outcome | None) -> str:
    """What real training says against the recommendation; empty where nothing."""
    if outcome is None:
        return ""
    ahead = [margin for margin in outcome.margins if margin.standing == "ahead"]
    if ahead:
        worst = min(ahead, key=lambda margin: margin.margin)
        return f", but {worst.baseline} did better when trained"
    equal = [margin.baseline for margin in outcome.margins if margin.standing == "equal"]
    return f"; when trained, {' and '.join(equal)} did as well" if equal else ""
