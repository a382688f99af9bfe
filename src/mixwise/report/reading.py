"""Reads the files of a study folder into what the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from mixwise.decision.score import OBJECTIVE
from mixwise.report.contents import Contents
from mixwise.report.notices import load_notices
from mixwise.report.spending import load_expert_records, spent_in_ledger, spent_on_experts
from mixwise.study.folder import LEDGER_FILE, NOTICES_FILE, RECIPE_FILE, StudyFolder
from mixwise.study.result_files import load_results
from mixwise.study.results import MetricFacts, Recommendation, SearchFound
from mixwise.study.snippets import SnippetsFound
from mixwise.training.job import RunRecord


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
    study = StudyFolder(folder, folder)
    results = load_results(study)
    text = _read_text(folder / RECIPE_FILE)
    records = load_expert_records(study.experts_folder)
    return Contents(
        search=results.search,
        recommendation=results.recommendation,
        calibration=results.calibration,
        validation=results.validation,
        diagnosis=results.diagnosis,
        final=results.final,
        metrics=_metrics(results.search),
        spent=(*spent_on_experts(records), *spent_in_ledger(folder / LEDGER_FILE)),
        provenance=_provenance(results.recommendation, records),
        recipe=text,
        notices=load_notices(folder / NOTICES_FILE),
        surface=results.surface,
        snippets=_current(results.snippets, results.recommendation),
        problem=(study.held or {}).get("problem", {}).get("name", ""),
    )


def _current(
    snippets: SnippetsFound | None, recommendation: Recommendation | None
) -> SnippetsFound | None:
    """Those of the mixture that is recommended now."""
    is_same = recommendation and snippets and snippets.mixture == recommendation.by_tokens
    return snippets if is_same else None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _metrics(search: SearchFound | None) -> dict[str, MetricFacts]:
    """How to read the objective and each metric."""
    return {OBJECTIVE: MetricFacts("max", "", True), **(search.metrics if search else {})}


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
