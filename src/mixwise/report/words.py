"""The sentences of the page: what was found, how sure it is, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mixwise.decision.fidelity import Fidelity
from mixwise.report.contents import (
    OBJECTIVE,
    Contents,
    Final,
    Margin,
    Prediction,
    Validation,
    Verdict,
)
from mixwise.report.numbers import NOTHING, count, estimate, interval, number, signed

_SHOULD_REACH = "A trained model should reach"


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One of the figures under the headline: its name, the value, and a note below it."""

    name: str
    value: str
    note: str


def verdict_words(final: Final | None) -> str:
    """Say in one sentence whether the recommendation beat the baselines when really trained."""
    if final is None:
        return (
            "Not trained yet: the mixture below is what the proxy recommends; "
            "`mixwise train STUDY` trains it and its baselines for real."
        )
    verdict = final.verdict
    if not verdict.margins:
        return "Unknown: the recommended mixture was trained, but no baseline to compare it with."
    closest = min(verdict.margins, key=lambda margin: margin.margin)
    return _OUTCOMES.get(verdict.outcome, _unknown)(verdict, closest)


def _won(verdict: Verdict, closest: Margin) -> str:
    return (
        f"Won: trained for real, the recommended mixture beat {_all(len(verdict.margins))}; "
        f"the closest, {closest.baseline}, is {_apart(closest)} behind."
    )


def _tied(verdict: Verdict, closest: Margin) -> str:
    side = "behind" if closest.margin >= 0 else "ahead"
    return (
        f"Tied: trained for real, the best baseline, {closest.baseline}, is {_apart(closest)} "
        f"{side}, which is within the noise between seeds."
    )


def _lost(verdict: Verdict, closest: Margin) -> str:
    return (
        f"Lost: trained for real, the baseline {closest.baseline} is {_apart(closest)} ahead of "
        "the recommended mixture: train on that one, or look below at where the proxy errs."
    )


def _unknown(verdict: Verdict, closest: Margin) -> str:
    side = "behind" if closest.margin >= 0 else "ahead"
    return (
        f"Unknown: the best baseline, {closest.baseline}, is {_apart(closest)} {side}, but with "
        "one seed the noise is unknown: set `final.seeds` to 2 or more."
    )


_OUTCOMES = {"won": _won, "tied": _tied, "lost": _lost, "unknown": _unknown}


def _all(n: int) -> str:
    return "the one baseline" if n == 1 else f"all {n} baselines"


def _seeds(n: int) -> str:
    return f"{n} seed" if n == 1 else f"{n} seeds"


def _apart(margin: Margin) -> str:
    distance = number(abs(margin.margin))
    if margin.noise_widths is None:
        return distance
    return f"{distance} ({abs(margin.noise_widths):.1f} noise widths)"


def equals_words(contents: Contents) -> str:
    """Say which baselines cannot be told from the recommended mixture; empty where all can."""
    if contents.final:
        margins = contents.final.verdict.margins
        equal = [margin.baseline for margin in margins if margin.standing == "equal"]
        ahead = [margin.baseline for margin in margins if margin.standing == "ahead"]
        how = "trained for real, within one noise width"
    else:
        rows = contents.baselines
        equal = [row.name for row in rows if row.standing == "equal"]
        ahead = [row.name for row in rows if row.standing == "ahead"]
        how = "by its prediction"
    found = [
        f"{start} ({how}): {', '.join(names)}."
        for start, names in (
            ("Cannot be told apart from the recommended mixture", equal),
            ("Better than the recommended mixture", ahead),
        )
        if names
    ]
    return " ".join(found)


def key_figures(contents: Contents) -> tuple[KeyFigure, ...]:
    """The prediction, what was reached, and fidelity, each with how sure it is."""
    recommended = contents.recommended
    if contents.prediction is None or recommended is None:
        return ()
    reached = recommended.reached(OBJECTIVE)
    n_seeds = len(recommended.runs)
    verdict = contents.final.verdict if contents.final else None
    return (
        _predicted_figure(contents.prediction),
        KeyFigure(
            "Reached when trained",
            signed(reached),
            f"mean of {_seeds(n_seeds)}; noise width {number(verdict.noise_width)}"
            if verdict
            else "not trained yet",
        ),
        KeyFigure("Fidelity, Spearman ρ", *_fidelity(contents.validation)),
    )


def _predicted_figure(found: Prediction) -> KeyFigure:
    """The calibrated prediction; without one, the proxy's score and what its interval covers."""
    if found.reference is not None:
        note = f"95 % {interval(found.reference_interval)}, {_calibrated_by(found)}"
        return KeyFigure(_SHOULD_REACH, signed(found.reference), note)
    if found.reference_interval is not None:  # of a version that predicted the interval alone
        note = "95 %, from the proxy's errors on the references"
        return KeyFigure(_SHOULD_REACH, interval(found.reference_interval), note)
    return KeyFigure(
        "The proxy's score",
        signed(found.score.objective),
        f"95 % {interval(found.interval)} over evaluation examples only; what merging misses is "
        "not in it, as no trained model shows it yet",
    )


