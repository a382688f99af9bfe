"""What one model scored, as a value that result files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from mixwise.errors import MixwiseError
from mixwise.mixture import Mixture
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation

OBJECTIVE = "objective"  # what the objective is called where metrics have names


def parse_mixture(shares: Any) -> Mixture:
    """A mixture from shares by domain, or a mixture as it is.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(shares, Mixture):
        return shares
    try:
        return Mixture(tuple(shares), tuple(float(share) for share in shares.values()))
    except (MixwiseError, AttributeError, TypeError) as error:
        raise ValueError(str(error)) from None


Shares = Annotated[Mixture, PlainValidator(parse_mixture), PlainSerializer(Mixture.as_dict)]


@dataclass(frozen=True, slots=True)
class Score:
    """What one model scored.

    Args:
        mixture: Its mixture; None for the base.
        objective: J, larger is better; 0 for the base.
        metrics: Value by metric name, ``set/measure``.
    """

    mixture: Shares | None
    objective: float
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, observation: Observation, objective: Objective, scale: Scale) -> Score:
        """Score an observation."""
        values = observation.values
        return cls(observation.mixture, objective.value(values, scale), values)

    @property
    def shares(self) -> dict[str, float]:
        """Share by domain; empty for the base."""
        return self.mixture.as_dict() if self.mixture else {}

    def value(self, name: str) -> float:
        """A metric by name, or the objective."""
        return self.objective if name == OBJECTIVE else self.metrics[name]
