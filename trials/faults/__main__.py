"""A study whose process, disk, memory or clock fails goes on to the same bytes.

    python -m trials.faults [--trials 190] [--seed 0] [--only WORD ...]

Each study is the smallest one. A fault comes at a random moment, up to eight times, and then the
same command runs to its end: nothing that was finished is lost or made again, and the
recommendation is byte for byte that of a run that nothing disturbs. What cannot be done is refused
in one line that names the cause. A line a kind of fault: how many, what was lost, repeated,
different, and how often something else was wrong. Disks of a chosen size need root on Linux, slow
ones mfusepy and libfuse too; where they cannot be made, their kinds say that they are skipped.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trials.faults.kinds import KINDS, Kind, Trial
from trials.faults.running import Loss, Running, compare, look
from trials.faults.slow_disk import slow_disk
from trials.tiny_study import write_source_in_new_process

_MOST_FAULTS = 8  # of one study


@dataclass
class Tally:
    """What became of the faults of one kind."""

    n_faults: int = 0
    n_lost: int = 0
    n_repeated: int = 0
    n_studies: int = 0
    n_different: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        """Whether anything is not as it should be."""
        return bool(self.n_lost or self.n_repeated or self.n_different or self.wrong)


@dataclass(frozen=True)
class Bed:
    """A recipe for a number of workers, and what it gives undisturbed."""

    source: Path
    expected: bytes
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the kinds that are asked for; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=190, metavar="N", help="faults of all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", metavar="WORD", help="kinds whose name holds one")
    asked = parser.parse_args(arguments)
    words = asked.only or [""]
    chosen = {name: kind for name, kind in KINDS.items() if any(w in name for w in words)}
    total = sum(kind.share for kind in chosen.values())
    has_failed = False
    with tempfile.TemporaryDirectory() as folder:
        beds: dict[int, Bed] = {}
        for name, kind in chosen.items():
            if why := kind.why_skipped():
                print(f"{name:22} skipped: {why}", flush=True)
                continue
            if kind.n_workers not in beds:
                beds[kind.n_workers] = _make_bed(Path(folder), kind.n_workers)
            n_faults = math.ceil(asked.trials * kind.share / total)
            rng = random.Random(f"{asked.seed} {name}")
            tally = _try(kind, n_faults, beds[kind.n_workers], Path(folder), rng)
            _print(name, tally)
            has_failed |= tally.has_failed
    return int(has_failed)


def _print(name: str, tally: Tally) -> None:
    print(
        f"{name:22} {tally.n_faults:4} faults in {tally.n_studies:3} studies: {tally.n_lost} lost, "
        f"{tally.n_repeated} repeated, {tally.n_different} different, {len(tally.wrong)} wrong",
        flush=True,
    )
    for text in tally.wrong:
        print(f"    FAILED {text}", flush=True)


def _make_bed(folder: Path, n_workers: int) -> Bed:
    source, place = folder / f"source-{n_workers}", folder / f"whole-{n_workers}"
    write_source_in_new_process(source)
    recipe = source / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("workers: 1", f"workers: {n_workers}"))
    place.mkdir()
    began = time.monotonic()
    ended = Running.start(source, place).end()
    if ended.code:
        raise SystemExit(f"no study to disturb: {ended.err}")
    expected = (place / "study" / "recommendation.json").read_bytes()
    return Bed(source, expected, time.monotonic() - began)


def _try(kind: Kind, n_faults: int, bed: Bed, folder: Path, rng: random.Random) -> Tally:
    """Disturb one study after the other until there were so many faults."""
    tally = Tally()
    while tally.n_faults < n_faults:
        with _place(folder / f"trial-{tally.n_studies}", kind) as place:
            _disturb(kind, min(_MOST_FAULTS, n_faults - tally.n_faults), bed, place, rng, tally)
    return tally


def _disturb(
    kind: Kind, n_most: int, bed: Bed, place: Path, rng: random.Random, tally: Tally
) -> None:
    """One study, from its first fault to its end."""
    tally.n_studies += 1
    trial = Trial(bed.source, place, bed.seconds, rng)
    held = look(trial.study)

    def note(loss: Loss) -> None:
        if not kind.may_repeat:
            tally.n_lost += loss.n_lost
            tally.n_repeated += loss.n_repeated

    for _ in range(n_most):
        seen = kind.fault(trial)
        now = look(trial.study)
        note(compare(held, now))  # what was there before it even started
        note(seen.loss)
        held = now
        tally.n_faults += 1
        tally.wrong += [seen.wrong] if seen.wrong else []
        if seen.is_over:
            break
    ended = Running.start(bed.source, place).end()
    note(compare(held, look(trial.study)))
    if ended.code or ended.is_unexpected:
        tally.wrong.append(f"did not go on: exit {ended.code}: {ended.err[-400:]}")
        return
    found = (place / "study" / "recommendation.json").read_bytes()
    tally.n_different += found != bed.expected


@contextmanager
def _place(place: Path, kind: Kind) -> Iterator[Path]:
    """An empty folder, on a disk of its own where the kind asks for one."""
    place.mkdir()
    with ExitStack() as held:
        held.callback(shutil.rmtree, place, ignore_errors=True)
        if kind.disk_bytes:
            held.enter_context(_small_disk(place, kind.disk_bytes))
        if kind.is_slow:
            held.enter_context(slow_disk(place))
        yield place


@contextmanager
def _small_disk(place: Path, n_bytes: int) -> Iterator[None]:
    size = f"size={n_bytes}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


if __name__ == "__main__":
    sys.exit(main())
