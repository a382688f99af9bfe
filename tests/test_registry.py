from importlib.metadata import EntryPoint

import pytest

from mixwise import registry
from mixwise.errors import RecipeError, ResourceError
from mixwise.recipe.sections import Merge


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", {kind: [] for kind in registry._OWN})


def announce() -> None:
    registry.add_name("merge rule", "mine")


@pytest.mark.usefixtures("empty")
def test_a_name_is_added_once() -> None:
    announce()
    assert Merge(rule="mine").rule == "mine"
    with pytest.raises(RecipeError, match="there is a merge rule `mine` already: give yours anoth"):
        announce()
    with pytest.raises(RecipeError, match="there is a search method `auto` already"):
        registry.add_name("search method", "auto")


@pytest.mark.usefixtures("empty")
def test_an_unknown_name_is_looked_for_in_installed_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    class Announced:
        def load(self) -> None:
            announce()

    def entry_points(*, group: str) -> list[Announced]:
        asked.append(group)
        return [Announced()]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert Merge(rule="linear").rule == "linear"
    assert not asked  # mixwise's own names need no packages
    assert Merge(rule="mine").rule == "mine"
    assert asked == [EntryPoint("x", "y", "mixwise").group]
    monkeypatch.setattr(registry, "load_plugins", lambda: None)
    with pytest.raises(ValueError, match="`yours` is not a merge rule"):
        Merge(rule="yours")


@pytest.mark.usefixtures("empty")
def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("theirs", "not_there_at_all", "mixwise")
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [broken])
    with pytest.raises(ResourceError, match=r"plugin `theirs` \(not_there_at_all\) cannot be load"):
        Merge(rule="mine")
