"""Tell several tools of a run, and go on without one that fails.

Method:
    Whatever a tool raises is caught, said once by the tool's name, and the tool is told no more.
    What it prints on standard output goes to standard error, where results are not read; and the
    global random numbers, which training draws from, are as they were.
"""

from __future__ import annotations

import contextlib
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from mixwise.errors import MixwiseWarning, first_line, printable
from mixwise.tracking.run import TrackedRun
from mixwise.tracking.tool import Told
from mixwise.tracking.tools import TOOLS

_MOST_CHARACTERS = 200


class GuardedRun:
    """A run in all tools that are to be told.

    Args:
        run: The run; it begins in each tool, or goes on.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._told: dict[str, Told] = {}
        for name in run.to:
            self._open(name, run)

    @property
    def working(self) -> tuple[str, ...]:
        """Names of the tools that have not failed."""
        return tuple(self._told)

    def log(self, series: str, values: Mapping[str, float], step: int) -> None:
        """Add a point to several curves; see `Told`."""
        self._each(lambda told: told.log(series, values, step))

    def note(self, texts: Mapping[str, str]) -> None:
        """Say what holds for the run as a whole; see `Told`."""
        self._each(lambda told: told.note(texts))

    def close(self, *, is_finished: bool) -> None:
        """Let go of the run; see `Told`."""
        self._each(lambda told: told.close(is_finished=is_finished))
        self._told = {}

    def _open(self, name: str, run: TrackedRun) -> None:
        with self._guarded(name):
            self._told[name] = TOOLS[name].open(run)

    def _each(self, tell: Callable[[Told], None]) -> None:
        for name, told in list(self._told.items()):
            with self._guarded(name):
                tell(told)

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        with _random_numbers_kept(), contextlib.redirect_stdout(sys.stderr):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a tool's own, of its releases to come
                    yield
            except Exception as error:  # tools raise errors of many kinds
                self._told.pop(name, None)
                reason = printable(f"{type(error).__name__}: {first_line(error)}", _MOST_CHARACTERS)
                failed = f"`tracking.to`: {name} failed ({reason}) and is told no more"
            else:
                return
        warnings.warn(
            f"{failed}; training goes on as it would, and results are the same",
            MixwiseWarning,
            stacklevel=4,
        )


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    python, array = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
