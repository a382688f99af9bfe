"""mixwise from Python: a study as a context manager, its stages as methods, its results typed.

    from mixwise import Study

    with Study.create("study", "recipe.yaml") as study:
        recommendation = study.run()
    print(recommendation.answer)

The command line calls the same stages.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mixwise.console.notices import keeping_warnings
from mixwise.errors import MixwiseWarning, ResourceError, StudyError, printable
from mixwise.mixture import Mixture
from mixwise.progress import OnProgress, OnStage, silent, silent_stage
from mixwise.recipe import Recipe, add_domains, load_recipe
from mixwise.study.column_domains import find_values
from mixwise.study.folder import StudyFolder
from mixwise.study.leftovers import remove_leftovers
from mixwise.study.result_files import StudyResults, load_results
from mixwise.study.results import (
    Diagnosis,
    FinalFound,
    Recommendation,
    SearchFound,
    ValidationFound,
)

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from mixwise.observation import Observation
    from mixwise.scorer import Request
    from mixwise.stages.check import Checked
    from mixwise.study.session import Workspace

FigureKind = Literal["mixture", "front", "baselines", "agreement", "profiles"]


def cache_folder() -> Path:
    """Folder of the token cache: ``$MIXWISE_CACHE``, or mixwise's place in the user's cache."""
    own = os.environ.get("MIXWISE_CACHE")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(own) if own else shared / "mixwise") / "tokens"


@contextmanager
def open_workspace(
    folder: StudyFolder,
    *,
    recipe: Recipe | None = None,
    rule: str | None = None,
    trust_remote_code: bool = False,
    read_only: bool = False,
    cache: Path | None = None,
    on_progress: OnProgress = silent,
) -> Iterator[Workspace]:
    """A study's inputs, scorers and engine, for as long as the block lasts.

    Args:
        folder: The study's folder.
        recipe: By default the one that the study holds.
        rule: Merge rule of the proxy; None for the recipe's.
        trust_remote_code: Whether code from the base model's folder may run.
        read_only: Whether nothing is measured and written; then others may work in the study.
        cache: Folder of the token cache; None for `cache_folder`.
        on_progress: Told how far each task has come.

    Raises:
        StudyError: If another process works in the study.
    """
    with ExitStack() as held:
        if not read_only:
            held.enter_context(folder.lock())
            held.enter_context(keeping_warnings(folder))
            remove_leftovers(folder)
        from mixwise.study.inputs import Settings  # torch: not before the study is held
        from mixwise.study.session import Workspace

        settings = Settings(folder.recipe_folder, cache or cache_folder(), trust_remote_code)
        workspace = Workspace(folder, settings, on_progress, rule, recipe, read_only=read_only)
        held.callback(workspace.close)
        yield workspace


@dataclass(frozen=True, slots=True)
class _NewRecipe:
    """A recipe that the study's folder does not hold yet: parsed, and as it was given."""

    recipe: Recipe
    text: str
    verify: bool
    values: Mapping[str, str]


