"""The horizon of the answer: at what the proxy was measured, and whether its answer still moves."""

from __future__ import annotations

from dataclasses import replace

from mixwise.decision.calibration import Calibrated
from mixwise.decision.drift import BestAt, best_along
from mixwise.objective import Scale
from mixwise.observation import Observation
from mixwise.scorer import VALUES
from mixwise.search.method_table import METHODS
from mixwise.search.problem import Predict, mixture_of
from mixwise.search.surrogates.objective_model import fit_surface
from mixwise.study.results import HorizonFacts
from mixwise.study.workbench import Workbench


def horizon_facts(workspace: Workbench, calibrated: Calibrated) -> HorizonFacts:
    """Say how far experts and final model are trained, and how the answer moves between.

    It costs nothing: what is read here was measured by the search.
    """
    recipe, proxy, answers = workspace.recipe, workspace.proxy, workspace.answers
    is_continued = answers.points[-1] < recipe.n_steps and len(answers.points) > 1
    is_moved = workspace.inputs.horizons.expert_method == "gradients"
    continued = set(proxy.weighings) if is_continued or is_moved else set[str]()
    metrics = [metric.name for metric in workspace.objective.metrics]
    is_short = answers.points[-1] < recipe.n_steps
    return HorizonFacts(
        unit=recipe.unit,
        expert_tokens=answers.points[-1] * recipe.batch_tokens,
        run_tokens=recipe.run_tokens,
        points=tuple(steps * recipe.batch_tokens for steps in answers.points),
        answers=answers.means,
        continued=tuple(name for name in metrics if name in continued),
        left=tuple(name for name in metrics if is_short and name not in continued),
        coefficients={
            name: coefficient
            for name in metrics
            if name in continued
            for coefficient in proxy.weighings[name].coefficients.values()
            if coefficient > 1 or is_moved
        },
        error=calibrated.problem.continued,
        path=_path(workspace, calibrated) if is_continued else (),
        expert_method=workspace.inputs.horizons.expert_method,
    )


def _path(workspace: Workbench, calibrated: Calibrated) -> tuple[BestAt, ...]:
    """The best mixture at the points at which all candidates were measured."""
    objective = {metric.name for metric in workspace.objective.metrics}
    if METHODS[calibrated.found.method].is_of_subsets or not objective <= set(
        workspace.proxy.weighings
    ):
        return ()
    earlier = {steps: _value_at(workspace, calibrated, steps) for steps in workspace.proxy.points}
    return best_along(calibrated.problem, calibrated.surface.value, earlier)


def _value_at(workspace: Workbench, calibrated: Calibrated, steps: int) -> Predict:
    """The objective by the proxy at a point, of any shares."""
    proxy, problem, found = workspace.proxy.at(steps), calibrated.problem, calibrated.found
    corners = proxy.score([mixture_of(corner) for corner in workspace.corners])
    scale = Scale.measure(workspace.base_observation.values, [o.values for o in corners])
    scored = tuple(
        proxy.score([mixture_of(o)], METHODS[found.method].request if _has_slopes(o) else VALUES)[0]
        for o in found.scored
    )
    own = replace(problem, scorer=proxy, scale=scale, known=corners)
    return fit_surface(own, scored).value


def _has_slopes(observation: Observation) -> bool:
    return any(m.derivatives is not None for m in observation.measurements)
