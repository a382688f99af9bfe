"""What the stages of a study find: one value per result file.

A stage returns its value and writes it; the command line, the report and Python read the same one.
"""

from mixwise.study.results.circumstances import (
    Cost,
    FinalRun,
    HorizonFacts,
    Provenance,
    RunCounts,
)
from mixwise.study.results.diagnosis import (
    Causes,
    Diagnosis,
    InterferenceFacts,
    PairError,
    PrecisionFacts,
    ScoreError,
    StoredFacts,
)
from mixwise.study.results.forecasts import (
    FloorFacts,
    ProxyForecast,
    Rated,
    ReferenceForecast,
    Simplicity,
)
from mixwise.study.results.found import (
    CalibrationFound,
    FinalFound,
    SearchFound,
    ValidationFound,
)
from mixwise.study.results.recommendation import (
    Recommendation,
)
from mixwise.study.results.scored import (
    BothAnswers,
    Candidate,
    MetricFacts,
    ObjectiveFacts,
    ObjectiveTerm,
    Profiles,
    Range,
    SeedScore,
)

__all__ = [
    "BothAnswers",
    "CalibrationFound",
    "Candidate",
    "Causes",
    "Cost",
    "Diagnosis",
    "FinalFound",
    "FinalRun",
    "FloorFacts",
    "HorizonFacts",
    "InterferenceFacts",
    "MetricFacts",
    "ObjectiveFacts",
    "ObjectiveTerm",
    "PairError",
    "PrecisionFacts",
    "Profiles",
    "Provenance",
    "ProxyForecast",
    "Range",
    "Rated",
    "Recommendation",
    "ReferenceForecast",
    "RunCounts",
    "ScoreError",
    "SearchFound",
    "SeedScore",
    "Simplicity",
    "StoredFacts",
    "ValidationFound",
]
