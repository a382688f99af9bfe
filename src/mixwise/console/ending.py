"""How a command ends: one line for a person, one JSON document for a program, one exit code.

0 done, 1 an error, 2 usage, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP. With ``--json`` stdout holds one
document whatever happens: the result, or ``{"error": kind, "problems": [lines]}``.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mixwise.console.notices import showing_warnings
from mixwise.console.text import let_output_spell, print_errors, print_json, print_note
from mixwise.errors import MixwiseError, first_line
from mixwise.interrupts import Interrupted, listening
from mixwise.shortages import explain_shortage, find_shortage

_USAGE = 2


def run_to_exit_code(command: Callable[[], object]) -> int:
    """Run a command and say how it ended.

    Args:
        command: Prints its result; returns an exit code of its own, or anything else for 0.

    Returns:
        The exit code.
    """
    let_output_spell()
    _name_fatal_signals()
    try:
        with listening(), showing_warnings(), _telling_errors_of_threads():
            code = command()
            return code if isinstance(code, int) else 0
    except Interrupted as stopped:
        _print_document("stopped", (str(stopped),))
        print_note(str(stopped))
        return stopped.exit_code
    except MixwiseError as error:
        return _fail(find_shortage(error) or error)
    except Exception as error:
        if _is_of_usage(error):
            return _explain_usage(error)
        shortage = explain_shortage(error) or find_shortage(error)
        if shortage is not None:
            return _fail(shortage)
        if os.environ.get("MIXWISE_TRACEBACK"):
            raise
        return _fail(_as_defect(error), type(error).__name__)


def _name_fatal_signals() -> None:
    """Let a signal that no program survives, as of a disk that is gone, leave words and a place."""
    if faulthandler.is_enabled():
        return
    with suppress(AttributeError, OSError, ValueError):  # a stderr that is no file
        faulthandler.enable()


@contextmanager
def _telling_errors_of_threads() -> Iterator[None]:
    """Say in a line that a thread, as of a library, has ended for lack of memory."""
    before = threading.excepthook

    def tell(failed: threading.ExceptHookArgs) -> None:
        shortage = failed.exc_value and find_shortage(failed.exc_value)
        if shortage:
            print_note(f"a thread has ended: {shortage}")
        else:
            before(failed)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


def _fail(error: MixwiseError, kind: str | None = None) -> int:
    _print_document(kind or type(error).__name__, error.problems)
    print_errors(error.problems)
    return 1


def _as_defect(error: Exception) -> MixwiseError:
    """A defect of ours: still one line, and where to look."""
    return MixwiseError(
        f"unexpected {type(error).__name__}: {first_line(error)}: this is a defect of mixwise; "
        "set MIXWISE_TRACEBACK=1 and run again to see where"
    )


def _is_of_usage(error: Exception) -> bool:
    """Whether the command line itself was wrong; typer brings a click of its own, or takes one."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _explain_usage(error: Exception) -> int:
    from typer.rich_utils import rich_format_error

    message: str = error.format_message()  # type: ignore[attr-defined]  # `_is_of_usage`
    _print_document("usage", (message or "a command is missing",))
    rich_format_error(error)  # type: ignore[arg-type]  # as above
    return _USAGE


def _print_document(kind: str, problems: tuple[str, ...]) -> None:
    """Print what a program reads instead of a result, where one is asked for."""
    if "--json" not in sys.argv:
        return
    try:
        print_json({"error": kind, "problems": list(problems)})
    except MixwiseError:
        return  # nowhere to write it; stderr says why
