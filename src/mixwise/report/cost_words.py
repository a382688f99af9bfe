"""What the search spent, in sentences."""

from __future__ import annotations

from mixwise.report.numbers import count, number
from mixwise.study.results import Cost, Recommendation


def cost_words(found: Recommendation | None) -> str:
    """Say what the search spent, and what a search by training would have cost."""
    if found is None:
        return "No search has been paid for yet."
    cost, runs, unit = found.cost, found.cost.runs, found.horizons.unit
    spent = (
        f"The search trained {runs.experts} expert{'s' * (runs.experts != 1)}"
        f"{_calibration_words(runs.calibration)} on "
        f"{count(cost.search_tokens_spent)} {unit} and scored {count(cost.candidates_scored)} "
        f"merged candidates. {_instead(cost)} would have taken "
        f"{count(cost.search_runs_if_trained)} runs and "
        f"{count(cost.search_tokens_if_trained)} {unit}"
    )
    if cost.search_tokens_avoided <= 0:
        return f"{spent}, which is not more: with so few candidates, merging avoided no training."
    spent += f". The price of the answer is {number(cost.price)} of a final run"
    n_avoided = cost.search_runs_if_trained - runs.experts - runs.calibration
    checked = cost.trained_tokens.validation + cost.trained_tokens.final
    return (
        f"{spent}: merging avoided {count(n_avoided)} runs and "
        f"{count(cost.search_tokens_avoided)} {unit}. Validation trained {count(runs.validation)} "
        f"models and the final training {count(runs.final)}, on {count(checked)} {unit}."
    )


def _calibration_words(n: int) -> str:
    return f" and {count(n)} model{'s' * (n != 1)} for calibration" if n else ""


def _instead(cost: Cost) -> str:
    if cost.search_runs_if_trained == cost.candidates_scored:
        return "Training each candidate instead"
    return "Training, which has no slopes to read and so needs a lattice of mixtures,"
