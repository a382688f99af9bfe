"""What all charts share: an empty one, kinds of points, and names down the side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from mixwise.report.markup import label
from mixwise.report.palette import ACCENT, DARK, PALE, PREDICTED

_LABEL_CHARACTERS = 20

REACHED: Mapping[str, Any] = {
    "name": "reached, mean of seeds",
    "marker": {"symbol": "circle", "size": 13, "color": ACCENT},
}
ONE_SEED: Mapping[str, Any] = {
    "name": "one seed",
    "marker": {
        "symbol": "circle",
        "size": 5,
        "color": PALE,
        "line": {"width": 1, "color": DARK},
    },
}
PROXY: Mapping[str, Any] = {
    "name": "proxy",
    "marker": {"symbol": "diamond-open", "size": 12, "color": PREDICTED, "line": {"width": 2}},
}


def empty_figure(height: int) -> go.Figure:
    """An empty chart that takes its text and grid from the page, and lets the page scroll."""
    figure = go.Figure()
    figure.update_layout(
        template=go.layout.Template(),
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        dragmode=False,
        hovermode="closest",
    )
    return figure


def row_numbers(values: Sequence[object]) -> list[int]:
    """Where rows stand: 0 for the first, and so on."""
    return list(range(len(values)))


def name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Names down the side, the first on top; rows are numbers, so that equal names stay apart.

    The names are escaped here and must not be before.
    """
    figure.update_yaxes(
        tickvals=row_numbers(names),
        ticktext=[label(name) for name in names],
        range=[len(names) - 0.4, -0.6],
        automargin=True,
        showgrid=False,
        zeroline=False,
    )


def shorten(name: str) -> str:
    """A long name without its middle: names of datasets often differ at their ends only."""
    if len(name) <= _LABEL_CHARACTERS:
        return name
    half = _LABEL_CHARACTERS // 2
    return f"{name[:half]}…{name[1 - half :]}"


def with_unit(unit: str) -> str:
    """The end of an axis title; nothing for what has no unit."""
    return f", {unit}" if unit else ""


def add_points(
    figure: go.Figure,
    style: Mapping[str, Any],
    points: Sequence[tuple[float | None, float | None]],
    texts: Sequence[str],
) -> None:
    """Add one kind of points, each with a text to read under the pointer."""
    figure.add_scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="markers",
        hovertext=list(texts),
        hoverinfo="text",
        **style,
    )
