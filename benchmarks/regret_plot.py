"""The plot of regret against tokens, as an SVG that stands alone in light and dark pages.

Method:
    Tokens on a logarithmic scale, regret on a square-root one, so that small regrets can be told
    apart and zero has a place. Names stand beside the lines' ends, pushed apart where they would
    touch. Methods that buy nothing are drawn flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 190, 34, 48
_ROW = 14  # least distance of two names
_BOLD = "mixwise"
_COLOURS = ("#0b66a8", "#c2410b", "#0b8a5f", "#8a4fbf", "#b8860b", "#c03a76", "#4b7f9c", "#6b6b2a")
_DASHES = ("", "6 3", "2 3")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#5b6472}"
    ".grid{stroke:#8b95a3;stroke-opacity:.25}"
    "@media(prefers-color-scheme:dark){text{fill:#a0a9b5}}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A method.

    Args:
        name: What it is called.
        points: Tokens in runs, mean regret, and the ends of its interval, by budget.
    """

    name: str
    points: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes say.

    Args:
        regret: What is drawn upwards.
        tokens: What is drawn to the right.
        heights: Regrets to mark.
    """

    regret: str = "mean regret, thousandths of a nat per token"
    tokens: str = "all tokens spent, in training runs (evaluation at a third of a trained token)"
    heights: tuple[float, ...] = (0, 1, 2, 5, 10, 20, 50, 100)


def render_plot(lines: Sequence[Line], ticks: Sequence[float], axes: Axes = Axes()) -> str:
    """Draw the lines; those without points are left out.

    Args:
        lines: The methods.
        ticks: Tokens in runs to mark on the axis.
        axes: What the axes say.
    """
    drawn = [line for line in lines if line.points]
    runs = [point[0] for line in drawn for point in line.points] + list(ticks)
    top = max(point[1] for line in drawn for point in line.points) * 1.05
    scale = _Scale(min(runs), max(runs), top)
    ends = _spread([scale.y(line.points[-1][1]) for line in drawn])
    parts = [_grid(scale, ticks, axes)]
    for k, (line, end) in enumerate(zip(drawn, ends, strict=True)):
        parts.append(_line(line, scale, end, k))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Mean regret against tokens, by method"><style>{_STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    least_runs: float
    most_runs: float
    top: float

    def x(self, runs: float) -> float:
        share = np.log(runs / self.least_runs) / np.log(self.most_runs / self.least_runs)
        return _LEFT + float(share) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, regret: float) -> float:
        share = float(np.sqrt(max(regret, 0.0) / self.top))
        return _HEIGHT - _BOTTOM - min(share, 1.0) * (_HEIGHT - _TOP - _BOTTOM)


def _grid(scale: _Scale, runs: Sequence[float], axes: Axes) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<text x="{_LEFT - 44}" y="16">{axes.regret}</text>']
    for value in axes.heights:
        if value <= scale.top:
            y = scale.y(value)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
            parts.append(
                f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
    for value in runs:
        x = scale.x(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">{axes.tokens}</text>')
    return "\n".join(parts)


def _line(line: Line, scale: _Scale, end: float, k: int) -> str:
    is_bold = line.name == _BOLD
    colour = _COLOURS[k % len(_COLOURS)] if not is_bold else "#d81e1e"
    dash = "" if is_bold else _DASHES[k // len(_COLOURS) % len(_DASHES)]
    points = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y, _, _ in line.points)
    last = line.points[-1]
    parts = [
        f'<polyline points="{points}" fill="none" stroke="{colour}" '
        f'stroke-width="{3 if is_bold else 1.5}" stroke-dasharray="{dash}"/>'
    ]
    for x, y, low, high in line.points:
        parts.append(f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="2" fill="{colour}"/>')
        if is_bold:
            place = f"M{scale.x(x):.1f} {scale.y(low):.1f}V{scale.y(high):.1f}"
            parts.append(f'<path d="{place}" stroke="{colour}" stroke-width="1"/>')
    side, right = scale.x(last[0]), _WIDTH - _RIGHT
    lead = f"M{side + 4:.1f} {scale.y(last[1]):.1f}L{right + 14} {end:.1f}"
    parts.append(f'<path d="{lead}" fill="none" stroke="{colour}" stroke-opacity=".5"/>')
    weight = ' font-weight="700"' if is_bold else ""
    name = escape(line.name)
    parts.append(
        f'<text x="{right + 18}" y="{end + 4:.1f}" style="fill:{colour}"{weight}>{name}</text>'
    )
    return "\n".join(parts)


def _spread(heights: Sequence[float]) -> list[float]:
    """Heights of names, near those of the lines' ends and apart from each other."""
    order = np.argsort(heights, kind="stable").tolist()
    placed = np.array(heights, dtype=np.float64)
    for above, below in pairwise(order):
        placed[below] = max(placed[below], placed[above] + _ROW)
    placed[order[-1]] = min(placed[order[-1]], _HEIGHT - _BOTTOM)
    for below, above in pairwise(order[::-1]):
        placed[above] = min(placed[above], placed[below] - _ROW)
    return [float(y) for y in placed]
