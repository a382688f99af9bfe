"""Mixtures that tests of the scorers share."""

from __future__ import annotations

from mixwise.mixture import Mixture
from mixwise.observation import Observation

NAMES = ("alpha", "beta", "gamma")


HALF = Mixture(NAMES, (0.5, 0.5, 0.0))


def values(observation: Observation) -> dict[str, float]:
    return observation.values
