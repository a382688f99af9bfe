"""The texts that the code may print, and whether one of them reads as a page quotes it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "mixwise"


@cache
def code_texts(folder: Path = SOURCE) -> tuple[str, ...]:
    """Every text of the code, with `…` wherever a value is put in."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py")))
    return tuple(text for tree in trees for text in texts_of(tree))


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Texts of one module.

    Example:
        >>> list(texts_of(ast.parse('f"{path}: is missing"')))
        ['…: is missing', ': is missing']
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )


def is_said(quoted: str, texts: Iterable[str]) -> bool:
    """Whether one text holds all pieces of a quoted one, in their order.

    Example:
        >>> is_said("no study here … begin one", ["…: no study here: begin one"])
        True
    """
    pieces = [" ".join(piece.split()) for piece in quoted.split("…")]
    return any(_holds(text, pieces) for text in texts)


def _holds(text: str, pieces: list[str]) -> bool:
    at = 0
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True
