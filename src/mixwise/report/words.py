"""The sentences of the page: what was found, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mixwise.decision.front import Front
from mixwise.decision.score import OBJECTIVE
from mixwise.report.contents import Contents
from mixwise.report.numbers import (
    MOST_NAMED,
    NOTHING,
    brief,
    count,
    interval,
    number,
    seeds,
    signed,
)
from mixwise.share_units import UNIT_WORDS
from mixwise.study.results import (
    FinalFound,
    ObjectiveTerm,
    Recommendation,
    ReferenceForecast,
    SeedScore,
    ValidationFound,
)

LEAST_BEHIND = 0.005  # units of the objective that are shown as a difference
_AGGREGATIONS = {"mean": "the mean gain", "worst": "the smallest gain"}
_SHOULD_REACH = "A trained model should reach"


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One of the figures under the headline: its name, the value, and a note below it."""

    name: str
    value: str
    note: str


def key_figures(contents: Contents) -> tuple[KeyFigure, ...]:
    """The prediction, what was reached, and fidelity, each with how sure it is."""
    recommended = contents.recommended
    if contents.recommendation is None or recommended is None:
        return ()
    reached = recommended.answers.reached()
    n_seeds = len(recommended.answers.runs)
    final = contents.final
    found = contents.recommendation
    price = f"of a final run: {count(found.cost.search_tokens_spent)} {found.horizons.unit}"
    basis = "measured on trained references" if found.trust.basis == "measured" else "as predicted"
    return (
        _predicted_figure(found),
        KeyFigure("May it be trusted?", found.trust.word.capitalize(), f"{basis}; why: below"),
        KeyFigure("Price of the answer", number(found.cost.price), price),
        KeyFigure(
            "Reached when trained",
            signed(reached),
            _reached_note(n_seeds, final) if final else "not trained yet",
        ),
        KeyFigure("Fidelity, Spearman ρ", *_fidelity(contents.validation)),
    )


def _reached_note(n_seeds: int, final: FinalFound) -> str:
    """Of how many runs a score is the mean, how far seeds differ, and what they began at."""
    noise_width = final.outcome.noise_width
    width = "" if noise_width is None else f"; noise width {number(noise_width)}"
    start = ""
    if final.start == "merged":
        start = "; begun at the merged experts, where the prediction is for runs from the base"
    return f"{f'mean of {seeds(n_seeds)}' if n_seeds > 1 else 'one seed'}{width}{start}"


def _predicted_figure(found: Recommendation) -> KeyFigure:
    """What a trained model should reach."""
    note = f"95 % {interval(found.reference.interval_95)}, {_calibrated_by(found.reference)}"
    return KeyFigure(_SHOULD_REACH, signed(found.reference.objective), note)


def prediction_rows(contents: Contents) -> list[list[str]]:
    """Each score of the recommended mixture, its 95 % interval, and what the interval covers."""
    found, recommended = contents.recommendation, contents.recommended
    if found is None or recommended is None:
        return []
    rows = [
        [
            "Proxy: its own score",
            signed(found.proxy.objective),
            interval(found.proxy.interval_95),
            "which evaluation examples were drawn; neither what the proxy misses nor the noise of "
            "training",
        ]
    ]
    covers = f"what the proxy misses, {_calibrated_by(found.reference)}, and the noise of training"
    kind = "Calibrated" if found.reference.n_references else "Predicted"
    name = f"{kind}: a trained model should reach"
    between = interval(found.reference.interval_95)
    rows.insert(0, [name, signed(found.reference.objective), between, covers])
    if recommended.answers.runs:
        reached = signed(recommended.answers.reached())
        trained = f"mean of {seeds(len(recommended.answers.runs))}"
        rows.append(["Reached when trained", reached, NOTHING, trained])
    return rows


def unit_words(found: Recommendation | None) -> str:
    """Say the recommended mixture by the other units; empty where all of them are tokens alike."""
    others = found.by_other_units if found else {}
    shown = [f"{brief(m.as_dict())} by {UNIT_WORDS[unit]}" for unit, m in others.items()]
    return f"The same mixture is {' and '.join(shown)}." if shown else ""


