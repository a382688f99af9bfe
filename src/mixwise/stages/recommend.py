"""The recommendation: one mixture, how sure, what it cost, from what it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mixwise import __version__
from mixwise.decision.answer import answer_words
from mixwise.decision.baselines import NamedMixture, baselines
from mixwise.decision.binding import Binding, find_binding
from mixwise.decision.calibration import Calibrated
from mixwise.decision.forecast import expect_ranks
from mixwise.decision.front import Front, trace_front
from mixwise.decision.judgement import judge
from mixwise.decision.left_prior import PriorFacts
from mixwise.decision.recommend import Compared, Decision, compare, decide
from mixwise.decision.score import OBJECTIVE
from mixwise.decision.trust import Trust, judge_expected
from mixwise.export.snippets import make_snippets
from mixwise.mixture import Mixture
from mixwise.search.method_table import METHODS
from mixwise.search.methods.lattice import N_CHECKS
from mixwise.search.problem import SearchResult, shares_of
from mixwise.search.space.designs import lattice_size
from mixwise.share_units import UNIT_WORDS
from mixwise.stages.calibrate import validated
from mixwise.stages.horizon import horizon_facts
from mixwise.stages.search import every_baseline
from mixwise.stages.tracking import tell_tracker
from mixwise.study.result_files import FILES, result_to_json
from mixwise.study.results import (
    CalibrationFound,
    Cost,
    FinalFound,
    FinalRun,
    FloorFacts,
    HorizonFacts,
    ObjectiveFacts,
    Provenance,
    ProxyForecast,
    Rated,
    Recommendation,
    ReferenceForecast,
    RunCounts,
    Simplicity,
    ValidationFound,
)
from mixwise.study.workbench import Workbench

_PROXY_INTERVAL = (
    "resampled evaluation examples alone: neither what the proxy misses nor the noise of training"
)
_REFERENCE_INTERVAL = (
    "what the proxy misses, as trained references show it, and the noise of the final runs"
)
_PREDICTED_INTERVAL = (
    "what the proxy and continuing usually miss, and the usual noise of the final runs: no "
    "reference was trained here"
)


def save_recommendation(
    workspace: Workbench, calibrated: Calibrated, decision: Decision | None = None
) -> Recommendation:
    """Write ``recommendation.json`` from the search and from whatever was validated and trained.

    ``snippets.json`` has the same mixture as trainers take it. The recommendation holds nothing
    that depends on when or where it was made: a study that was killed and resumed ends in the same
    bytes as one that was not.

    Args:
        workspace: The study.
        calibrated: Its search, with what references say of it.
        decision: What `decide_on` says of both; by default it is asked.
    """
    recipe = workspace.recipe
    decision = decision or decide_on(workspace, calibrated)
    named = every_baseline(workspace)
    proxies = workspace.proxy.score([entry.mixture for entry in named])
    compared = compare(decision, proxies, workspace.base_observation)
    rated = _rate(workspace, calibrated, compared)
    final = _final_of(workspace, decision.mixture)
    validation = workspace.load_result(ValidationFound)
    n_calibration = workspace.inputs.horizons.n_calibration + len(workspace.kept_references)
    judgement = judge(calibrated, validated(workspace), n_calibration=n_calibration)
    horizons = horizon_facts(workspace, calibrated)
    space = workspace.inputs.space
    by_other_units = workspace.inputs.by_other_units(decision.mixture)
    groups, base = recipe.objective.front, workspace.base_observation
    front = trace_front(decision, groups, base) if groups else None
    recommendation = Recommendation(
        mixture=decision.mixture,
        answer=answer_words(
            decision.mixture,
            preferred=recipe.search.prefer,
            is_anchor=decision.is_anchor,
            outcome=final.outcome if final else None,
            unit=UNIT_WORDS[recipe.shares_by] if by_other_units else "",
        ),
        proxy=ProxyForecast(
            workspace.score_of(decision.best).objective,
            compared.interval,
            _PROXY_INTERVAL,
            decision.best.values,
        ),
        reference=_reference(decision),
        simplicity=_simplicity(workspace, decision),
        near_optimal=tuple(
            row
            for row in rated.values()
            if row.standing != "behind" and row.score.mixture and space.contains(row.score.mixture)
        ),
        near_optimal_shares=decision.forecast.near_optimal_shares,
        baselines=tuple(_named(entry, rated) for entry in named),
        fidelity=validation.fidelity[OBJECTIVE] if validation else None,
        fidelity_calibrated=judgement.fidelity,
        trust=judgement.trust or _expected_trust(workspace, calibrated, horizons),
        horizons=horizons,
        outcome=final.outcome if final else None,
        cost=_cost(workspace, calibrated.found, final, front),
        run=FinalRun(
            recipe.run_tokens // recipe.sequence_length,
            recipe.sequence_length,
            workspace.inputs.available_tokens,
        ),
        provenance=_provenance(workspace, calibrated.found),
        floors=_floors(workspace, decision.best.values),
        shares_by=recipe.shares_by,
        by_other_units=by_other_units,
        worse_than_base=_worse(workspace, decision.best.values),
        front=front,
        binding=_binding(workspace, calibrated, decision.mixture),
        rounding=decision.rounding,
        prior=_prior(workspace, decision.mixture),
        objective=ObjectiveFacts.of(workspace.objective, workspace.scale),
    )
    workspace.study.save_json(FILES[Recommendation], result_to_json(recommendation))
    workspace.save_result(make_snippets(recommendation, workspace))
    tell_tracker(workspace, recommendation)
    return recommendation


def _floors(workspace: Workbench, values: Mapping[str, float]) -> tuple[FloorFacts, ...]:
    """What the recommended mixture is expected to do where it must not get worse."""
    found = []
    for floor in workspace.objective.floors:
        metric, expected = floor.metric, values[floor.metric.name]
        limit = floor.limit(workspace.scale.base)
        holds = metric.sign * (expected - limit) >= 0
        found.append(FloorFacts(metric.name, metric.direction, limit, expected, holds))
    return tuple(found)


def _worse(workspace: Workbench, values: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Metrics of the objective that the recommended mixture is expected to make worse."""
    base = workspace.scale.base
    return {
        term.metric.name: (base[term.metric.name], values[term.metric.name])
        for term in workspace.objective.terms
        if term.metric.sign * (values[term.metric.name] - base[term.metric.name]) < 0
    }


