from pathlib import Path

import pytest

from mixwise.section import Section


class Room(Section):
    """A section with one key of each kind."""

    n: int = 1
    is_open: bool = False
    name: str | Path = "room"
    separator: str = ""


def test_a_section_is_immutable_and_strict() -> None:
    room = Room(n=2)
    with pytest.raises(ValueError, match="frozen"):
        room.n = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Room.model_validate({"windows": 2})


def test_truth_is_no_number() -> None:
    assert Room(is_open=True).is_open
    with pytest.raises(ValueError, match="but got True: change it"):
        Room.model_validate({"n": True})


def test_control_characters_are_for_separators_alone() -> None:
    assert Room(separator="\n").separator == "\n"
    with pytest.raises(ValueError, match="must hold no control characters"):
        Room(name="a\x1b[2J")
    with pytest.raises(ValueError, match="must hold no control characters"):
        Room(name=Path("a\nb"))
