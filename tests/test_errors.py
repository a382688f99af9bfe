import inspect

import pytest

from mixwise import errors
from mixwise.errors import BusyError, MixwiseError, StudyError, nearest

SUBCLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, MixwiseError) and value is not MixwiseError
]


@pytest.mark.parametrize("error", SUBCLASSES)
def test_every_error_is_a_direct_child_of_the_root_and_says_what_to_do(
    error: type[MixwiseError],
) -> None:
    # whoever gives up on a study gives up on a busy one too
    assert error.__bases__ == ((StudyError,) if error is BusyError else (MixwiseError,))
    assert error.__name__.endswith("Error")
    assert ":" in (error.__doc__ or "")


def test_there_is_one_error_per_reaction() -> None:
    assert len(SUBCLASSES) == 11


@pytest.mark.parametrize(
    ("word", "options", "clause"),
    [
        ("learning_rat", ["seed", "learning_rate"], "did you mean `learning_rate`?"),
        ("code", ["codes", "mode", "math"], "did you mean `codes`?"),
        ("zzz", ["math", "code"], "valid are: `code`, `math`"),
    ],
)
def test_nearest_suggests_the_closest_name_or_lists_all(
    word: str, options: list[str], clause: str
) -> None:
    assert nearest(word, options) == clause


def test_nearest_takes_any_iterable_once() -> None:
    assert nearest("zzz", iter(["b", "a"])) == "valid are: `a`, `b`"
