"""The user's script, which worker processes load again before their first job.

Method:
    Python starts a worker by importing the script that started it, so that functions of the script
    are known there. A script that begins its work outside of ``if __name__ == "__main__":`` would
    begin it again in the worker: there it is refused, the worker ends, and whoever started it says
    why.

Source:
    Python's documentation of `multiprocessing`, "Safe importing of main module".
"""

from __future__ import annotations

import multiprocessing
import sys

from mixwise.errors import ScriptError, printable

_REMEDY = (
    'put all that it does, but imports and definitions, below `if __name__ == "__main__":`, and '
    "run it again"
)


def require_loaded_script() -> None:
    """Refuse to begin work while this process still loads the script of the one that started it.

    Raises:
        ScriptError: If it does.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # Python's own mark
        raise ScriptError(
            f"{_script()}: begins its work while a worker process loads it again: {_REMEDY}"
        )


def unloaded_script() -> ScriptError:
    """What to raise where workers ended by themselves before they could begin."""
    return ScriptError(
        f"{_script()}: its worker processes load it again before their first job, and ended in an "
        f"error there (printed above): {_REMEDY}"
    )


def _script() -> str:
    loaded = getattr(sys.modules["__main__"], "__file__", None)  # a worker has it in its arguments
    return printable(str(loaded or sys.argv[0] or "the main script"))
