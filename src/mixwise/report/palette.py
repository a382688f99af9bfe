"""One look per domain, the same everywhere on the page.

Method:
    Eight colours that stay apart for colour-blind readers; the domains after the eighth repeat them
    with another hatching and another dash, so that 32 domains can be told apart.

Source:
    Okabe and Ito 2008; its black and yellow are replaced by a grey and a darker yellow, which can
    be read on white and on near-black.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#b3a100",
    "#8a8f98",
)
_HATCHES = ("", "/", ".", "x")
_DASHES = ("solid", "dash", "dot", "dashdot")
ACCENT, PREDICTED, MUTED = "#0072b2", "#d55e00", "#8a8f98"
PALE, DARK = "#ffffff", "#1c2330"  # marks that must be seen on every colour, light or dark


@dataclass(frozen=True, slots=True)
class Look:
    """How a domain is drawn: colour, hatching of its bars, dash of its lines."""

    colour: str
    hatch: str
    dash: str
    row: int

    @property
    def css_class(self) -> str:
        """Class that hatches a box of the page; its colour stands in the element."""
        return f"hatch{self.row}"


def looks(domains: Sequence[str]) -> Mapping[str, Look]:
    """The look of each domain, by its place in the study's order."""
    found = {}
    for index, name in enumerate(domains):
        row = index // len(COLOURS) % len(_HATCHES)
        colour = COLOURS[index % len(COLOURS)]
        found[name] = Look(colour, _HATCHES[row], _DASHES[row], row)
    return found