def _binding(workspace: Workbench, calibrated: Calibrated, mixture: Mixture) -> tuple[Binding, ...]:
    """Limits that the mixture lies on; bounds that repetition sets by that name."""
    search = workspace.recipe.search
    asked = {f"bounds.{name}": bounds.most for name, bounds in search.bounds.items()}
    return tuple(
        replace(row, name=row.name.replace("bounds.", "max_repetition of ", 1))
        if row.name.startswith("bounds.")
        and row.side == "most"
        and row.end < asked.get(row.name, 1.0)
        else row
        for row in find_binding(calibrated, mixture)
    )


def _prior(workspace: Workbench, mixture: Mixture) -> PriorFacts | None:
    """How far the mixture is from the prior."""
    asked = workspace.recipe.search.prior
    if asked is None:
        return None
    return PriorFacts.of(asked.prior(workspace.inputs.available), mixture)


def decide_on(workspace: Workbench, calibrated: Calibrated) -> Decision:
    """Choose the mixture to recommend; training it for real changes nothing about it."""
    recipe, space = workspace.recipe, workspace.inputs.space
    anchor = None
    if recipe.search.prefer == "available":
        [available] = baselines(("available",), workspace.inputs.available)
        anchor = space.trainable(available.mixture.array)
    return decide(
        calibrated,
        prefer=recipe.search.prefer,
        anchor=anchor,
        base=workspace.base_observation,
        n_final_seeds=recipe.final.seeds,
        is_searched_again=bool(calibrated.chosen or workspace.kept_references),
    )


def _rate(workspace: Workbench, calibrated: Calibrated, compared: Compared) -> dict[str, Rated]:
    """Scored mixtures beside the recommended one, by mixture."""
    missed = calibrated.missed(shares_of(compared.observations)).tolist()
    rows: dict[str, Rated] = {}
    for observation, standing, less in zip(
        compared.observations, compared.standings, missed, strict=True
    ):
        score = workspace.score_of(observation)
        expected = score.objective + less if calibrated.discrepancy else None
        rows[str(observation.mixture)] = Rated("", score, expected, standing)
    return rows


def _named(entry: NamedMixture, rated: dict[str, Rated]) -> Rated:
    row = rated[str(entry.mixture)]
    return Rated(entry.name, row.score, row.expected, row.standing)


