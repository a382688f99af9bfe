"""Figures as parts of the page: a single one, or one of several that the reader chooses.

Method:
    The first figure of a choice is drawn by plotly's own snippet; the others lie beside it as JSON
    and are drawn in its place by a few lines of script in the page's template.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.io import to_html

from mixwise.report.markup import Html, data_script, join, tag

_CONFIG = {"responsive": True, "displayModeBar": False}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several figures.

    Args:
        name: What it is chosen by.
        caption: One sentence to read with it; may be empty.
        figure: The figure.
    """

    name: str
    caption: str
    figure: go.Figure


def chart(identifier: str, figure: go.Figure) -> Html:
    """Draw one figure; plotly itself must already be in the page.

    Args:
        identifier: Id of its element, unique in the page.
        figure: The figure.
    """
    drawn = to_html(
        figure, config=_CONFIG, full_html=False, include_plotlyjs=False, div_id=identifier
    )
    return tag("div", Html(drawn), class_="chart")


def chart_with_choices(identifier: str, question: str, choices: Sequence[Choice]) -> Html:
    """Draw the first of several figures, with a list to choose another.

    Args:
        identifier: Id of its element, unique in the page.
        question: Label of the list.
        choices: The figures, at least one; with only one there is no list.
    """
    first = choices[0]
    caption = tag("p", first.caption, class_="caption", id=f"{identifier}-caption")
    drawn = chart(identifier, first.figure)
    if len(choices) == 1:
        return join([caption, drawn])
    options = [tag("option", c.name, value=str(k)) for k, c in enumerate(choices)]
    chooser = tag("select", *options, data_chart=identifier, autocomplete="off")
    figures = [{"caption": c.caption, **json.loads(c.figure.to_json())} for c in choices]
    return join(
        [
            tag("label", question + " ", chooser, class_="chooser"),
            caption,
            drawn,
            data_script(f"{identifier}-choices", figures),
        ]
    )
