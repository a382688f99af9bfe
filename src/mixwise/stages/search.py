"""Search: score candidates by the proxy, name the best mixture and what it was compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixwise.decision.baselines import EVERY, NamedMixture, baselines
from mixwise.decision.score import OBJECTIVE
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Objective, Term
from mixwise.observation import Observation
from mixwise.progress import Progress
from mixwise.scorer import Request
from mixwise.search.exact import find_gap
from mixwise.search.method_table import METHODS, method_for
from mixwise.search.problem import SearchProblem, SearchResult
from mixwise.search.surrogates.objective_model import Surface, fit_surface
from mixwise.stages.surface import describe_surface
from mixwise.study.result_files import FILES
from mixwise.study.results import (
    CalibrationFound,
    Candidate,
    MetricFacts,
    ObjectiveFacts,
    Profiles,
    Range,
    Recommendation,
    SearchFound,
)
from mixwise.study.snippets import SnippetsFound
from mixwise.study.surface import SurfaceFound
from mixwise.study.workbench import Workbench

_PROFILE_POINTS = 21
_TASK = "search"


def run_search(workspace: Workbench) -> SearchResult:
    """Score candidates and baselines; writes ``search.json`` and ``surface.json``.

    Returns:
        What the recipe's search method found; what the ledger holds is not scored again.
    """
    made_anew = (SearchFound, SurfaceFound, CalibrationFound, Recommendation, SnippetsFound)
    workspace.study.remove_damaged([FILES[kind] for kind in made_anew])
    heldout = workspace.save_heldout()
    problem = problem_of(workspace)
    candidates = _Candidates(workspace)
    with workspace.proxy.told_to(candidates.take):
        result = METHODS[workspace.recipe.search.method].search(problem)
    candidates.end()
    scored = workspace.proxy.score([entry.mixture for entry in every_baseline(workspace)])
    observations = _ranked(workspace, [*result.scored, *scored])
    names = {str(entry.mixture): entry.name for entry in every_baseline(workspace)}
    surface = fit_surface(_of_all_metrics(problem, workspace), observations)
    final_seeds = workspace.recipe.final.seeds
    workspace.save_result(
        describe_surface(surface, observations, workspace.objective, final_seeds=final_seeds)
    )
    workspace.save_result(
        SearchFound(
            method=result.method,
            source=METHODS[result.method].source,
            rule=workspace.rule.name,
            n_scored=len(result.scored),
            bounds=_bounds(workspace.inputs.space),
            limits=workspace.inputs.space.limits,
            grid=workspace.inputs.space.grid,
            objective=ObjectiveFacts.of(workspace.objective, workspace.scale),
            metrics=_metrics(workspace),
            surrogate=result.predicted,
            gap=find_gap(problem, result.best),
            gap_is_bound=problem.is_arithmetic and not workspace.proxy.weighings,
            best=workspace.score_of(result.best),
            base=workspace.score_of(workspace.base_observation),
            candidates=tuple(
                Candidate(
                    names.get(str(o.mixture), ""), workspace.score_of(o), _inside(workspace, o)
                )
                for o in observations
            ),
            profiles=_profiles(workspace, surface, result.best),
            heldout=heldout,
        )
    )
    return result


def _metrics(workspace: Workbench) -> dict[str, MetricFacts]:
    chosen = {metric.name for metric in workspace.objective.metrics}
    return {
        metric.name: MetricFacts(metric.direction, metric.unit, metric.name in chosen)
        for metric in workspace.recipe.metrics
    }


class _Candidates:
    """Tells how many candidates are scored, of at most how many, and the best so far.

    Args:
        workspace: The study; whoever shows its progress is told.
    """

    def __init__(self, workspace: Workbench) -> None:
        search = workspace.recipe.search
        groups = search.domain_groups(workspace.recipe.domain_names)
        method = method_for(search.method, workspace.objective, groups)
        design = method.design(workspace.inputs.space, search.budget, search.seed)
        self._workspace = workspace
        self._most = search.budget or len(design) + method.n_checks
        self._seen: set[str] = set()
        self._best: float | None = None
        self._tell()

    def take(self, observation: Observation, request: Request) -> None:
        """Take an observation; a part of one, as in a race, is not compared with whole ones."""
        self._seen.add(str(observation.mixture))
        if request.part.is_whole and _inside(self._workspace, observation):
            value = self._workspace.objective.value(observation.values, self._workspace.scale)
            self._best = value if self._best is None else max(value, self._best)
            self._workspace.tracker.observe(observation, value)
        self._tell()

    def end(self) -> None:
        """Tell that no more candidates come."""
        n = max(len(self._seen), 1)
        self._workspace.on_progress(Progress(_TASK, n, n, "candidates", self._note))

    @property
    def _note(self) -> str:
        return "" if self._best is None else f"best so far {self._best:.3f}"

    def _tell(self) -> None:
        most = max(self._most, len(self._seen) + 1)  # done only at `end`
        self._workspace.on_progress(
            Progress(_TASK, len(self._seen), most, "candidates", self._note, is_ceiling=True)
        )


def problem_of(workspace: Workbench) -> SearchProblem:
    """The question that the recipe asks, put to the proxy."""
    search = workspace.recipe.search
    return SearchProblem(
        scorer=workspace.proxy,
        space=workspace.inputs.space,
        objective=workspace.objective,
        scale=workspace.scale,
        budget=search.budget,
        seed=search.seed,
        known=workspace.corners,
        continued=workspace.proxy.error(workspace.objective, workspace.scale),
        is_arithmetic=not workspace.answers.merges,
        prior=search.prior.prior(workspace.inputs.available) if search.prior else None,
        groups=search.domain_groups(workspace.recipe.domain_names),
    )


def _of_all_metrics(problem: SearchProblem, workspace: Workbench) -> SearchProblem:
    """The same problem with an objective that reads every metric there is."""
    terms = tuple(Term(metric, 1.0) for metric in workspace.recipe.metrics)
    return replace(problem, objective=Objective(terms))


def _bounds(space: MixtureSpace) -> dict[str, Range]:
    """Smallest and largest share of each domain, token limits included."""
    rows = zip(space.domains, space.lower, space.upper, strict=True)
    return {name: (low, high) for name, low, high in rows}


def every_baseline(workspace: Workbench) -> tuple[NamedMixture, ...]:
    """All baselines, which the proxy always scores, whichever are trained in the end."""
    return baselines(EVERY, workspace.inputs.available)


def _ranked(workspace: Workbench, observations: list[Observation]) -> list[Observation]:
    """Best first, each mixture once."""
    by_key = {str(o.mixture): o for o in observations}
    return sorted(
        by_key.values(), key=lambda o: -workspace.objective.value(o.values, workspace.scale)
    )


def _inside(workspace: Workbench, observation: Observation) -> bool:
    mixture = observation.mixture
    return mixture is not None and workspace.inputs.space.contains(mixture)


def _profiles(workspace: Workbench, surface: Surface, best: Observation) -> Profiles:
    """Every metric along the lines from the recommendation to each corner.

    On the line of a domain its share goes from 0 to 1 while the others keep their proportions to
    each other; values are those of a surrogate that is fitted to all scored candidates and to the
    slopes that came with them.
    """
    metrics = [metric.name for metric in workspace.recipe.metrics]
    predict = surface.metrics
    terms = [metrics.index(metric.name) for metric in workspace.objective.metrics]
    grid = np.linspace(0, 1, _PROFILE_POINTS)
    lines = {}
    for i, domain in enumerate(workspace.recipe.domains):
        if best.mixture is None:
            continue
        line = predict(np.array([_along(best.mixture, i, share) for share in grid]))
        objective = workspace.objective.aggregate(line[:, terms], workspace.scale)
        lines[domain] = {name: tuple(line[:, k].tolist()) for k, name in enumerate(metrics)} | {
            OBJECTIVE: tuple(objective.tolist())
        }
    return Profiles(tuple(grid.tolist()), lines)


def _along(mixture: Mixture, index: int, share: float) -> np.ndarray:
    others = mixture.array.copy()
    others[index] = 0
    if others.sum() == 0:
        others[:] = 1
        others[index] = 0
    point = others / others.sum() * (1 - share)
    point[index] = share
    return np.asarray(point)
