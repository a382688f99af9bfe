"""Runs of another study that a study goes on with, as its ``study.json`` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mixwise.errors import StudyError


@dataclass(frozen=True, slots=True)
class KeptReference:
    """A run of the final horizon.

    Args:
        shares: The mixture that it was trained on: domains with a share alone.
        seed: Of the run.
        folder: Its folder, below the other study's.
    """

    shares: Mapping[str, float]
    seed: int
    folder: str


@dataclass(frozen=True, slots=True)
class KeptRuns:
    """What was taken from another study, and what was not.

    Args:
        source: Folder of the other study.
        expert_steps: Steps of its experts, which all experts of this study have; 0 where none was
            taken.
        experts: Domains whose experts were taken, with the sequences that each may have read where
            not all of its domain's; None for all.
        references: Runs of the final horizon that were taken.
        dropped: What was not taken and why, a line each.
    """

    source: str
    expert_steps: int = 0
    experts: Mapping[str, int | None] = field(default_factory=dict)
    references: tuple[KeptReference, ...] = ()
    dropped: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """What is said of it, the kept first."""
        n, names = len(self.experts), ", ".join(f"`{name}`" for name in self.experts)
        experts = (
            f"reuse: {n} expert(s) of {self.expert_steps} steps are taken from {self.source}: "
            f"{names}; all others are trained as long"
            if n
            else f"reuse: no expert is taken from {self.source}"
        )
        references = (
            f"reuse: {len(self.references)} trained reference(s) are taken, each a mixture without "
            "the domains that are new; they correct the proxy beside those of this study"
        )
        scores = "reuse: scores are measured anew, by the evaluation sets of this study"
        return (
            experts,
            *([references] if self.references else []),
            *([scores] if n or self.references else []),
            *(f"reuse: {line}" for line in self.dropped),
        )

    def to_json(self) -> dict[str, Any]:
        """As what `json` can write."""
        content: dict[str, Any] = TypeAdapter(KeptRuns).dump_python(self, mode="json")
        return content


def kept_from_json(content: Any, where: str) -> KeptRuns:
    """What a ``study.json`` holds.

    Args:
        content: What was read.
        where: The file, for the error.

    Raises:
        StudyError: If it is that of another version.
    """
    try:
        return TypeAdapter(KeptRuns).validate_python(content)
    except ValidationError:
        raise StudyError(
            f"{where}: `kept` is that of another mixwise: use the mixwise that made the study"
        ) from None
