"""How far a recommendation may be trusted, by the references that were trained to check it.

Method:
    The score that is held against the references is the one by which the recommendation was
    chosen: the corrected one, each reference predicted from all the other trained mixtures, or the
    proxy's own where nothing was trained for calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.decision.calibration import Calibrated, Reference
from mixwise.decision.discrepancy import leave_one_out
from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.decision.trust import Trust, judge_measured
from mixwise.extrapolation import NOT_CONTINUED
from mixwise.search.problem import SearchProblem


@dataclass(frozen=True, slots=True)
class Judgement:
    """How far a recommendation may be trusted.

    Args:
        fidelity: Of the corrected score, over the references; None without one.
        trust: Measured; None where the references cannot be ranked.
    """

    fidelity: Fidelity | None
    trust: Trust | None


def judge(
    calibrated: Calibrated, references: Sequence[Reference], *, n_calibration: int
) -> Judgement:
    """Judge the score by which a mixture was chosen.

    Args:
        calibrated: Its trained mixtures hold the references.
        references: Trained to check the proxy; none are no judgement.
        n_calibration: Mixtures that the study trains for calibration.
    """
    if not references:
        return Judgement(None, None)
    problem = calibrated.problem
    runs = scores_of(problem, references)
    expected = leave_one_out(calibrated.trained, continued=problem.continued).expected
    predicted = {
        tuple(trained.shares.tolist()): trained.proxy + float(missed)
        for trained, missed in zip(calibrated.trained, expected, strict=True)
    }
    rows = [reference.trained(problem) for reference in references]
    scores = np.array([predicted[tuple(row.shares.tolist())] for row in rows])
    fidelity = judged = measure_fidelity(scores, runs, sign=1, seed=problem.seed)
    if not n_calibration:
        plain = np.array([row.proxy for row in rows])
        judged = measure_fidelity(plain, runs, sign=1, seed=problem.seed)
    trust = judge_measured(
        judged,
        float(np.std([np.mean(run) for run in runs])),
        is_calibrated=n_calibration > 0,
        n_calibration=n_calibration,
        is_continued=problem.continued != NOT_CONTINUED,
    )
    return Judgement(fidelity, trust)


def scores_of(problem: SearchProblem, references: Sequence[Reference]) -> list[list[float]]:
    """Objective of every run, a list of seeds for each reference."""
    return [[problem.measured(run) for run in reference.runs] for reference in references]
