"""Reads the files of a study folder into the values that the page shows.

Method:
    Every result file says which recipe it belongs to; one that belongs to another recipe than the
    recommendation counts as missing, as it does for the stages that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixwise.errors import RecipeError
from mixwise.files import load_sealed
from mixwise.objective import MEASURES
from mixwise.recipe import Recipe, parse_recipe
from mixwise.report.contents import (
    OBJECTIVE,
    Candidate,
    Comparison,
    Contents,
    Final,
    Margin,
    MetricFacts,
    Prediction,
    Profiles,
    Search,
    Verdict,
)
from mixwise.report.evidence import (
    calibration_of,
    diagnosis_of,
    runs_of,
    score_of,
    trust_of,
    validation_of,
)
from mixwise.report.notices import load_notices
from mixwise.report.spending import load_expert_records, spent_in_ledger, spent_on_experts
from mixwise.training.job import RunRecord

# The study's files. `study.py` names them too, but it lies above the report.
RECIPE_FILE = "recipe.yaml"
SEARCH_FILE = "search.json"
CALIBRATION_FILE = "calibration.json"
RECOMMENDATION_FILE = "recommendation.json"
VALIDATION_FILE = "validation.json"
DIAGNOSIS_FILE = "diagnose.json"
FINAL_FILE = "final.json"
LEDGER_FILE = "ledger.sqlite"
NOTICES_FILE = "notices.json"
EXPERTS_FOLDER = "experts"


def load_contents(folder: Path) -> Contents:
    """Read a study folder.

    Args:
        folder: The study.

    Returns:
        Its contents; stages that have not run yet are None.

    Raises:
        DamagedError: If one of the files is not what was written.
    """
    search = _load(folder / SEARCH_FILE)
    recommendation = _load(folder / RECOMMENDATION_FILE)
    key = recommendation.get("provenance", {}).get("recipe") or search.get("recipe")
    calibration = _of_recipe(_load(folder / CALIBRATION_FILE), key)
    validation = _of_recipe(_load(folder / VALIDATION_FILE), key)
    diagnosis = diagnosis_of(_of_recipe(_load(folder / DIAGNOSIS_FILE), key))
    final = _of_mixture(_of_recipe(_load(folder / FINAL_FILE), key), recommendation)
    text = _read_text(folder / RECIPE_FILE)
    records = load_expert_records(folder / EXPERTS_FOLDER)
    trained = {_key(row["mixture"]): runs_of(row) for row in final.get("rows", ())}
    return Contents(
        domains=tuple(
            recommendation.get("mixture") or search.get("recommended", {}).get("mixture", ())
        ),
        search=_search(search, recommendation) if _of_recipe(search, key) else None,
        prediction=_prediction(recommendation) if recommendation else None,
        baselines=tuple(
            Comparison(
                row["name"],
                score_of(row),
                trained.get(_key(row["mixture"]), ()),
                row.get("reference"),
                row.get("standing", ""),
            )
            for row in _baselines(recommendation)
        ),
        calibration=calibration_of(calibration) if calibration else None,
        validation=validation_of(validation, recommendation) if validation else None,
        trust=trust_of(recommendation) or (diagnosis.verdict if diagnosis else None),
        diagnosis=diagnosis,
        final=_final(final) if final else None,
        metrics=_metrics(_parse(text), recommendation),
        cost=recommendation.get("cost", {}),
        spent=(*spent_on_experts(records), *spent_in_ledger(folder / LEDGER_FILE)),
        provenance=_provenance(recommendation, records),
        recipe=text,
        notices=load_notices(folder / NOTICES_FILE),
    )


def _load(path: Path) -> dict[str, Any]:
    """Content of a JSON file, empty when it is not there."""
    try:
        return load_sealed(path, "delete it and run its stage again")
    except FileNotFoundError:
        return {}


def _of_recipe(content: dict[str, Any], key: str | None) -> dict[str, Any]:
    return content if content.get("recipe") == key else {}


def _of_mixture(final: dict[str, Any], recommendation: Mapping[str, Any]) -> dict[str, Any]:
    """The final training, if it was that of this recommendation and not of an earlier one."""
    is_same = final and _key(final["rows"][0]["mixture"]) == _key(recommendation.get("mixture"))
    return final if is_same else {}


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


def _key(mixture: Mapping[str, float] | None) -> tuple[tuple[str, float], ...]:
    return tuple(sorted((mixture or {}).items()))


def _search(content: Mapping[str, Any], recommendation: Mapping[str, Any]) -> Search:
    """The search, with the recommended mixture among its candidates.

    Calibration may recommend a mixture that it scored after the search had ended.
    """
    near = {_key(row["mixture"]): row.get("standing", "equal") for row in _near(recommendation)}
    named = {_key(row["mixture"]): row.get("standing", "") for row in _baselines(recommendation)}
    standing = named | near
    rows = list(content["candidates"])
    if recommendation:
        best = _key(recommendation["mixture"])
        standing[best] = "recommended"
        if best not in {_key(row["mixture"]) for row in rows}:
            added = {"name": None, "within_bounds": True, "mixture": recommendation["mixture"]}
            rows.append(added | recommendation["predicted"])
            rows.sort(key=lambda row: -row["objective"])
    lines = content["profiles"]["lines"].items()
    return Search(
        method=content["method"],
        source=content["source"],
        rule=content["rule"],
        base=score_of(content["base"]),
        candidates=tuple(
            Candidate(
                row["name"] or "",
                score_of(row),
                row["within_bounds"],
                standing.get(_key(row["mixture"]), ""),
            )
            for row in rows
        ),
        profiles=Profiles(
            tuple(content["profiles"]["shares"]),
            {name: {m: tuple(v) for m, v in line.items()} for name, line in lines},
        ),
    )


def _near(recommendation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(recommendation.get("near_optimal", ()))


def _baselines(recommendation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(recommendation.get("baselines", ()))


def _prediction(recommendation: Mapping[str, Any]) -> Prediction:
    predicted = recommendation["predicted"]
    return Prediction(
        score=score_of({"mixture": recommendation["mixture"], **predicted}),
        interval=_pair(predicted.get("interval_95")),
        reference=predicted.get("reference"),
        reference_interval=_pair(predicted.get("reference_interval_95")),
        n_references=predicted.get("n_references", 0),
        near_optimal_shares={
            name: (low, high)
            for name, (low, high) in (recommendation.get("near_optimal_shares") or {}).items()
        },
    )


def _pair(values: list[float] | None) -> tuple[float, float] | None:
    return None if values is None else (values[0], values[1])


def _final(content: Mapping[str, Any]) -> Final:
    verdict = content["verdict"]
    return Final(
        seeds=tuple(content["seeds"]),
        rows=tuple(
            Comparison(row["name"], score_of(row["predicted"]), runs_of(row))
            for row in content["rows"]
        ),
        verdict=Verdict(
            verdict["outcome"],
            verdict["noise_width"],
            tuple(Margin(**margin) for margin in verdict["margins"]),
        ),
    )


def _metrics(recipe: Recipe | None, recommendation: Mapping[str, Any]) -> dict[str, MetricFacts]:
    """How to read the objective and each metric, from the recipe where it can be read."""
    names = recommendation.get("predicted", {}).get("metrics", ())
    chosen = {metric.name for metric in recipe.objective_terms.metrics} if recipe else set()
    directions = {metric.name: metric.direction for metric in recipe.metrics} if recipe else {}
    facts = {OBJECTIVE: MetricFacts("max", "", True)}
    for name in names:
        measure = MEASURES.get(name.rsplit("/", 1)[-1])
        direction = directions.get(name) or (measure.direction if measure else "min")
        facts[name] = MetricFacts(direction, measure.unit if measure else "", name in chosen)
    return facts


def _provenance(recommendation: Mapping[str, Any], records: list[RunRecord]) -> dict[str, str]:
    """Names and values as text, nested ones flattened; versions are those the experts ran with."""
    flat: dict[str, str] = {}
    for name, value in recommendation.get("provenance", {}).items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {key}": str(item) for key, item in value.items()}
        else:
            flat[name] = str(value)
    for record in records:
        for name, version in record.versions.items():
            flat.setdefault(f"trained with {name}", version)
    return flat
