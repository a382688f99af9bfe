"""The charts: values of a study in, a plotly figure out. Nothing is computed that is not drawn.

Method:
    Charts have no colours of text and grid of their own: the page's style sheet gives them, so
    that one figure serves light and dark. Names are escaped, as plotly reads markup in labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from mixwise.decision.score import OBJECTIVE
from mixwise.report.canvas import (
    ONE_SEED,
    PROXY,
    REACHED,
    add_points,
    empty_figure,
    name_rows,
    row_numbers,
    shorten,
    with_unit,
)
from mixwise.report.markup import label
from mixwise.report.numbers import brief, number, share
from mixwise.report.palette import DARK, MUTED, PALE, looks
from mixwise.study.results import (
    BothAnswers,
    HorizonFacts,
    Profiles,
)

_ROW_PIXELS = 26
_LEAST_PART = 4  # of a common range that each answer must fill


def mixture_figure(
    mixture: Mapping[str, float], beside: Mapping[str, Mapping[str, float]]
) -> go.Figure:
    """Draw the shares of a mixture as bars, and those of others as marks on them.

    Args:
        mixture: Share by domain.
        beside: Mixtures to mark, by name; two at most are legible.
    """
    names = list(mixture)
    look = looks(names)
    figure = empty_figure(height=90 + _ROW_PIXELS * len(names))
    figure.add_bar(
        x=list(mixture.values()),
        y=row_numbers(names),
        orientation="h",
        marker={
            "color": [look[name].colour for name in names],
            "pattern": {"shape": [look[name].hatch for name in names], "solidity": 0.4},
        },
        hovertext=[f"{label(name)}: {share(value)}" for name, value in mixture.items()],
        hoverinfo="text",
        showlegend=False,
    )
    for symbol, (other, shares) in zip(("circle", "diamond"), beside.items(), strict=False):
        _mark_shares(figure, symbol, other, [shares.get(name, 0.0) for name in names])
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", automargin=True)
    name_rows(figure, [f"{shorten(name)}  {share(value)}" for name, value in mixture.items()])
    return figure


def _mark_shares(figure: go.Figure, symbol: str, name: str, shares: list[float]) -> None:
    figure.add_scatter(
        x=shares,
        y=row_numbers(shares),
        mode="markers",
        name=label(name),
        marker={
            "symbol": symbol,
            "size": 11,
            "color": PALE,
            "line": {"width": 1.5, "color": DARK},
        },
        hovertext=[f"{label(name)}: {share(value)}" for value in shares],
        hoverinfo="text",
    )


def comparison_figure(rows: Sequence[BothAnswers], axis: str) -> go.Figure:
    """Draw predicted and reached objective of named mixtures, one row each.

    Args:
        rows: The mixtures, in the order of the chart from top to bottom.
        axis: Title of the axis.
    """
    figure = empty_figure(height=120 + _ROW_PIXELS * len(rows))
    reached = [(row.reached(OBJECTIVE), k) for k, row in enumerate(rows) if row.runs]
    singles = [(run.objective, k) for k, row in enumerate(rows) for run in row.runs]
    predicted = [(row.proxy.objective, k) for k, row in enumerate(rows)]
    kinds = ((REACHED, reached), (ONE_SEED, singles), (PROXY, predicted))
    for style, points in kinds:
        if points:
            texts = [f"{style['name']}: {number(value)}" for value, _ in points]
            add_points(figure, style, points, texts)
    figure.update_xaxes(title=axis, automargin=True)
    name_rows(figure, [shorten(row.name) for row in rows])
    return figure


def agreement_figure(mixtures: Sequence[BothAnswers], name: str, unit: str) -> go.Figure:
    """Draw proxy against reference for one metric or the objective, with the diagonal.

    Args:
        mixtures: Trained reference mixtures.
        name: The metric, or ``objective``.
        unit: Its unit; may be empty.
    """
    figure = empty_figure(height=440)
    means = [(m.proxy.value(name), m.reached(name)) for m in mixtures]
    singles = [(m.proxy.value(name), run.value(name)) for m in mixtures for run in m.runs]
    x_range, y_range = _ranges([x for x, _ in singles], [y for _, y in singles])
    ends = [min(x_range[0], y_range[0]), max(x_range[1], y_range[1])]
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        name="proxy = reference",
        line={"color": MUTED, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
    )
    texts = [
        f"{label(brief(m.proxy.shares))}<br>proxy {number(x)}, reference {number(y)}"
        for m, (x, y) in zip(mixtures, means, strict=True)
    ]
    add_points(figure, REACHED, means, texts)
    add_points(figure, ONE_SEED, singles, [f"one seed: {number(y)}" for _, y in singles])
    figure.update_xaxes(title=f"proxy{with_unit(unit)}", range=x_range, automargin=True)
    figure.update_yaxes(title=f"reference{with_unit(unit)}", range=y_range, automargin=True)
    return figure


def _ranges(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """Ranges of both axes: the same one, so that the diagonal is at home, if it serves both.

    Where one answer spreads far less than both together, a common range would squeeze it to a line
    and hide the ranks; then each axis keeps to its own values.
    """
    together = [min(*x, *y), max(*x, *y)]
    width = together[1] - together[0]
    if min(max(x) - min(x), max(y) - min(y)) >= width / _LEAST_PART:
        return _padded(together), _padded(together)
    return _padded([min(x), max(x)]), _padded([min(y), max(y)])


def _padded(ends: Sequence[float]) -> list[float]:
    pad = 0.06 * (ends[1] - ends[0]) or 0.05 * abs(ends[0]) or 1.0
    return [ends[0] - pad, ends[1] + pad]


def profile_figure(
    profiles: Profiles, metric: str, unit: str, recommended: Mapping[str, float]
) -> go.Figure:
    """Draw one metric along the line of each domain, the recommended share marked on each.

    Args:
        profiles: The lines.
        metric: Which metric.
        unit: Its unit; may be empty.
        recommended: Share by domain of the recommended mixture; empty for no marks.
    """
    look = looks(list(profiles.lines))
    figure = empty_figure(height=420 + 12 * len(look))
    for name, line in profiles.lines.items():
        figure.add_scatter(
            x=list(profiles.shares),
            y=list(line[metric]),
            mode="lines",
            name=label(shorten(name)),
            legendgroup=name,
            line={"color": look[name].colour, "dash": look[name].dash, "width": 2},
            hovertext=[
                f"{label(name)} {share(x)}: {number(y)}"
                for x, y in zip(profiles.shares, line[metric], strict=True)
            ],
            hoverinfo="text",
        )
    for name, x in recommended.items():
        if name in profiles.lines:
            y = float(np.interp(x, profiles.shares, profiles.lines[name][metric]))
            _mark_recommended(figure, name, x, y, look[name].colour)
    figure.update_xaxes(title="share of the domain", tickformat=".0%", automargin=True)
    figure.update_yaxes(title=label(shorten(metric)) + with_unit(unit), automargin=True)
    return figure


def _mark_recommended(figure: go.Figure, name: str, x: float, y: float, colour: str) -> None:
    figure.add_scatter(
        x=[x],
        y=[y],
        mode="markers",
        legendgroup=name,
        showlegend=False,
        marker={"size": 11, "color": colour, "line": {"width": 1.5, "color": "#ffffff"}},
        hovertext=[f"{label(name)}, recommended: {share(x)}"],
        hoverinfo="text",
    )


def horizon_figure(horizons: HorizonFacts, recommended: Mapping[str, float]) -> go.Figure:
    """Draw the shares of the best mixture along the experts' runs, and of the recommended one.

    Args:
        horizons: With a path.
        recommended: Share by domain, at the final horizon.
    """
    look = looks(list(recommended))
    places = [*(str(best.steps) for best in horizons.path), "final run"]
    figure = empty_figure(height=340 + 8 * len(look))
    for name in recommended:
        shares = [best.mixture.as_dict()[name] for best in horizons.path] + [recommended[name]]
        figure.add_scatter(
            x=row_numbers(places),
            y=shares,
            mode="lines+markers",
            name=label(shorten(name)),
            line={"color": look[name].colour, "dash": look[name].dash, "width": 2},
            marker={"size": 8, "color": look[name].colour},
            hovertext=[
                f"{label(name)}, {place}: {share(y)}"
                for place, y in zip(places, shares, strict=True)
            ],
            hoverinfo="text",
        )
    figure.update_xaxes(
        title="steps of the experts", tickvals=row_numbers(places), ticktext=places, automargin=True
    )
    figure.update_yaxes(title="share", tickformat=".0%", rangemode="tozero", automargin=True)
    return figure
