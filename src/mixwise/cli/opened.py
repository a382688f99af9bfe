"""Open a study for a command, and show what came of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwise import console
from mixwise.errors import ResourceError, StudyError

if TYPE_CHECKING:
    from mixwise.api import Study


def on_study(
    folder: Path,
    name: str,
    stage: Callable[[Study], Any],
    trust_remote_code: bool,
    *,
    rule: str | None = None,
    why: str = "",
) -> Any:
    """Run a stage on a study that exists, and that nobody else works on."""
    from mixwise.api import Study

    with console.progress(name) as shown, ExitStack() as held:
        study = Study.open(
            folder, rule=rule, trust_remote_code=trust_remote_code, on_progress=shown
        )
        try:
            held.enter_context(study)
        except (StudyError, ResourceError) as error:
            raise type(error)(f"{error}{why}") from None
        shown.begin(name)
        return stage(study)


def read_study(
    folder: Path,
    stage: Callable[[Study], Any],
    trust_remote_code: bool,
    *,
    rule: str | None = None,
) -> Any:
    """Run a stage that measures and writes nothing, whoever else works on the study."""
    from mixwise.api import Study

    with console.progress("reading") as shown:
        study = Study.open(
            folder,
            rule=rule,
            trust_remote_code=trust_remote_code,
            read_only=True,
            on_progress=shown,
        )
        with study:
            return stage(study)


def show_result(content: Any, as_json: bool, print_it: Callable[[], object]) -> None:
    """Print a result for people, or as JSON."""
    if not as_json:
        print_it()
        return
    console.print_json(as_document(content))


def as_document(content: Any) -> Any:
    """What a stage returns, as what `json` can write."""
    if isinstance(content, list):
        return [as_document(item) for item in content]
    if hasattr(content, "to_json"):
        return content.to_json()
    if not is_dataclass(content):
        return content
    from mixwise.study.result_files import result_to_json

    return result_to_json(content)
