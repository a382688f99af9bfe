"""The figures on frivolous units, drawn by plotly in a headless browser and kept as SVG."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from benchmarks.unit_growth import LANGUAGE, Sample
from benchmarks.unit_truth import Setting
from plotly.io import to_html
from plotly.subplots import make_subplots

from mixwise.report.palette import COLOURS

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_WIDTH, _HEIGHT = 960, 380


def draw_growth(samples: Sequence[Sample]) -> go.Figure:
    """Shares of prunable and redundant units over width, and how good the networks are."""
    families = list(dict.fromkeys(sample.family for sample in samples))
    panels = [*families, "quality"]
    titles = [*families, "error or loss, narrowest = 1"]
    figure = make_subplots(1, len(panels), subplot_titles=titles, horizontal_spacing=0.07)
    for column, family in enumerate(families, start=1):
        chosen = [sample for sample in samples if sample.family == family]
        first = column == 1
        _line(figure, column, chosen, "prunable", first)
        _line(figure, column, chosen, "redundant", first)
        figure.update_yaxes(range=[0, 1.02], row=1, col=column)
    for k, family in enumerate(families):
        chosen = [sample for sample in samples if sample.family == family]
        widths, values, _ = _by_width(chosen, [[_error(sample)] for sample in chosen])
        x, y = [w / widths[0] for w in widths], [v / values[0] for v in values]
        look = {"color": COLOURS[2 + k]}
        figure.add_scatter(
            x=x, y=y, name=family, line=look, mode="lines+markers", row=1, col=len(panels)
        )
    figure.update_yaxes(title="share of units", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=len(panels))
    figure.update_xaxes(type="log", dtick=np.log10(2), title="width")
    figure.update_layout(legend={"orientation": "h", "y": -0.25})
    return figure


def draw_truth(base: Sequence[Setting], experts: Sequence[Setting]) -> go.Figure:
    """Error of the linear proxy over the share of frivolous units, one mark per setting."""
    figure = make_subplots(1, 2, subplot_titles=["prunable", "redundant"], shared_yaxes=True)
    for column, kind in enumerate(("prunable", "redundant"), start=1):
        for k, (whose, settings) in enumerate((("base", base), ("experts", experts))):
            figure.add_scatter(
                x=[getattr(setting, kind) for setting in settings],
                y=[setting.proxy_error for setting in settings],
                text=[setting.name for setting in settings] if k else None,
                mode="markers+text" if k else "markers",
                textposition="top center",
                name=f"units of the {whose}",
                marker={"color": COLOURS[k], "symbol": ("circle-open", "circle")[k], "size": 9},
                showlegend=column == 1,
                row=1,
                col=column,
            )
        figure.update_xaxes(title=f"share of {kind} units", row=1, col=column)
    figure.update_yaxes(title="proxy error, nats per token", rangemode="tozero", row=1, col=1)
    figure.update_layout(legend={"orientation": "h", "y": -0.25})
    return figure


def save_svg(figure: go.Figure, path: Path) -> None:
    """Draw a figure in a headless browser and write it as SVG.

    Raises:
        FileNotFoundError: If there is no browser.
    """
    from playwright.sync_api import sync_playwright

    figure.update_layout(template="plotly_white", width=_WIDTH, height=_HEIGHT, font={"size": 12})
    figure.update_layout(margin={"t": 40, "b": 90, "l": 60, "r": 20})
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise FileNotFoundError(f"none of {', '.join(_BROWSERS)} is installed: install one")
    page_text = to_html(figure, include_plotlyjs=True, div_id="figure")
    size = f"{{format: 'svg', width: {_WIDTH}, height: {_HEIGHT}}}"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page()
        page.set_default_timeout(300_000)
        page.set_content(page_text, timeout=300_000)
        address = page.evaluate(f"Plotly.toImage('figure', {size})")
        opened.close()
    head, _, content = address.partition(",")
    if ";base64" in head:
        text = base64.b64decode(content).decode()
    else:
        from urllib.parse import unquote

        text = unquote(content)
    path.write_text(text + "\n", encoding="utf-8")


def _line(
    figure: go.Figure, column: int, samples: Sequence[Sample], kind: str, in_legend: bool
) -> None:
    values = [
        list(sample.prunable) if kind == "prunable" else [sample.redundant] for sample in samples
    ]
    widths, means, reach = _by_width(samples, values)
    colour = COLOURS[0] if kind == "prunable" else COLOURS[1]
    below = [mean - low for mean, (low, _) in zip(means, reach, strict=True)]
    above = [high - mean for mean, (_, high) in zip(means, reach, strict=True)]
    figure.add_scatter(
        x=widths,
        y=means,
        error_y={"type": "data", "array": above, "arrayminus": below, "symmetric": False},
        name=kind,
        line={"color": colour},
        mode="lines+markers",
        showlegend=in_legend,
        row=1,
        col=column,
    )


def _by_width(
    samples: Sequence[Sample], values: Sequence[Sequence[float]]
) -> tuple[list[float], list[float], list[tuple[float, float]]]:
    """Widths, means, and least and largest, over seeds and draws."""
    widths = sorted({sample.width for sample in samples})
    groups = [
        [v for s, some in zip(samples, values, strict=True) if s.width == width for v in some]
        for width in widths
    ]
    means = [float(np.mean(group)) for group in groups]
    return widths, means, [(min(group), max(group)) for group in groups]


def _error(sample: Sample) -> float:
    """Share of wrong answers, or held-out loss."""
    return -sample.quality if sample.family == LANGUAGE else 1 - sample.quality
