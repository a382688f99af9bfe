"""What changes along a line: metrics as shares change, and the best mixture along experts' runs."""

from __future__ import annotations

from mixwise.decision.score import OBJECTIVE
from mixwise.report.charts import Choice, chart, chart_with_choices
from mixwise.report.contents import Contents
from mixwise.report.explorer import explorer
from mixwise.report.figures import horizon_figure, profile_figure
from mixwise.report.horizon_words import horizon_words
from mixwise.report.markup import Html, join, tag
from mixwise.report.tables import missing


def explored(contents: Contents) -> Html:
    """Mixtures to try; in a study without a surrogate, each metric along the simplex."""
    search = contents.search
    if contents.surface is not None:
        return explorer(contents)
    if search is None or not search.profiles.lines:
        return missing("There are no profiles yet.", "mixwise search STUDY")
    recommended = contents.recommended.answers.proxy.shares if contents.recommended else {}
    words = (
        "On the line of a domain its share goes from 0 to 100 % while the other domains keep their "
        "proportions to each other. Values come from a surrogate fitted to all scored candidates; "
        "a dot marks the recommended share. Search the study again to try mixtures here: it was "
        "searched by a version that kept no surrogate."
    )
    choices = [
        Choice(
            name,
            "",
            profile_figure(search.profiles, name, unit_of(contents, name), recommended),
        )
        for name in profiled(contents)
    ]
    return join([tag("p", words), chart_with_choices("chart-profiles", "Metric", choices)])


def profiled(contents: Contents) -> list[str]:
    """Metrics that every line has: the objective first, then those that it reads."""
    lines = contents.search.profiles.lines if contents.search else {}
    names = list(next(iter(lines.values()), {}))

    def rank(name: str) -> tuple[bool, bool]:
        facts = contents.metrics.get(name)
        return name != OBJECTIVE, facts is None or not facts.in_objective

    return sorted(names, key=rank)


def unit_of(contents: Contents, name: str) -> str:
    """Unit of a metric; empty where it has none."""
    facts = contents.metrics.get(name)
    return facts.unit if facts else ""


def horizon(contents: Contents) -> Html:
    """At what the proxy was measured, and how the best mixture moves along the experts' runs."""
    found = contents.recommendation
    if found is None:
        return missing("Nothing is continued yet.", "mixwise search STUDY")
    parts = [tag("p", horizon_words(found))]
    if len(found.horizons.path) > 1:
        figure = horizon_figure(found.horizons, found.score.shares)
        parts.append(chart("chart-horizon", "The best mixture along the experts' runs", figure))
    return join(parts)
