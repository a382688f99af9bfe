"""Whether to trust the proxy, in words, with the reasons and what would help.

Notation:
    x, y: the objective by the proxy and by real training, over mixtures, ``(n,)``.
    s: standard deviation of the objective between mixtures.  ρ: Spearman.
    b: the same of the objective's second-order part, over the same of its first-order part.

Method:
    The ranking works where ρ ≥ 0.9 of what noise allows; the level where mean |x − y| ≤ s/4 plus
    what a perfect proxy would show, as there is noise in y.

        trust                    both work
        trust the ranking only   the ranking works
        do not trust             it does not

    Where references were trained, both are measured, and that is the verdict; it is marked where
    the interval of ρ reaches across the limit. Before that the recommendation's ranking is foreseen
    from what merging and continuing usually miss, and the diagnosis predicts it from b, how
    much of the predicted differences between mixtures is of second order, and the level is never
    trusted: the noise that merging averages away is as large as what curvature does, and experts
    alone do not show it.

    What is usual, and the limit of b, were measured on language models. On classifiers a verdict
    without references was right little more often than by chance (§12), which is said with it; and
    where every domain has a head of its own it is never trusted: there short experts ranked
    mixtures backwards, and kept heads do not move with the shares as the theory has it.

    A remedy is named only where ``docs/science.md`` measured that it helps (§4 calibration, shorter
    horizons and lower rates), or where it settles what is not known (more references). Correcting
    the merge's weights is none of them: it mends the level and spoils the ranks (§3).

Source:
    The limits of ρ and s/4 were set before the truth bed was looked at, what a perfect proxy would
    show was added when it was seen that none could pass. b and its limit are the best predictor of
    all that experts alone show, and a weak one (`benchmarks/verdict.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mixwise.arrays import Array
from mixwise.decision.drift import BestAt, has_settled
from mixwise.decision.fidelity import Fidelity
from mixwise.decision.forecast import ExpectedRanks

Word = Literal["trust", "trust the ranking only", "do not trust"]
Basis = Literal["measured", "predicted"]
Ground = Literal["language models", "other networks", "own heads"]
RANK_LIMIT = 0.9
LEVEL_LIMIT = 0.25
CURVATURE_LIMIT = 0.73
_LONGER = "train experts twice as long (double `budget`, or set `experts.horizon_tokens`)"
_LINEAR = "linear"
_DOUBTS: dict[Ground, str] = {
    "other networks": "what is foreseen here was measured on language models; on classifiers such "
    "a verdict was right little more often than by chance",
    "own heads": "each domain has a head of its own: in our benchmark short experts ranked such "
    "mixtures backwards, so that without references no ranking is trusted",
}
LARGE_UPDATE = 0.15  # relative size of a task vector beyond which second order is no guide


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether to trust the proxy.

    Args:
        word: How far.
        basis: Whether references were trained for it, or theory predicts it.
        is_clear: Whether a measured verdict holds over the whole interval of ρ, and is more than
            chance could give; a predicted one is never clear.
        reasons: Why, a sentence each.
        remedies: What would help, a sentence each; none where nothing is wrong.
    """

    word: Word
    basis: Basis
    is_clear: bool
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


def level_works(error: float, noiseless: float, spread: float) -> bool:
    """Whether the level works.

    Args:
        error: Mean absolute error of the proxy.
        noiseless: The same of a perfect proxy; 0 where the noise is not known.
        spread: Standard deviation of the objective between mixtures; all three in its unit.
    """
    return error <= LEVEL_LIMIT * spread + noiseless


def curvature_ratio(first: Array, second: Array) -> float:
    """How much of the differences between mixtures is of second order.

    Args:
        first: First-order part of the objective by the linear merge, shape ``(n_mixtures,)``.
        second: Second-order part, the same shape.

    Returns:
        sd(second) / sd(first); infinite where the first-order parts are all the same.

    Example:
        >>> import numpy as np
        >>> curvature_ratio(np.array([0.0, 2.0]), np.array([0.5, 0.0]))
        0.25
    """
    scale = float(first.std())
    return float(second.std()) / scale if scale > 0 else float("inf")


