"""Diagnose: how far the study's answer may be trusted, and why.

Method:
    Geometry of the task vectors; interference between domains, from derivatives at the base on a
    few sequences of the sets that matter; the noise of a run, where references have two seeds; what
    precision costs; the fidelity that validation has measured; and what follows for trust. Trains
    nothing. Its dearest part is 3 + 6n forward passes over four sequences of each domain's held-out
    text and of the objective's sets.

Departures:
    A metric that has no slopes (accuracy) is predicted by one that has, of the same set. Experts by
    gradients are a step each, whose merge is the step of the mixture's gradient: none of its
    predicted errors is theirs, and the proxy, which averages predictions at other lengths of the
    step, merges nothing. Of them there are angles and sizes alone, and what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from mixwise.arrays import Array
from mixwise.decision.score import OBJECTIVE
from mixwise.decision.trust import Trust, curvature_ratio, judge_measured, judge_predicted
from mixwise.diagnostics.findings import Geometry
from mixwise.diagnostics.geometry import measure_geometry, measure_trajectory
from mixwise.diagnostics.interference import (
    Interactions,
    noise_of_runs,
    predict_error,
    predict_linear,
    predict_pair_errors,
)
from mixwise.engine.serial import HereEngine
from mixwise.errors import RecipeError
from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.objective import Metric, Objective
from mixwise.scorer import VALUES, Part
from mixwise.scoring.derivatives.interactions import measure_interactions
from mixwise.search.space.simplex import sample
from mixwise.study.results import (
    Causes,
    Diagnosis,
    InterferenceFacts,
    PairError,
    PrecisionFacts,
    ScoreError,
    SeedScore,
    StoredFacts,
    ValidationFound,
)
from mixwise.study.session import Workspace

_N_SEQUENCES = 4  # differentiated of each set
_N_PREDICTED = 256  # mixtures over which the theory predicts the objective
_N_REFERENCES = 12  # advised where the recipe asks for none
_N_NOISE = 2  # mixtures whose seeds show the noise
_OF_STEPS = (
    "Experts by gradients are one step each, of the length of the learning rate times the batches; "
    "the proxy takes it longer or shorter for each metric, and averages predictions. Sizes are "
    "those of that one length, cosines of any. Interference, the cost of precision and predicted "
    "trust are left out: they are of merges of trained experts, and nothing is merged here."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Theory:
    """What derivatives and seeds tell of the study.

    Args:
        interactions: Derivatives at the base.
        noise: ν of each metric, shape ``(n_metrics,)``; None where no references have two seeds.
    """

    interactions: Interactions
    noise: Array | None


def run_diagnosis(workspace: Workspace) -> Diagnosis:
    """Measure all that tells how far the proxy may be trusted; writes ``diagnose.json``.

    Raises:
        RecipeError: If the base has batch norm, whose merges have no derivatives.
    """
    if workspace.statistics is not None:
        raise RecipeError(
            "`diagnose`: it rests on derivatives, and merges of a base with batch norm have none, "
            "because its statistics are measured anew after each: validate instead, on references"
        )
    pool = workspace.open_pool()
    geometry = measure_geometry(pool)
    validation = workspace.load_result(ValidationFound)
    if workspace.inputs.horizons.expert_method == "gradients":
        diagnosis = _of_steps(workspace, geometry, validation)
    else:
        diagnosis = _of_runs(workspace, pool, geometry, validation)
    workspace.save_result(diagnosis)
    return diagnosis


def _of_steps(
    workspace: Workspace, geometry: Geometry, validation: ValidationFound | None
) -> Diagnosis:
    """What is true of experts by gradients."""
    return Diagnosis(
        geometry=geometry,
        trajectory=(),
        interference=None,
        precision=None,
        fidelity=validation.fidelity[OBJECTIVE] if validation else None,
        trust=_judge_references(workspace, validation),
        left_out=_OF_STEPS,
    )


def _of_runs(
    workspace: Workspace,
    pool: ExpertPool,
    geometry: Geometry,
    validation: ValidationFound | None,
) -> Diagnosis:
    """All of it, of trained experts."""
    names = [name for name in pool.domains if workspace.recipe.domains[name].expert is None]
    folders = {name: workspace.study.expert_folder(name) / "trajectory" for name in names}
    points = measure_trajectory(pool, folders) if len(names) == len(pool.domains) else ()
    theory = _measure_theory(workspace, pool, validation)
    return Diagnosis(
        geometry=geometry,
        trajectory=tuple(points),
        interference=_interference(theory),
        precision=PrecisionFacts(
            tuple(
                StoredFacts(v.domain, v.precision, v.relative_error, v.n_bytes) for v in pool.stored
            ),
            _score_errors(workspace),
            tuple(metric.name for metric in workspace.objective.metrics),
        ),
        fidelity=validation.fidelity[OBJECTIVE] if validation else None,
        trust=_judge_references(workspace, validation) or _predict(workspace, geometry, theory),
    )


def _measure_theory(
    workspace: Workspace, pool: ExpertPool, validation: ValidationFound | None
) -> _Theory:
    suite = PreparedSuite.of(workspace.inputs.suite, pool.live.module)
    sets = {*pool.domains, *(metric.set_name for metric in workspace.objective.metrics)}
    smallest = min(chosen.n_examples for chosen in suite.suite.sets if chosen.name in sets)
    part = Part(0, 1, max(1, smallest // _N_SEQUENCES))
    found = measure_interactions(pool, suite, sets=sets, part=part)
    noise = [
        noise_of_runs(
            np.array([[run.metrics[name] for name in found.metrics] for run in row.scores]),
            _values_of_mean(pool, row.runs, suite, found.metrics),
        )
        for row in _noise_runs(workspace, validation)
    ]
    return _Theory(found, np.mean(noise, axis=0) if noise else None)


@dataclass(frozen=True, slots=True, eq=False)
class _SeedRuns:
    """Runs on one mixture with several seeds, and what they scored."""

    runs: tuple[Checkpoint, ...]
    scores: Sequence[SeedScore]


def _noise_runs(workspace: Workspace, validation: ValidationFound | None) -> list[_SeedRuns]:
    """The first references that have two seeds, where their checkpoints are still there."""
    found: list[_SeedRuns] = []
    if validation is None or len(validation.seeds) < 2:
        return found
    for row in validation.mixtures[:_N_NOISE]:
        mixture = row.proxy.mixture
        assert mixture is not None  # a reference has one
        jobs = [workspace.runs.job(mixture, seed) for seed in validation.seeds]
        if all(job.output.is_dir() for job in jobs):
            runs = tuple(workspace.runs.trained(job, f"the run on `{mixture}`") for job in jobs)
            found.append(_SeedRuns(runs, row.runs))
    return found


def _values_of_mean(
    pool: ExpertPool, runs: Sequence[Checkpoint], suite: PreparedSuite, metrics: Sequence[str]
) -> Array:
    """Metrics of the mean of some runs' weights."""
    named = {f"run {k}": run for k, run in enumerate(runs)}
    ExpertPool(pool.live, named).merge(Mixture.uniform(tuple(named)), LINEAR)
    values = {m.metric: m.value for m in suite.evaluate(pool.live.module)}
    return np.array([values[name] for name in metrics])


