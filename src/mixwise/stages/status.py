"""Status: how far a study is, read from its files alone, while another process works in it or not.

Method:
    Runs are counted by the records that they leave, candidates by the rows of the ledger. The best
    score so far is that of the last rule, data and models that the ledger knows: objectives of
    others cannot be compared with it. Scores by predictions are arithmetic and in no ledger: of
    them the result of the search tells. A study of a problem keeps its settings and not the problem
    itself: its domains are those of the first score, and how many references it asks for is not
    known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixwise.decision.trust import Trust
from mixwise.mixture import Mixture
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation
from mixwise.problem.settings import read_settings
from mixwise.recipe import Recipe
from mixwise.report.contents import Notice
from mixwise.report.notices import load_notices
from mixwise.scorer import Part
from mixwise.study.folder import NOTICES_FILE, RECIPE_FILE, StudyFolder
from mixwise.study.horizons import plan_horizons
from mixwise.study.kept_runs import KeptRuns
from mixwise.study.result_files import FILES, load_result
from mixwise.study.results import (
    CalibrationFound,
    FinalFound,
    Recommendation,
    SearchFound,
    ValidationFound,
)
from mixwise.study.standing import Standing, read_standing
from mixwise.training.job import RUN_FILE

_N_NOTICES = 5


@dataclass(frozen=True, slots=True)
class Count:
    """Runs that are trained, and those asked for, at most; None where that is not known."""

    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class BestSoFar:
    """The highest score of a merge."""

    objective: float
    mixture: Mixture
    answer: str = "proxy"


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """How far a study is.

    Args:
        study: Its folder.
        stage: What comes next, or goes on now.
        process: The one that works in it; None where there is none.
        experts: Those that are trained here.
        references: Of calibration, validation and final training.
        candidates: Mixtures that are scored.
        best_so_far: None before the experts' own scores are known.
        recommendation: None before the search has ended.
        notices: The last ones.
        now: What that process does now; None where none works, or it has told nothing yet.
        answer: The recommendation in one sentence; empty before there is one.
        trust: How far it may be trusted; None before there is one.
    """

    study: str
    stage: str
    process: str | None
    experts: Count
    references: Count
    candidates: int
    best_so_far: BestSoFar | None
    recommendation: Mixture | None
    notices: tuple[Notice, ...]
    now: Standing | None = None
    answer: str = ""
    trust: Trust | None = None


def read_status(study: StudyFolder) -> StudyStatus:
    """Say how far a study is; writes nothing and needs neither the base nor the data."""
    ledger = study.open_ledger(read_only=True)
    try:
        observations = ledger.observations()
    finally:
        ledger.close()
    asked = _asked_of_problem(study, observations) if study.is_of_problem else _asked(study)
    recommendation = load_result(study, Recommendation)
    latest, search = _latest_proxies(observations), load_result(study, SearchFound)
    n_candidates = len({str(o.mixture) for o in latest})
    best = _best(asked.objective, observations, latest) if asked.objective else None
    if search is not None and search.best.mixture is not None and best is None:
        n_candidates = search.n_scored
        best = BestSoFar(search.best.objective, search.best.mixture)
    process = study.holder
    return StudyStatus(
        study=str(study.folder),
        stage=_stage(study, asked),
        process=process,
        experts=asked.experts,
        references=Count(_n_runs(study.folder / "references"), asked.n_references),
        candidates=n_candidates,
        best_so_far=best,
        recommendation=recommendation.mixture if recommendation else None,
        notices=load_notices(study.folder / NOTICES_FILE)[-_N_NOTICES:],
        now=read_standing(study.folder) if process else None,
        answer=recommendation.answer if recommendation else "",
        trust=recommendation.trust if recommendation else None,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a study.

    Args:
        experts: Those that are made, and all.
        has_experts: Whether none is missing.
        n_references: At most; None where that is not known.
        is_validated: Whether references are trained to measure the proxy.
        is_trained: Whether the recommendation is trained.
        objective: None where the result of the search alone tells the best score.
    """

    experts: Count
    has_experts: bool
    n_references: int | None
    is_validated: bool
    is_trained: bool
    objective: Objective | None


