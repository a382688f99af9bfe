"""One input after the other in a process of its own, which may die, hang or fill its memory.

Method:
    The process writes down the number of each input before it is read. When the process is gone, or
    the number stands still for too long, that input is what has done it, and another process goes
    on behind it. Memory beyond what was there before is limited, and so is processor time: what
    Python code could hold up is interrupted, the rest is killed.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import shutil
import signal
import struct
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

from trials.fuzz.guard import Guard
from trials.fuzz.kinds import Kind, make_input, place_input

HANG_SECONDS = 10.0  # of processor time
_DEAD_SECONDS = 90.0  # without a new input, less those in which it waited for a processor
_MEMORY_BYTES = 3 * 2**30  # beyond what was there before
_LONGEST_TEXT = 4000  # characters of an error's line


@dataclass(frozen=True)
class Failure:
    """An input that was neither read nor refused as it should be."""

    kind: str
    number: int
    what: str


@dataclass(frozen=True)
class Count:
    """What became of the inputs of one kind."""

    n_read: int
    n_refused: int
    failures: tuple[Failure, ...]


class _Hang(BaseException):
    """The time for one input is over."""


def judge_inputs(kind: Kind, numbers: range, seed: int, scratch: Path) -> Count:
    """Read these inputs, and count what became of them."""
    board = mmap.mmap(-1, 32)  # number of the input, how many were read, how many refused
    failures: list[Failure] = []
    start = numbers.start
    while start < numbers.stop:
        board[:8] = struct.pack("q", start)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            notes = Path(folder) / "failures"
            notes.touch()
            end = _watch_child(kind, range(start, numbers.stop), seed, Path(folder), board)
            failures += _noted(kind, notes)
        (at,) = struct.unpack("q", board[:8])
        if end is not None:
            failures.append(Failure(kind.name, at, end))
        start = at + 1 if end is not None else numbers.stop
    n_read, n_refused = struct.unpack("qq", board[8:24])
    return Count(n_read, n_refused, tuple(failures))


def _watch_child(
    kind: Kind, numbers: range, seed: int, folder: Path, board: mmap.mmap
) -> str | None:
    """Let a child read them; None if it came to the end, or how it ended before."""
    process = os.fork()
    if not process:
        try:
            _be_child(kind, numbers, seed, folder, board)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(70)
    last, since = board[:8], _own_seconds(process)
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return None if code == 0 else f"the process ended with {code}"
        if board[:8] != last:
            last, since = board[:8], _own_seconds(process)
        elif _own_seconds(process) - since > _DEAD_SECONDS:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return f"stood still for {_DEAD_SECONDS:.0f} s"
        time.sleep(0.01)


def _own_seconds(process: int) -> float:
    """The clock, less the time in which a process could run and no processor was free (Linux)."""
    now = time.monotonic()
    try:
        waited = int(Path(f"/proc/{process}/schedstat").read_text().split()[1])  # nanoseconds
    except (OSError, IndexError):
        return now
    return now - waited / 1e9


def _be_child(kind: Kind, numbers: range, seed: int, folder: Path, board: mmap.mmap) -> None:
    secret = folder / "outside"
    secret.mkdir()
    (secret / "secret").write_text('{"text": "secret"}\n')
    places = folder / "inputs"
    places.mkdir()
    tempfile.tempdir = str(folder)
    os.environ["MIXWISE_CACHE"] = str(folder / "cache")
    _limit_memory()
    guard = Guard(folder, secret)
    guard.watch()
    counts = list(struct.unpack("qq", board[8:24]))
    for number in numbers:
        board[:8] = struct.pack("q", number)
        place = places / str(number)
        place.mkdir()
        outcome = judge(kind, number, seed, place, guard)
        counts[0] += outcome == "read"
        counts[1] += outcome == "refused"
        board[8:24] = struct.pack("qq", *counts)
        if outcome not in ("read", "refused"):
            with (folder / "failures").open("a") as notes:
                notes.write(json.dumps([number, outcome]) + "\n")
        shutil.rmtree(place, ignore_errors=True)


def judge(kind: Kind, number: int, seed: int, place: Path, guard: Guard | None = None) -> str:
    """``read``, ``refused``, or what is wrong with what an input did."""
    from mixwise.errors import MixwiseError, MixwiseWarning

    place_input(kind, make_input(kind, number, seed), place)
    refused: MixwiseError | None = None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        before = signal.signal(signal.SIGPROF, _interrupt)
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
        try:
            kind.read(place, Random(f"{seed} {kind.name} {number} read"))
        except MixwiseError as error:
            refused = error
        except _Hang:
            return f"took {HANG_SECONDS:.0f} s: {_trace()}"
        except BaseException:
            return _trace()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
    told = [str(each.message) for each in said if issubclass(each.category, MixwiseWarning)]
    texts = [*told, *(refused.problems if refused is not None else ())]
    if odd := next(_odd(texts), None):
        return odd
    if guard is not None and guard.offences:
        offence, guard.offences[:] = guard.offences[0], []
        return f"forbidden: {offence}"
    return "read" if refused is None else "refused"


def _odd(texts: list[str]) -> Iterator[str]:
    """Texts that are no single printable line, or that nobody can read to their end."""
    from mixwise.errors import holds_control_characters

    for text in texts:
        if holds_control_characters(text):
            yield f"control characters in {text[:300]!r}"
        if len(text) > _LONGEST_TEXT:
            yield f"a line of {len(text)} characters: {text[:200]!r}"


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + _MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Hang


def _trace() -> str:
    lines = traceback.format_exc().splitlines()
    places = [line.strip() for line in lines if line.lstrip().startswith('File "')]
    return f"{lines[-1][:300]} @ {' < '.join(reversed(places[-5:]))}"


def _noted(kind: Kind, notes: Path) -> list[Failure]:
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    return [Failure(kind.name, number, what) for number, what in lines]
