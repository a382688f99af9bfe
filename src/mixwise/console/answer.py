"""What the study answers: the recommendation, how far to trust it, and what training showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from mixwise.console.front import print_front
from mixwise.console.text import print_text
from mixwise.decision.drift import has_settled
from mixwise.share_units import UNIT_WORDS

if TYPE_CHECKING:
    from mixwise.decision.fidelity import Estimate, Fidelity
    from mixwise.decision.outcome import Outcome
    from mixwise.decision.trust import Trust
    from mixwise.stages.score import ScoredMixture
    from mixwise.study.results import (
        FinalFound,
        ObjectiveFacts,
        ProxyForecast,
        Rated,
        Recommendation,
        ReferenceForecast,
        Simplicity,
    )

_BAR = 24
_MOST_NAMED = 6  # metrics in a sentence
_PREDICTED = "predicted: no model was trained to learn it from."
_LEAST_RANGE = 0.005  # shares that are known better than this are not worth a line
_STANDINGS = {
    "recommended": "the same mixture",
    "equal": "cannot be told apart",
    "ahead": "better than the recommended one",
}


def print_recommendation(found: Recommendation) -> None:
    """Print the recommended mixture and how sure it is."""
    print_text(f"\n{found.answer}\n")
    _print_shares(found)
    if found.simplicity is not None:
        _print_simplicity(found.simplicity, found.horizons.unit)
    _print_expected(found.reference)
    _print_objective(found)
    _print_proxy(found.proxy, is_predicted=not found.reference.n_references)
    _print_horizons(found)
    if found.floors or found.worse_than_base:
        _print_floors(found)
    if found.binding or found.rounding or found.prior:
        _print_limits(found)
    if found.front is not None:
        print_front(found.front)
    _print_baselines(found.baselines)
    _print_near_optimal(found)
    if found.fidelity is not None:
        print_fidelity(found.fidelity)
        if found.fidelity_calibrated is not None:
            _print_calibrated(found.fidelity_calibrated, found.fidelity)
    _print_trust_in_short(found.trust)


def _print_shares(found: Recommendation) -> None:
    """Print the recommended shares, and those by the other units beside them."""
    beside = {UNIT_WORDS[unit]: mixture.as_dict() for unit, mixture in found.by_other_units.items()}
    also = f" (beside them by {' and by '.join(beside)})" if beside else ""
    print_text(f"Shares by {found.unit_words}{also}")
    for name, share in found.mixture.as_dict().items():
        others = "".join(f"{shares[name]:8.3f}" for shares in beside.values())
        print_text(f"  {name:<16}{share:6.3f}{others}  {'█' * round(share * _BAR)}")
    print_text("")


def _print_simplicity(simplicity: Simplicity, unit: str) -> None:
    """Print whether the highest score can be told from the simplest mixture's."""
    from mixwise.report.numbers import brief  # the report is slow to load

    simplest = "uniform" if simplicity.preferred == "uniform" else f"the available {unit}' shares"
    apart = (
        "at most one deviation: the two count as equal"
        if simplicity.holds_anchor
        else "more than one deviation: the two do not count as equal"
    )
    print_text(
        f"The highest score ({brief(simplicity.highest.shares)}) is expected to be ahead of "
        f"{simplest} by {simplicity.behind:.2f} ± {simplicity.deviation:.2f} (standard deviation), "
        f"{apart}; among equals the mixture nearest to {simplest} is recommended."
    )


def _print_expected(reference: ReferenceForecast) -> None:
    """Print what a trained model should reach."""
    low, high = reference.interval_95
    n = reference.n_references
    print_text(
        f"A model trained on it should reach an objective of {reference.objective:.2f} (95 % "
        f"{low:.2f} to {high:.2f}), "
        + (f"learned from {n} trained reference{'s' * (n != 1)}." if n else _PREDICTED)
    )


def _print_objective(found: Recommendation) -> None:
    """Print what the objective is made of, in the metrics' own units."""
    from mixwise.report.words import objective_words  # the report is slow to load

    if words := objective_words(found):
        print_text(words)


def _print_proxy(proxy: ProxyForecast, *, is_predicted: bool) -> None:
    """Print the proxy's own score, and what its interval covers."""
    low, high = proxy.interval_95
    unknown = ", and no model was trained to learn it from" if is_predicted else ""
    print_text(
        f"Objective by the proxy {proxy.objective:.3f} (95 % {low:.3f} to {high:.3f} over "
        f"evaluation examples only: what the proxy misses is not in it{unknown})."
    )


