"""What the limits of the search did to the answer, in words."""

from __future__ import annotations

from mixwise.decision.answer import share_words
from mixwise.decision.binding import Binding
from mixwise.decision.left_prior import PriorFacts
from mixwise.report.numbers import number
from mixwise.study.results import Recommendation

_LEAST_GAIN = 5e-4  # of the objective, below which loosening a limit gains nothing
_SIDES = {"least": "at least", "most": "at most"}


def binding_words(found: Recommendation | None) -> str:
    """Say which limits the mixture lies on, and what loosening each would gain."""
    if found is None or not found.binding:
        return ""
    rows = [_binding(row) for row in found.binding]
    return (
        f"The mixture lies on these limits: {'; '.join(rows)}. What is gained is in the objective, "
        "as predicted, for each 0.01 by which a limit is loosened."
    )


def rounding_words(found: Recommendation | None) -> str:
    """Say what shares in whole steps cost."""
    if found is None or found.rounding is None:
        return ""
    lost = found.rounding.lost
    cost = f"costs {number(lost)} of the objective" if lost > _LEAST_GAIN else "costs nothing"
    return (
        f"Shares are in steps of {found.rounding.grid:g}, which {cost}, as predicted; without "
        f"steps: {share_words(found.rounding.before.as_dict())}."
    )


def prior_words(prior: PriorFacts | None) -> str:
    """Say how far the mixture is from the prior, and what that takes off its score."""
    if prior is None:
        return ""
    return (
        f"The search stays close to {share_words(prior.mixture.as_dict())}: the mixture is "
        f"{number(prior.divergence)} nats from it, which takes {number(prior.taken)} off its score "
        f"where mixtures are compared (weight {prior.weight:g}); scores are shown without that."
    )


def _binding(row: Binding) -> str:
    gain = f"gains {number(row.gain)}" if row.gain > _LEAST_GAIN else "gains nothing"
    return f"{row.name} ({_SIDES[row.side]} {row.end:.4g}, {gain})"
