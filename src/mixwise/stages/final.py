"""Final training: the recommendation and its baselines, for real, at the same horizon."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixwise.decision.baselines import NamedMixture, baselines
from mixwise.decision.fidelity import seed_noise
from mixwise.mixture import Mixture
from mixwise.study.folder import FINAL_FILE, VALIDATION_FILE
from mixwise.study.session import Workspace

RECOMMENDED = "recommended"


def run_final(workspace: Workspace, recommended: Mixture) -> dict[str, Any]:
    """Train and score the recommended mixture and the baselines; writes ``final.json``.

    Args:
        workspace: The study.
        recommended: The mixture to train beside the baselines.

    Returns:
        The content of that file: rows with predicted and reached objective, and the verdict.
    """
    recipe = workspace.recipe
    workspace.study.remove_damaged((FINAL_FILE,))
    rivals = [
        entry
        for entry in baselines(recipe.final.baselines, workspace.inputs.available_tokens)
        if str(entry.mixture) != str(recommended)
    ]
    entries = [NamedMixture(RECOMMENDED, recommended), *rivals]
    seeds = workspace.reference_seeds(recipe.final.seeds)
    mixtures = [entry.mixture for entry in entries]
    runs = workspace.reference(seeds).runs(mixtures)
    predicted = workspace.proxy.score(mixtures)
    rows = []
    for k, entry in enumerate(entries):
        group = [workspace.summary(run) for run in runs[k * len(seeds) : (k + 1) * len(seeds)]]
        rows.append(
            {
                "name": entry.name,
                "mixture": entry.mixture.as_dict(),
                "predicted": workspace.summary(predicted[k]),
                "references": group,
                "reached": float(np.mean([run["objective"] for run in group])),
            }
        )
    content = {"seeds": list(seeds), "rows": rows, "verdict": _verdict(workspace, rows)}
    workspace.save_result(FINAL_FILE, content)
    return content


def _verdict(workspace: Workspace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Did the recommendation win, and by how many noise widths?

    A noise width is the standard deviation between seeds of one run's objective, pooled over these
    rows and the references of the validation.
    """
    noise = _noise(workspace, rows)
    first, rivals = rows[0], rows[1:]
    margins = [
        {
            "baseline": row["name"],
            "margin": first["reached"] - row["reached"],
            "noise_widths": (first["reached"] - row["reached"]) / noise if noise else None,
            "standing": _standing(first["reached"] - row["reached"], noise),
        }
        for row in rivals
    ]
    smallest = min((m["margin"] for m in margins), default=None)
    outcomes = {"behind": "won", "equal": "tied", "ahead": "lost", "unknown": "unknown"}
    outcome = "unknown" if smallest is None else outcomes[_standing(smallest, noise)]
    return {"outcome": outcome, "noise_width": noise, "margins": margins}


def _standing(margin: float, noise: float | None) -> str:
    """Where a baseline stands: within one noise width it cannot be told from the recommendation."""
    if noise is None:
        return "unknown"
    if abs(margin) <= noise:
        return "equal"
    return "behind" if margin > 0 else "ahead"


def _noise(workspace: Workspace, rows: list[dict[str, Any]]) -> float | None:
    validation = workspace.load_result(VALIDATION_FILE)
    entries = [*rows, *(validation["mixtures"] if validation else [])]
    groups = {
        str(entry["references"][0]["mixture"]): [run["objective"] for run in entry["references"]]
        for entry in entries
    }
    return seed_noise(list(groups.values()))
