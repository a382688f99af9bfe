"""Diagnose: what the study holds that tells how far its answer may be trusted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mixwise.diagnostics.geometry import measure_geometry
from mixwise.stages.search import OBJECTIVE
from mixwise.stages.workspace import Workspace
from mixwise.study import VALIDATION_FILE


def run_diagnosis(workspace: Workspace) -> dict[str, Any]:
    """Measure the task vectors, and add the fidelity that validation has measured, if it has.

    Returns:
        ``geometry`` (sizes and cosines) and ``fidelity`` of the objective, or None.
    """
    geometry = measure_geometry(workspace.open_pool())
    validation = workspace.load_result(VALIDATION_FILE)
    return {
        "geometry": asdict(geometry),
        "fidelity": None if validation is None else validation["fidelity"][OBJECTIVE],
    }
