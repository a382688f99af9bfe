"""Searches on real merges: the demo's base model with four, five or eight of its texts as domains.

Experts are trained once into a scratch folder and kept there; every score is a real merge.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

import mixwise
from mixwise.search.problem import SearchProblem
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

DEMO = Path(mixwise.__file__).parent / "demo"
DOMAINS = ("python", "c", "german", "french", "glosses", "spanish", "sqlite", "perl")
TARGETS = {"outils": "data/outils.jsonl.gz", "libc": "data/libc.jsonl.gz"}


def recipe_text(n_domains: int, objective: str, max_sequences: int) -> str:
    """A recipe over the first domains; the objective is ``targets`` or ``domains``."""
    sets = TARGETS if objective == "targets" else {}
    recipe = {
        "base": str(DEMO / "base"),
        "domains": {
            name: {"files": str(DEMO / "data" / f"{name}.jsonl.gz")} for name in DOMAINS[:n_domains]
        },
        "horizon_tokens": 32768,
        "experts": {"horizon_tokens": 32768},
        "proxy": {"answer": "merged"},
        "calibration": {"mixtures": 0},
        "sequence_length": 128,
        "evaluation": {
            "sets": {name: {"files": str(DEMO / file)} for name, file in sets.items()},
            "max_sequences": max_sequences,
            "batch_sequences": 32,
        },
        "training": {"learning_rate": 1.0e-3, "batch_sequences": 16, "warmup_steps": 3},
        "objective": {"metrics": [{"set": name, "measure": "loss"} for name in sets]},
        "final": {"train": False},
    }
    return yaml.safe_dump(recipe, sort_keys=False)


@contextmanager
def demo_problem(
    scratch: Path, n_domains: int, *, objective: str = "domains", max_sequences: int = 16
) -> Iterator[tuple[SearchProblem, Workspace]]:
    """A problem on the demo's model, and the study that it is part of.

    Experts are trained when the scratch folder has none.

    Args:
        scratch: Folder that keeps studies between runs.
        n_domains: 4, 5 or 8.
        objective: ``domains``, the mean held-out loss of all domains, or ``targets``, the demo's.
        max_sequences: Evaluation sequences per set.
    """
    folder = scratch / f"demo-{n_domains}-{objective}-{max_sequences}"
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe_text(n_domains, objective, max_sequences))
    study = StudyFolder.create(folder / "study", recipe)
    study.save_recipe(recipe.read_text())
    workspace = Workspace(study, Settings(folder, scratch / "tokens"))
    try:
        workspace.runs.train_experts()
        problem = SearchProblem(
            scorer=workspace.proxy,
            space=workspace.inputs.space,
            objective=workspace.objective,
            scale=workspace.scale,
            budget=None,
            seed=0,
            known=workspace.corners,
        )
        yield problem, workspace
    finally:
        workspace.close()
