"""Diagnose: what the study holds that tells how far its answer may be trusted."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from mixwise.diagnostics.geometry import measure_geometry
from mixwise.engine.here import HereEngine
from mixwise.merging.checkpoint import Checkpoint
from mixwise.mixture import Mixture
from mixwise.scorer import VALUES
from mixwise.stages.search import OBJECTIVE
from mixwise.stages.workspace import Workspace
from mixwise.study import VALIDATION_FILE


def run_diagnosis(workspace: Workspace) -> dict[str, Any]:
    """Measure the task vectors, and add the fidelity that validation has measured, if it has.

    Returns:
        ``geometry`` (sizes and cosines), ``precision`` (what the store loses of each task vector,
        and the error that store and live model make in the scores of the uniform mixture, beside
        its effect), and ``fidelity`` of the objective, or None.
    """
    pool = workspace.open_pool()
    geometry = measure_geometry(pool)
    validation = workspace.load_result(VALIDATION_FILE)
    return {
        "geometry": asdict(geometry),
        "precision": {
            "stored": [asdict(vector) for vector in pool.stored],
            "scores": _score_errors(workspace),
            "in_objective": [metric.name for metric in workspace.objective.metrics],
        },
        "fidelity": None if validation is None else validation["fidelity"][OBJECTIVE],
    }


def _score_errors(workspace: Workspace) -> dict[str, dict[str, float]]:
    """What the precision of store and live model does to every metric of the uniform mixture.

    The truth is a merge in float32 of the checkpoints themselves. The effect is what the merge
    changes against the base, and the error is that of the effect, each measured in its own way.
    """
    uniform = Mixture.uniform(workspace.recipe.domain_names)
    [merged] = workspace.proxy.score([uniform])
    base = workspace.base_observation.values
    usual = workspace.evaluations
    exact = replace(
        usual,
        engine=HereEngine(),
        model=replace(usual.model, precision="float32"),
        merges=replace(workspace.merges, store=None, precision="float32"),
    )
    subjects: tuple[Mixture | Checkpoint, ...] = (uniform, workspace.inputs.base)
    found = {k: evaluated.measurements for k, evaluated in exact.run(subjects, VALUES)}
    return {
        after.metric: {
            "effect": after.value - before.value,
            "error": (merged.values[after.metric] - base[after.metric])
            - (after.value - before.value),
        }
        for after, before in zip(found[0], found[1], strict=True)
    }
