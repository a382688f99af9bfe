"""HTML that is safe by construction: text is escaped unless it already is markup.

Method:
    Everything that comes from a study (names, recipe, values) enters the page as plain ``str`` and
    is escaped where it is put into a tag; only what `tag` returns is taken as it is.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any

_CODE = re.compile(r"`([^`\s](?:[^`]*[^`\s])?)`")
_VOID = frozenset({"meta", "br", "input"})
_UNSAFE_IN_SCRIPT = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


class Html(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | None) -> Html:
    """Build an element.

    Args:
        name: Name of the element.
        children: Its content: `Html` is taken as it is, other text is escaped.
        attributes: Values are escaped; None leaves one out. ``class_`` stands for ``class``, and
            other underscores for hyphens.

    Returns:
        The element.

    Example:
        >>> tag("p", "a < b", class_="note")
        '<p class="note">a &lt; b</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[str], separator: str = "") -> Html:
    """Put parts one after the other, escaping those that are plain text."""
    return Html(separator.join(p if isinstance(p, Html) else html.escape(p) for p in parts))


def prose(text: str) -> Html:
    """Escape a sentence, and set what stands between backticks as code.

    Example:
        >>> prose("set `a.b` to 1 < 2")
        'set <code>a.b</code> to 1 &lt; 2'
    """
    pieces = _CODE.split(text)  # every second one stood between backticks
    return join(tag("code", piece) if k % 2 else piece for k, piece in enumerate(pieces))


def data_script(identifier: str, value: Any) -> Html:
    """Embed a value as JSON that no text inside it can break out of.

    Args:
        identifier: The element's id.
        value: Anything that JSON can hold.

    Returns:
        A ``<script type="application/json">`` element.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).translate(_UNSAFE_IN_SCRIPT)
    return tag("script", Html(text), type="application/json", id=identifier)


def label(text: str) -> str:
    """Escape text for a chart, where plotly reads ``<b>``, ``<a>`` and entities in every label."""
    return html.escape(text, quote=False)
