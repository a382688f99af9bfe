"""Warnings of ours: shown once each on stderr, and kept in the study for its report.

Warnings of other libraries are shown as Python shows them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixwise.console.text import print_note
from mixwise.errors import DamagedError, MixwiseWarning, StudyError

if TYPE_CHECKING:
    from mixwise.study.folder import StudyFolder


@contextmanager
def showing_warnings() -> Iterator[None]:
    """Print each of our warnings in this block, the same text once."""
    shown: set[str] = set()

    def show(text: str) -> None:
        if text not in shown:
            shown.add(text)
            print_note(f"warning: {text}")

    with _taking_warnings(show, is_last=True):
        yield


@contextmanager
def keeping_warnings(study: StudyFolder) -> Iterator[None]:
    """Keep each of our warnings in this block in the study too, in ``notices.json``."""
    with _taking_warnings(lambda text: keep_notice(study, text), is_last=False):
        yield


def keep_notice(study: StudyFolder, text: str) -> None:
    """Put a notice last in ``notices.json``; each text stands there once, with its newest time."""
    from mixwise.files import seal
    from mixwise.study.folder import NOTICES_FILE

    try:
        content = study.load_json(NOTICES_FILE) or {}
    except (StudyError, DamagedError, ValueError):  # damaged: it is made anew
        content = {}
    others = [notice for notice in content.get("notices", ()) if notice["text"] != text]
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    notice = {"text": text, "command": command, "time": datetime.now(UTC).isoformat("T", "seconds")}
    study.save_text(NOTICES_FILE, seal({"notices": [*others, notice]}))


@contextmanager
def _taking_warnings(take: Callable[[str], None], *, is_last: bool) -> Iterator[None]:
    """Hand the text of each of our warnings on, and all others, or all, to whoever had them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", MixwiseWarning)
        show = warnings.showwarning

        def hook(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            is_ours = issubclass(category, MixwiseWarning)
            if is_ours:
                take(str(message))
            if not (is_ours and is_last):
                show(message, category, *place, **more)

        warnings.showwarning = hook
        yield
