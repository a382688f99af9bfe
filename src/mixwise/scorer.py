"""The one interface of mixwise: mixtures in, observations out.

A *proxy* answers by merging experts, a *reference* by training; search, validation and baselines
see this protocol and nothing else of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from mixwise.mixture import Mixture
from mixwise.observation import Observation


@dataclass(frozen=True, slots=True)
class Part:
    """A share of the examples of every evaluation set, the same ones for every mixture.

    The examples of a set are shuffled once, always alike, and cut into ``of`` blocks of nearly the
    same size; the part is the blocks from ``first`` up to ``last``.

    Args:
        first: First block.
        last: The block after the last one.
        of: Number of blocks; at most the number of examples of the smallest set.

    Example:
        >>> Part(0, 1, 2).examples(4).tolist() + Part(1, 2, 2).examples(4).tolist()
        [2, 0, 1, 3]
    """

    first: int = 0
    last: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.first}:{self.last}:{self.of}"

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part that has this text."""
        return cls(*(int(number) for number in text.split(":")))

    @property
    def is_whole(self) -> bool:
        """Whether the part is all there is."""
        return (self.first, self.last) == (0, self.of)

    def examples(self, n_examples: int) -> npt.NDArray[np.int64]:
        """Indices of the part's examples in a set, in the order in which they are evaluated."""
        if self.is_whole:
            return np.arange(n_examples)
        order = np.random.default_rng(0).permutation(n_examples)
        return order[n_examples * self.first // self.of : n_examples * self.last // self.of]


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of each mixture.

    Args:
        order: 0 for values, 1 for slopes in the shares too, 2 for the Hessian too.
        per_example: Whether derivatives of each example are wanted.
        part: Which examples.
    """

    order: Literal[0, 1, 2] = 0
    per_example: bool = False
    part: Part = Part()


VALUES = Request()
SLOPES = Request(order=1)


class Scorer(Protocol):
    """Anything that can score mixtures."""

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Score mixtures.

        Args:
            mixtures: Any number of mixtures over the study's domains.
            request: What is wanted. Metrics that have no derivatives come without; so do all
                metrics of a scorer that cannot differentiate, and it may measure more examples
                than were asked for.

        Returns:
            One observation per mixture, in their order.
        """
        ...
