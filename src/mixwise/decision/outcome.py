"""Did the recommendation win when it was really trained, and by how many noise widths?

A noise width is the standard deviation between seeds of one run's objective, pooled over all
mixtures that were trained with several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mixwise.decision.fidelity import seed_noise

OutcomeWord = Literal["won", "tied", "lost", "unknown"]
RivalStanding = Literal["behind", "equal", "ahead", "unknown"]
_WORDS: Mapping[RivalStanding, OutcomeWord] = {
    "behind": "won",
    "equal": "tied",
    "ahead": "lost",
    "unknown": "unknown",
}


@dataclass(frozen=True, slots=True)
class Margin:
    """How far the recommendation is ahead of a baseline (negative: behind).

    Args:
        baseline: Its name.
        margin: Difference of the mean objectives.
        noise_widths: The same in noise widths; None where the noise is not known.
        standing: Of the baseline; within one noise width it cannot be told from the recommendation.
    """

    baseline: str
    margin: float
    noise_widths: float | None
    standing: RivalStanding


@dataclass(frozen=True, slots=True)
class Outcome:
    """What real training showed: the word is that of the closest baseline."""

    word: OutcomeWord
    noise_width: float | None
    margins: tuple[Margin, ...]


def judge_outcome(
    reached: float, rivals: Mapping[str, float], groups: Sequence[Sequence[float]]
) -> Outcome:
    """Compare the recommendation with its baselines.

    Args:
        reached: Mean objective of the recommendation's runs.
        rivals: The same of each baseline, by name.
        groups: Objectives of all mixtures that were trained, one list of seeds each.

    Example:
        >>> judge_outcome(1.0, {"uniform": 0.5}, [[1.0, 1.2]]).word
        'won'
    """
    noise = seed_noise(groups)
    margins = tuple(_margin(name, reached - rival, noise) for name, rival in rivals.items())
    closest = min(margins, key=lambda margin: margin.margin, default=None)
    return Outcome(_WORDS[closest.standing] if closest else "unknown", noise, margins)


def _margin(baseline: str, margin: float, noise: float | None) -> Margin:
    if noise is None:
        return Margin(baseline, margin, None, "unknown")
    standing: RivalStanding = "behind" if margin > 0 else "ahead"
    if abs(margin) <= noise:
        standing = "equal"
    return Margin(baseline, margin, margin / noise if noise else None, standing)
