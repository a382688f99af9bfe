from __future__ import annotations

from pathlib import Path

import pytest

from mixwise.engine.storage.home import Home, clear_older
from mixwise.errors import ResourceError


def test_a_run_is_of_a_new_generation_once_it_was_given_and_is_gone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.generation("a", is_there=False) == home.generation("a", is_there=True) == 0
    home.note("a", 0)
    home.note("a", 0)  # brought once more, as after a kill between the two
    assert home.generation("a", is_there=True) == 0
    assert home.generation("a", is_there=False) == 1
    home.note("a", 1)
    assert Home(tmp_path).generation("a", is_there=True) == 1
    assert home.generation("a", is_there=False) == 2
    assert home.generation("b", is_there=False) == 0


def test_a_host_gives_up_an_older_generation_once(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    for generation, is_kept in ((0, True), (1, False), (1, True), (2, False)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file").touch()
        clear_older(folder, generation)
        assert (folder / "file").exists() == is_kept


def test_a_study_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".stored").touch()
    with pytest.raises(ResourceError, match=r"\.stored/a-0"):
        Home(tmp_path).note("a", 0)
