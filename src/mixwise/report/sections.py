"""The sections of the page; one whose stage has not run says how to run it."""

from __future__ import annotations

import plotly.graph_objects as go

from mixwise.decision.outcome import Margin
from mixwise.decision.score import OBJECTIVE
from mixwise.report.answer import answer_box
from mixwise.report.charts import Choice, chart_with_choices
from mixwise.report.contents import Contents
from mixwise.report.cost_words import cost_words
from mixwise.report.curves import profiled, unit_of
from mixwise.report.fidelity_tables import fidelity_table, metric_fidelity_table
from mixwise.report.fidelity_words import calibrated_words, validation_words
from mixwise.report.figures import (
    agreement_figure,
    comparison_figure,
    mixture_figure,
    profile_figure,
)
from mixwise.report.front import front_figure
from mixwise.report.limit_words import binding_words, prior_words, rounding_words
from mixwise.report.markup import Html, join, prose, tag
from mixwise.report.numbers import estimate, is_subset, number
from mixwise.report.outcome_words import equals_words, outcome_words
from mixwise.report.tables import (
    comparison_table,
    cost_table,
    leaderboard,
    legend,
    metric_table,
    missing,
    provenance_table,
    share_table,
)
from mixwise.report.trust import share_ranges, trust_box
from mixwise.report.words import (
    floor_words,
    key_figures,
    objective_words,
    simplicity_words,
    unit_words,
    worse_words,
)
from mixwise.share_units import UNIT_WORDS
from mixwise.study.results import BothAnswers, Recommendation, SearchFound, ValidationFound

SUBSETS = "subsets"
_MARKED: tuple[str, ...] = ("uniform", "available tokens")  # what everyone trains on today
_SCALE_NOTE = (
    "The objective has no unit: 0 is the base model, 1 is one expert-to-expert standard deviation "
    "better. Larger is better."
)


def headline(contents: Contents) -> Html:
    """The answer on one screen: what it is, what it should reach, how sure, at what price."""
    found = contents.recommendation
    if found is None:
        return missing("No mixture is recommended yet.", "mixwise search STUDY")
    outcome = contents.final.outcome.word if contents.final else ""
    return join(
        [
            tag("p", prose(outcome_words(contents.final)), class_=f"outcome {outcome}".strip()),
            _floor_note(contents),
            _key_figures(contents),
            _objective_note(contents),
            answer_box(contents),
        ]
    )


def reasons(contents: Contents) -> Html:
    """Why this mixture, and how far to trust it."""
    found = contents.recommendation
    if found is None:
        return missing("No mixture is recommended yet.", "mixwise search STUDY")
    named = {row.answers.name: row.answers.proxy.shares for row in contents.baselines}
    beside = {name: named[name] for name in _MARKED if name in named}
    shares = {"recommended": found.score.shares, **_others(found), **beside}
    return join(
        [
            trust_box(contents.trust),
            _simplicity_note(contents),
            equals_note(contents),
            _limit_note(contents),
            _unit_note(contents),
            tag(
                "details",
                tag("summary", "Shares beside those that are usual"),
                share_table(contents.domains, shares),
            ),
            share_ranges(contents),
        ]
    )


def _others(found: Recommendation) -> dict[str, dict[str, float]]:
    """The recommended shares by the other units, each with its name."""
    return {
        f"recommended, by {UNIT_WORDS[unit]}": mixture.as_dict()
        for unit, mixture in found.by_other_units.items()
    }


def _unit_note(contents: Contents) -> Html:
    """The recommended mixture by the other units."""
    words = unit_words(contents.recommendation)
    return tag("p", words, class_="caption") if words else join([])


def _simplicity_note(contents: Contents) -> Html:
    """Whether the highest score is more than the simplest mixture can be told from."""
    words = simplicity_words(contents.recommendation)
    return tag("p", words) if words else join([])


def _objective_note(contents: Contents) -> Html:
    """What one unit of the objective is, and which metrics it is made of."""
    recommended = contents.recommended
    words = objective_words(
        contents.recommendation, recommended.answers.runs if recommended else ()
    )
    return tag("p", words or _SCALE_NOTE, class_="caption")