def _asked(study: StudyFolder) -> _Asked:
    """What a recipe asks for."""
    recipe = study.recipe
    n_wanted = sum(domain.expert is None for domain in recipe.domains.values())
    experts = [study.expert_folder(name) for name in recipe.domains]
    n_made = sum((folder / RUN_FILE).is_file() for folder in experts)
    return _Asked(
        experts=Count(n_made, n_wanted),
        has_experts=n_made >= n_wanted,
        n_references=_n_planned(recipe, study.kept),
        is_validated=recipe.validation.mixtures > 0,
        is_trained=recipe.final.train,
        objective=recipe.objective_terms,
    )


def _asked_of_problem(study: StudyFolder, observations: Sequence[Observation]) -> _Asked:
    """What the settings of a study of a problem ask for."""
    settings = read_settings(study.folder / RECIPE_FILE)
    n_made = _n_runs(study.experts_folder)
    domains = next((o.mixture.domains for o in observations if o.mixture is not None), ())
    is_searched = load_result(study, SearchFound) is not None
    return _Asked(
        experts=Count(n_made, len(domains) or None),
        has_experts=is_searched or 0 < len(domains) <= n_made,
        n_references=None,
        is_validated=settings.validation.mixtures > 0,
        is_trained=settings.final.train,
        objective=None,
    )


def _stage(study: StudyFolder, asked: _Asked) -> str:
    """The first stage of the main job whose result is not there."""
    if not asked.has_experts:
        return "experts"
    kinds: dict[str, type] = {"search": SearchFound, "calibration": CalibrationFound}
    kinds |= {"validation": ValidationFound} if asked.is_validated else {}
    kinds |= {"final training": FinalFound} if asked.is_trained else {}
    missing = [name for name, kind in kinds.items() if not (study.folder / FILES[kind]).is_file()]
    return missing[0] if missing else "finished"


def _n_runs(folder: Path) -> int:
    return sum(1 for _ in folder.glob(f"*/{RUN_FILE}"))


def _n_planned(recipe: Recipe, kept: KeptRuns | None) -> int:
    """References that the recipe asks for, at most: calibration may end early, and runs are shared.

    Those of another study come to them. Each kind of baseline counts once, and that of the single
    domains once a domain.
    """
    kept = kept or KeptRuns("")
    horizons = plan_horizons(recipe, kept_steps=kept.expert_steps, n_kept=len(kept.experts))
    validated, n_references = recipe.validation, len(kept.references)
    n_references += horizons.n_calibration * horizons.calibration_seeds
    n_references += validated.mixtures * validated.seeds
    kinds = [len(recipe.domains) if kind == "single" else 1 for kind in recipe.final.baselines]
    return n_references + (1 + sum(kinds)) * recipe.final.seeds * recipe.final.train


def _latest_proxies(observations: Sequence[Observation]) -> list[Observation]:
    """Whole merges that were measured as the last one was: the same data, models and rule.

    Those along the experts' runs are left out: they are no scores by themselves.
    """
    proxies = [
        o
        for o in observations
        if o.answer == "proxy" and _is_whole(o) and "experts' steps" not in o.provenance
    ]
    return [o for o in proxies if _setting(o) == _setting(proxies[-1])]


def _is_whole(observation: Observation) -> bool:
    """Whether all examples were measured: a race asks for some of them first."""
    asked = observation.provenance.get("request", repr(Part()))
    return "part" not in observation.provenance and repr(Part()) in asked


def _setting(observation: Observation) -> dict[str, str]:
    own = {"mixture", "part", "request", "slopes of"}
    return {key: value for key, value in observation.provenance.items() if key not in own}


def _best(
    objective: Objective, observations: Sequence[Observation], latest: Sequence[Observation]
) -> BestSoFar | None:
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
    return BestSoFar(objective.value(best.values, scale), best.mixture)
