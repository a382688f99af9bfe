"""What a reader must not do, noticed where Python does it: write outside, start programs, connect.

An audit hook sees every file that is opened, whoever opens it, and cannot be removed; so it is set
in a process of its own.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.getaddrinfo",
    "pickle.find_class",
)
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree")
_WATCHED = {"open", *_FORBIDDEN, *_CHANGES}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Notes what is done outside a folder, from `watch` on.

    Args:
        scratch: The only folder that may be written.
        secret: A folder that nothing may be read from.
    """

    def __init__(self, scratch: Path, secret: Path) -> None:
        self._scratch = os.path.realpath(scratch)
        self._secret = os.path.realpath(secret)
        self.offences: list[str] = []

    def watch(self) -> None:
        """Begin, and never end in this process."""
        sys.addaudithook(self.see)

    def see(self, event: str, given: tuple[Any, ...]) -> None:
        """Judge one event of the interpreter; see `sys.addaudithook`."""
        if event not in _WATCHED:
            return
        with suppress(ValueError, TypeError, OSError):  # no path at all: nothing is opened
            self._judge(event, given)

    def _judge(self, event: str, given: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            self.offences.append(f"{event} {given!r:.200}")
        elif event == "open":
            self._see_opened(*given)
        elif event in _CHANGES and not (_is_relative(event, given) or self._is_inside(given[0])):
            self.offences.append(f"{event} {given!r:.200}")

    def _see_opened(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int):
            return
        is_written = bool(flags & _WRITING) if isinstance(flags, int) else False
        if is_written and not self._is_inside(path) and os.fspath(path) != os.devnull:
            self.offences.append(f"open for writing {path!r:.200}")
        elif os.path.realpath(path).startswith(self._secret):
            self.offences.append(f"open outside {path!r:.200}")

    def _is_inside(self, path: Any) -> bool:
        if isinstance(path, int):
            return True
        text = os.path.realpath(os.fsdecode(path))
        return text == self._scratch or text.startswith(self._scratch + os.sep)


def _is_relative(event: str, given: tuple[Any, ...]) -> bool:
    """Whether a name is below a folder that is open already, as `shutil.rmtree` goes about it."""
    return event in ("os.remove", "os.rmdir") and given[-1] != -1