def _print_horizons(found: Recommendation) -> None:
    """Print at what horizon the proxy was measured, what it cost, and whether its answer moves."""
    from mixwise.report.numbers import brief  # the report is slow to load

    horizons = found.horizons
    made = ", by gradients at the base," if horizons.expert_method == "gradients" else ""
    line = (
        f"Experts{made} read {horizons.expert_tokens:,} {horizons.unit} each, the final model "
        f"{horizons.run_tokens:,}; all that was trained for the answer is "
        f"{found.cost.price:.3g} of a final run."
    )
    if horizons.path:
        moves = "has settled" if has_settled(horizons.path) else "STILL MOVES with the horizon"
        line += (
            f" Scores are continued; the best mixture {moves}: the experts' own "
            f"({brief(horizons.path[-1].mixture.as_dict())}) would lose "
            f"{horizons.path[-1].behind:.2f}."
        )
    if horizons.left:
        line += f" Left as they are at the experts' end: {', '.join(horizons.left)}."
    print_text(line)


def _print_floors(found: Recommendation) -> None:
    """Print what is expected of metrics that must not get worse, and which are to get worse."""
    from mixwise.report.words import floor_words, worse_words  # the report is slow to load

    for words in (floor_words(found), worse_words(found)):
        if words:
            print_text(words)


def _print_limits(found: Recommendation) -> None:
    """Print which limits hold the mixture, and what steps of shares and a prior cost."""
    from mixwise.report.limit_words import (  # the report is slow to load
        binding_words,
        prior_words,
        rounding_words,
    )

    for words in (binding_words(found), rounding_words(found), prior_words(found.prior)):
        if words:
            print_text(words)


def _print_baselines(rows: Sequence[Rated]) -> None:
    """Print what each baseline should reach, or else its proxy score, and which are as good."""
    is_calibrated = all(row.expected is not None for row in rows)
    shown = [
        f"{row.name} {row.score.objective if row.expected is None else row.expected:.3f}"
        f"{_standing(row.standing)}"
        for row in rows
    ]
    start = "Baselines should reach" if is_calibrated else "Baselines by the proxy"
    print_text(f"{start}: {', '.join(shown)}.")


def _standing(standing: str) -> str:
    words = _STANDINGS.get(standing)
    return f" ({words})" if words else ""


def _print_near_optimal(found: Recommendation) -> None:
    """Print what cannot be told from the best: scored mixtures, and ranges of predicted shares."""
    n = len(found.near_optimal)
    print_text(f"{n} scored mixture{'s' * (n != 1)} cannot be told from the recommended one.")
    ranges = found.near_optimal_shares or {}
    shown = [
        f"{name} {low:.2f} to {high:.2f}"
        for name, (low, high) in ranges.items()
        if high - low > _LEAST_RANGE
    ]
    if shown:
        print_text(f"Predicted mixtures that cannot be either have: {', '.join(shown)}.")


def print_fidelity(fidelity: Fidelity) -> None:
    """Print how well the proxy ranked the references, and what it picked of them."""
    if fidelity.spearman.value is None:
        print_text("Fidelity: undefined, the references do not differ.")
        return
    line = (
        f"Fidelity of the objective on {fidelity.n_mixtures} references × "
        f"{fidelity.n_seeds} seeds: Spearman ρ {estimate_words(fidelity.spearman)}"
    )
    if fidelity.seed_spearman is not None:
        line += f"; one seed against another {fidelity.seed_spearman:.2f}"
    if fidelity.ceiling is not None:
        line += f"; the noise allows {fidelity.ceiling:.2f}"
    print_text(f"{line}; chance gives {estimate_words(fidelity.chance.spearman)}.")
    print_text("  " + "; ".join(_picks(fidelity)) + ".")


def _print_calibrated(calibrated: Fidelity, plain: Fidelity) -> None:
    """Print what calibration adds, each reference predicted from all the others."""
    print_text(
        f"Calibrated by the other references: Spearman ρ {estimate_words(calibrated.spearman)}; "
        f"mean absolute error {calibrated.mean_absolute_error.value:.2f}, of the proxy alone "
        f"{plain.mean_absolute_error.value:.2f}."
    )


