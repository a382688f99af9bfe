"""What an exporter is: a recommendation in, the lines of a file out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace

RowsFormat = Literal["jsonl", "parquet"]


@dataclass(frozen=True, slots=True)
class SideFile:
    """A file that an exporter writes beside its own, and before it.

    Args:
        path: Where; its folder is made when missing.
        write: Writes it to the path that it is given.
    """

    path: Path
    write: Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Export:
    """What an exporter writes.

    Args:
        lines: Of the file, without line ends; written at once or not at all.
        facts: Shares and counts behind them, for whoever reads the command's output.
        beside: Other files, which the file names.
    """

    lines: Iterable[str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[SideFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where an exporter writes, and whether it writes the rows themselves too.

    Args:
        file: The exporter's file, by an absolute path.
        rows: Format of a file that the blended rows are written to; None to name the user's own.
    """

    file: Path
    rows: RowsFormat | None = None

    @property
    def rows_file(self) -> Path:
        """Where the rows go."""
        return self.file.with_name(f"{self.file.stem}-rows.{self.rows}")


@dataclass(frozen=True, slots=True)
class Exporter:
    """A way to hand a mixture over, a row of the table.

    Args:
        name: Name on the command line.
        about: What it writes, in a few words.
        file: Name of the file, in the study's folder, where the user names none.
        make: Makes the content from the recommendation; and from the opened study, for an exporter
            that needs data or models.
        needs_study: Whether `make` is given the opened study; else it is given None.
        deliver: Makes it in place of `make` where the study is opened and the exporter can write
            rows, or other files beside its own; None for an exporter that can do neither.
    """

    name: str
    about: str
    file: str
    make: Callable[[Recommendation, Workspace | None], Export]
    needs_study: bool = False
    deliver: Callable[[Recommendation, Workspace, Delivery], Export] | None = None


def share_facts(recommendation: Recommendation) -> dict[str, Any]:
    """The recommended shares as trainers take them: by tokens, or by examples where runs do.

    Those by other units stand beside them where they differ.
    """
    unit = recommendation.horizons.unit
    facts: dict[str, Any] = {"shares_by": unit, "shares": recommendation.by_tokens.as_dict()}
    if not recommendation.by_other_units:
        return facts
    units = {recommendation.shares_by: recommendation.mixture, **recommendation.by_other_units}
    return facts | {
        "recommended_by": recommendation.shares_by,
        "shares_by_unit": {unit: mixture.as_dict() for unit, mixture in units.items()},
    }
