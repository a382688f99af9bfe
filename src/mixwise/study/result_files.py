"""The result files of a study: one codec for all, and which of them belong together.

The files are JSON: fields by name, mixtures as shares by domain, and ``recipe``, the key of all
that the result was made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mixwise.errors import StudyError
from mixwise.study.folder import (
    CALIBRATION_FILE,
    DIAGNOSIS_FILE,
    FINAL_FILE,
    RECOMMENDATION_FILE,
    SEARCH_FILE,
    SNIPPETS_FILE,
    SURFACE_FILE,
    VALIDATION_FILE,
    StudyFolder,
)
from mixwise.study.results import (
    CalibrationFound,
    Diagnosis,
    FinalFound,
    Recommendation,
    SearchFound,
    ValidationFound,
)
from mixwise.study.snippets import SnippetsFound
from mixwise.study.surface import SurfaceFound

Result = TypeVar("Result")
FILES: Mapping[type, str] = {
    SearchFound: SEARCH_FILE,
    SurfaceFound: SURFACE_FILE,
    SnippetsFound: SNIPPETS_FILE,
    CalibrationFound: CALIBRATION_FILE,
    ValidationFound: VALIDATION_FILE,
    FinalFound: FINAL_FILE,
    Diagnosis: DIAGNOSIS_FILE,
    Recommendation: RECOMMENDATION_FILE,
}


def result_to_json(result: Any) -> dict[str, Any]:
    """A result as what `json` can write."""
    content: dict[str, Any] = TypeAdapter(type(result)).dump_python(result, mode="json")
    return content


def load_result(
    study: StudyFolder, kind: type[Result], *, recipe: str | None = None
) -> Result | None:
    """A result from its file.

    Args:
        study: The study's folder.
        kind: Its type.
        recipe: Key of what it must have been made from; None for whatever it was made from.

    Returns:
        The result; None where there is none, or none that was made from the same.

    Raises:
        DamagedError: If the file is not what was written.
        StudyError: If it is that of another version.
    """
    name = FILES[kind]
    content = study.load_json(name)
    if content is None or recipe not in (None, content.get("recipe")):
        return None
    return parse_result(kind, content, str(study.folder / name))


def parse_result(kind: type[Result], content: Mapping[str, Any], where: str) -> Result:
    """A result from the content of its file.

    Args:
        kind: Its type.
        content: What was read; the file's own keys beside the result's are passed over.
        where: The file, for the error.

    Raises:
        StudyError: If the content is that of another version.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StudyError(
            f"{where}: was written by another version of mixwise (`{place}`: {first['msg']}): "
            "delete it and run its stage again, which trains and measures nothing twice"
        ) from None


@dataclass(frozen=True, slots=True)
class StudyResults:
    """What a study has found so far, all of it made from the same; None where a stage is missing.

    Args:
        search: What the search found.
        recommendation: What is recommended.
        calibration: What was trained to correct the proxy.
        validation: Reference mixtures by both answers.
        diagnosis: What tells how far the proxy may be trusted.
        final: What was trained in the end; None where it was for another recommendation.
        surface: The surrogate of every metric; None in studies that were searched without one.
        snippets: The mixture as trainers take it; None where a version wrote none.
    """

    search: SearchFound | None
    recommendation: Recommendation | None
    calibration: CalibrationFound | None
    validation: ValidationFound | None
    diagnosis: Diagnosis | None
    final: FinalFound | None
    surface: SurfaceFound | None = None
    snippets: SnippetsFound | None = None


def load_results(study: StudyFolder) -> StudyResults:
    """All results that belong to the recommendation, or to the search where there is none yet.

    Raises:
        DamagedError: If a file is not what was written.
        StudyError: If one is that of another version.
    """
    recommendation = load_result(study, Recommendation)
    if recommendation is not None:
        key: str | None = recommendation.provenance.recipe
    else:
        key = (study.load_json(SEARCH_FILE) or {}).get("recipe")
    final = load_result(study, FinalFound, recipe=key)
    if final and recommendation and final.rows[0].proxy.mixture != recommendation.mixture:
        final = None
    return StudyResults(
        search=load_result(study, SearchFound, recipe=key),
        recommendation=recommendation,
        calibration=load_result(study, CalibrationFound, recipe=key),
        validation=load_result(study, ValidationFound, recipe=key),
        diagnosis=load_result(study, Diagnosis, recipe=key),
        final=final,
        surface=load_result(study, SurfaceFound, recipe=key),
        snippets=load_result(study, SnippetsFound, recipe=key),
    )
