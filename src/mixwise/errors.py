"""The errors that a caller can react to.

One root, and one subclass per *reaction of the caller*: edit the recipe, repair the data, replace a
checkpoint, free resources. Every text says where, which rule, what came, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


class ResourceError(MixwiseError):
    """The machine has too little disk or memory: free some."""


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
    known = sorted(options)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean `{close[0]}`?"
    return "valid are: " + ", ".join(f"`{name}`" for name in known)