def _picks(fidelity: Fidelity) -> list[str]:
    """What is lost by the proxy's pick, and how it ranks the best quarter; chance beside each."""
    chance = fidelity.chance
    rows = (
        ("Regret of its pick", fidelity.regret, chance.regret),
        ("ρ among the best quarter", fidelity.top_quarter, chance.top_quarter),
    )
    return [
        f"{words} {estimate_words(found)}, by chance {estimate_words(by_chance)}"
        if found.value is not None
        else f"{words} undefined for so few references"
        for words, found, by_chance in rows
    ]


def estimate_words(found: Estimate) -> str:
    """A figure with its interval."""
    if found.value is None:
        return "undefined"
    is_bounded = found.low is not None and found.high is not None
    between = f" (95 % {found.low:.2f} to {found.high:.2f})" if is_bounded else ""
    return f"{found.value:.2f}{between}"


def _print_trust_in_short(trust: Trust) -> None:
    """Print trust, the first reason, and the first thing that would help."""
    print_text(f"{_trust(trust)}: {trust.reasons[0]}.")
    for remedy in trust.remedies[:1]:
        print_text(f"  What helps: {remedy}.")


def print_trust(trust: Trust) -> None:
    """Print whether the proxy may be trusted, why, and what would help."""
    print_text(f"\n{_trust(trust)}.")
    for reason in trust.reasons:
        print_text(f"  Because: {reason}.")
    for remedy in trust.remedies:
        print_text(f"  What helps: {remedy}.")


def _trust(trust: Trust) -> str:
    unclear = "" if trust.is_clear else ", not certain"
    return f"Trust: {trust.word.upper()} ({trust.basis}{unclear})"


def print_final(final: FinalFound, objective: ObjectiveFacts | None = None) -> None:
    """Print what the trained model reached, by each metric too, and whether it won."""
    runs = final.rows[0].runs
    reached = fmean(run.objective for run in runs)
    of = "one seed" if len(runs) == 1 else f"mean of {len(runs)} seeds"
    metrics = [
        f"{term.metric} {fmean(run.metrics[term.metric] for run in runs):.3f}"
        for term in (objective.heaviest(_MOST_NAMED) if objective else ())
    ]
    is_warm = final.start == "merged"
    how = "Trained on from the merged experts" if is_warm else "Trained"
    print_text(
        f"{how}, the recommended mixture reached an objective of {reached:.3f} ({of})"
        f"{': ' + ', '.join(metrics) if metrics else ''}."
        f"{' What was predicted is for a run from the base.' * is_warm}"
    )
    if final.outcome.margins:
        print_outcome(final.outcome)
    else:
        print_text("No baseline was trained to compare it with: `--verify` trains them.")


def print_outcome(outcome: Outcome) -> None:
    """Print whether the recommendation won in real training."""
    words = {
        "won": "The recommendation WON in real training",
        "tied": "The recommendation could NOT be told from its best baseline in real training",
        "lost": "The recommendation LOST in real training",
        "unknown": "Whether the recommendation won is unknown (no baseline, or only one seed)",
    }
    print_text(f"{words[outcome.word]}; margins in noise widths (one width: sd between seeds):")
    for margin in outcome.margins:
        widths = margin.noise_widths
        shown = "?" if widths is None else f"{widths:+.1f}"
        print_text(
            f"  against {margin.baseline:<20} {margin.margin:+.3f}  {shown} widths"
            f"{_standing(margin.standing)}"
        )


def print_scores(scored: Sequence[ScoredMixture]) -> None:
    """Print scored mixtures, one block each."""
    for found in scored:
        assert found.score.mixture is not None  # it was asked for by its shares
        shares = found.score.mixture.as_dict()
        rule = f", rule {found.rule}" if found.rule else ""
        print_text(f"{_mixture(shares)}  ({found.answer}{rule})")
        if found.outside:
            print_text(f"  outside the search's limits: {'; '.join(found.outside)}")
        print_text(f"  objective {found.score.objective:.4f}")
        slopes = found.derivatives.get("slopes", {})
        for name, value in found.score.metrics.items():
            print_text(f"  {name:<36} {value:.6f}{_slopes(shares, slopes.get(name))}")


def _slopes(mixture: Mapping[str, float], slopes: Sequence[float] | None) -> str:
    """Slopes beside a value: what the metric gains per unit of each share."""
    if slopes is None:
        return ""
    words = [f"{name} {slope:+.4f}" for name, slope in zip(mixture, slopes, strict=True)]
    return f"   per share: {', '.join(words)}"


def _mixture(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in shares.items() if share)
