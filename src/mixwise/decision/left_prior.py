"""How far a recommended mixture is from the prior, as result files hold it."""

from __future__ import annotations

from dataclasses import dataclass

from mixwise.decision.score import Shares
from mixwise.mixture import Mixture
from mixwise.prior import Prior


@dataclass(frozen=True, slots=True)
class PriorFacts:
    """A mixture that the search stays close to, and the recommended one beside it.

    Args:
        mixture: The prior.
        weight: Units of the objective for each nat.
        divergence: KL of the recommended mixture from it, in nats.
        taken: What that takes off its score where mixtures are compared.
    """

    mixture: Shares
    weight: float
    divergence: float
    taken: float

    @classmethod
    def of(cls, prior: Prior, mixture: Mixture) -> PriorFacts:
        """The facts of a mixture.

        Example:
            >>> half = Mixture(("a", "b"), (0.5, 0.5))
            >>> PriorFacts.of(Prior(half, 0.1), half).taken
            0.0
        """
        shares = mixture.array[None]
        divergence = float(prior.divergence(shares)[0])
        return cls(prior.mixture, prior.weight, divergence, float(prior.penalty(shares)[0]))
