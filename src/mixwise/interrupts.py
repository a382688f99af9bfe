"""Signals that ask this process to end: Ctrl-C, a scheduler's SIGTERM, a closed terminal's SIGHUP.

Method:
    The first signal is raised as an exception wherever the program is, so that what runs can leave
    a snapshot. A second one after half a second ends the process at once; until then it counts as
    the first, which may well arrive twice, from the terminal and from whoever started us. What the
    caller has told us to ignore (`nohup`) stays ignored.

It imports next to nothing: Ctrl-C is heard while the rest is still being loaded.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME_SECONDS = 0.5
_STOPPING = b"mixwise: stopping: what runs may save itself first; once more ends it at once\n"


class Interrupted(BaseException):
    """A signal asks this process to end; no ``except Exception`` swallows it.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What shells know a process by that ended so: 130 for Ctrl-C, 143 SIGTERM, 129 SIGHUP."""
        return 128 + self.number

    def __str__(self) -> str:
        how = "" if self.number == signal.SIGINT else f" by {signal.Signals(self.number).name}"
        return (
            f"stopped{how}. Nothing that was finished is lost; to go on from here, run the same "
            f"command again: mixwise {shlex.join(sys.argv[1:])}"
        )


def end_at_once_when_asked() -> None:
    """Until `listening` takes over: say that we stop, and stop; nothing has begun yet."""

    def end(number: int, frame: FrameType | None) -> None:
        stopped = Interrupted(number)
        if "--json" in sys.argv:
            import json

            document = {"error": "stopped", "problems": [ascii(str(stopped))[1:-1]]}
            os.write(1, (json.dumps(document) + "\n").encode())
        os.write(2, f"mixwise: {ascii(str(stopped))[1:-1]}\n".encode())
        os._exit(stopped.exit_code)

    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


@contextmanager
def listening() -> Iterator[None]:
    """Raise `Interrupted` in this block when a signal asks us to end.

    Only the main thread hears signals; in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[float] = []

    def hear(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        heard.append(now)
        if len(heard) == 1:
            with suppress(OSError):  # nobody reads it
                os.write(2, _STOPPING)
            raise Interrupted(number)
        if now - heard[0] > _SAME_SECONDS:
            os._exit(128 + number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
