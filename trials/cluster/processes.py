"""Processes of this host, and which of them others have started."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path


def seats() -> list[int]:
    """The actors in which jobs are taken."""
    names = ("ray::Seat", "ray::WideSeat")
    return [pid for pid, (_, name) in _processes().items() if name.startswith(names)]


def raylets_below(pid: int) -> list[int]:
    """The raylets among the processes that a process has started."""
    every = _processes()
    return [one for one in below(pid) if one in every and "/raylet " in every[one][1][:300]]


def below(pid: int) -> list[int]:
    """All processes that a process has started, and that those have."""
    every = _processes()
    found = [pid]
    for one in found:
        found += [child for child, (parent, _) in every.items() if parent == one]
    return found[1:]


def end_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started."""
    for pid in [*below(process.pid), process.pid]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and command of each process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except (OSError, UnicodeDecodeError):
            continue  # it has ended
        found[int(folder.name)] = (int(status.rpartition(")")[2].split()[1]), command)
    return found
