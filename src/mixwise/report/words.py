"""The sentences of the page: what was found, how sure it is, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from mixwise.decision.drift import has_settled
from mixwise.decision.fidelity import Fidelity
from mixwise.decision.front import Front
from mixwise.decision.outcome import Margin, Outcome
from mixwise.decision.score import OBJECTIVE
from mixwise.report.contents import Contents
from mixwise.report.numbers import NOTHING, count, estimate, interval, number, signed
from mixwise.report.numbers import mixture as in_words
from mixwise.share_units import UNIT_WORDS
from mixwise.study.results import (
    Cost,
    FinalFound,
    HorizonFacts,
    Recommendation,
    ReferenceForecast,
    ValidationFound,
)

_ANSWERS = {
    "merged": "the experts merged",
    "predictions": "their predictions averaged",
}
LEAST_BEHIND = 0.005  # units of the objective that are shown as a difference
_SHOULD_REACH = "A trained model should reach"


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One of the figures under the headline: its name, the value, and a note below it."""

    name: str
    value: str
    note: str


def outcome_words(final: FinalFound | None) -> str:
    """Say in one sentence whether the recommendation beat the baselines when really trained."""
    if final is None:
        return (
            "Not trained yet: the mixture below is what the proxy recommends; "
            "`mixwise train STUDY` trains it and its baselines for real."
        )
    outcome = final.outcome
    if not outcome.margins:
        return "Unknown: the recommended mixture was trained, but no baseline to compare it with."
    closest = min(outcome.margins, key=lambda margin: margin.margin)
    return _OUTCOMES.get(outcome.word, _unknown)(outcome, closest)


def _won(outcome: Outcome, closest: Margin) -> str:
    return (
        f"Won: trained for real, the recommended mixture beat {_all(len(outcome.margins))}; "
        f"the closest, {closest.baseline}, is {_apart(closest)} behind."
    )


def _tied(outcome: Outcome, closest: Margin) -> str:
    side = "behind" if closest.margin >= 0 else "ahead"
    return (
        f"Tied: trained for real, the best baseline, {closest.baseline}, is {_apart(closest)} "
        f"{side}, which is within the noise between seeds."
    )


def _lost(outcome: Outcome, closest: Margin) -> str:
    return (
        f"Lost: trained for real, the baseline {closest.baseline} is {_apart(closest)} ahead of "
        "the recommended mixture: train on that one, or look below at where the proxy errs."
    )


def _unknown(outcome: Outcome, closest: Margin) -> str:
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
        margins = contents.final.outcome.margins
        equal = [margin.baseline for margin in margins if margin.standing == "equal"]
        ahead = [margin.baseline for margin in margins if margin.standing == "ahead"]
        how = "trained for real, within one noise width"
    else:
        rows = contents.baselines
        equal = [row.answers.name for row in rows if row.standing == "equal"]
        ahead = [row.answers.name for row in rows if row.standing == "ahead"]
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
    if contents.recommendation is None or recommended is None:
        return ()
    reached = recommended.answers.reached()
    n_seeds = len(recommended.answers.runs)
    outcome = contents.final.outcome if contents.final else None
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
            f"mean of {_seeds(n_seeds)}; noise width {number(outcome.noise_width)}"
            if outcome
            else "not trained yet",
        ),
        KeyFigure("Fidelity, Spearman ρ", *_fidelity(contents.validation)),
    )


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
        seeds = f"mean of {_seeds(len(recommended.answers.runs))}"
        rows.append(["Reached when trained", reached, NOTHING, seeds])
    return rows


def unit_words(found: Recommendation | None) -> str:
    """Say the recommended mixture by the other units; empty where all of them are tokens alike."""
    others = found.by_other_units if found else {}
    shown = [f"{in_words(m.as_dict())} by {UNIT_WORDS[unit]}" for unit, m in others.items()]
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
    highest = in_words(simplicity.highest.shares)
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
        words = "One mixture is the best for every group: nothing has to be traded."
    else:
        words = (
            f"{n} mixtures of which none is better in one group and as good in the others, by the "
            "proxy, in units of the objective; 95 % over evaluation examples alone."
        )
    if front.behind < LEAST_BEHIND:
        return f"{words} No scored mixture is better than the recommended one in every group."
    return (
        f"{words} Another scored mixture is ahead of the recommended one by {number(front.behind)} "
        "in every group: among equals the simplest is recommended, or what trained references "
        "showed has moved it."
    )


def horizon_words(found: Recommendation | None) -> str:
    """Say how far experts and final model are trained, what is continued, and whether it moves."""
    if found is None:
        return ""
    horizons = found.horizons
    words = (
        f"Experts read {count(horizons.expert_tokens)} {horizons.unit} each, the final model "
        f"{count(horizons.run_tokens)}; all that was trained for the answer is "
        f"{number(found.cost.price)} of a final run. The proxy is "
        f"{' and '.join(_ANSWERS[answer] for answer in horizons.answers)}."
    )
    if horizons.expert_method == "gradients":
        return f"{words} {_step_words(horizons)}"
    if horizons.continued:
        points = ", ".join(count(point) for point in horizons.points)
        words += (
            f" {', '.join(horizons.continued)} {'are' if len(horizons.continued) > 1 else 'is'} "
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
        words += f" Left as they are at the experts' end: {', '.join(horizons.left)}."
    if horizons.path:
        last = horizons.path[-1]
        moves = "has settled" if has_settled(horizons.path) else "still moves with the horizon"
        words += (
            f" The best mixture {moves}: that of the experts' own horizon "
            f"({in_words(last.mixture.as_dict())}) would lose {number(last.behind)}."
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
