"""What an exporter is: a recommendation in, the lines of a file out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace


@dataclass(frozen=True, slots=True)
class Export:
    """What an exporter writes.

    Args:
        lines: Of the file, without line ends; written at once or not at all.
        facts: Shares and counts behind them, for whoever reads the command's output.
    """

    lines: Iterable[str]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exporter:
    """A row of the table.

    Args:
        name: Name on the command line.
        about: What it writes, in a few words.
        file: Name of the file, in the study's folder, where the user names none.
        make: Makes the content from the recommendation; and from the opened study, for an exporter
            that needs data or models.
        needs_study: Whether `make` is given the opened study; else it is given None.
    """

    name: str
    about: str
    file: str
    make: Callable[[Recommendation, Workspace | None], Export]
    needs_study: bool = False


def share_facts(recommendation: Recommendation) -> dict[str, Any]:
    """The recommended shares by tokens, as trainers take them; by other units where they differ."""
    facts: dict[str, Any] = {"shares_by": "tokens", "shares": recommendation.by_tokens.as_dict()}
    if not recommendation.by_other_units:
        return facts
    units = {recommendation.shares_by: recommendation.mixture, **recommendation.by_other_units}
    return facts | {
        "recommended_by": recommendation.shares_by,
        "shares_by_unit": {unit: mixture.as_dict() for unit, mixture in units.items()},
    }