def _floor_note(contents: Contents) -> Html:
    """What is expected of metrics that must not get worse, and which are to get worse."""
    found = contents.recommendation
    return join([tag("p", words) for words in (floor_words(found), worse_words(found)) if words])


def _limit_note(contents: Contents) -> Html:
    """Which limits hold the mixture, and what steps of shares and a prior cost."""
    found = contents.recommendation
    every = (
        binding_words(found),
        rounding_words(found),
        prior_words(found.prior if found else None),
    )
    return join([tag("p", words) for words in every if words])


def equals_note(contents: Contents) -> Html:
    """Which baselines are as good as the recommended mixture, as far as can be told."""
    words = equals_words(contents)
    return tag("p", words) if words else join([])


def _key_figures(contents: Contents) -> Html:
    boxes = [
        tag("div", tag("dt", row.name), tag("dd", row.value), tag("dd", row.note))
        for row in key_figures(contents)
    ]
    return tag("dl", *boxes, class_="figures")


def baselines(contents: Contents) -> Html:
    """Recommended mixture beside the baselines, and metric by metric."""
    recommended, search = contents.recommended, contents.search
    if recommended is None or search is None:
        return missing("Nothing is scored yet.", "mixwise search STUDY")
    rows = [recommended, *contents.baselines]
    parts = [
        chart_with_choices(
            "chart-baselines", "Show", _baseline_choices([row.answers for row in rows])
        ),
        legend(contents.domains),
        comparison_table(rows, contents.domains, _margins(contents)),
    ]
    if contents.final is None:
        note = "The recommended mixture and the baselines are not trained yet."
        parts.insert(0, missing(note, "mixwise train STUDY"))
    parts.append(tag("h3", "Metrics of the recommended mixture"))
    parts.append(metric_table(search.base, recommended.answers, contents.metrics))
    return join(parts)


def _margins(contents: Contents) -> dict[str, Margin]:
    margins = contents.final.outcome.margins if contents.final else ()
    return {margin.baseline: margin for margin in margins}


def _baseline_choices(rows: list[BothAnswers]) -> list[Choice]:
    """All rows; and, as single domains can lie far off, the rows without them."""
    axis = "objective (larger is better)"
    mixed = [row for row in rows[1:] if sum(value > 0 for value in row.proxy.shares.values()) > 1]
    choices = [Choice("recommended and all baselines", "", comparison_figure(rows, axis))]
    if mixed and len(mixed) < len(rows) - 1:
        figure = comparison_figure([rows[0], *mixed], axis)
        choices.insert(0, Choice("without single domains", "", figure))
    return choices


def charts(contents: Contents, metric: str) -> dict[str, go.Figure]:
    """The charts that a study has, by kind; a metric that is not there has none."""
    found: dict[str, go.Figure] = {}
    recommended, search = contents.recommended, contents.search
    if recommended is not None:
        baselines = [row.answers for row in contents.baselines]
        named = {row.name: row.proxy.shares for row in baselines if row.name in _MARKED}
        found["mixture"] = mixture_figure(recommended.answers.proxy.shares, named)
        axis = "objective (larger is better)"
        found["baselines"] = comparison_figure([recommended.answers, *baselines], axis)
    if contents.recommendation and contents.recommendation.front:
        found["front"] = front_figure(contents.recommendation.front, (0, 1))
    unit = unit_of(contents, metric)
    if contents.validation and metric in contents.validation.fidelity:
        found["agreement"] = agreement_figure(contents.validation.mixtures, metric, unit)
    if search and recommended and metric in profiled(contents):
        shares = recommended.answers.proxy.shares
        found["profiles"] = profile_figure(search.profiles, metric, unit, shares)
    return found


