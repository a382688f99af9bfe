"""Status: how far a study is, read from its files alone, while another process works in it or not.

Method:
    Runs are counted by the records that they leave, candidates by the rows of the ledger. The best
    score so far is that of the last rule, data and models that the ledger knows: objectives of
    others cannot be compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixwise.objective import Objective, Scale
from mixwise.observation import Observation
from mixwise.recipe import Recipe
from mixwise.study.folder import NOTICES_FILE, StudyFolder
from mixwise.study.result_files import FILES
from mixwise.study.results import (
    CalibrationFound,
    FinalFound,
    Recommendation,
    SearchFound,
    ValidationFound,
)
from mixwise.training.job import RUN_FILE

_N_NOTICES = 5


def read_status(study: StudyFolder) -> dict[str, Any]:
    """Say how far a study is; writes nothing and needs neither the base nor the data.

    Returns:
        ``stage`` (what comes next, or goes on now), ``process`` (the one that works in it, or
        None), ``experts`` and ``references`` with ``done`` and ``total`` (None where the search
        decides it), ``candidates``, ``best_so_far``, ``recommendation`` and ``notices``.
    """
    recipe = study.recipe
    n_wanted = sum(domain.expert is None for domain in recipe.domains.values())
    experts = [study.expert_folder(name) for name in recipe.domains]
    n_experts = sum((folder / RUN_FILE).is_file() for folder in experts)
    ledger = study.open_ledger(read_only=True)
    try:
        observations = ledger.observations()
    finally:
        ledger.close()
    recommendation = study.load_json(FILES[Recommendation])
    notices = study.load_json(NOTICES_FILE) or {"notices": []}
    latest = _latest_proxies(observations)
    return {
        "study": str(study.folder),
        "stage": _stage(study, recipe, has_experts=n_experts >= n_wanted),
        "process": study.holder,
        "experts": {"done": n_experts, "total": n_wanted},
        "references": {"done": _n_runs(study.folder / "references"), "total": _n_planned(recipe)},
        "candidates": len({str(o.mixture) for o in latest}),
        "best_so_far": _best(recipe.objective_terms, observations, latest),
        "recommendation": recommendation["mixture"] if recommendation else None,
        "notices": notices["notices"][-_N_NOTICES:],
    }


def _stage(study: StudyFolder, recipe: Recipe, *, has_experts: bool) -> str:
    """The first stage of the main job whose result is not there."""
    if not has_experts:
        return "experts"
    kinds: dict[str, type] = {"search": SearchFound, "calibration": CalibrationFound}
    kinds |= {"validation": ValidationFound} if recipe.validation.mixtures else {}
    kinds |= {"final training": FinalFound} if recipe.final.train else {}
    missing = [name for name, kind in kinds.items() if not (study.folder / FILES[kind]).is_file()]
    return missing[0] if missing else "finished"


def _n_runs(folder: Path) -> int:
    return sum(1 for _ in folder.glob(f"*/{RUN_FILE}"))


def _n_planned(recipe: Recipe) -> int:
    """References that the recipe asks for, at most: calibration may end early, and runs are shared.

    Each kind of baseline counts once, and that of the single domains once a domain.
    """
    validated, calibrated = recipe.validation, recipe.calibration
    n_references = validated.mixtures * validated.seeds + calibrated.mixtures * calibrated.seeds
    kinds = [len(recipe.domains) if kind == "single" else 1 for kind in recipe.final.baselines]
    return n_references + (1 + sum(kinds)) * recipe.final.seeds * recipe.final.train


def _latest_proxies(observations: Sequence[Observation]) -> list[Observation]:
    """Whole merges that were measured as the last one was: the same data, models and rule."""
    proxies = [o for o in observations if o.answer == "proxy" and _is_whole(o)]
    return [o for o in proxies if _setting(o) == _setting(proxies[-1])]


def _is_whole(observation: Observation) -> bool:
    """Whether all examples were measured: a race asks for some of them first."""
    asked = observation.provenance.get("request", "")
    return not asked or "part=Part(first=0, last=1, of=1)" in asked


def _setting(observation: Observation) -> dict[str, str]:
    own = {"mixture", "request", "slopes of"}
    return {key: value for key, value in observation.provenance.items() if key not in own}


def _best(
    objective: Objective, observations: Sequence[Observation], latest: Sequence[Observation]
) -> dict[str, Any] | None:
    """The best merge; None before the experts' own scores and the base's are known."""
    evaluation = latest[0].provenance["evaluation"] if latest else None
    bases = [
        o
        for o in observations
        if o.answer == "base" and o.provenance.get("evaluation") == evaluation
    ]
    mixtures = {str(o.mixture): o for o in latest if o.mixture is not None}
    corners = [o for o in mixtures.values() if o.mixture and len(o.mixture.support) == 1]
    names = {metric.name for metric in objective.metrics}
    is_complete = latest and latest[0].mixture and len(corners) == len(latest[0].mixture.domains)
    if not (bases and is_complete and names <= bases[-1].values.keys()):
        return None
    scale = Scale.measure(bases[-1].values, [corner.values for corner in corners])
    best = max(mixtures.values(), key=lambda o: objective.value(o.values, scale))
    assert best.mixture is not None  # by the choice above
    return {
        "objective": objective.value(best.values, scale),
        "mixture": best.mixture.as_dict(),
        "answer": "proxy",
    }
