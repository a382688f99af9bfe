"""The tables, each in a box of its own that scrolls when the page is too narrow or it too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mixwise.decision.outcome import Margin
from mixwise.decision.score import OBJECTIVE, Score
from mixwise.report.contents import ComparedRow, Contents, Placed, Spent
from mixwise.report.markup import Html, join, tag
from mixwise.report.numbers import (
    NOTHING,
    brief,
    count,
    duration,
    number,
    share,
    signed,
    widths,
)
from mixwise.report.numbers import mixture as in_words
from mixwise.report.palette import looks
from mixwise.study.results import BothAnswers, MetricFacts

_MOST_CANDIDATES = 300
_SHORT = 8  # characters of a row's name that need no width of their own
STANDINGS: Mapping[str, str] = {
    "recommended": "recommended",
    "equal": "cannot be told apart",
    "ahead": "better than the recommended",
    "behind": "behind",
}
_ARROWS = {"min": "lower is better", "max": "higher is better"}


def missing(what: str, command: str) -> Html:
    """Say what is not there yet, and how to make it."""
    return tag("p", what, " Make it with ", tag("code", command), ".", class_="missing")


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    marked: int | None = None,
    row_id: str | None = None,
) -> Html:
    """Build a table in a scrolling box; figures take one width, so that they can be compared.

    Args:
        caption: What the table shows, for those who hear the page.
        head: Column titles; the first column names the row.
        rows: Cells; plain text is escaped.
        marked: Row to set in bold.
        row_id: What the ids of rows begin with, before a hyphen and their number; None for no ids.
    """
    titles = tag("tr", *(tag("th", title, scope="col") for title in head))
    body = [
        tag(
            "tr",
            *_cells(row),
            class_="marked" if k == marked else None,
            id=None if row_id is None else f"{row_id}-{k}",
        )
        for k, row in enumerate(rows)
    ]
    content = tag("table", tag("thead", titles), tag("tbody", *body), aria_label=caption)
    return tag("div", content, class_="box", tabindex="0", role="region", aria_label=caption)


def _cells(row: Sequence[str]) -> list[Html]:
    first, *others = row
    named = tag("th", first, scope="row", class_="name" if len(first) > _SHORT else None)
    return [named, *(tag("td", cell, class_=_cell_class(cell)) for cell in others)]


def _cell_class(cell: str) -> str | None:
    if isinstance(cell, Html):
        return None
    return "number" if cell[:1].isdigit() or cell[:1] in {"+", "−", "<", NOTHING} else None


def mixture_bar(shares: Mapping[str, float], domains: Sequence[str]) -> Html:
    """Draw a mixture as one stacked bar, in the colours of its domains."""
    look = looks(domains)
    parts = [
        tag(
            "i",
            class_=look[name].css_class,
            style=f"width:{100 * value:.2f}%;background-color:{look[name].colour}",
        )
        for name, value in shares.items()
        if value > 0 and name in look
    ]
    return tag("span", *parts, class_="mixture", title=in_words(shares))


def legend(domains: Sequence[str]) -> Html:
    """Name the colours of the domains."""
    items = [
        tag(
            "li",
            tag("i", class_=f"chip {look.css_class}", style=f"background-color:{look.colour}"),
            name,
        )
        for name, look in looks(domains).items()
    ]
    return tag("ul", *items, class_="legend")


def share_table(domains: Sequence[str], columns: Mapping[str, Mapping[str, float]]) -> Html:
    """Shares of several mixtures beside each other, one row per domain."""
    rows = [[name, *(share(m.get(name, 0.0)) for m in columns.values())] for name in domains]
    return table("Shares by domain", ["Domain", *columns], rows)


def comparison_table(
    rows: Sequence[ComparedRow], domains: Sequence[str], margins: Mapping[str, Margin]
) -> Html:
    """Recommended mixture and baselines: by the proxy, as calibrated, and as trained.

    Args:
        rows: The recommended mixture first.
        domains: Of the study, in its order.
        margins: How far the recommended mixture is ahead, by baseline.
    """
    body = [
        [
            row.answers.name,
            mixture_bar(row.answers.proxy.shares, domains),
            signed(row.answers.proxy.objective),
            signed(row.expected),
            tag("span", STANDINGS.get(row.standing, NOTHING), class_="figure"),
            signed(row.answers.reached()),
            _margin(margins.get(row.answers.name)),
            tag("span", ", ".join(signed(run.objective) for run in row.answers.runs) or NOTHING),
        ]
        for row in rows
    ]
    head = [
        "Mixture",
        "Shares",
        "Proxy",
        "Should reach",
        "By prediction",
        "Reached (mean)",
        "Recommended is ahead by",
        "Reached by seed",
    ]
    return table("Recommended mixture and baselines", head, body, marked=0)


def _margin(margin: Margin | None) -> str:
    if margin is None:
        return NOTHING
    if margin.noise_widths is None:
        return signed(margin.margin)
    apart = f"; {STANDINGS['equal']}" if margin.standing == "equal" else ""
    return f"{signed(margin.margin)} ({widths(margin.noise_widths)}{apart})"


def metric_table(base: Score, row: BothAnswers, metrics: Mapping[str, MetricFacts]) -> Html:
    """Every metric of the base and of the recommended mixture, by the proxy and when trained."""
    body = [
        [
            name + (" (in the objective)" if facts.in_objective else ""),
            number(base.metrics.get(name)),
            number(row.proxy.metrics.get(name)),
            number(row.reached(name)),
            tag("span", " · ".join(filter(None, [facts.unit, _ARROWS[facts.direction]]))),
        ]
        for name, facts in metrics.items()
        if name != OBJECTIVE
    ]
    head = ["Metric", "Base", "Proxy", "Reached", "Unit"]
    return table("Metrics of the recommended mixture", head, body)


def leaderboard(candidates: Sequence[Placed], domains: Sequence[str]) -> Html:
    """Scored candidates, best first by the proxy; a very long list is cut, and says so.

    The recommended one is marked, and is never cut away.
    """
    ranked = list(enumerate(candidates, start=1))
    chosen = [k for k, c in enumerate(candidates) if c.standing == "recommended"]
    shown = ranked[:_MOST_CANDIDATES] + [ranked[k] for k in chosen if k >= _MOST_CANDIDATES]
    rows = [
        [
            str(rank),
            mixture_bar(c.candidate.score.shares, domains),
            signed(c.candidate.score.objective),
            tag("span", STANDINGS.get(c.standing, "")),
            _mixture_words(c.candidate.score.shares),
            tag("span", c.candidate.name),
            tag("span", "yes" if c.candidate.within_bounds else "no"),
        ]
        for rank, c in shown
    ]
    head = [
        "Rank",
        "Shares",
        "Proxy",
        "Beside the recommended",
        "Mixture",
        "Baseline",
        "Within bounds",
    ]
    marked = next((k for k, (_, c) in enumerate(shown) if c.standing == "recommended"), None)
    content = table("Scored candidates, best first", head, rows, marked=marked)
    left_out = len(candidates) - len(rows)
    if left_out <= 0:
        return content
    note = f"{count(left_out)} more are in search.json."
    return join([content, tag("p", note, class_="caption")])


def _mixture_words(shares: Mapping[str, float]) -> Html:
    return tag("span", brief(shares), class_="words", title=in_words(shares))


def cost_table(spent: Sequence[Spent], unit: str = "tokens") -> Html:
    """Runs, tokens (or examples) and seconds by kind of work."""
    body = [
        [
            row.kind,
            count(row.n),
            count(row.tokens_trained),
            NOTHING if row.tokens_evaluated is None else count(row.tokens_evaluated),
            duration(row.seconds),
        ]
        for row in spent
    ]
    head = [
        "Work",
        "Models",
        f"{unit.capitalize()} trained",
        f"{unit.capitalize()} evaluated",
        "Time",
    ]
    return table("What was spent", head, body)


def provenance_table(contents: Contents) -> Html:
    """Hashes, versions and seeds."""
    rows = [[name, tag("code", value)] for name, value in contents.provenance.items()]
    return table("Provenance", ["What", "Value"], rows)
