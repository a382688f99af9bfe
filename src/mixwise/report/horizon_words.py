"""How far experts and final model are trained, and what is continued between them."""

from __future__ import annotations

from collections.abc import Mapping

from mixwise.decision.drift import has_settled
from mixwise.report.numbers import brief, count, number, some
from mixwise.study.results import HorizonFacts, Recommendation

_MERGED, _PREDICTED = "the experts merged", "predictions averaged"
_ANSWERS: Mapping[tuple[str, ...], str] = {
    ("merged",): _MERGED,
    ("predictions",): f"the experts' {_PREDICTED}",
    ("merged", "predictions"): f"{_MERGED} and their {_PREDICTED}",
}


def horizon_words(found: Recommendation | None) -> str:
    """Say how far experts and final model are trained, what is continued, and whether it moves."""
    if found is None:
        return ""
    horizons = found.horizons
    words = (
        f"Experts read {count(horizons.expert_tokens)} {horizons.unit} each, the final model "
        f"{count(horizons.run_tokens)}; all that was trained for the answer is "
        f"{number(found.cost.price)} of a final run. The proxy is "
        f"{_ANSWERS[tuple(sorted(horizons.answers))]}."
    )
    if horizons.expert_method == "gradients":
        return f"{words} {_step_words(horizons)}"
    if horizons.continued:
        points = ", ".join(count(point) for point in horizons.points)
        words += (
            f" {some(horizons.continued)} {'are' if len(horizons.continued) > 1 else 'is'} "
            f"continued to the final horizon from experts at {points} {horizons.unit}, which may "
            f"miss {number(horizons.error.single)} of a single domain's objective and "
            f"{number(horizons.error.level)} of what all mixtures have alike (standard deviations)."
            " That is the mean of a line in the logarithm of the steps and of what the experts' "
            "learning curves add up to."
        )
    if horizons.coefficients:
        longer = ", ".join(f"{c:g} times for {name}" for name, c in horizons.coefficients.items())
        words += (
            " What tells mixtures apart is the mean of the line and of the predictions of experts "
            f"whose step from the base is taken longer ({longer})."
        )
    if horizons.left:
        words += f" Left as they are at the experts' end: {some(horizons.left)}."
    if horizons.path:
        last = horizons.path[-1]
        moves = "has settled" if has_settled(horizons.path) else "still moves with the horizon"
        words += (
            f" The best mixture {moves}: that of the experts' own horizon "
            f"({brief(last.mixture.as_dict())}) would lose {number(last.behind)}."
        )
    return words


def _step_words(horizons: HorizonFacts) -> str:
    """Say how experts by gradients were made, how long their steps are, and what that may miss."""
    lengths = ", ".join(f"{c:g} for {name}" for name, c in horizons.coefficients.items())
    return (
        "No expert was trained: each is the base, moved once along the mean gradient of its "
        f"domain's {horizons.unit} there. How many times as long as the learning rate times the "
        f"batches the step is taken is what the uniform mixture scores best at ({lengths}). The "
        "final run's level is foreseen as twice what such a step gains. That may miss "
        f"{number(horizons.error.single)} of a single domain's objective and "
        f"{number(horizons.error.level)} of what all mixtures have alike (standard deviations)."
    )
