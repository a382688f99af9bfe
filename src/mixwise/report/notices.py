"""Notices: what a command did otherwise than asked, read from the study and shown on the page.

Method:
    The page is shown whatever the file holds: what cannot be read becomes a notice of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixwise.report.contents import Contents, Notice
from mixwise.report.markup import Html, join, prose, tag


def load_notices(path: Path) -> tuple[Notice, ...]:
    """Read ``notices.json``; a study without the file has none.

    Args:
        path: The file, ``{"notices": [{"text", "command", "time"}]}``.

    Returns:
        The notices in the file's order. A file, or an entry, that is no such thing is named by a
        notice in its place.
    """
    try:
        rows = json.loads(path.read_bytes())["notices"]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return (_unreadable(path, "the file is damaged"),)
    if not isinstance(rows, list):
        return (_unreadable(path, "`notices` is no list"),)
    return tuple(_notice(path, number, row) for number, row in enumerate(rows, start=1))


def _notice(path: Path, number: int, row: Any) -> Notice:
    if not isinstance(row, Mapping) or not isinstance(row.get("text"), str):
        return _unreadable(path, f"entry {number} has no text")
    return Notice(row["text"], str(row.get("command") or ""), str(row.get("time") or ""))


def _unreadable(path: Path, why: str) -> Notice:
    text = (
        f"{path.name}: what commands did otherwise than asked cannot all be shown, as {why}: "
        "results do not depend on this file, so it may be deleted"
    )
    return Notice(text, "", "")


def notices(contents: Contents) -> Html:
    """What was rebuilt, switched off or left out."""
    words = (
        "What was rebuilt, switched off or left out while the commands of this study ran. None of "
        "it makes a number on this page wrong."
    )
    items = [tag("li", _origin(notice), prose(notice.text)) for notice in contents.notices]
    return join([tag("p", words), tag("ul", *items, class_="notices")])


def _origin(notice: Notice) -> Html:
    """Which command said it, and when."""
    known = [text for text in (notice.command, notice.time) if text]
    return join([tag("span", " · ".join(known), class_="caption"), " "]) if known else join([])
