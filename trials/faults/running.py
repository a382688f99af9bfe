"""A run of the smallest study in a process group of its own, and what its folder holds.

What was finished when a fault came must be there afterwards, and be the same: the record of every
run by its time and content, every row of the ledger by its number, fingerprint and seconds.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.util import _run_finalizers
from pathlib import Path

from trials.tiny_study import Outcome, arguments_of, run_cli

Setup = Callable[[], None]
_LONGEST_SECONDS = 900.0  # of one run, on a busy machine
_ORPHAN_SECONDS = 60.0  # that a server which still imports may take to see that its parent is gone


@dataclass(frozen=True)
class Held:
    """What is finished in a study's folder.

    Args:
        runs: Time and content of each record of a run, by its path.
        rows: Fingerprint and seconds of each row of the ledger, by its number.
    """

    runs: Mapping[str, tuple[int, bytes]]
    rows: Mapping[int, tuple[str, float]]


@dataclass(frozen=True)
class Loss:
    """What of the finished is gone, and what was made again."""

    n_lost: int
    n_repeated: int


def look(study: Path) -> Held:
    """What is finished now; nothing of the folder is changed."""
    runs = {
        str(path.relative_to(study)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in study.glob("*/*/run.json")
    }
    rows: dict[int, tuple[str, float]] = {}
    if (study / "ledger.sqlite").is_file():
        from mixwise.ledger.copies import copy_to_memory

        memory = copy_to_memory(study / "ledger.sqlite")
        try:
            found = memory.execute("SELECT id, fingerprint, seconds FROM observation")
            rows = {number: (text, seconds) for number, text, seconds in found}
        except sqlite3.OperationalError:  # killed before its tables were made
            pass
        finally:
            memory.close()
    return Held(runs, rows)


def compare(before: Held, after: Held) -> Loss:
    """What of the finished was lost, or made once more."""
    pairs = [(before.runs, after.runs), (before.rows, after.rows)]
    n_lost = sum(key not in now for then, now in pairs for key in then)
    n_repeated = sum(key in now and now[key] != then[key] for then, now in pairs for key in then)
    return Loss(n_lost, n_repeated)


@dataclass
class Running:
    """A command that was started; the first of its process group.

    Args:
        process: Its number.
        folder: Where its output goes.
        began: When it was started.
    """

    process: int
    folder: Path
    began: float

    @classmethod
    def start(cls, source: Path, place: Path, setup: Setup | None = None) -> Running:
        """Start ``mixwise run``, in a fork of this process.

        Args:
            source: Folder of the recipe.
            place: Folder of study and cache.
            setup: What is done in the new process first, such as a limit.
        """
        logs = place.parent / f"logs-{time.monotonic_ns()}"
        logs.mkdir()
        process = os.fork()
        if not process:
            _be(source, place, logs, setup)
        return cls(process, logs, time.monotonic())

    def is_over(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds; waits no longer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
            time.sleep(0.02)
        return False

    def signal(self, how: str, number: int, rng: random.Random) -> None:
        """Send a signal to a process, or to several.

        Args:
            how: The whole ``group``, the ``parent`` alone, one ``worker``, or one ``server``: what
                Python starts beside the parent, to fork workers or to watch over semaphores.
            number: Of the signal.
            rng: Chooses one of several; where there is none, nothing is sent.
        """
        for each in self._chosen(how, rng):
            with contextlib.suppress(ProcessLookupError):  # ended a moment ago
                os.kill(each, number)

    def _chosen(self, how: str, rng: random.Random) -> list[int]:
        if how in ("group", "parent"):
            return [-self.process if how == "group" else self.process]
        parents = _members(self.process)
        is_server = {process: parent == self.process for process, parent in parents.items()}
        able = [process for process in parents if is_server[process] == (how == "server")]
        return rng.sample(able, min(len(able), 1))

    def end(self) -> Outcome:
        """Wait for the end; nothing of the group is left running."""
        if not self.is_over(_LONGEST_SECONDS):
            self.signal("group", signal.SIGKILL, random.Random(0))
        _, status = os.waitpid(self.process, 0)
        deadline = (
            time.monotonic() + _ORPHAN_SECONDS
        )  # workers end by themselves when the parent is gone
        while _members(self.process) and time.monotonic() < deadline:
            time.sleep(0.05)
        left = _members(self.process)
        for each in left:
            os.kill(each, signal.SIGKILL)
        texts = [(self.folder / name).read_text(errors="replace") for name in ("out", "err")]
        orphans = f"\nunexpected: {len(left)} processes were left" if left else ""
        return Outcome(os.waitstatus_to_exitcode(status), texts[0], texts[1] + orphans)


def _be(source: Path, place: Path, logs: Path, setup: Setup | None) -> None:
    """Be the command, and end this process."""
    code = 70
    try:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(logs / name, os.O_CREAT | os.O_WRONLY), number)
        if setup is not None:
            setup()
        run_cli(place, arguments_of(source, place, ("run",)))
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        _run_finalizers()
        os._exit(code)


def _members(group: int) -> dict[int, int]:
    """Living processes of a group and the parent of each, the group's first left out."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # gone by now
            continue
        if int(fields[2]) == group and fields[0] != "Z" and int(stat.parent.name) != group:
            found[int(stat.parent.name)] = int(fields[1])
    return found


def limit_memory(n_bytes: int) -> Setup:
    """Let the process have so much memory beyond what it has."""

    def limit() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + n_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    return limit


def shift_clock(seconds: float) -> Setup:
    """Let the clock of the process be wrong by so much, further with each minute that passes."""

    def shift() -> None:
        right = time.time
        time.time = lambda: right() + seconds

    return shift