class Study:
    """A study at work; a context manager, which holds the study alone while it is open.

    Args:
        folder: Its folder.
        recipe: A recipe that the folder does not hold yet; None for the folder's own.
        rule: Merge rule of the proxy; None for the recipe's.
        trust_remote_code: Whether code from the base model's folder may run.
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
        recipe: _NewRecipe | None = None,
        *,
        rule: str | None = None,
        trust_remote_code: bool = False,
        read_only: bool = False,
        progress: bool = False,
        on_progress: OnProgress = silent,
        on_stage: OnStage = silent_stage,
    ) -> None:
        if progress and (on_progress is not silent or on_stage is not silent_stage):
            raise ValueError("give either `progress` or functions of your own, and not both")
        self._folder = folder
        self._new_recipe = recipe
        self._open: dict[str, Any] = {
            "rule": rule,
            "trust_remote_code": trust_remote_code,
            "read_only": read_only,
            "on_progress": on_progress,
        }
        self._is_read_only = read_only
        self._shows_progress = progress
        self._on_stage = on_stage
        self._held = ExitStack()
        self._workspace: Workspace | None = None

    @classmethod
    def create(
        cls, folder: str | Path, recipe: str | Path, *, verify: bool = False, **options: Any
    ) -> Study:
        """Make a study from a recipe, or go on with the one that is there.

        Args:
            folder: Its folder; made when missing.
            recipe: The recipe, a YAML file; its relative paths start from where it lies.
            verify: Whether references, baselines and second seeds are trained too, whatever the
                recipe says: as its key ``verify``.
            options: As of `Study`.

        Raises:
            RecipeError: If the recipe cannot be read.
            StudyError: If the folder holds something else.
        """
        path = Path(recipe)
        loaded = load_recipe(path, verify=verify)
        values = find_values(loaded, path.parent.resolve(), cache_folder())
        expanded = add_domains(loaded, values, printable(str(path)))
        new = _NewRecipe(expanded, path.read_text(encoding="utf-8"), verify, values)
        return cls(StudyFolder.create(Path(folder), path), new, **options)

    @classmethod
    def open(cls, folder: str | Path, **options: Any) -> Study:
        """Open a study that is there.

        Args:
            folder: Its folder.
            options: As of `Study`.

        Raises:
            StudyError: If there is none.
        """
        opened = StudyFolder.open(Path(folder))
        opened.require_recipe_folder()
        return cls(opened, **options)

    def __enter__(self) -> Study:
        recipe = self._new_recipe.recipe if self._new_recipe else None
        with ExitStack() as held:
            if self._shows_progress:
                from mixwise.console.progress import progress

                shown = held.enter_context(progress("study"))
                self._open["on_progress"], self._on_stage = shown, shown.stage
            opened = open_workspace(self._folder, recipe=recipe, **self._open)
            self._workspace = held.enter_context(opened)
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers and let others work in the study."""
        self._workspace = None
        self._held.close()

    @property
    def workspace(self) -> Workspace:
        """Scorers, inputs and engine of the open study.

        Raises:
            StudyError: If it is not open.
        """
        if self._workspace is None:
            raise StudyError(
                f"{self.folder}: the study is not open: work with it in a block, "
                "`with Study.open(folder) as study:`"
            )
        return self._workspace

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self._folder.folder

    @property
    def recipe(self) -> Recipe:
        """What the study asks for."""
        if self._workspace is not None:
            return self._workspace.recipe
        return self._new_recipe.recipe if self._new_recipe else self._folder.recipe

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, in their order."""
        return self.recipe.domain_names

    # --- stages ----------------------------------------------------------------------------------

    def check(self) -> Checked:
        """Find out everything that can be known before training; then a new recipe is kept.

        Raises:
            MixwiseError: If something would fail later.
        """
        from mixwise.stages.check import run_check

        self._require_writable()
        checked = run_check(self.workspace.inputs, self.folder)
        self.workspace.runs.require_own_experts()
        if self._new_recipe is not None:
            new = self._new_recipe
            self._folder.save_recipe(new.text, verify=new.verify, values=new.values)
            self._new_recipe = None
        return checked

    def run(self) -> Recommendation:
        """Do whatever of the main job is not done yet, and write the report."""
        from mixwise.stages.run import run_study

        self._begin()
        return run_study(self.workspace, self._on_stage)

    def train_experts(self) -> dict[str, Path]:
        """Train the experts that are missing; the folder of each, by domain."""
        self._begin()
        self.workspace.runs.train_experts()
        return {name: self.workspace.runs.expert(name).folder for name in self.domains}

    def search(self) -> Recommendation:
        """Score merged candidates, calibrate, and recommend a mixture."""
        from mixwise.stages.calibrate import run_calibration
        from mixwise.stages.recommend import save_recommendation
        from mixwise.stages.search import run_search

        self._begin()
        return save_recommendation(
            self.workspace, run_calibration(self.workspace, run_search(self.workspace))
        )

    def validate(self) -> ValidationFound:
        """Train reference mixtures, compare the proxy with them, and recommend anew."""
        from mixwise.stages.validate import run_validation

        self._begin()
        found = run_validation(self.workspace)
        self.search()
        return found

    def train(self) -> FinalFound:
        """Train the recommended mixture and its baselines for real."""
        from mixwise.stages.final import run_final

        final = run_final(self.workspace, self.search().mixture)
        self.search()
        return final

    def diagnose(self) -> Diagnosis:
        """Measure all that tells how far the proxy may be trusted."""
        from mixwise.stages.diagnose import run_diagnosis

        self._begin()
        return run_diagnosis(self.workspace)

    def score(
        self,
        mixtures: Sequence[Mixture | Mapping[str, float]],
        *,
        answer: Literal["proxy", "reference"] = "proxy",
        request: Request | None = None,
    ) -> tuple[Observation, ...]:
        """Score mixtures by merging, or by training on them.

        Args:
            mixtures: Each a mixture, or shares by domain; domains that are left out have none.
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
        seeds = self.workspace.runs.reference_seeds(self.recipe.validation.seeds)
        return self.workspace.reference(seeds).score(wanted, request or VALUES)

    def report(self, output: str | Path | None = None) -> Path:
        """Write the report; its path."""
        from mixwise.report.page import save_report

        return save_report(self.folder, Path(output) if output else None)

    def export(self, to: str = "shares", output: str | Path | None = None) -> dict[str, Any]:
        """Write the recommended mixture as a trainer takes it.

        Args:
            to: Name of an exporter: ``shares``, ``stream``, or one that was registered.
            output: The file; by default the exporter's, in the study's folder.

        Returns:
            ``file``, and the shares and counts that were written.

        Raises:
            RecipeError: If there is no such exporter.
            StudyError: If nothing is recommended yet, or something has changed since.
        """
        from mixwise.export.exporters import EXPORTERS, export

        path = Path(output) if output else None
        return export(EXPORTERS.find(to), self._folder, self.workspace, path)

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
        pandas = _pandas()
        found = self.recommendation.front if self.recommendation else None
        if found is None:
            raise StudyError(
                f"{self.folder}: there is no front: name groups in the recipe's `objective.front`, "
                "and run `study.search()`"
            )
        return pandas.DataFrame(
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

    def candidates(self) -> pd.DataFrame:
        """Every scored mixture, best first: shares, objective and metrics, a row each.

        Raises:
            ResourceError: If pandas is not installed.
            StudyError: If nothing is scored yet.
        """
        pandas = _pandas()
        found = self.found
        if found is None:
            raise StudyError(f"{self.folder}: nothing is scored yet: run `study.search()` first")
        return pandas.DataFrame(
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
        if isinstance(mixture, Mixture):
            return mixture
        shares = ",".join(f"{name}={share!r}" for name, share in mixture.items())
        return Mixture.parse(shares, self.domains)

    def _begin(self) -> None:
        """Before a stage: the study may be written, and a new recipe is checked."""
        self._require_writable()
        if self._new_recipe is not None:
            for text in self.check().warnings:
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


def check_recipe(
    recipe: Path,
    study: Path,
    *,
    verify: bool = False,
    show: int = 0,
    trust_remote_code: bool = False,
    on_progress: OnProgress = silent,
) -> Checked:
    """Find out everything that can be known before training; no study is made.

    Args:
        recipe: The recipe, a YAML file.
        study: Where the study would be written.
        verify: As of `Study.create`.
        show: Rows of each domain and text set to read for ``review.rows``.
        trust_remote_code: Whether code from the base model's folder may run.
        on_progress: Told how far each task has come.
    """
    loaded = load_recipe(recipe, verify=verify)
    folder = recipe.parent.resolve()
    values = find_values(loaded, folder, cache_folder())
    loaded = add_domains(loaded, values, printable(str(recipe)))
    from mixwise.stages.check import run_check  # torch: not before the recipe is read
    from mixwise.study.inputs import Inputs, Settings

    settings = Settings(folder, cache_folder(), trust_remote_code)
    return run_check(Inputs(loaded, settings, on_progress=on_progress), study, n_shown=show)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ResourceError(
            "pandas is needed for tables and is not installed: `pip install mixwise[notebook]`"
        ) from None
    return pandas
