"""A study at work as an object: its stages as methods, its results typed.

Both kinds of studies are one of these: that of a recipe, and that of a problem whose functions are
Python's.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from mixwise.api.frames import candidates_frame, front_frame
from mixwise.engine.main_script import require_loaded_script
from mixwise.errors import MixwiseWarning, StudyError
from mixwise.mixture import Mixture
from mixwise.progress import OnProgress, OnStage, Stage, silent, silent_stage
from mixwise.recipe.question import Question
from mixwise.study.folder import StudyFolder
from mixwise.study.result_files import StudyResults, load_results
from mixwise.study.results import (
    FinalFound,
    Recommendation,
    SearchFound,
    ValidationFound,
)
from mixwise.study.standing import StandingWriter

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from mixwise.decision.calibration import Calibrated
    from mixwise.observation import Observation
    from mixwise.scorer import Request
    from mixwise.study.workbench import Workbench

FigureKind = Literal["mixture", "front", "baselines", "agreement", "profiles"]
Bench = TypeVar("Bench", bound="Workbench")


class OpenedStudy(ABC, Generic[Bench]):
    """A context manager, which holds the study alone while it is open.

    Args:
        folder: The study's folder.
        rule: Merge rule of the proxy; None for what is asked.
        read_only: Whether nothing is measured and written; then others may work in the study.
        progress: Whether progress is shown: as bars in a terminal or a notebook (which needs the
            extra ``mixwise[notebook]``), as lines on stderr elsewhere.
        on_progress: Told how far each task has come.
        on_stage: Told when a stage of `run` begins and ends.

    Raises:
        ValueError: If progress is both shown and told to functions.
    """

    def __init__(
        self,
        folder: StudyFolder,
        *,
        rule: str | None = None,
        read_only: bool = False,
        progress: bool = False,
        on_progress: OnProgress = silent,
        on_stage: OnStage = silent_stage,
    ) -> None:
        if progress and (on_progress is not silent or on_stage is not silent_stage):
            raise ValueError("give either `progress` or functions of your own, and not both")
        self._folder = folder
        self._rule = rule
        self._is_read_only = read_only
        self._shows_progress = progress
        self._on_progress = on_progress
        self._on_stage = on_stage
        self._held = ExitStack()
        self._workspace: Bench | None = None

    @abstractmethod
    def _open(self, held: ExitStack) -> Bench:
        """Open what stages work with; what must be closed after it is entered in the stack."""

    @abstractmethod
    def _prepare(self) -> Sequence[str]:
        """Whatever is left to do before a stage, such as a check; what has to be said of it."""

    @property
    @abstractmethod
    def recipe(self) -> Question:
        """What the study asks for."""

    def __enter__(self) -> Self:
        require_loaded_script()
        with ExitStack() as held:
            held.callback(self._tell, self._on_progress, self._on_stage)
            if self._shows_progress:
                from mixwise.console.progress import progress

                shown = held.enter_context(progress("study"))
                self._tell(shown, shown.stage)
            if not self._is_read_only:
                told = StandingWriter(self.folder, self._on_progress, self._on_stage)
                held.callback(told.close)
                self._tell(told.take, told.take_stage)
            self._workspace = self._open(held)
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _tell(self, on_progress: OnProgress, on_stage: OnStage) -> None:
        """Tell these functions from now on."""
        self._on_progress, self._on_stage = on_progress, on_stage

    def close(self) -> None:
        """Stop the workers and let others work in the study."""
        self._workspace = None
        self._held.close()

    @property
    def workspace(self) -> Bench:
        """Scorers, inputs and engine of the open study.

        Raises:
            StudyError: If it is not open.
        """
        if self._workspace is None:
            raise StudyError(
                f"{self.folder}: the study is not open: work with it in a block, "
                f"`with {type(self).__name__}.open(…) as study:`"
            )
        return self._workspace

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self._folder.folder

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, in their order."""
        return self.recipe.domain_names

    # --- stages ----------------------------------------------------------------------------------

    def run(self) -> Recommendation:
        """Do whatever of the main job is not done yet, and write the report."""
        from mixwise.stages.run import run_study

        self._begin()
        return run_study(self.workspace, self._on_stage)

    def train_experts(self) -> dict[str, Path]:
        """Train the experts that are missing; the folder of each, by domain."""
        self._begin_stage("experts")
        self.workspace.runs.train_experts()
        self.workspace.tracker.stage("experts", f"{len(self.domains)} experts")
        return {name: self.workspace.runs.expert(name).folder for name in self.domains}

    def search(self) -> Recommendation:
        """Score merged candidates, calibrate, and recommend a mixture."""
        from mixwise.stages.recommend import save_recommendation

        self._begin_stage("search")
        return save_recommendation(self.workspace, self._search())

    def _search(self) -> Calibrated:
        from mixwise.stages.calibrate import run_calibration
        from mixwise.stages.search import run_search

        return run_calibration(self.workspace, run_search(self.workspace))

    def validate(self) -> ValidationFound:
        """Train reference mixtures, compare the proxy with them, and recommend anew."""
        from mixwise.stages.recommend import save_recommendation
        from mixwise.stages.validate import run_validation

        self._begin_stage("validation")
        found = run_validation(self.workspace)
        save_recommendation(self.workspace, self._search())
        return found

    def train(self) -> FinalFound:
        """Train the recommended mixture and its baselines for real."""
        from mixwise.stages.final import run_final
        from mixwise.stages.recommend import decide_on, save_recommendation

        self._begin_stage("final training")
        calibrated = self._search()
        decision = decide_on(self.workspace, calibrated)
        save_recommendation(self.workspace, calibrated, decision)
        final = run_final(self.workspace, decision.mixture)
        save_recommendation(self.workspace, calibrated, decision)
        return final

    def score(
        self,
        mixtures: Sequence[Mixture | Mapping[str, float]],
        *,
        answer: Literal["proxy", "reference"] = "proxy",
        request: Request | None = None,
    ) -> tuple[Observation, ...]:
        """Score mixtures by merging, or by training on them.

        Args:
            mixtures: Each a mixture, or shares by domain, in any order; domains that are left out
                have none.
            answer: ``proxy`` merges the experts; ``reference`` trains, with as many seeds as the
                recipe's validation.
            request: Whether slopes are wanted; None for values.

        Raises:
            RecipeError: If a mixture is not of the study's domains.
        """
        from mixwise.scorer import VALUES

        if not self._is_read_only:  # what is known is read
            self._begin()
        wanted = [self._mixture(mixture) for mixture in mixtures]
        if answer == "proxy":
            return self.workspace.proxy.score(wanted, request or VALUES)
        if not self._is_read_only:
            self.workspace.tracker.stage("score", None)
        seeds = self.workspace.runs.reference_seeds(self.recipe.validation.seeds)
        found = self.workspace.reference(seeds).score(wanted, request or VALUES)
        if not self._is_read_only:
            self.workspace.tracker.stage("score", f"{len(found)} mixtures")
        return found

    def report(self, output: str | Path | None = None) -> Path:
        """Write the report; its path."""
        from mixwise.report.page import save_report

        return save_report(self.folder, Path(output) if output else None)

    def export(
        self,
        to: str = "shares",
        output: str | Path | None = None,
        materialise: Literal["jsonl", "parquet"] | None = None,
    ) -> dict[str, Any]:
        """Write the recommended mixture as a trainer takes it.

        Args:
            to: Name of an exporter: ``shares``, ``stream``, ``rows``, ``csv``, a trainer such as
                ``trl``, or one that was registered.
            output: The file; by default the exporter's, in the study's folder.
            materialise: Format of a file of the blended rows that is written beside it; None for
                none.

        Returns:
            ``file``, and the shares and counts that were written.

        Raises:
            RecipeError: If there is no such exporter.
            StudyError: If nothing is recommended yet, or something has changed since.
        """
        from mixwise.export.exporters import EXPORTERS, export

        path = Path(output) if output else None
        return export(EXPORTERS.find(to), self._folder, self.workspace, path, materialise)

    # --- results ---------------------------------------------------------------------------------

    @property
    def recommendation(self) -> Recommendation | None:
        """What is recommended; None before the search."""
        return self._results.recommendation

    @property
    def found(self) -> SearchFound | None:
        """What the search found; None before it."""
        return self._results.search

    @property
    def validation(self) -> ValidationFound | None:
        """References by both answers, and fidelity; None before the validation."""
        return self._results.validation

    @property
    def final(self) -> FinalFound | None:
        """What real training showed; None before it."""
        return self._results.final

    def front(self) -> pd.DataFrame:
        """The Pareto front of the recipe's ``objective.front``: shares and gains, a row each.

        The last row is the recommended mixture, wherever it stands.

        Raises:
            ResourceError: If pandas is not installed.
            StudyError: If there is none.
        """
        found = self.recommendation.front if self.recommendation else None
        if found is None:
            raise StudyError(
                f"{self.folder}: there is no front: name groups in the recipe's `objective.front`, "
                "and run `study.search()`"
            )
        return front_frame(found)

    def candidates(self) -> pd.DataFrame:
        """Every scored mixture, best first: shares, objective and metrics, a row each.

        Raises:
            ResourceError: If pandas is not installed.
            StudyError: If nothing is scored yet.
        """
        found = self.found
        if found is None:
            raise StudyError(f"{self.folder}: nothing is scored yet: run `study.search()` first")
        return candidates_frame(found)

    def figure(self, kind: FigureKind = "mixture", metric: str = "objective") -> go.Figure:
        """A chart of the report.

        Args:
            kind: ``mixture`` (recommended shares), ``front`` (the first two groups of the Pareto
                front), ``baselines`` (by both answers), ``agreement`` (proxy against reference) or
                ``profiles`` (a metric as each share changes).
            metric: Of ``agreement`` and ``profiles``.

        Raises:
            StudyError: If the stage behind it has not run.
        """
        from mixwise.report.page import figure_of

        return figure_of(self.folder, kind, metric)

    @property
    def _results(self) -> StudyResults:
        """What was found for the study's recipe as it is now; results of another are none."""
        results = load_results(self._folder)
        made = results.recommendation
        if made is not None and made.provenance.recipe_alone != self.recipe.key:
            return StudyResults(None, None, None, None, None, None)
        return results

    def _mixture(self, mixture: Mixture | Mapping[str, float]) -> Mixture:
        shares = mixture.as_dict() if isinstance(mixture, Mixture) else mixture
        text = ",".join(
            f"{name}={float(share) if isinstance(share, Real) else share!r}"
            for name, share in shares.items()
        )
        return Mixture.parse(text, self.domains)

    def _begin_stage(self, name: str) -> None:
        """Begin a stage that was asked for by itself."""
        self._begin()
        self.workspace.tracker.stage(name, None)
        self._on_stage(Stage(name))

    def _begin(self) -> None:
        """Before a stage: the study may be written, and what is new is checked."""
        self._require_writable()
        for text in self._prepare():
            warnings.warn(text, MixwiseWarning, stacklevel=3)

    def _require_writable(self) -> None:
        if self._is_read_only:
            raise StudyError(
                f"{self.folder}: the study is open for reading: open it without `read_only` to run "
                "a stage"
            )

    def _repr_html_(self) -> str:
        from mixwise.report.markup import tag

        found = self.recommendation
        answer = found.answer if found else "No mixture is recommended yet."
        return str(tag("div", tag("b", str(self.folder)), " ", tag("span", answer)))
