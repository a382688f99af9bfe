"""Limits between domains as people write them: ``code >= 2 * math``.

Method:
    SIDE RELATION SIDE, with the relation ``<=``, ``>=`` or ``=`` (or ≤, ≥, ==). A side is a sum of
    terms, with a blank before each ``-``, because names of domains may hold one. A term is a
    number, a name, or a name times or over numbers: ``2 * math``, ``web / 3``, ``30%``. A name is
    that of a domain, or of a group, which stands for the sum of its domains; one that reads as a
    number stands in quotes: ``"7" <= 0.1``. Nothing is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError, nearest, printable
from mixwise.limit import Limit

_TOKEN = re.compile(
    r"""\s*(?:(?P<relation><=|>=|==|=|≤|≥)|(?P<sign>[+-])|(?P<factor>[*/])
    |"(?P<quoted>[^"]*)"|(?P<word>[A-Za-z0-9.][A-Za-z0-9_.%-]*))""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE]-?\d+)?%?")
_TURNED = {"≤": "<=", "≥": ">=", "==": "="}
_EXAMPLE = "write a limit such as `code >= 2 * math` or `web + books <= 0.6`"


def parse_limit(
    text: str, domains: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None
) -> Limit:
    """Read a limit between domains.

    Args:
        text: As it is written.
        domains: Names, in the study's order.
        groups: Domains of each group that may be named too.

    Returns:
        The limit, all names on one side; its own name is the text.

    Raises:
        RecipeError: If the text is no limit, names what is neither a domain nor a group, multiplies
            names, or names no domain in the end.

    Example:
        >>> limit = parse_limit("code >= 2 * math", ["math", "code"])
        >>> limit.coefficients, limit.least, limit.most
        ((-2.0, 1.0), 0.0, None)
    """
    tokens = _tokens(text)
    places = [k for k, token in enumerate(tokens) if token.kind == "relation"]
    if len(places) != 1:
        raise RecipeError(f"has {len(places)} relations, but needs one of <=, >=, =: {_EXAMPLE}")
    names = _Names(tuple(domains), groups or {})
    left = _side(tokens[: places[0]], names)
    right = _side(tokens[places[0] + 1 :], names)
    coefficients, number = left[:-1] - right[:-1], float(right[-1] - left[-1])
    relation = tokens[places[0]].text
    return Limit(
        " ".join(text.split()),
        tuple(coefficients.tolist()),
        number if relation in (">=", "=") else None,
        number if relation in ("<=", "=") else None,
    )


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Names:
    domains: tuple[str, ...]
    groups: Mapping[str, Sequence[str]]

    def row(self, name: str) -> Array:
        """Coefficients of a name, and 0 for the number beside them."""
        members = [name] if name in self.domains else list(self.groups.get(name, ()))
        if not members:
            known = [*self.domains, *self.groups]
            raise RecipeError(
                f"`{printable(name, 80)}` is neither a domain nor a group: {nearest(name, known)}"
                " (a minus between names needs blanks around it)"
            )
        return np.array([*(float(each in members) for each in self.domains), 0.0])

    def number(self, value: float) -> Array:
        """A number alone."""
        return np.array([*np.zeros(len(self.domains)), value])


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            raise RecipeError(
                f"cannot be read from `{printable(text[place:].strip(), 40)}` on: {_EXAMPLE}"
            )
        kind, value = str(match.lastgroup), match[str(match.lastgroup)]
        if kind == "word":
            kind = "number" if _NUMBER.fullmatch(value) else "name"
        found.append(_Token("name" if kind == "quoted" else kind, _TURNED.get(value, value)))
        place = match.end()
    return found


def _side(tokens: Sequence[_Token], names: _Names) -> Array:
    """Coefficients of a sum of terms, and its number last."""
    total, term, sign = names.number(0.0), list[_Token](), 1.0
    for token in tokens:
        if token.kind == "sign" and term:
            total, term = total + sign * _term(term, names), []
            sign = 1.0
        if token.kind == "sign":
            sign *= -1.0 if token.text == "-" else 1.0
        else:
            term.append(token)
    return total + sign * _term(term, names)


def _term(tokens: Sequence[_Token], names: _Names) -> Array:
    """Coefficients of a product of numbers and at most one name, and its number last."""
    kinds = [token.kind for token in tokens]
    shown = " ".join(token.text for token in tokens) or "nothing"
    is_product = all(
        kind == "factor" if k % 2 else kind in ("number", "name") for k, kind in enumerate(kinds)
    )
    if len(tokens) % 2 == 0 or not is_product:
        raise RecipeError(f"`{printable(shown, 60)}` is no term: {_EXAMPLE}")
    if kinds.count("name") > 1:
        raise RecipeError(f"`{printable(shown, 60)}` multiplies two names: multiply by a number")
    scale, row = 1.0, names.number(1.0)
    for k in range(0, len(tokens), 2):
        is_divided = k > 0 and tokens[k - 1].text == "/"
        if tokens[k].kind == "name":
            if is_divided:
                raise RecipeError(f"`{printable(shown, 60)}` divides by a name: multiply instead")
            row = names.row(tokens[k].text)
            continue
        number = _number(tokens[k].text)
        if is_divided and number == 0:
            raise RecipeError(f"`{printable(shown, 60)}` divides by 0: use another number")
        scale *= 1 / number if is_divided else number
    return scale * row


def _number(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)