def _interference(theory: _Theory) -> InterferenceFacts:
    """What the theory says, as a result."""
    found, noise = theory.interactions, theory.noise
    n = len(found.domains)
    causes = predict_error(found, np.full((1, n), 1 / n), noise)
    errors = predict_pair_errors(found, noise)
    slopes = zip(found.metrics, found.slopes.tolist(), strict=True)
    return InterferenceFacts(
        domains=tuple(found.domains),
        n_tokens=found.n_tokens,
        first_order={name: tuple(row) for name, row in slopes},
        relative_effective_curvature=tuple(
            tuple(row) for row in found.relative_effective_curvature.tolist()
        ),
        noise=None if noise is None else _by_metric(found, noise),
        uniform=Causes(
            _by_metric(found, causes.self_scaling[0]),
            _by_metric(found, causes.cross_domain[0]),
            _by_metric(found, causes.averaged_noise[0]),
        ),
        pairs=tuple(
            PairError((found.domains[i], found.domains[j]), _by_metric(found, errors[i, j]))
            for i, j in combinations(range(n), 2)
        ),
    )


def _by_metric(found: Interactions, values: Array) -> dict[str, float]:
    return dict(zip(found.metrics, values.tolist(), strict=True))


def _judge_references(workspace: Workspace, validation: ValidationFound | None) -> Trust | None:
    """Trust in the objective as references show it; None where they show nothing."""
    if validation is None:
        return None
    runs = [[run.objective for run in row.runs] for row in validation.mixtures]
    return judge_measured(
        validation.fidelity[OBJECTIVE],
        float(np.std([np.mean(run) for run in runs])),
        is_calibrated=False,
        n_calibration=workspace.inputs.horizons.n_calibration,
        is_continued=workspace.answers.points[-1] < workspace.recipe.n_steps,
    )


