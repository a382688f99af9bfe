"""The one interface of mixwise: mixtures in, observations out.

A *proxy* answers by merging experts, a *reference* by training; search, validation and baselines
see this protocol and nothing else of models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mixwise.mixture import Mixture
from mixwise.observation import Observation


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work has come.

    Args:
        task: What is being done, in the user's words.
        done: Units finished.
        total: Units in all.
    """

    task: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Take a progress report and show nothing."""


class Scorer(Protocol):
    """Anything that can score mixtures."""

    def score(self, mixtures: Sequence[Mixture]) -> tuple[Observation, ...]:
        """Score mixtures.

        Args:
            mixtures: Any number of mixtures over the study's domains.

        Returns:
            One observation per mixture, in their order.
        """
        ...
