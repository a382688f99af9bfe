"""mixwise: which mixture of my datasets should I train on?

The public names are loaded when they are first used, so that ``import mixwise`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixwise.api import Study
    from mixwise.decision.baselines import baselines
    from mixwise.decision.calibration import Reference
    from mixwise.decision.recommend import Decision, recommend
    from mixwise.errors import MixwiseError, MixwiseWarning
    from mixwise.mixture import Mixture, MixtureSpace
    from mixwise.objective import Metric, Objective, Scale, Term
    from mixwise.observation import Measurement, Observation
    from mixwise.recipe import Recipe, load_recipe
    from mixwise.scorer import SLOPES, VALUES, Request, Scorer
    from mixwise.scoring.table import TableRow, TableScorer
    from mixwise.study.results import Recommendation

__version__ = "0.1.0"

_PLACES = {
    "api": ("Study",),
    "decision.baselines": ("baselines",),
    "decision.calibration": ("Reference",),
    "decision.recommend": ("Decision", "recommend"),
    "errors": ("MixwiseError", "MixwiseWarning"),
    "mixture": ("Mixture", "MixtureSpace"),
    "objective": ("Metric", "Objective", "Scale", "Term"),
    "observation": ("Measurement", "Observation"),
    "recipe": ("Recipe", "load_recipe"),
    "scorer": ("SLOPES", "VALUES", "Request", "Scorer"),
    "scoring.table": ("TableRow", "TableScorer"),
    "study.results": ("Recommendation",),
}
_PLACE_OF = {name: f"mixwise.{place}" for place, names in _PLACES.items() for name in names}

__all__ = [
    "SLOPES",
    "VALUES",
    "Decision",
    "Measurement",
    "Metric",
    "Mixture",
    "MixtureSpace",
    "MixwiseError",
    "MixwiseWarning",
    "Objective",
    "Observation",
    "Recipe",
    "Recommendation",
    "Reference",
    "Request",
    "Scale",
    "Scorer",
    "Study",
    "TableRow",
    "TableScorer",
    "Term",
    "__version__",
    "baselines",
    "load_recipe",
    "recommend",
]


def __getattr__(name: str) -> Any:
    """A public name, from where it is defined."""
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'mixwise' has no attribute {name!r}")
    return getattr(import_module(_PLACE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
