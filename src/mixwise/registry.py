"""Names that a recipe may use: mixwise's own, and those that a user's code adds.

A package of the user's announces itself by an entry point in the group ``mixwise``; what the entry
point names is imported when a recipe uses a name that is not known, and registers its own: a merge
rule (`register_rule`) or a search method (`register_method`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Literal

from mixwise.errors import MixwiseError, RecipeError, ResourceError, first_line, nearest

Kind = Literal["merge rule", "search method"]
GROUP = "mixwise"
_OWN: dict[Kind, tuple[str, ...]] = {
    "merge rule": (
        "auto",
        "linear",
        "scaled",
        "trajectory",
        "blend",
        "centre",
        "pairs",
        "pairs+centre",
        "optimiser-aware",
        "optimiser-aware+centre",
        "ties",
        "dare",
        "dare-ties",
        "della",
        "breadcrumbs",
        "slerp",
        "fisher",
    ),
    "search method": (
        "auto",
        "slopes",
        "bayes",
        "newton",
        "mirror",
        "lattice",
        "mergemix",
        "demix",
        "random",
        "subsets",
        "subsets-fast",
        "subsets-race",
    ),
}
_added: dict[Kind, list[str]] = {"merge rule": [], "search method": []}


def names(kind: Kind) -> tuple[str, ...]:
    """All names of a kind that recipes may use, mixwise's own first."""
    return (*_OWN[kind], *_added[kind])


def add_name(kind: Kind, name: str) -> None:
    """Let recipes use a name; whoever registers a row of a table calls this.

    Raises:
        RecipeError: If the name is taken.
    """
    if name in names(kind):
        raise RecipeError(f"there is a {kind} `{name}` already: give yours another name")
    _added[kind].append(name)


def known(kind: Kind) -> Callable[[str], str]:
    """A check for recipes: whether a name is one of a kind; plugins are asked before it fails."""

    def check(name: str) -> str:
        if name not in names(kind):
            load_plugins()
        if name not in names(kind):
            raise ValueError(f"`{name}` is not a {kind}: {nearest(name, names(kind))}")
        return name

    return check


def load_plugins() -> None:
    """Import what installed packages announce; a second time does nothing.

    Raises:
        ResourceError: If one of them cannot be imported.
    """
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except MixwiseError:  # a name that is taken says so itself
            raise
        except Exception as error:  # whatever the package's own code raises
            raise ResourceError(
                f"the plugin `{entry.name}` ({entry.value}) cannot be loaded "
                f"({first_line(error)}): mend or remove its package"
            ) from error
