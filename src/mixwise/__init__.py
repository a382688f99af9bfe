"""mixwise: which mixture of my datasets should I train on?

The public names are loaded when they are first used, so that ``import mixwise`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixwise.api import ProblemStudy, Study
    from mixwise.decision.baselines import baselines
    from mixwise.decision.calibration import Reference
    from mixwise.decision.front import Front, trace_front
    from mixwise.decision.recommend import Decision, recommend
    from mixwise.engine.engines import NamedEngine, register_engine
    from mixwise.errors import MixwiseError, MixwiseWarning
    from mixwise.export.exporter import Delivery, Export, Exporter, SideFile
    from mixwise.export.exporters import register_exporter
    from mixwise.kinds import EvaluationKind, register_kind
    from mixwise.limit import Limit
    from mixwise.macro_f1 import macro_f1_values
    from mixwise.merging.rule_table import NamedRule, register_rule
    from mixwise.mixture import Mixture, MixtureSpace
    from mixwise.objective import Measure, Metric, Objective, Scale, Term
    from mixwise.observation import Measurement, Observation
    from mixwise.prior import Prior
    from mixwise.problem.problem import Problem
    from mixwise.recipe import Recipe, load_recipe
    from mixwise.recipe.linear import parse_limit
    from mixwise.records.formats import RecordFormat, register_format
    from mixwise.records.record import Document
    from mixwise.records.row import FileRow, RowReader, Wanted
    from mixwise.scorer import SLOPES, VALUES, Part, Request, Scorer
    from mixwise.scoring.table import TableRow, TableScorer
    from mixwise.search.method_table import register_method
    from mixwise.search.problem import SearchMethod, SearchProblem, SearchResult
    from mixwise.study.results import Recommendation
    from mixwise.swarm import Asked, Swarm, SwarmFit, SwarmTable, fit_swarm, read_swarm

__version__ = "0.1.0"

_PLACES = {
    "api": ("ProblemStudy", "Study"),
    "decision.baselines": ("baselines",),
    "decision.calibration": ("Reference",),
    "decision.front": ("Front", "trace_front"),
    "decision.recommend": ("Decision", "recommend"),
    "engine.engines": ("NamedEngine", "register_engine"),
    "errors": ("MixwiseError", "MixwiseWarning"),
    "export.exporter": ("Delivery", "Export", "Exporter", "SideFile"),
    "export.exporters": ("register_exporter",),
    "kinds": ("EvaluationKind", "register_kind"),
    "macro_f1": ("macro_f1_values",),
    "limit": ("Limit",),
    "mixture": ("Mixture", "MixtureSpace"),
    "merging.rule_table": ("NamedRule", "register_rule"),
    "objective": ("Measure", "Metric", "Objective", "Scale", "Term"),
    "observation": ("Measurement", "Observation"),
    "prior": ("Prior",),
    "recipe": ("Recipe", "load_recipe"),
    "recipe.linear": ("parse_limit",),
    "problem.problem": ("Problem",),
    "records.formats": ("RecordFormat", "register_format"),
    "records.record": ("Document",),
    "records.row": ("FileRow", "RowReader", "Wanted"),
    "scorer": ("SLOPES", "VALUES", "Part", "Request", "Scorer"),
    "scoring.table": ("TableRow", "TableScorer"),
    "search.method_table": ("register_method",),
    "search.problem": ("SearchMethod", "SearchProblem", "SearchResult"),
    "study.results": ("Recommendation",),
    "swarm": ("Asked", "Swarm", "SwarmFit", "SwarmTable", "fit_swarm", "read_swarm"),
}
_PLACE_OF = {name: f"mixwise.{place}" for place, names in _PLACES.items() for name in names}

__all__ = [
    "SLOPES",
    "VALUES",
    "Asked",
    "Decision",
    "Delivery",
    "Document",
    "EvaluationKind",
    "Export",
    "Exporter",
    "FileRow",
    "Front",
    "Limit",
    "Measure",
    "Measurement",
    "Metric",
    "Mixture",
    "MixtureSpace",
    "MixwiseError",
    "MixwiseWarning",
    "NamedEngine",
    "NamedRule",
    "Objective",
    "Observation",
    "Part",
    "Prior",
    "Problem",
    "ProblemStudy",
    "Recipe",
    "Recommendation",
    "RecordFormat",
    "Reference",
    "Request",
    "RowReader",
    "Scale",
    "Scorer",
    "SearchMethod",
    "SearchProblem",
    "SearchResult",
    "SideFile",
    "Study",
    "Swarm",
    "SwarmFit",
    "SwarmTable",
    "TableRow",
    "TableScorer",
    "Term",
    "Wanted",
    "__version__",
    "baselines",
    "fit_swarm",
    "load_recipe",
    "macro_f1_values",
    "parse_limit",
    "read_swarm",
    "recommend",
    "register_engine",
    "register_exporter",
    "register_format",
    "register_kind",
    "register_method",
    "register_rule",
    "trace_front",
]


def __getattr__(name: str) -> Any:
    """A public name, from where it is defined."""
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'mixwise' has no attribute {name!r}")
    return getattr(import_module(_PLACE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