def _predict(workspace: Workspace, geometry: Geometry, theory: _Theory) -> Trust:
    """Trust in the objective as theory predicts it."""
    shares = sample(workspace.inputs.space, _N_PREDICTED, seed=workspace.recipe.search.seed)
    return judge_predicted(
        _curvature_ratio(workspace, theory.interactions, shares),
        geometry.relative_sizes,
        workspace.rule.name,
        n_calibration=workspace.inputs.horizons.n_calibration,
        n_references=workspace.recipe.validation.mixtures or _N_REFERENCES,
        ground=workspace.ground,
    )


def _curvature_ratio(workspace: Workspace, found: Interactions, shares: Array) -> float | None:
    """B of the objective; None where it reads a set of which nothing has slopes."""
    terms = workspace.objective.terms
    companions = [_differentiable(workspace, term.metric) for term in terms]
    metrics = [metric for metric in companions if metric is not None]
    if len(metrics) < len(terms):
        return None  # floors are left out: what is compared is the sum of gains
    objective = Objective(
        tuple(replace(t, metric=m) for t, m in zip(terms, metrics, strict=True)),
        workspace.objective.aggregation,
    )
    rows = [found.metrics.index(metric.name) for metric in metrics]
    base = np.array([workspace.base_observation.values[metric.name] for metric in metrics])
    first, second = (
        objective.aggregate(base + change[:, rows], workspace.scale)
        for change in (shares @ found.slopes.T, predict_linear(found, shares))
    )
    return curvature_ratio(first, second - first)


def _differentiable(workspace: Workspace, metric: Metric) -> Metric | None:
    """The metric itself, or one of its set that has slopes; None where none has."""
    if metric.is_differentiable:
        return metric
    return next(
        (
            other
            for other in workspace.recipe.metrics
            if other.set_name == metric.set_name and other.is_differentiable
        ),
        None,
    )


def _score_errors(workspace: Workspace) -> dict[str, ScoreError]:
    """What the precision of store and live model does to every metric of the uniform mixture.

    The truth is a merge in float32 of the checkpoints themselves. The effect is what the merge
    changes against the base, and the error is that of the effect, each measured in its own way.
    """
    uniform = Mixture.uniform(workspace.recipe.domain_names)
    [merged] = workspace.merged.score([uniform])
    base = workspace.base_observation.values
    usual = workspace.evaluations
    exact = replace(
        usual,
        engine=HereEngine(),
        model=replace(workspace.model_settings, precision="float32"),
        merges=replace(workspace.merges, store=None, precision="float32"),
    )
    subjects: tuple[Mixture | Checkpoint, ...] = (uniform, workspace.inputs.base)
    found = {k: evaluated.measurements for k, evaluated in exact.run(subjects, VALUES)}
    return {
        after.metric: ScoreError(
            effect=after.value - before.value,
            error=(merged.values[after.metric] - base[after.metric]) - (after.value - before.value),
        )
        for after, before in zip(found[0], found[1], strict=True)
    }
