"""Fenced blocks of the documentation, and what their first line says of them.

    ```console slow: trains for a minute

The first word is the language; a mark and its reason may follow. Blocks without a mark are run by
the tests, those of a page in one folder, one after the other.

Marks:
    slow    run by the slow tests alone.
    parsed  not run, but read: flags of commands, syntax of Python, keys of recipes.
    fails   run, and each command ends with an error, which the block shows.
    file    written into the folder under the name that follows.
    other   a file of another program: not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Mark = Literal["", "slow", "parsed", "fails", "file", "other"]
LANGUAGES = ("console", "sh", "python", "yaml", "json", "jinja", "text")
ROOT = Path(__file__).parents[2]
_FENCE = re.compile(
    r"(?ms)^(?P<in> *)(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=in)(?P=fence)$"
)
_INFO = re.compile(r"(?P<language>[\w-]*)(?: +(?P<mark>\w+): *(?P<reason>.+))?")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Args:
        place: Page and line, for error texts.
        language: First word of its first line; empty where there is none.
        mark: What is done with it; empty where it is run.
        reason: Why, or the file's name.
        text: What it holds, without the indentation of its fence.
    """

    place: str
    language: str
    mark: Mark
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """A command and what the page shows of its output; `…` stands for anything."""

    command: str
    shown: str


def pages() -> list[Path]:
    """Every page that people read: those of the site, and those beside the code."""
    of_site = (path for path in (ROOT / "docs").rglob("*.md") if "site" not in path.parts)
    beside = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))
    return sorted([*of_site, *beside, *ROOT.glob("examples/*/README.md")])


def read_blocks(page: Path, text: str | None = None) -> Iterator[Block]:
    """The blocks of a page, directives of Sphinx left out.

    Args:
        page: Its file.
        text: What it holds; read from the file when None.

    Raises:
        ValueError: If a first line says something that has no meaning, or a fence is not closed.
    """
    text = page.read_text(encoding="utf-8") if text is None else text
    name = page.relative_to(ROOT) if page.is_relative_to(ROOT) else page
    if re.search(r"(?m)^ *```", _FENCE.sub("", text)):
        raise ValueError(f"{name}: a fence is opened and never closed: close it")
    for found in _FENCE.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, found.start()) + 1}"
        info = found["info"].strip()
        if info.startswith("{"):
            continue
        said = _INFO.fullmatch(info)
        if said is None or (said["mark"] or "") not in get_args(Mark):
            raise ValueError(f"{place}: `{info}` is no language with a mark and its reason")
        body = re.sub(rf"(?m)^{found['in']}", "", found["body"])
        yield Block(place, said["language"], said["mark"] or "", said["reason"] or "", body)


def read_steps(block: Block) -> Iterator[Step]:
    r"""The commands of a block: lines after `$ ` of a console, all lines of `sh`.

    Example:
        >>> block = Block("", "console", "", "", "$ ls \\\n  --all  # too\na  b\n$ pwd\n")
        >>> list(read_steps(block))
        [Step(command='ls --all', shown='a  b\n'), Step(command='pwd', shown='')]
    """
    text = re.sub(r"\\\n\s*", "", block.text)
    if block.language == "sh":
        for line in text.splitlines():
            if command := without_comment(line):
                yield Step(command, "")
        return
    for part in re.split(r"(?m)^\$ ", text)[1:]:
        first, _, shown = part.partition("\n")
        yield Step(without_comment(first), shown)


def without_comment(line: str) -> str:
    """A command without the comment after it."""
    return re.split(r"(?:^|\s)#\s", line, maxsplit=1)[0].strip()


def is_shown(shown: str, printed: str) -> bool:
    r"""Whether a program printed what a page shows, numbers and white space aside.

    Example:
        >>> is_shown("ρ is .93 …\nReport: study", "ρ is .88 (.5 to 1)\n  Report:  study\n")
        True
        >>> is_shown("ρ is .93, trust", "ρ is .88")
        False
    """
    pieces: Sequence[str] = [_masked(piece) for piece in shown.split("…")]
    there, at = _masked(printed), 0
    for piece in pieces:
        at = there.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def _masked(text: str) -> str:
    return " ".join(re.sub(r"[−-]?[\d.,]*\d", "0", text).split())