def judge_measured(
    fidelity: Fidelity,
    spread: float,
    *,
    is_calibrated: bool,
    n_calibration: int,
    is_continued: bool = False,
) -> Trust | None:
    """Judge the proxy by references.

    Args:
        fidelity: Of the objective.
        spread: Standard deviation of the objective between the references.
        is_calibrated: Whether the judged scores are calibrated ones.
        n_calibration: Mixtures that the study trains for calibration.
        is_continued: Whether scores are continued from short experts.

    Returns:
        The verdict, or None where the references cannot be ranked.
    """
    rho, error = fidelity.spearman, fidelity.mean_absolute_error.value
    if rho.value is None or rho.low is None or rho.high is None or error is None or spread <= 0:
        return None
    limit = RANK_LIMIT * (fidelity.ceiling or 1.0)
    noiseless = fidelity.noiseless and fidelity.noiseless.mean_absolute_error.value
    allowed = noiseless or 0.0
    ranks, levels = rho.value >= limit, level_works(error, allowed, spread)
    by_chance = fidelity.chance.spearman.high  # few references rank perfectly by chance
    is_clear = rho.high < limit or (rho.low >= limit and rho.value > (by_chance or 0.0))
    reasons = (
        f"over {fidelity.n_mixtures} references ρ is {rho.value:.2f} ({rho.low:.2f} to "
        f"{rho.high:.2f}); at least {limit:.2f} is needed, nine tenths of what noise allows",
        f"the mean error is {_percent(error / spread)} of the standard deviation between mixtures; "
        f"the limit is {_percent(LEVEL_LIMIT + allowed / spread)} ({_percent(LEVEL_LIMIT)} and "
        f"{_percent(allowed / spread)} for the noise of the references)",
    )
    calibration = _calibration_remedy(
        n_calibration, is_calibrated=is_calibrated, is_continued=is_continued
    )
    remedies = _remedies(calibration, ranks=ranks, levels=levels, is_continued=is_continued)
    if not is_clear:
        remedies = (
            *remedies,
            "validate with more mixtures (`validation.mixtures`): "
            f"{fidelity.n_mixtures} references are too few to be certain",
        )
    return Trust(_word(ranks=ranks, levels=levels), "measured", is_clear, reasons, remedies)


def judge_predicted(
    curvature: float | None,
    relative_sizes: Sequence[float],
    rule: str,
    *,
    n_calibration: int,
    n_references: int,
    ground: Ground = "language models",
) -> Trust:
    """Judge the proxy before any reference is trained.

    Args:
        curvature: b of the objective; None where it reads a metric that no slopes tell of.
        relative_sizes: ‖δᵢ‖ / ‖θ₀‖.
        rule: The proxy's merge rule.
        n_calibration: Mixtures that the study trains for calibration.
        n_references: References that a validation should have.
        ground: What is merged.
    """
    ranks = (
        ground != "own heads"
        and curvature is not None
        and curvature <= CURVATURE_LIMIT
        and max(relative_sizes) <= LARGE_UPDATE
    )
    reasons = [
        "the objective reads a set of which nothing has slopes, so that nothing can be predicted"
        if curvature is None
        else f"the second-order terms vary {curvature:.2f}× as much between mixtures as the "
        f"first-order terms; above {CURVATURE_LIMIT:.2f}× rankings were less reliable in our "
        "benchmark, though this is a weak sign",
        "the level cannot be known without references: merging averages away noise that a trained "
        "model keeps",
    ]
    if max(relative_sizes) > LARGE_UPDATE:
        reasons.append(
            f"the largest update is {_percent(max(relative_sizes))} of the base; beyond "
            f"{_percent(LARGE_UPDATE)} the theory is no guide"
        )
    if ground in _DOUBTS:
        reasons.append(_DOUBTS[ground])
    if rule != _LINEAR:
        reasons.append(f"this prediction is for the linear merge, but the study uses `{rule}`")
    calibration = _calibration_remedy(n_calibration, is_calibrated=False, is_continued=False)
    advice = (
        f"train {n_references} references, which measure what is only predicted here (set "
        "`validation.mixtures`, then `mixwise validate`)"
    )
    return Trust(
        _word(ranks=ranks, levels=False),
        "predicted",
        False,
        tuple(reasons),
        (*_remedies(calibration, ranks=ranks, levels=False, is_continued=False), advice),
    )


