"""Trust: how well the recommendation's own score predicts the references, and the verdict on it.

Method:
    The score that is held against the references of the validation is the one by which the
    recommendation was chosen: the calibrated one, each reference predicted from all the other
    trained mixtures, or the proxy's own where the recipe asks for no calibration. Without a
    validation that can be ranked, the verdict is the one that a diagnosis has predicted, if there
    is one; nothing is computed for it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.decision.trust import Verdict, judge_measured
from mixwise.mixture import Mixture
from mixwise.stages.calibrate import Calibrated, predict_left_out
from mixwise.study.folder import DIAGNOSIS_FILE, VALIDATION_FILE
from mixwise.study.session import Workspace


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the recommendation may be trusted.

    Args:
        fidelity: Of the calibrated score, over the references of the validation; None without one.
        verdict: Measured, else predicted, else None.
    """

    fidelity: Fidelity | None
    verdict: Verdict | None

    def as_dict(self) -> dict[str, Any]:
        """Both as JSON, under the names that they have in ``recommendation.json``."""
        return {
            "fidelity_calibrated": None if self.fidelity is None else asdict(self.fidelity),
            "trust": None if self.verdict is None else asdict(self.verdict),
        }


def judge_recommendation(workspace: Workspace, calibrated: Calibrated) -> Trust:
    """Judge the score by which the recommendation was chosen.

    Args:
        workspace: The study.
        calibrated: Its trained mixtures hold the references of the validation, if there is one.
    """
    validation = workspace.load_result(VALIDATION_FILE)
    if validation is None:
        return Trust(None, _predicted(workspace))
    rows, seed = validation["mixtures"], workspace.recipe.search.seed
    runs = [[run["objective"] for run in row["references"]] for row in rows]
    left_out = _left_out(workspace.recipe.domain_names, calibrated)
    scores = np.array([left_out[_mixture_of(row)] for row in rows])
    fidelity = judged = measure_fidelity(scores, runs, sign=1, seed=seed)
    n_calibration = workspace.recipe.calibration.mixtures
    if not n_calibration:
        plain = np.array([row["proxy"]["objective"] for row in rows])
        judged = measure_fidelity(plain, runs, sign=1, seed=seed)
    measured = judge_measured(
        judged,
        float(np.std([np.mean(run) for run in runs])),
        is_calibrated=n_calibration > 0,
        n_calibration=n_calibration,
    )
    return Trust(fidelity, measured or _predicted(workspace))


def _left_out(domains: tuple[str, ...], calibrated: Calibrated) -> dict[Mixture, float]:
    """Calibrated score of each trained mixture, predicted from all the others."""
    predicted = predict_left_out(calibrated.trained)
    return {
        Mixture(domains, tuple(trained.shares.tolist())): float(score)
        for trained, score in zip(calibrated.trained, predicted, strict=True)
    }


def _mixture_of(row: Mapping[str, Any]) -> Mixture:
    shares = row["proxy"]["mixture"]
    return Mixture(tuple(shares), tuple(shares.values()))


def _predicted(workspace: Workspace) -> Verdict | None:
    diagnosis: Mapping[str, Any] | None = workspace.load_result(DIAGNOSIS_FILE)
    if diagnosis is None or diagnosis["verdict"]["basis"] != "predicted":
        return None
    found = diagnosis["verdict"]
    return Verdict(**found | {key: tuple(found[key]) for key in ("reasons", "remedies")})