def prediction_rows(contents: Contents) -> list[list[str]]:
    """Each score of the recommended mixture, its 95 % interval, and what the interval covers."""
    found, recommended = contents.prediction, contents.recommended
    if found is None or recommended is None:
        return []
    rows = [
        [
            "Calibrated: a trained model should reach",
            signed(found.reference),
            interval(found.reference_interval),
            f"what merging misses, {_calibrated_by(found)}, and the noise of training",
        ],
        [
            "Proxy: the merged model's own score",
            signed(found.score.objective),
            interval(found.interval),
            "which evaluation examples were drawn; neither what merging misses nor the noise of "
            "training",
        ],
        [
            "Reached when trained",
            signed(recommended.reached(OBJECTIVE)),
            NOTHING,
            f"mean of {_seeds(len(recommended.runs))}",
        ],
    ]
    is_known = (found.reference is not None, True, bool(recommended.runs))
    return [row for row, known in zip(rows, is_known, strict=True) if known]


def _calibrated_by(found: Prediction) -> str:
    n = found.n_references
    references = f"{n} trained reference{'s' * (n != 1)}" if n else "trained references"
    return f"learned from {references}"


def _fidelity(validation: Validation | None) -> tuple[str, str]:
    if validation is None:
        return NOTHING, "not validated yet"
    figure = validation.fidelity[OBJECTIVE]
    rho = figure.spearman
    bounds = None if rho.low is None or rho.high is None else (rho.low, rho.high)
    return number(rho.value), f"95 % {interval(bounds)}; noise ceiling {number(figure.ceiling)}"


def validation_words(validation: Validation) -> str:
    """Say how well the proxy ranks the objective."""
    figure = validation.fidelity[OBJECTIVE]
    lost = estimate(figure.regret)
    return (
        f"{figure.n_mixtures} reference mixtures, away from all that the search scored, were "
        f"trained with {_seeds_each(figure)} each. On the objective the proxy ranks them with "
        f"ρ = {estimate(figure.spearman)}; {_ceiling_words(figure.ceiling)}. Picking the proxy's "
        f"best of them would lose {lost} of the objective.{_chance_words(figure)}"
    )


def calibrated_words(validation: Validation) -> str:
    """Say what calibration adds: each reference predicted from all other trained mixtures."""
    found, plain = validation.calibrated, validation.fidelity[OBJECTIVE]
    if found is None:
        return ""
    return (
        "Calibrated, with each reference predicted from all the other trained mixtures: "
        f"ρ = {estimate(found.spearman)}, mean absolute error "
        f"{number(found.mean_absolute_error.value)} where the proxy alone errs by "
        f"{number(plain.mean_absolute_error.value)}."
    )


def _seeds_each(figure: Fidelity) -> str:
    is_least = figure.n_runs > figure.n_mixtures * figure.n_seeds
    return "at least " * is_least + _seeds(figure.n_seeds)


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


def cost_words(cost: Mapping[str, Any]) -> str:
    """Say what the search spent, and what a search by training would have cost."""
    if not cost:
        return "No search has been paid for yet."
    n, n_experts = cost["candidates_scored"], cost["runs"]["experts"]
    n_calibration = cost["runs"].get("calibration", 0)
    n_trained = cost["search_runs_if_trained"]
    avoided = cost["search_tokens_avoided"]
    spent = (
        f"The search trained {n_experts} expert{'s' * (n_experts != 1)}"
        f"{_calibration_words(n_calibration)} on "
        f"{count(cost['search_tokens_spent'])} tokens and scored {count(n)} merged candidates. "
        f"{_instead(n, n_trained)} would have taken {count(n_trained)} runs and "
        f"{count(cost['search_tokens_if_trained'])} tokens"
    )
    if avoided <= 0:
        return f"{spent}, which is not more: with so few candidates, merging avoided no training."
    return (
        f"{spent}: merging avoided {count(n_trained - n_experts - n_calibration)} runs and "
        f"{count(avoided)} tokens. "
        f"Validation trained {count(cost['runs']['validation'])} models and the final comparison "
        f"{count(cost['runs']['final'])}, on {count(_checked_tokens(cost))} tokens."
    )


def _calibration_words(n: int) -> str:
    return f" and {count(n)} model{'s' * (n != 1)} for calibration" if n else ""


def _instead(n_scored: int, n_trained: int) -> str:
    if n_trained == n_scored:
        return "Training each candidate instead"
    return "Training, which has no slopes to read and so needs a lattice of mixtures,"


def _checked_tokens(cost: Mapping[str, Any]) -> int:
    return int(cost["trained_tokens"]["validation"] + cost["trained_tokens"]["final"])
