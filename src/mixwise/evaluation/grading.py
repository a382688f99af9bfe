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
from collections.abc import Sequence
from fractions import Fraction

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
    if pattern is not None:
        found = re.search(pattern, text)
        if measure == "pattern_found" or found is None:
            return float(found is not None)
        text = (found[1] if found.re.groups else found[0]) or ""
    return max(_grade(measure, text, answer) for answer in answers)


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
