"""How well the proxy ranks what was really trained, in sentences."""

from __future__ import annotations

from mixwise.decision.fidelity import Fidelity
from mixwise.decision.score import OBJECTIVE
from mixwise.report.contents import Contents
from mixwise.report.numbers import estimate, number, seeds
from mixwise.study.results import ValidationFound


def validation_words(validation: ValidationFound) -> str:
    """Say how well the proxy ranks the objective."""
    figure = validation.fidelity[OBJECTIVE]
    lost = estimate(figure.regret)
    return (
        f"{figure.n_mixtures} reference mixtures, away from all that the search scored, were "
        f"trained with {_seeds_each(figure)} each. On the objective the proxy ranks them with "
        f"ρ = {estimate(figure.spearman)}; {_ceiling_words(figure.ceiling)}. Picking the proxy's "
        f"best of them would lose {lost} of the objective.{_chance_words(figure)}"
    )


def calibrated_words(contents: Contents) -> str:
    """Say what calibration adds: each reference predicted from all other trained mixtures."""
    recommendation = contents.recommendation
    found = recommendation.fidelity_calibrated if recommendation else None
    if found is None or contents.validation is None:
        return ""
    plain = contents.validation.fidelity[OBJECTIVE]
    return (
        "Calibrated, with each reference predicted from all the other trained mixtures: "
        f"ρ = {estimate(found.spearman)}, mean absolute error "
        f"{number(found.mean_absolute_error.value)} where the proxy alone errs by "
        f"{number(plain.mean_absolute_error.value)}."
    )


def _seeds_each(figure: Fidelity) -> str:
    is_least = figure.n_runs > figure.n_mixtures * figure.n_seeds
    return "at least " * is_least + seeds(figure.n_seeds)


def _chance_words(figure: Fidelity) -> str:
    rho, limit = figure.spearman.value, figure.chance.spearman.high
    if rho is not None and limit is not None and rho > limit:
        return ""
    return (
        " These references do not show that the proxy ranks better than chance: shuffled scores "
        f"reach ρ = {number(limit)} as well."
    )


def _ceiling_words(ceiling: float | None) -> str:
    if ceiling is None:
        return "what noise allows is unknown, as the seeds do not agree or there is one only"
    return f"noise alone allows {number(ceiling)}"
