"""The Pareto front on the page: a chart of each two groups, and a table of its mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import plotly.graph_objects as go

from mixwise.decision.front import Front, FrontPoint
from mixwise.report.canvas import add_points, empty_figure, shorten
from mixwise.report.charts import Choice, chart_with_choices
from mixwise.report.contents import Contents
from mixwise.report.markup import Html, join, label, tag
from mixwise.report.numbers import brief, interval, signed
from mixwise.report.palette import ACCENT, DARK, MUTED, PALE, PREDICTED
from mixwise.report.tables import legend, missing, mixture_bar, table
from mixwise.report.words import front_words

_RECOMMENDED: Mapping[str, Any] = {
    "name": "recommended",
    "marker": {
        "symbol": "star",
        "size": 17,
        "color": PREDICTED,
        "line": {"width": 1.5, "color": PALE},
    },
}


def front(contents: Contents) -> Html:
    """What more of one group costs in another."""
    found = contents.recommendation.front if contents.recommendation else None
    if found is None:
        return missing("There is no front.", "mixwise search STUDY")
    choices = [
        Choice(f"{found.groups[i]} and {found.groups[j]}", "", front_figure(found, (i, j)))
        for i, j in combinations(range(len(found.groups)), 2)
    ]
    return join(
        [
            tag("p", front_words(found)),
            chart_with_choices("chart-front", "Groups", choices),
            legend(contents.domains),
            _front_table(found, contents.domains),
        ]
    )


def front_figure(found: Front, pair: tuple[int, int]) -> go.Figure:
    """Draw the mixtures of a front by what they gain in two of its groups.

    Args:
        found: The front; of two groups it is a line, of three the third one colours its points.
        pair: Places of the two groups.
    """
    figure = empty_figure(height=440)
    first, second = pair
    points = [(point.gains[first], point.gains[second]) for point in found.points]
    texts = [_hover(found, point) for point in found.points]
    if len(found.groups) == 2:
        x, y = zip(*points, strict=True)
        line = {"color": MUTED, "width": 1.5}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    add_points(figure, _style(found, pair), points, texts)
    own = found.recommended
    place = [(own.gains[first], own.gains[second])]
    add_points(figure, _RECOMMENDED, place, [f"recommended<br>{_hover(found, own)}"])
    names = [label(shorten(found.groups[k])) for k in pair]
    figure.update_xaxes(title=f"{names[0]} (more is better)", automargin=True)
    figure.update_yaxes(title=f"{names[1]} (more is better)", automargin=True)
    return figure


def _style(found: Front, pair: tuple[int, int]) -> dict[str, Any]:
    """How the mixtures of a front look: of three groups, the one that has no axis is a colour."""
    marker: dict[str, Any] = {"size": 11, "color": ACCENT}
    for k in set(range(len(found.groups))) - set(pair):
        bar = {"title": {"text": label(shorten(found.groups[k]))}, "thickness": 14}
        values = [point.gains[k] for point in found.points]
        marker |= {"color": values, "colorscale": "Viridis", "colorbar": bar}
        marker["line"] = {"width": 1, "color": DARK}
    return {"name": "on the front", "marker": marker}


def _hover(found: Front, point: FrontPoint) -> str:
    lines = [label(brief(point.score.shares))]
    lines += [f"{label(name)} {text}" for name, text in _gains(found, point).items()]
    return "<br>".join(lines)


def _gains(found: Front, point: FrontPoint) -> dict[str, str]:
    rows = zip(found.groups, point.gains, point.intervals_95, strict=True)
    return {name: f"{signed(gain)} ({interval(bounds)})" for name, gain, bounds in rows}


def _front_table(found: Front, domains: Sequence[str]) -> Html:
    """Every mixture of the front; the recommended one in bold, at the end where it is not on it."""
    own = found.recommended.score.mixture
    rows = list(found.points)
    if own not in [point.score.mixture for point in rows]:
        rows.append(found.recommended)
    marked = [point.score.mixture for point in rows].index(own)
    body = [
        [
            brief(point.score.shares),
            mixture_bar(point.score.shares, domains),
            *_gains(found, point).values(),
            signed(point.score.objective),
        ]
        for point in rows
    ]
    head = ["Mixture", "Shares", *found.groups, "Objective"]
    return table("Pareto front", head, body, marked=marked)
