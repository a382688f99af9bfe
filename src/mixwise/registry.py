"""Names that a recipe may use: mixwise's own, and those that a user's code adds.

A package of the user's announces itself by an entry point in the group ``mixwise``; what the entry
point names is imported when a name is asked for that is not known, and registers its own. Merge
rules, search methods and engines have their tables beside what they need, and their names alone
stand here. Other tables are a `Table` each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Literal, Protocol, TypeVar

from mixwise.errors import (
    MixwiseError,
    RecipeError,
    ResourceError,
    first_line,
    nearest,
    printable,
)

Kind = Literal["merge rule", "search method", "engine"]
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
        "top-down",
        "bottom-up",
        "mergemix-top-down",
        "mergemix-bottom-up",
    ),
    "engine": ("local", "ray"),
}
_added: dict[Kind, list[str]] = {kind: [] for kind in _OWN}


def names(kind: Kind) -> tuple[str, ...]:
    """All names of a kind that recipes may use, mixwise's own first."""
    return (*_OWN[kind], *_added[kind])


def own_names(kind: Kind) -> tuple[str, ...]:
    """The names of a kind that are mixwise's own."""
    return _OWN[kind]


def add_name(kind: Kind, name: str) -> None:
    """Let recipes use a name; whoever registers a row of a table calls this.

    Raises:
        RecipeError: If the name is taken.
    """
    if name in names(kind):
        raise RecipeError(f"there is {_article(kind)} `{name}` already: give yours another name")
    _added[kind].append(name)


def known(kind: Kind) -> Callable[[str], str]:
    """A check for recipes: whether a name is one of a kind; plugins are asked before it fails."""

    def check(name: str) -> str:
        if name not in names(kind):
            load_plugins()
        if name not in names(kind):
            raise ValueError(f"`{name}` is not {_article(kind)}: {nearest(name, names(kind))}")
        return name

    return check


class Named(Protocol):
    """A row of a table."""

    @property
    def name(self) -> str:
        """Its name, in recipes and on the command line."""
        ...


Row = TypeVar("Row", bound=Named)


class Table(Mapping[str, Row]):
    """Rows by name: mixwise's own, and those that a user's code adds.

    Args:
        what: What a row is, for error texts.
        rows: mixwise's own.
    """

    def __init__(self, what: str, rows: Iterable[Row]) -> None:
        self.what = what
        self._rows = {row.name: row for row in rows}

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Add a row.

        Raises:
            RecipeError: If its name is taken.
        """
        if row.name in self._rows:
            raise RecipeError(
                f"there is {_article(self.what)} `{row.name}` already: give yours another name"
            )
        self._rows[row.name] = row

    def find(self, name: str) -> Row:
        """The row of a name; plugins are asked before it fails.

        Raises:
            RecipeError: If there is none.
        """
        if name not in self._rows:
            load_plugins()
        if name not in self._rows:
            raise RecipeError(
                f"`{printable(name, 80)}` is not {_article(self.what)}: {nearest(name, self)}"
            )
        return self._rows[name]

    def known(self, name: str) -> str:
        """A check for recipes: a name that `find` knows.

        Raises:
            ValueError: If it does not.
        """
        try:
            return self.find(name).name
        except RecipeError as error:
            raise ValueError(str(error)) from None


def _article(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


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