def _reference(decision: Decision) -> ReferenceForecast:
    forecast, n_references = decision.forecast, len(decision.calibrated.trained)
    covers = _REFERENCE_INTERVAL if n_references else _PREDICTED_INTERVAL
    return ReferenceForecast(forecast.expected, forecast.interval, covers, n_references)


def _simplicity(workspace: Workbench, decision: Decision) -> Simplicity | None:
    equals = decision.equals
    if equals is None:
        return None
    return Simplicity(
        workspace.recipe.search.prefer,
        equals.anchor,
        equals.behind,
        equals.deviation,
        equals.holds_anchor,
        workspace.score_of(decision.highest),
    )


def _expected_trust(workspace: Workbench, calibrated: Calibrated, horizons: HorizonFacts) -> Trust:
    """How far to trust what no reference was trained to check."""
    share = horizons.expert_tokens / horizons.run_tokens
    return judge_expected(
        expect_ranks(calibrated),
        horizons.path,
        share=share,
        is_one_step=horizons.expert_method == "gradients",
        ground=workspace.ground,
    )


def _provenance(workspace: Workbench, found: SearchResult) -> Provenance:
    recipe, inputs = workspace.recipe, workspace.inputs
    return Provenance(
        mixwise=__version__,
        recipe=workspace.result_key,
        recipe_alone=recipe.key,
        base=inputs.base.fingerprint,
        experts={name: workspace.runs.expert(name).fingerprint for name in recipe.domains},
        data={name: inputs.data_key(name) for name in recipe.domains},
        evaluation=inputs.suite.fingerprint,
        rule=workspace.rule.name,
        method=found.method,
        training_seed=recipe.training.seed,
        search_seed=recipe.search.seed,
    )


def _final_of(workspace: Workbench, mixture: Mixture) -> FinalFound | None:
    """The final training of this recommendation, or None."""
    final = workspace.load_result(FinalFound)
    return final if final and final.rows[0].proxy.mixture == mixture else None


def _cost(
    workspace: Workbench, found: SearchResult, final: FinalFound | None, front: Front | None
) -> Cost:
    recipe = workspace.recipe
    calibration = workspace.load_result(CalibrationFound)
    validation = workspace.load_result(ValidationFound)
    runs = RunCounts(
        experts=workspace.inputs.horizons.n_experts,
        calibration=_n_runs(calibration),
        validation=_n_runs(validation),
        final=sum(len(row.runs) for row in final.rows) if final else 0,
    )
    horizons, tokens = workspace.inputs.horizons, recipe.run_tokens
    expert_tokens = horizons.expert_steps * recipe.batch_tokens
    n_if_trained = _runs_if_trained(workspace, found)
    in_search = {str(o.mixture): o.tokens_evaluated for o in found.scored}
    others = {str(entry.mixture) for entry in every_baseline(workspace)}
    others |= _keys(calibration) | _keys(validation)
    n_trained = runs.calibration + runs.validation + runs.final
    n_others = 1 + len(others - in_search.keys()) + n_trained
    n_short = runs.experts + horizons.n_extras
    spent = n_short * expert_tokens + runs.calibration * tokens
    return Cost(
        runs=runs,
        trained_tokens=RunCounts(
            n_short * expert_tokens,
            runs.calibration * tokens,
            runs.validation * tokens,
            runs.final * tokens,
        ),
        evaluated_tokens=sum(in_search.values())
        + n_others * workspace.base_observation.tokens_evaluated
        + (front.evaluated_tokens if front else 0),
        candidates_scored=len(found.scored),
        search_runs_if_trained=n_if_trained,
        price=spent / tokens,
        search_tokens_spent=spent,
        search_tokens_if_trained=n_if_trained * tokens,
        search_tokens_avoided=n_if_trained * tokens - spent,
    )


def _n_runs(found: CalibrationFound | ValidationFound | None) -> int:
    return sum(len(row.runs) for row in found.mixtures) if found else 0


def _keys(found: CalibrationFound | ValidationFound | None) -> set[str]:
    return {str(row.proxy.mixture) for row in found.mixtures} if found else set()


def _runs_if_trained(workspace: Workbench, found: SearchResult) -> int:
    """Runs of a search that trains every candidate.

    Trained models have no slopes in the shares, so a search that read some would have had to train
    the lattice, the smallest design that determines a quadratic without them.
    """
    if METHODS[found.method].request.order == 0:
        return len(found.scored)
    return max(len(found.scored), lattice_size(workspace.inputs.space) + N_CHECKS)
