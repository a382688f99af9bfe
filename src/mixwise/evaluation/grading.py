"""How a written text is graded by right answers.

Method:
    Of several right answers the best counts. ``f1``: harmonic mean of precision and recall of the
    words that text and answer share, as often as both have them. Words are what is left without
    case, punctuation and the articles a, an, the. Numbers are compared exactly, commas left out.

Source:
    Rajpurkar et al. 2016, arXiv 1606.05250: SQuAD's evaluation script (``normalize_answer``,
    ``f1_score``); Cobbe et al. 2021, arXiv 2110.14168, for the last number of an answer.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np

from mixwise.errors import EvaluationError, first_line, printable, shown
from mixwise.kinds.generation import Graded

_NUMBER = re.compile(r"(?<![\w.)])-?[0-9][0-9,]*(?:\.[0-9]+)?|[0-9][0-9,]*(?:\.[0-9]+)?")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def grade(measure: Graded, text: str, answers: Sequence[str], pattern: str | None = None) -> float:
    """Grade of a text, from 0 to 1.

    Args:
        measure: How it is graded.
        text: What was written.
        answers: Right answers.
        pattern: Regular expression that takes the answer out of the text.

    Example:
        >>> grade("f1", "The black cat.", ["a cat"]), grade("number", "6 + 4 = 10", ["10.0"])
        (0.6666666666666666, 1.0)
    """
    found = take_answer(text, pattern)
    if measure == "pattern_found" or found is None:
        return float(found is not None)
    return max(_grade(measure, found, answer) for answer in answers)


def take_answer(text: str, pattern: str | None) -> str | None:
    """What of a text is graded; None where the pattern is not found.

    Example:
        >>> take_answer("so #### 4", "#### (.*)"), take_answer("so 4", None), take_answer("", "#")
        ('4', 'so 4', None)
    """
    if pattern is None:
        return text
    found = re.search(pattern, text)
    return None if found is None else (found[1] if found.re.groups else found[0]) or ""


def grade_by(
    function: Callable[[str, list[str]], Any],
    text: str,
    answers: Sequence[str],
    pattern: str | None = None,
) -> float:
    """Grade of a text by a function of the user's.

    Args:
        function: Given what is graded, empty where the pattern is not found, and right answers.
        text: What was written.
        answers: Right answers.
        pattern: Regular expression that takes the answer out of the text.

    Raises:
        EvaluationError: If it fails, or does not return a finite number.
    """
    name = f"`{function.__module__}:{function.__qualname__}`"
    try:
        given = function(take_answer(text, pattern) or "", list(answers))
    except Exception as error:  # whatever the user's code raises
        raise EvaluationError(
            f"{name} failed ({type(error).__name__}: {printable(first_line(error), 300)}): mend it"
        ) from error
    if not isinstance(given, Real | np.bool_) or not np.isfinite(float(given)):
        raise EvaluationError(
            f"{name} must return a finite number for a written text, but gave {shown(given)}: mend "
            "it"
        )
    return float(given)


def last_number(text: str) -> Fraction | None:
    """The last number of a text; None where it has none.

    Example:
        >>> last_number("from 3 to -1,200.50 or so")
        Fraction(-2401, 2)
    """
    numbers = _NUMBER.findall(text)
    return Fraction(numbers[-1].replace(",", "")) if numbers else None


def _grade(measure: Graded, text: str, answer: str) -> float:
    if measure == "exact_match":
        return float(text.strip() == answer.strip())
    if measure == "contains":
        return float(answer.strip() in text)
    if measure == "number":
        number = last_number(text)
        return float(number is not None and number == last_number(answer))
    written, right = _words(text), _words(answer)
    return float(written == right) if measure == "normalised_match" else _f1(written, right)


def _words(text: str) -> list[str]:
    plain = text.lower().translate(_PUNCTUATION)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def _f1(written: Sequence[str], right: Sequence[str]) -> float:
    shared = (Counter(written) & Counter(right)).total()
    if not written or not right:
        return float(written == right)
    return 2 * shared / (len(written) + len(right))
