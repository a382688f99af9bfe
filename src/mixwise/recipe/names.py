"""Names of domains and evaluation sets, which are names of folders too."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def legal_name(text: str) -> str:
    """The name that a text makes: other characters are replaced by ``-``; empty if none is left.

    Example:
        >>> legal_name("The Stack/v2"), legal_name("百科")
        ('The-Stack-v2', '')
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-_.")[:64]