def simplicity_words(found: Recommendation | None) -> str:
    """Say whether the highest score can be told from the simplest mixture's; else empty."""
    simplicity = found.simplicity if found else None
    if found is None or simplicity is None:
        return ""
    simplest = (
        "uniform"
        if simplicity.preferred == "uniform"
        else f"the available {found.horizons.unit}' shares"
    )
    ahead = f"{number(simplicity.behind)} ± {number(simplicity.deviation)}"
    highest = brief(simplicity.highest.shares)
    if simplicity.holds_anchor:
        return (
            f"The highest-scoring mixture ({highest}) is expected to be ahead of {simplest} by "
            f"{ahead} (standard deviation), too little to tell them apart: among equals the "
            "simplest is recommended."
        )
    moved = (
        ""
        if simplicity.highest.mixture == found.mixture
        else f"; of the mixtures that are as good as the highest-scoring one ({highest}), the "
        "recommended one is the nearest to it"
    )
    return (
        f"The highest score is expected to be ahead of {simplest} by {ahead} (standard deviation "
        f"of the difference){moved}."
    )


def objective_words(found: Recommendation | None, runs: Sequence[SeedScore] = ()) -> str:
    """Say what the objective is made of: each metric of the base, by the proxy, and as trained.

    Args:
        found: What is recommended.
        runs: Models that were trained on that mixture.
    """
    if found is None or found.objective is None:
        return ""
    facts = found.objective
    shown = [_gain(term, found, runs) for term in facts.heaviest(MOST_NAMED)]
    more = len(facts.terms) - len(shown)
    gain = "the gain" if len(facts.terms) == 1 else _AGGREGATIONS[facts.aggregation]
    return (
        f"The objective, larger is better, is {gain} over the base in standard deviations between "
        f"the experts: {'; '.join(shown)}{f'; and {more} more' if more else ''}."
    )


def _gain(term: ObjectiveTerm, found: Recommendation, runs: Sequence[SeedScore]) -> str:
    """One metric of the objective, from the base to the recommended mixture."""
    expected = found.proxy.metrics[term.metric]
    words = f"{term.metric} {number(term.base)} of the base, {number(expected)} by the proxy"
    if not runs:
        return words
    reached = fmean(run.metrics[term.metric] for run in runs)
    return f"{words}, {number(reached)} when trained"


def floor_words(found: Recommendation | None) -> str:
    """Say which metrics must not get worse, and whether they are expected to."""
    if found is None or not found.floors:
        return ""
    sides = {"min": "at most", "max": "at least"}
    held = [
        f"{floor.metric} {number(floor.expected)} ({sides[floor.direction]} "
        f"{number(floor.limit)}{'' if floor.holds else ', MISSED'})"
        for floor in found.floors
    ]
    missed = [floor.metric for floor in found.floors if not floor.holds]
    words = f"Floors, by the proxy: {', '.join(held)}."
    if missed:
        words += (
            f" No mixture that was looked at holds {' and '.join(missed)} and the others too: this "
            "one misses by the least. Lower the floor, or widen the limits of the shares."
        )
    return words


def worse_words(found: Recommendation | None) -> str:
    """Say which metrics of the objective are expected to get worse than the base's."""
    if found is None or not found.worse_than_base:
        return ""
    shown = [
        f"{name} ({number(base)} of the base, {number(expected)} expected)"
        for name, (base, expected) in found.worse_than_base.items()
    ]
    return f"Expected to get WORSE than the base, by the proxy: {', '.join(shown)}."


def front_words(front: Front) -> str:
    """Say what the front is of, and where the recommended mixture stands."""
    n = len(front.points)
    if n == 1:
        words = "One mixture is the best for every group of metrics: nothing has to be traded."
    else:
        words = (
            f"{n} mixtures of which none is better in one group of metrics and as good in the "
            "others, by the proxy, in units of the objective; 95 % over evaluation examples alone."
        )
    if front.behind < LEAST_BEHIND:
        return (
            f"{words} No scored mixture is better than the recommended one in every group of "
            "metrics."
        )
    return (
        f"{words} Another scored mixture is ahead of the recommended one by {number(front.behind)} "
        "in every group of metrics: among equals the simplest is recommended, or what trained "
        "references showed has moved it."
    )


def _calibrated_by(found: ReferenceForecast) -> str:
    n = found.n_references
    if not n:
        return "predicted from what is usual, as no model was trained to learn it from"
    return f"learned from {n} trained reference{'s' * (n != 1)}"


def _fidelity(validation: ValidationFound | None) -> tuple[str, str]:
    if validation is None:
        return NOTHING, "not validated yet"
    figure = validation.fidelity[OBJECTIVE]
    rho = figure.spearman
    bounds = None if rho.low is None or rho.high is None else (rho.low, rho.high)
    return number(rho.value), f"95 % {interval(bounds)}; noise ceiling {number(figure.ceiling)}"