def candidates(contents: Contents) -> Html:
    """The leaderboard of what the proxy scored."""
    search = contents.search
    if search is None:
        return missing("No candidate is scored yet.", "mixwise search STUDY")
    rows = contents.candidates
    if search.method == SUBSETS:
        rows = tuple(
            row
            for row in rows
            if is_subset(row.candidate.score.shares) or row.standing == "recommended"
        )
    words = (
        f"Search method {search.method} ({search.source}){_merge_rule(contents, search)}. "
        f"Ranked by the proxy's own score{_calibrated_choice(contents)}. Two that cannot be told "
        f"apart: the 95 % interval of their difference, over {_drawn(contents)}, holds 0."
        f"{_gap(search)}"
    )
    search_box = tag(
        "input", type="search", data_filters="leaderboard", id="filter", autocomplete="off"
    )
    shown = tag("span", id="leaderboard-count", class_="caption", role="status")
    return join(
        [
            tag("p", words),
            legend(contents.domains),
            tag("div", tag("label", "Only rows with ", search_box), shown, class_="tools"),
            tag("div", leaderboard(rows, contents.domains), id="leaderboard", data_sortable=""),
        ]
    )


def _merge_rule(contents: Contents, search: SearchFound) -> str:
    """The rule of the merges; nothing where predictions alone answer."""
    found = contents.recommendation
    is_merged = found is None or "merged" in found.horizons.answers
    return f", merge rule {search.rule}" if is_merged else ", on the experts' averaged predictions"


def _gap(search: SearchFound) -> str:
    """How much better a mixture can be than the search's own answer."""
    if search.gap is None:
        return ""
    if search.gap_is_bound:
        return (
            " No mixture scores higher than the search's own best by more than "
            f"{number(search.gap)}: averaged predictions are convex in the shares."
        )
    return f" At the search's own best, slopes promise {number(search.gap)} more at most."


def _calibrated_choice(contents: Contents) -> str:
    if contents.calibration is None or not contents.calibration.mixtures:
        return ""
    return "; the recommended mixture is chosen by the calibrated score"


def _drawn(contents: Contents) -> str:
    """Over what the interval of a difference between candidates is taken."""
    return "evaluation examples" + " and what the proxy may miss" * bool(contents.recommendation)


def validation(contents: Contents) -> Html:
    """The proxy against really trained mixtures."""
    found = contents.validation
    if found is None:
        return missing(
            "The proxy is not validated yet: no reference mixture has been trained.",
            "mixwise validate STUDY",
        )
    return join(
        [
            tag("p", validation_words(found)),
            chart_with_choices("chart-agreement", "Metric", _agreement_choices(contents, found)),
            tag("h3", "Fidelity of the objective"),
            fidelity_table(found.fidelity[OBJECTIVE]),
            tag("p", _FIDELITY_NOTE, class_="caption"),
            tag("p", calibrated_words(contents)),
            tag(
                "details",
                tag("summary", "Fidelity by metric"),
                metric_fidelity_table(found.fidelity, contents.metrics),
            ),
        ]
    )


_FIDELITY_NOTE = (
    "In brackets: 95 %, for the proxy over reference mixtures. Regret is what trusting the proxy's "
    "picks loses among the references. What noise allows is what a proxy that knew the truth would "
    "show against references this noisy; what chance gives is what this proxy's scores show when "
    "they are dealt out to the wrong mixtures. A dash: not defined, as with fewer than three in "
    "the best quarter, no more than five references, or one seed only."
)


def _agreement_choices(contents: Contents, found: ValidationFound) -> list[Choice]:
    return [
        Choice(
            name,
            f"ρ = {estimate(fidelity.spearman)}; noise ceiling {number(fidelity.ceiling)}.",
            agreement_figure(found.mixtures, name, unit_of(contents, name)),
        )
        for name, fidelity in found.fidelity.items()
    ]


def cost(contents: Contents) -> Html:
    """Spent and avoided."""
    if contents.recommendation is None and not contents.spent:
        return missing("Nothing is spent yet.", "mixwise run RECIPE --study STUDY")
    found = contents.recommendation
    note = (
        "Times are wall times of each run, added up: runs side by side each count in full. The "
        "table counts all that the study's ledger holds, whichever recipe it was measured for."
    )
    return join(
        [
            tag("p", cost_words(found)),
            cost_table(contents.spent, found.horizons.unit if found else "tokens"),
            tag("p", note, class_="caption"),
        ]
    )


def provenance(contents: Contents) -> Html:
    """From what all this was made."""
    recipe = tag("pre", tag("code", contents.recipe))
    parts = [tag("details", tag("summary", "Recipe, as given"), recipe)]
    if contents.provenance:
        parts.insert(0, provenance_table(contents))
    return join(parts)
