"""Results as pandas frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixwise.decision.front import Front
from mixwise.errors import ResourceError
from mixwise.study.results import SearchFound

if TYPE_CHECKING:
    import pandas as pd


def front_frame(found: Front) -> pd.DataFrame:
    """A Pareto front: shares and gains, a row each; the recommended mixture last."""
    return _pandas().DataFrame(
        [
            {
                **{f"share of {name}": share for name, share in point.score.shares.items()},
                "objective": point.score.objective,
                **dict(zip(found.groups, point.gains, strict=True)),
                "recommended": k == len(found.points),
            }
            for k, point in enumerate((*found.points, found.recommended))
        ]
    )


def candidates_frame(found: SearchFound) -> pd.DataFrame:
    """Every scored mixture, best first: shares, objective and metrics, a row each."""
    return _pandas().DataFrame(
        [
            {
                "name": row.name,
                **{f"share of {name}": share for name, share in row.score.shares.items()},
                "objective": row.score.objective,
                "within_bounds": row.within_bounds,
                **row.score.metrics,
            }
            for row in found.candidates
        ]
    )


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ResourceError(
            "pandas is needed for tables and is not installed: `pip install mixwise[notebook]`"
        ) from None
    return pandas
