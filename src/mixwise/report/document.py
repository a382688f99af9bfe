"""The page around its content: style sheet, scripts, and a policy that lets nothing else run.

Method:
    The scripts are plain files that are put one after the other into one function, so that they
    share names among themselves and none with anything else. The policy names their hash: a script
    that came in by a name or a value would not run, whatever it was.
"""

from __future__ import annotations

import base64
import hashlib
import html
from importlib import resources
from string import Template

from mixwise.report.markup import Html

_SCRIPTS = (
    "dom.js",
    "surrogate.js",
    "space.js",
    "improve.js",
    "charts.js",
    "ternary.js",
    "tables.js",
    "explorer.js",
    "start.js",
)


def page_around(body: Html, title: str, *, is_live: bool = False) -> str:
    """Put a body into the page.

    Args:
        body: Its content.
        title: Of the window.
        is_live: Whether the page asks where it came from for what is new.

    Returns:
        The text of one file that needs nothing else.
    """
    style = _read("page.css")
    scripts = (*_SCRIPTS, "live.js") if is_live else _SCRIPTS
    script = '(() => {\n"use strict";\n' + "\n".join(map(_read, scripts)) + "})();\n"
    return Template(_read("page.html")).substitute(
        policy=_policy(script, style, is_live=is_live),
        title=html.escape(title),
        style=style,
        script=script,
        body=body,
    )


def _policy(script: str, style: str, *, is_live: bool) -> str:
    """What the page may do; attributes of style place bars and colour them."""
    rules = [
        "default-src 'none'",
        f"script-src '{_hash(script)}'",
        f"style-src-elem '{_hash(style)}'",
        "style-src-attr 'unsafe-inline'",
        "form-action 'none'",
        "base-uri 'none'",
    ]
    return "; ".join([*rules, "connect-src 'self'"] if is_live else rules)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _read(name: str) -> str:
    folder = resources.files("mixwise.report").joinpath("assets")
    return folder.joinpath(name).read_text(encoding="utf-8")
