"""``snippets.json``: the recommended mixture as each trainer takes it, for the page to show."""

from __future__ import annotations

from dataclasses import dataclass

from mixwise.decision.score import Shares


@dataclass(frozen=True, slots=True)
class Snippet:
    """What an exporter writes.

    Args:
        exporter: Its name, as `mixwise export --to` takes it.
        about: What it writes, in a few words.
        text: The file; empty where it is refused.
        refused: Why the exporter cannot write it; empty where it can.
        n_beside: Other files that the export writes beside this one.
    """

    exporter: str
    about: str
    text: str
    refused: str = ""
    n_beside: int = 0


@dataclass(frozen=True, slots=True)
class SnippetsFound:
    """``snippets.json``.

    Args:
        mixture: What is handed over, by all tokens.
        snippets: One per exporter that writes a small text.
    """

    mixture: Shares
    snippets: tuple[Snippet, ...]
