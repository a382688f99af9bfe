"""Reads what was trained or derived to check the proxy: calibration, validation, diagnosis.

Method:
    What an older version did not write yet is None on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mixwise.decision.agreement import Figures
from mixwise.decision.fidelity import Estimate, Fidelity
from mixwise.decision.trust import Verdict as Trust
from mixwise.errors import StudyError
from mixwise.report.contents import Calibration, Comparison, Diagnosis, Score, Validation

_FIGURES = tuple(field.name for field in fields(Figures))


def score_of(summary: Mapping[str, Any]) -> Score:
    """A score from an observation's summary; the base has no mixture."""
    return Score(summary.get("mixture") or {}, summary["objective"], summary["metrics"])


def runs_of(row: Mapping[str, Any]) -> tuple[Score, ...]:
    """The trained models of one mixture, a score per seed."""
    return tuple(score_of(run) for run in row["references"])


def calibration_of(content: Mapping[str, Any]) -> Calibration:
    """The content of ``calibration.json``."""
    rows = content["mixtures"]
    return Calibration(
        mixtures=tuple(Comparison("", score_of(row["proxy"]), runs_of(row)) for row in rows),
        gains=tuple(row["expected_gain"] for row in rows),
        noise=content["noise"],
    )


def validation_of(content: Mapping[str, Any], recommendation: Mapping[str, Any]) -> Validation:
    """The content of ``validation.json``, and the calibrated fidelity of the recommendation.

    Raises:
        StudyError: If another version measured the fidelity.
    """
    calibrated = recommendation.get("fidelity_calibrated")
    return Validation(
        seeds=tuple(content["seeds"]),
        mixtures=tuple(
            Comparison("", score_of(entry["proxy"]), runs_of(entry))
            for entry in content["mixtures"]
        ),
        fidelity={name: _fidelity(row) for name, row in content["fidelity"].items()},
        calibrated=_fidelity(calibrated) if calibrated else None,
    )


def diagnosis_of(content: Mapping[str, Any]) -> Diagnosis | None:
    """The content of ``diagnose.json``; None where there is no verdict in it."""
    trust, geometry = _trust(content.get("verdict")), content.get("geometry")
    if trust is None or geometry is None:
        return None
    sizes = zip(geometry["domains"], geometry["relative_sizes"], strict=True)
    return Diagnosis(trust, dict(sizes), tuple(tuple(row) for row in geometry["cosines"]))


def trust_of(recommendation: Mapping[str, Any]) -> Trust | None:
    """The verdict on the recommendation's own score, where there is one."""
    return _trust(recommendation.get("trust"))


def _trust(found: Mapping[str, Any] | None) -> Trust | None:
    if not found:
        return None
    return Trust(
        word=found["word"],
        basis=found["basis"],
        is_clear=found["is_clear"],
        reasons=tuple(found["reasons"]),
        remedies=tuple(found["remedies"]),
    )


def _fidelity(row: Mapping[str, Any]) -> Fidelity:
    try:
        allowed = row["noiseless"] and Figures(**_estimates(row["noiseless"]))
        around = {"noiseless": allowed, "chance": Figures(**_estimates(row["chance"]))}
        return Fidelity(**(dict(row) | _estimates(row) | around))
    except (KeyError, TypeError):
        raise StudyError(
            "validation.json: its fidelity was measured by another version of mixwise: delete "
            "the file and run `mixwise validate`, which trains nothing again"
        ) from None


def _estimates(row: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate(**row[name]) for name in _FIGURES}
