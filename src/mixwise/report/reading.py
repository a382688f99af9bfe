"""Reads the files of a study folder into what the page shows.

Method:
    Every result file says which recipe it belongs to; one that belongs to another recipe than the
    recommendation counts as missing, as it does for the stages that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from mixwise.decision.score import OBJECTIVE
from mixwise.errors import RecipeError
from mixwise.files import load_sealed
from mixwise.objective import MEASURES
from mixwise.recipe import Recipe, parse_recipe
from mixwise.report.contents import Contents, MetricFacts
from mixwise.report.notices import load_notices
from mixwise.report.spending import load_expert_records, spent_in_ledger, spent_on_experts
from mixwise.study.folder import LEDGER_FILE, NOTICES_FILE, RECIPE_FILE
from mixwise.study.results import (
    FILES,
    CalibrationFound,
    Diagnosis,
    FinalFound,
    Recommendation,
    Result,
    SearchFound,
    ValidationFound,
    parse_result,
)
from mixwise.training.job import RunRecord

_EXPERTS_FOLDER = "experts"


def load_contents(folder: Path) -> Contents:
    """Read a study folder.

    Args:
        folder: The study.

    Returns:
        Its contents; stages that have not run yet are None.

    Raises:
        DamagedError: If one of the files is not what was written.
        StudyError: If one of them is that of another version.
    """
    recommendation = _load(folder, Recommendation, None)
    key = recommendation.provenance.recipe if recommendation else _key_of_search(folder)
    final = _load(folder, FinalFound, key)
    if final and recommendation and final.rows[0].proxy.mixture != recommendation.mixture:
        final = None  # of an earlier recommendation
    text = _read_text(folder / RECIPE_FILE)
    records = load_expert_records(folder / _EXPERTS_FOLDER)
    return Contents(
        search=_load(folder, SearchFound, key),
        recommendation=recommendation,
        calibration=_load(folder, CalibrationFound, key),
        validation=_load(folder, ValidationFound, key),
        diagnosis=_load(folder, Diagnosis, key),
        final=final,
        metrics=_metrics(_parse(text), recommendation),
        spent=(*spent_on_experts(records), *spent_in_ledger(folder / LEDGER_FILE)),
        provenance=_provenance(recommendation, records),
        recipe=text,
        notices=load_notices(folder / NOTICES_FILE),
    )


def _load(folder: Path, kind: type[Result], key: str | None) -> Result | None:
    """A result of a recipe, or of any; None when it is not there."""
    path = folder / FILES[kind]
    try:
        content = load_sealed(path, "delete it and run its stage again")
    except FileNotFoundError:
        return None
    if key is not None and content.get("recipe") != key:
        return None
    return parse_result(kind, content, str(path))


def _key_of_search(folder: Path) -> str | None:
    try:
        content = load_sealed(folder / FILES[SearchFound], "delete it and run its stage again")
    except FileNotFoundError:
        return None
    key: str | None = content.get("recipe")
    return key


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _parse(text: str) -> Recipe | None:
    """The recipe, or None when this version cannot read it: the page is shown all the same."""
    try:
        return parse_recipe(text, RECIPE_FILE)
    except RecipeError:
        return None


def _metrics(
    recipe: Recipe | None, recommendation: Recommendation | None
) -> dict[str, MetricFacts]:
    """How to read the objective and each metric, from the recipe where it can be read."""
    names = recommendation.proxy.metrics if recommendation else ()
    chosen = {metric.name for metric in recipe.objective_terms.metrics} if recipe else set()
    directions = {metric.name: metric.direction for metric in recipe.metrics} if recipe else {}
    facts = {OBJECTIVE: MetricFacts("max", "", True)}
    for name in names:
        measure = MEASURES.get(name.rsplit("/", 1)[-1])
        direction = directions.get(name) or (measure.direction if measure else "min")
        facts[name] = MetricFacts(direction, measure.unit if measure else "", name in chosen)
    return facts


def _provenance(recommendation: Recommendation | None, records: list[RunRecord]) -> dict[str, str]:
    """Names and values as text, nested ones flattened; versions are those the experts ran with."""
    flat: dict[str, str] = {}
    for name, value in (asdict(recommendation.provenance) if recommendation else {}).items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {key}": str(item) for key, item in value.items()}
        else:
            flat[name] = str(value)
    for record in records:
        for name, version in record.versions.items():
            flat.setdefault(f"trained with {name}", version)
    return flat
