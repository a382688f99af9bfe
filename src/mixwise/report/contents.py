"""What the page shows: a study's results, and what is read of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mixwise.decision.trust import Trust
from mixwise.study.results import (
    BothAnswers,
    CalibrationFound,
    Candidate,
    Diagnosis,
    FinalFound,
    MetricFacts,
    Recommendation,
    SearchFound,
    ValidationFound,
)
from mixwise.study.snippets import SnippetsFound
from mixwise.study.surface import SurfaceFound


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A named mixture beside the recommended one.

    Args:
        answers: By the merged model and by trained ones.
        expected: Objective that training on it should reach; None without a reference.
        standing: ``recommended``, ``equal``, ``ahead`` or ``behind``.
    """

    answers: BothAnswers
    expected: float | None
    standing: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A scored candidate and where it stands beside the recommended one; empty if not known."""

    candidate: Candidate
    standing: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What one kind of work took.

    Args:
        kind: The kind, in words.
        n: Runs or models.
        tokens_trained: Training tokens.
        tokens_evaluated: Evaluated tokens; None where they are counted with another kind.
        seconds: Wall time; runs side by side each count in full.
    """

    kind: str
    n: int
    tokens_trained: int
    tokens_evaluated: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Notice:
    """What a command did otherwise than asked: rebuilt, switched off or left out.

    Args:
        text: What, and what to do about it.
        command: Which command said so; empty where it is not known.
        time: When; empty where it is not known.
    """

    text: str
    command: str
    time: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that the page shows; a stage that is missing is None.

    Args:
        search: Candidates and profiles.
        recommendation: What is recommended.
        calibration: What was trained to correct the proxy.
        validation: Fidelity of the proxy.
        diagnosis: Task vectors, and what they predict.
        final: What was trained in the end; None where it was for another recommendation.
        metrics: How to read each metric.
        spent: Time and tokens by kind of work.
        provenance: Hashes, versions and seeds, by name.
        recipe: The recipe's text.
        notices: What was not as asked, oldest first.
        surface: The surrogate of every metric.
        snippets: The recommended mixture as trainers take it.
        problem: Name of the problem that the study asks about; empty where it asks a recipe.
    """

    search: SearchFound | None
    recommendation: Recommendation | None
    calibration: CalibrationFound | None
    validation: ValidationFound | None
    diagnosis: Diagnosis | None
    final: FinalFound | None
    metrics: Mapping[str, MetricFacts]
    spent: tuple[Spent, ...]
    provenance: Mapping[str, str]
    recipe: str
    notices: tuple[Notice, ...] = ()
    surface: SurfaceFound | None = None
    snippets: SnippetsFound | None = None
    problem: str = ""

    @property
    def domains(self) -> tuple[str, ...]:
        """In the study's order."""
        if self.recommendation is not None:
            return self.recommendation.mixture.domains
        return tuple(self.search.best.shares) if self.search else ()

    @property
    def trust(self) -> Trust | None:
        """How far the recommendation may be trusted; None where nothing tells."""
        if self.recommendation is not None:
            return self.recommendation.trust
        return self.diagnosis.trust if self.diagnosis else None

    @property
    def recommended(self) -> ComparedRow | None:
        """The recommended mixture by both answers."""
        found = self.recommendation
        if found is None:
            return None
        runs = self.final.rows[0].runs if self.final else ()
        answers = BothAnswers("recommended", found.score, runs)
        return ComparedRow(answers, found.reference.objective, "recommended")

    @property
    def baselines(self) -> tuple[ComparedRow, ...]:
        """By the proxy, each with the trained runs where there are some."""
        rows = self.final.rows if self.final else ()
        trained = {str(row.proxy.mixture): row.runs for row in rows}
        return tuple(
            ComparedRow(
                BothAnswers(row.name, row.score, trained.get(str(row.score.mixture), ())),
                row.expected,
                row.standing,
            )
            for row in (self.recommendation.baselines if self.recommendation else ())
        )

    @property
    def candidates(self) -> tuple[Placed, ...]:
        """All that was scored, best first, the recommended mixture among them.

        Calibration may recommend a mixture that it scored after the search had ended.
        """
        rows = list(self.search.candidates) if self.search else []
        found = self.recommendation
        if found is None:
            return tuple(Placed(row, "") for row in rows)
        rated = (*found.baselines, *found.near_optimal)
        standing = {str(row.score.mixture): str(row.standing) for row in rated}
        standing[str(found.mixture)] = "recommended"
        if str(found.mixture) not in {str(row.score.mixture) for row in rows}:
            rows.append(Candidate("", found.score, within_bounds=True))
            rows.sort(key=lambda row: -row.score.objective)
        return tuple(Placed(row, standing.get(str(row.score.mixture), "")) for row in rows)
