"""The errors that a caller can react to.

One root, and one subclass per *reaction of the caller*: edit the recipe, repair the data, replace a
checkpoint, free resources. Every text says where, which rule, what came, and what to do.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
import re
import reprlib
from collections.abc import Iterable

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MOST_OPTIONS = 1000  # names that are compared with an unknown one


class MixwiseError(Exception):
    """Root of all errors that mixwise raises on purpose; the command line exits with 1.

    Its arguments are the problems that were found, a line each.
    """

    def __str__(self) -> str:
        return "\n".join(self.problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems, each with its place, rule, value and remedy."""
        return tuple(str(problem) for problem in self.args)


class RecipeError(MixwiseError):
    """The recipe asks for something impossible or unknown: edit the recipe."""


class DataError(MixwiseError):
    """A data file is missing, empty, broken or too small: repair the data."""


class CheckpointError(MixwiseError):
    """A base model or an expert cannot be used as it is: replace the checkpoint."""


class TrainingError(MixwiseError):
    """A training run diverged or could not start: change the training settings or the data."""


class EvaluationError(MixwiseError):
    """A measurement is not a finite number: look at the model or at the evaluation set."""


class StudyError(MixwiseError):
    """The study folder is locked, incomplete or belongs to other settings: choose another."""


class BusyError(StudyError):
    """Another process works where this one wants to: wait for it, or stop it."""


class DamagedError(MixwiseError):
    """A file that mixwise wrote no longer holds what was written: restore it or delete it."""


class ResourceError(MixwiseError):
    """The machine has too little disk or memory: free some."""


class ScriptError(MixwiseError):
    """A script of the user's cannot be loaded by worker processes: edit the script."""


class MissingDependencyError(MixwiseError):
    """An optional package is needed for this step: install the extra that the text names."""


class MixwiseWarning(UserWarning):
    """Something is not as it was asked for or left, and the result is right all the same.

    A capability that is missing, a file that is made anew: said with its reason, by
    `warnings.warn`; the command line prints it and keeps it for the report.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none; for use in another's."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def holds_control_characters(text: str) -> bool:
    """Whether a text would move a terminal's cursor, break its line or turn its direction."""
    return _CONTROL.search(text) is not None


def printable(text: str, most: int = 200) -> str:
    r"""A text from a file, fit for one line of an error text: escaped and shortened.

    Args:
        text: Whatever a recipe, a data file or a folder holds.
        most: Characters that are shown of it.

    Example:
        >>> print(printable("a\x1b[2Jb\nc"))
        a\x1b[2Jb\nc
        >>> printable("abcdef", most=3)
        'abc …'
    """
    shown = "".join(
        letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:most]
    )
    return shown if len(text) <= most else f"{shown} …"


def shown(value: object, most: int = 80) -> str:
    """A value for an error text: the beginning of its `repr`, made without the whole of it.

    Example:
        >>> shown("x" * 1000, most=10)
        "'xxxxxxxxx …"
        >>> shown([1, "two"])
        "[1, 'two']"
    """
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxlong, short.maxother = 4, 4 * most, 4 * most, 4 * most
    short.maxdict = short.maxlist = short.maxtuple = short.maxset = 8
    if isinstance(value, bytes | bytearray):
        value = bytes(value[:most])
    text = f"a {type(value).__name__} too large to show"
    with contextlib.suppress(ValueError, RecursionError):  # a number of very many digits
        text = short.repr(value)
    return printable(text, most)


def nearest(word: str, options: Iterable[str]) -> str:
    """Suggest the known name closest to an unknown one.

    Args:
        word: What the user wrote.
        options: The names that would have been valid.

    Returns:
        A clause for the end of an error text: a suggestion, or the list of valid names.

    Example:
        >>> nearest("learning_rat", ["learning_rate", "seed"])
        'did you mean `learning_rate`?'
    """
    known = sorted(itertools.islice(options, _MOST_OPTIONS))
    close = difflib.get_close_matches(word[:100], [name[:100] for name in known], n=1, cutoff=0.5)
    if close:
        return f"did you mean `{printable(close[0])}`?"
    listed = [f"`{printable(name, 40)}`" for name in known[:20]]
    return "valid are: " + ", ".join([*listed, *(["…"] if len(known) > 20 else [])])
