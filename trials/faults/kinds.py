"""The kinds of faults: each brings one about in a study, and the study goes on afterwards."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trials.faults.running import Held, Loss, Running, compare, limit_memory, look, shift_clock
from trials.faults.slow_disk import can_be_slow, set_failing
from trials.tiny_study import Outcome

_OF_TRACKER = re.compile(
    r"[^\n]*resource_tracker: [^\n]*\n( [^\n]*\n)*"  # that the first one died
    r"|Traceback [^\n]*\n( [^\n]*\n)*? [^\n]*resource_tracker\.py[^\n]*\n( [^\n]*\n)*KeyError[^\n]*"
)
YEAR = 365 * 24 * 3600.0


@dataclass(frozen=True)
class Trial:
    """A place where a study is run, and what chance there is.

    Args:
        source: Folder of the recipe.
        place: Folder of study and cache; new and empty.
        seconds: What a run takes that nothing disturbs.
        rng: Of the moments.
    """

    source: Path
    place: Path
    seconds: float
    rng: random.Random

    @property
    def study(self) -> Path:
        """Folder of the study."""
        return self.place / "study"

    def moment(self) -> float:
        """Seconds after which the fault comes; later ones may come when all is done."""
        return self.rng.uniform(0.02, 0.8) * self.seconds


@dataclass(frozen=True)
class Seen:
    """What one fault did.

    Args:
        loss: Of what was finished.
        wrong: What was said or done otherwise than it should be; empty for nothing.
        is_over: Whether the run had come to its end before the fault came.
    """

    loss: Loss = field(default_factory=lambda: Loss(0, 0))
    wrong: str = ""
    is_over: bool = False


Fault = Callable[[Trial], Seen]


def killed(how: str) -> Fault:
    """SIGKILL at a random moment: of the whole group, the parent alone, a worker, or a server."""

    def fault(trial: Trial) -> Seen:
        running = Running.start(trial.source, trial.place)
        if running.is_over(trial.moment()):
            return _over(running.end())
        before = look(trial.study)
        running.signal(how, signal.SIGKILL, trial.rng)
        ended = running.end()
        is_told = how in ("group", "parent") or ended.code in (0, 1)
        wrong = "" if is_told and not _without_tracker(ended).is_unexpected else _said(ended)
        return Seen(compare(before, look(trial.study)), wrong)

    return fault


def terminated(trial: Trial) -> Seen:
    """SIGTERM as schedulers send it: exit 143, and the command that goes on."""
    running = Running.start(trial.source, trial.place)
    if running.is_over(trial.moment()):
        return _over(running.end())
    before = look(trial.study)
    running.signal("group", signal.SIGTERM, trial.rng)
    ended = running.end()
    is_right = ended.code == 143 and "run the same command again: mixwise run" in ended.err
    is_right = (is_right or ended.code == 0) and not ended.is_unexpected
    return Seen(compare(before, look(trial.study)), "" if is_right else _said(ended))


def disk_filled(trial: Trial) -> Seen:
    """A small disk that somebody fills at a random moment, and empties afterwards."""
    ballast = trial.place / "ballast"
    running = Running.start(trial.source, trial.place)
    is_over = running.is_over(trial.moment())
    before = look(trial.study)
    with ballast.open("wb") as file:
        try:
            while not is_over:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass
    ended = running.end()
    ballast.unlink()
    return replace(_refusal(ended, ("disk", "cannot be written")), loss=_loss(before, trial))


def disk_lost(trial: Trial) -> Seen:
    """A study whose folder is taken away at a random moment, as a disk that is unmounted."""
    away = trial.place / "away"
    running = Running.start(trial.source, trial.place)
    if running.is_over(trial.moment()) or not trial.study.is_dir():
        return _over(running.end())
    before = look(trial.study)
    trial.study.rename(away)
    ended = running.end()
    shutil.rmtree(trial.study, ignore_errors=True)  # what was written where no disk is
    away.rename(trial.study)
    return replace(_unreadable(ended), loss=_loss(before, trial))


def disk_failing(trial: Trial) -> Seen:
    """A disk on which every call fails from a random moment on, until the run has ended."""
    running = Running.start(trial.source, trial.place)
    if running.is_over(trial.moment()):
        return _over(running.end())
    before = look(trial.study)
    set_failing(trial.place, True)
    ended = running.end()
    set_failing(trial.place, False)
    return replace(_unreadable(ended), loss=_loss(before, trial))


def memory_limited(trial: Trial) -> Seen:
    """A process that may have little more memory than it has."""
    before = look(trial.study)
    most = trial.rng.choice((16, 48, 96, 160, 256)) * 2**20
    ended = Running.start(trial.source, trial.place, limit_memory(most)).end()
    has_aborted = ended.code == -signal.SIGABRT and "memory allocation of" in ended.err  # in Rust
    return replace(_refusal(ended, ("memory",), has_aborted), loss=_loss(before, trial))


def read_only(trial: Trial) -> Seen:
    """A disk that may only be read, after a run that was stopped."""
    stopped = killed("group")(trial)
    before = look(trial.study)
    subprocess.run(["mount", "-o", "remount,ro", str(trial.place)], check=True)
    ended = Running.start(trial.source, trial.place).end()
    subprocess.run(["mount", "-o", "remount,rw", str(trial.place)], check=True)
    seen = _refusal(ended, ("only reading is allowed", "cannot be written", "Read-only"))
    return replace(seen, loss=_loss(before, trial), wrong=stopped.wrong or seen.wrong)


def two_writers(trial: Trial) -> Seen:
    """A second run of the same study while the first one works."""
    first = Running.start(trial.source, trial.place)
    is_over = first.is_over(min(trial.moment(), trial.seconds / 2))
    second = Running.start(trial.source, trial.place).end()
    was_refused = second.code == 1 and "another mixwise" in second.err
    came_late = second.code == 0 and (is_over or first.is_over(0.1))
    ended = first.end()
    is_right = (was_refused or came_late) and not second.is_unexpected
    wrong = "" if is_right else _said(second)
    return Seen(wrong=wrong or ("" if ended.code == 0 else _said(ended)))


def clock_jumped(trial: Trial) -> Seen:
    """A clock that is ten years ahead, then ten years back."""
    away = trial.rng.choice((-10 * YEAR, 10 * YEAR))
    running = Running.start(trial.source, trial.place, shift_clock(away))
    if running.is_over(trial.moment()):
        return _over(running.end())
    before = look(trial.study)
    running.signal("group", signal.SIGKILL, trial.rng)
    running.end()
    ended = Running.start(trial.source, trial.place, shift_clock(-away)).end()
    wrong = "" if ended.code == 0 and not ended.is_unexpected else _said(ended)
    return Seen(compare(before, look(trial.study)), wrong)


def damaged(trial: Trial) -> Seen:
    """A killed run of which a random file has a wrong bit, or a half of it alone."""
    killed("group")(trial)
    files = [p for p in trial.place.rglob("*") if p.is_file() and p.stat().st_size]
    if not files:
        return Seen()
    chosen = trial.rng.choice(sorted(files))
    content = chosen.read_bytes()
    at = trial.rng.randrange(len(content))
    is_cut = trial.rng.random() < 0.4
    flipped = content[:at] + bytes([content[at] ^ 8]) + content[at + 1 :]
    chosen.write_bytes(content[:at] if is_cut else flipped)
    ended = Running.start(trial.source, trial.place).end()
    if ended.code == 1 and not ended.is_unexpected and _names(ended, chosen):
        chosen.write_bytes(content)  # what the error asks for
        return Seen()
    is_right = ended.code == 0 and not ended.is_unexpected
    place = f"{'cut' if is_cut else 'bit'} {at} of {chosen.relative_to(trial.place)}: "
    return Seen(wrong="" if is_right else place + _said(ended))


def _names(ended: Outcome, file: Path) -> bool:
    """Whether the error names a file, or the folder that it belongs to."""
    return any(name in ended.err for name in (file.name, str(file.parent)))


def _over(ended: Outcome) -> Seen:
    wrong = "" if ended.code == 0 and not ended.is_unexpected else _said(ended)
    return Seen(wrong=wrong, is_over=True)


def _refusal(ended: Outcome, words: tuple[str, ...], is_told: bool = False) -> Seen:
    """A run that ended well, was told of otherwise, or names the true cause in one line."""
    errors = [line for line in ended.err.splitlines() if line.startswith("mixwise: error")]
    is_told |= ended.code == 1 and bool(errors) and any(word in errors[0] for word in words)
    is_right = (ended.code == 0 or is_told) and not ended.is_unexpected
    return Seen(wrong="" if is_right else _said(ended), is_over=ended.code == 0)


def _unreadable(ended: Outcome) -> Seen:
    """A run that ended well, or says that its disk cannot be read."""
    words = ("is gone", "cannot be written", "cannot be read", "is missing", "bus error")
    is_bus_error = ended.code == -signal.SIGBUS and "Bus error" in ended.err  # of mapped memory
    return _refusal(ended, words, is_bus_error)


def _without_tracker(ended: Outcome) -> Outcome:
    """What a command did, less what Python's next watcher over semaphores writes of the first's."""
    return replace(ended, err=_OF_TRACKER.sub("", ended.err))


def _loss(before: Held, trial: Trial) -> Loss:
    return compare(before, look(trial.study))


def _said(ended: Outcome) -> str:
    return f"exit {ended.code}: {' | '.join(ended.err.strip().splitlines()[-3:])[-400:]}"


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    Args:
        fault: Brings it about.
        share: Of all trials, as a weight.
        n_workers: Of the study.
        disk_bytes: Size of the disk that the study is given; None for the machine's own.
        is_slow: Whether that disk answers slowly.
        may_repeat: Whether something is made again rightly, as what was damaged is.
    """

    fault: Fault
    share: int
    n_workers: int = 1
    disk_bytes: int | None = None
    is_slow: bool = False
    may_repeat: bool = False

    def why_skipped(self) -> str:
        """What this machine lacks for it; empty for nothing."""
        if self.disk_bytes and not _can_mount():
            return "disks of a chosen size need root"
        if self.is_slow and not can_be_slow():
            return "slow disks need root, mfusepy and libfuse"
        return ""


_DISK = 64 * 2**20
KINDS: Mapping[str, Kind] = {
    "killed, whole group": Kind(killed("group"), 40),
    "killed, parent alone": Kind(killed("parent"), 30),
    "killed, one worker": Kind(killed("worker"), 22, n_workers=2),
    "killed, one server": Kind(killed("server"), 8, n_workers=2),
    "SIGTERM": Kind(terminated, 20),
    "full disk": Kind(disk_filled, 10, disk_bytes=_DISK),
    "lost disk": Kind(disk_lost, 5),
    "slow disk": Kind(killed("group"), 5, is_slow=True),
    "failing disk": Kind(disk_failing, 5, is_slow=True),
    "little memory": Kind(memory_limited, 10),
    "read-only disk": Kind(read_only, 5, disk_bytes=_DISK),
    "two writers": Kind(two_writers, 5),
    "clock jumps": Kind(clock_jumped, 5),
    "damage": Kind(damaged, 20, may_repeat=True),
}


def _can_mount() -> bool:
    """Whether disks of a chosen size can be made here."""
    return os.geteuid() == 0 and Path("/proc/filesystems").read_text().count("tmpfs") > 0
