"""Figures as parts of the page: a single one, or one of several that the reader chooses.

Method:
    A figure's description, which plotly draws in notebooks, lies in the page as JSON, and the
    page's own script draws it: plotly itself would be most of the page.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from mixwise.report.markup import Html, data_script, join, tag

_AXES = ("xaxis", "yaxis")


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


def describe(figure: go.Figure, caption: str = "") -> dict[str, Any]:
    """What the page needs of a figure to draw it."""
    content = json.loads(figure.to_json())
    layout = content["layout"]
    axes = {key: layout[key] for key in _AXES if key in layout}
    return {
        "caption": caption,
        "data": content["data"],
        "layout": {"height": layout["height"], **axes},
    }


def chart(identifier: str, label: str, figure: go.Figure) -> Html:
    """Draw one figure.

    Args:
        identifier: Id of its element, unique in the page.
        label: What it shows, for those who hear the page.
        figure: The figure.
    """
    return chart_with_choices(identifier, label, [Choice(label, "", figure)])


def chart_with_choices(identifier: str, question: str, choices: Sequence[Choice]) -> Html:
    """Draw the first of several figures, with a list to choose another.

    Args:
        identifier: Id of its element, unique in the page.
        question: Label of the list, and of the chart.
        choices: The figures, at least one; with only one there is no list.
    """
    figures = [describe(choice.figure, choice.caption) for choice in choices]
    caption = tag("p", choices[0].caption, class_="caption", id=f"{identifier}-caption")
    drawn = join(
        [
            caption,
            tag(
                "div",
                class_="plot",
                id=identifier,
                data_figures=f"{identifier}-figures",
                data_label=question,
            ),
            data_script(f"{identifier}-figures", figures),
        ]
    )
    if len(choices) == 1:
        return drawn
    options = [tag("option", c.name, value=str(k)) for k, c in enumerate(choices)]
    chooser = tag("select", *options, data_chart=identifier, autocomplete="off")
    return join([tag("label", question + " ", chooser, class_="chooser"), drawn])
