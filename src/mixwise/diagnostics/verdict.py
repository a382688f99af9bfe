"""Whether to believe the proxy, in words, with the reasons and what would help.

Notation:
    x, y: the objective by the proxy and by real training, over mixtures, ``(n,)``.
    s: spread, the standard deviation of the objective between mixtures.  ρ: Spearman.
    b: bend, the same of the objective's second-order part, over the same of its first-order part.

Method:
    The ranking works where ρ ≥ 0.9 of what noise allows; the level where mean |x − y| ≤ s/4 plus
    what a perfect proxy would show, as there is noise in y.

        trust                    both work
        trust the ranking only   the ranking works
        do not trust             it does not

    Where references were trained, both are measured, and that is the verdict; it is marked where
    the interval of ρ reaches across the limit. Before that the ranking is foretold from b, how much
    of the predicted differences between mixtures is of second order, and the level is never
    trusted: the noise that merging averages away is as large as what curvature does, and experts
    alone do not show it.

Source:
    The limits of ρ and s/4 were set before the truth bed was looked at, what a perfect proxy would
    show was added when it was seen that none could pass. b and its limit are what foretold best of
    all that experts alone show; `benchmarks/verdict.py` tells how well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mixwise.diagnostics.fidelity import Fidelity

Array = npt.NDArray[np.float64]
Word = Literal["trust", "trust the ranking only", "do not trust"]
Basis = Literal["measured", "predicted"]
RANK_LIMIT = 0.9
LEVEL_LIMIT = 0.25
BEND_LIMIT = 0.73
_LINEAR = "linear"
LARGE_UPDATE = 0.15  # relative size of a task vector beyond which second order is no guide


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to believe the proxy.

    Args:
        word: The verdict.
        basis: Whether references were trained for it, or theory foretells it.
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


def bend_of(first: Array, second: Array) -> float:
    """How much of the differences between mixtures is of second order.

    Args:
        first: First-order part of the objective by the linear merge, shape ``(n_mixtures,)``.
        second: Second-order part, the same shape.

    Returns:
        sd(second) / sd(first); infinite where the first-order parts are all the same.

    Example:
        >>> bend_of(np.array([0.0, 2.0]), np.array([0.5, 0.0]))
        0.25
    """
    scale = float(first.std())
    return float(second.std()) / scale if scale > 0 else float("inf")


def judge_measured(fidelity: Fidelity, spread: float, rule: str) -> Verdict | None:
    """Judge the proxy by references.

    Args:
        fidelity: Of the objective.
        spread: Standard deviation of the objective between the references.
        rule: The proxy's merge rule.

    Returns:
        The verdict, or None where the references cannot be ranked.
    """
    rho, error = fidelity.spearman, fidelity.mean_absolute_error.value
    if rho.value is None or rho.low is None or rho.high is None or error is None or spread <= 0:
        return None
    limit = RANK_LIMIT * (fidelity.ceiling or 1.0)
    allowed = fidelity.noiseless and fidelity.noiseless.mean_absolute_error.value
    ranks, levels = rho.value >= limit, level_works(error, allowed or 0.0, spread)
    by_chance = fidelity.chance.spearman.high  # few references rank perfectly by chance
    is_clear = rho.high < limit or (rho.low >= limit and rho.value > (by_chance or 0.0))
    reasons = (
        f"over {fidelity.n_mixtures} references ρ is {rho.value:.2f} ({rho.low:.2f} to "
        f"{rho.high:.2f}); {limit:.2f} is asked for, nine tenths of what noise allows",
        f"the error is {error / spread:.0%} of the spread between mixtures; {LEVEL_LIMIT:.0%} and "
        f"the {(allowed or 0.0) / spread:.0%} of a perfect proxy are allowed",
    )
    remedies = _remedies(rule, ranks=ranks, levels=levels)
    if not is_clear:
        remedies = (*remedies, f"validate with more than {fidelity.n_mixtures} mixtures")
    return Verdict(_word(ranks=ranks, levels=levels), "measured", is_clear, reasons, remedies)


def judge_predicted(
    bend: float, relative_sizes: Sequence[float], rule: str, n_references: int
) -> Verdict:
    """Judge the proxy before any reference is trained.

    Args:
        bend: b of the objective.
        relative_sizes: ‖δᵢ‖ / ‖θ₀‖.
        rule: The proxy's merge rule.
        n_references: References to be advised.
    """
    ranks = bend <= BEND_LIMIT and max(relative_sizes) <= LARGE_UPDATE
    reasons = [
        f"second order makes {bend:.2f} of what first order makes between mixtures; proxies with "
        f"more than {BEND_LIMIT:.2f} ranked badly on the truth bed",
        "the level cannot be known without references: merging averages away noise that a trained "
        "model keeps",
    ]
    if max(relative_sizes) > LARGE_UPDATE:
        reasons.append(
            f"the largest update is {max(relative_sizes):.0%} of the base; beyond "
            f"{LARGE_UPDATE:.0%} the theory is no guide"
        )
    if rule != _LINEAR:
        reasons.append(f"this foretells the linear merge, of which `{rule}` is a correction")
    remedies = _remedies(rule, ranks=ranks, levels=False)
    advice = f"train {n_references} references to know (`mixwise validate`)"
    word = _word(ranks=ranks, levels=False)
    return Verdict(word, "predicted", False, tuple(reasons), (*remedies, advice))


def _word(*, ranks: bool, levels: bool) -> Word:
    if not ranks:
        return "do not trust"
    return "trust" if levels else "trust the ranking only"


def _remedies(rule: str, *, ranks: bool, levels: bool) -> tuple[str, ...]:
    """What makes the level right, then what makes the ranking right."""
    found = []
    if not levels and rule == _LINEAR:
        found.append("correct the level by one run on the uniform mixture (rule `centre`)")
    elif not levels:
        found.append("correct the level by more trained mixtures (`calibration.mixtures`)")
    if not ranks:
        found.append("train the experts for a shorter horizon or at a lower rate")
    return tuple(found)