def judge_expected(
    ranks: ExpectedRanks,
    path: Sequence[BestAt],
    *,
    share: float,
    is_one_step: bool = False,
    ground: Ground = "language models",
) -> Trust:
    """Judge a recommendation that no reference was trained to check.

    Args:
        ranks: How well mixtures are ranked, as far as can be foreseen.
        path: The best mixture along the experts' runs; empty where not all scores are continued.
        share: Steps of the experts' runs over those of the final one.
        is_one_step: Whether experts are a step each, with no points along it.
        ground: What is merged.
    """
    works, moves = ranks.middle >= RANK_LIMIT, not has_settled(path)
    is_foreseen = ground != "own heads"
    reasons = [
        f"no reference was trained to check it: from what the proxy usually misses, ρ is expected "
        f"to be {ranks.middle:.2f} ({ranks.low:.2f} to {ranks.high:.2f}); at least "
        f"{RANK_LIMIT:.2f} is needed"
    ]
    remedies = []
    if path:
        words = "still moves with the horizon" if moves else "has settled"
        where = 0 if works and moves else 1  # what decides is said first
        reasons.insert(
            where,
            f"experts read {_percent(share)} of what the final run reads, and their scores are "
            f"continued; the best mixture {words}: that of their end would lose "
            f"{path[-1].behind:.2f} at the final horizon",
        )
    elif share < 1:
        cause = "not all of the objective is continued"
        if is_one_step:
            cause = "a single step has no points along it"
        reasons.append(
            f"experts read {_percent(share)} of what the final run reads, and how the best mixture "
            f"moves from there is not known: {cause}"
        )
    if ground in _DOUBTS:  # what decides is said first
        reasons.insert(len(reasons) if is_foreseen else 0, _DOUBTS[ground])
    if not works or moves or not is_foreseen:
        remedies.append(
            _LONGER if share < 1 else "train mixtures for calibration (`calibration.mixtures`)"
        )
    remedies.append(
        "verify it: `verify: true`, or `mixwise run RECIPE --verify`, trains references and "
        "baselines, beyond the budget"
    )
    word = _word(ranks=is_foreseen and works and not moves, levels=False)
    return Trust(word, "predicted", False, tuple(reasons), tuple(remedies))


def _word(*, ranks: bool, levels: bool) -> Word:
    if not ranks:
        return "do not trust"
    return "trust" if levels else "trust the ranking only"


def _remedies(
    calibration: str, *, ranks: bool, levels: bool, is_continued: bool
) -> tuple[str, ...]:
    """What makes the level right, then what makes the ranking right."""
    found = [] if levels else [calibration]
    if not ranks and is_continued:
        found.append(_LONGER)
    elif not ranks:
        found.append(
            "search with experts that move less, by a lower learning rate or shorter runs "
            "(`training.learning_rate` and `experts.horizon_tokens` in a recipe): in our benchmark "
            "their merges ranked better, though a very short run predicts a long one badly"
        )
    return tuple(found)


def _calibration_remedy(n_calibration: int, *, is_calibrated: bool, is_continued: bool) -> str:
    """What mends the level, for a study that trains so many mixtures for calibration."""
    if is_calibrated:
        return (
            f"train more mixtures for calibration (`calibration.mixtures` is {n_calibration}): in "
            "our benchmark eight left a smaller error than one, in every setting"
        )
    if n_calibration:
        return (
            "read the calibrated score, not the proxy's own: it corrects the level by "
            f"{n_calibration} trained mixture{'s' * (n_calibration != 1)} (`calibration.mixtures`)"
        )
    if is_continued:
        return (
            "set `calibration.mixtures` to 1 or more: a mixture that is trained to the end shows "
            "how far the level that was continued is off"
        )
    return (
        "set `calibration.mixtures` to 1 or more: a trained model keeps noise that merging "
        "averages away, and one trained mixture shows how much of it; in our benchmark this cut "
        "the error in eight of nine settings and kept the ranks"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
