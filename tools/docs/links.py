"""Links of the documentation that lead nowhere, and pages that the code names and are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tools.docs.blocks import ROOT, pages

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_HEADING = re.compile(r"(?m)^#{1,6} +(.+?) *$")
_NAMED = re.compile(r"\b(docs/[\w./-]+\.md)")
FENCED = re.compile(r"(?ms)^ *(`{3,}).*?^ *\1$")
_FOLDERS = ("src", "tests", "benchmarks", "tools", "trials", "examples")


def broken_links() -> Iterator[str]:
    """A line for each link that leads nowhere."""
    for page in [*pages(), ROOT / "CHANGELOG.md"]:
        prose = FENCED.sub("", page.read_text(encoding="utf-8"))
        for target in _LINK.findall(prose):
            path, _, anchor = target.partition("#")
            goal = (page.parent / path).resolve() if path else page
            where = f"{page.relative_to(ROOT)}: `{target}`"
            if not goal.exists():
                yield f"{where}: there is no such file"
            elif anchor and anchor not in anchors(goal):
                yield f"{where}: there is no such heading"


def broken_names() -> Iterator[str]:
    """A line for each page that the code names and that is not there."""
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in _NAMED.findall(path.read_text(encoding="utf-8")):
                if not (ROOT / name).is_file():
                    yield f"{path.relative_to(ROOT)}: there is no {name}"


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MyST make them."""
    prose = FENCED.sub("", page.read_text(encoding="utf-8"))
    return {slug(heading) for heading in _HEADING.findall(prose)}


def slug(heading: str) -> str:
    """A heading's anchor.

    Example:
        >>> slug("`domains.NAME.hub`: what, why?")
        'domainsnamehub-what-why'
    """
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")
