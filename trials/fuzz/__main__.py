"""Hostile input to everything that mixwise reads: a result or an error of ours, and nothing else.

    python -m trials.fuzz [--inputs 100000] [--seed 0] [--only WORD ...] [--number N]

Each kind of input has valid seeds that are changed at random, as bytes and as values, and read as
mixwise reads them. An input must give a result or a `MixwiseError` of printable lines: no other
exception, no process that dies, nothing that takes 10 s of processor time or 3 GB of memory, no
file written or looked at outside, no program started and no connection opened. A line a kind, and
each failure with the number that makes it again by ``--only KIND --number N``.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trials.fuzz.datasets import dataset_kinds
from trials.fuzz.judging import Count, judge_inputs
from trials.fuzz.kinds import Kind, make_input
from trials.fuzz.settings import settings_kinds
from trials.fuzz.studies import study_kinds
from trials.tiny_study import call, write_source_in_new_process

_SHOWN = 5  # failures of a kind that are printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the kinds that are asked for; 1 if an input fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N", help="of all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", metavar="WORD", help="kinds whose name holds one")
    parser.add_argument("--number", type=int, help="this input alone, whose bytes are shown")
    parser.add_argument(
        "--place", type=Path, help="folder of study/ and cache/ to take seeds from; else one is run"
    )
    asked = parser.parse_args(arguments)
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        kinds = [each for each in _every_kind(scratch, asked.place) if _is_asked(each, asked.only)]
        total = sum(kind.share for kind in kinds)
        counts = [
            _try(kind, math.ceil(asked.inputs * kind.share / total), asked, scratch)
            for kind in kinds
        ]
    n_read, n_refused = sum(c.n_read for c in counts), sum(c.n_refused for c in counts)
    n_failed = sum(len(c.failures) for c in counts)
    print(
        f"{n_read + n_refused + n_failed:,} inputs of {len(kinds)} kinds: {n_read:,} read, "
        f"{n_refused:,} refused, {n_failed} failed"
    )
    return int(n_failed > 0)


def _every_kind(scratch: Path, place: Path | None) -> list[Kind]:
    """All kinds, those of a study made from the one that is given or run here."""
    import mixwise.report.page
    import mixwise.stages.init
    import mixwise.stages.mergekit
    import mixwise.stages.status  # noqa: F401  what children need not import again

    if place is None:
        place = _run_study(scratch)
    return [*settings_kinds(), *dataset_kinds(), *study_kinds(place)]


def _run_study(scratch: Path) -> Path:
    """A whole study and its cache."""
    source, place = scratch / "source", scratch / "whole"
    write_source_in_new_process(source)
    for command in ("run", "diagnose"):
        outcome = call(source, place, (command,))
        if outcome.code:
            raise SystemExit(f"no study to take seeds from: {command}: {outcome.err}")
    return place


def _is_asked(kind: Kind, words: Sequence[str] | None) -> bool:
    return not words or any(word in kind.name for word in words)


def _try(kind: Kind, n_inputs: int, asked: argparse.Namespace, scratch: Path) -> Count:
    """Judge the inputs of one kind, and print what became of them."""
    numbers = range(n_inputs)
    if asked.number is not None:
        print(repr(make_input(kind, asked.number, asked.seed)))
        numbers = range(asked.number, asked.number + 1)
    count = judge_inputs(kind, numbers, asked.seed, scratch)
    print(
        f"{kind.name:24} {len(numbers):7,} inputs {count.n_read:7,} read {count.n_refused:7,} "
        f"refused {len(count.failures):4} failed",
        flush=True,
    )
    for failure in count.failures[:_SHOWN]:
        print(f"    FAILED {failure.number}: {failure.what}", flush=True)
    return count


if __name__ == "__main__":
    sys.exit(main())
