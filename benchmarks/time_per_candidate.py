"""The price of a candidate: merge and evaluate, against evaluating alone.

A random Llama of SmolLM2-135M's shape, N = 8 and 16 full experts, 16,384 tokens, one thread, CPU
seconds. Merges and pieces of the forward pass take turns, so that both meet the same machine. Four
experts have files of their own and the others are links to them: every merge still reads N times
540 MB (in float32), far more than any cache.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from benchmarks.claims import Claim, save_claims
from benchmarks.models import add_scratch_option, large_base, large_pool, scratch_folder

from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR
from mixwise.merging.running_sum import RunningSum
from mixwise.merging.task_vectors.encoding import StorePrecision
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel

PRECISIONS: tuple[StorePrecision, ...] = ("float32", "bfloat16", "int8")
GRAY_CODE_STORE: StorePrecision = "bfloat16"
N_FILES = 4
SEQUENCES, TOKENS = 64, 256  # 16,384 tokens
BATCH = 4


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process for a piece of work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def forward(live: LiveModel, ids: torch.Tensor) -> None:
    """Loss of some sequences, in batches."""
    with torch.inference_mode():
        for batch in ids.split(BATCH):
            logits = live.module(input_ids=batch, use_cache=False).logits[:, :-1]
            torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch[:, 1:])


def merge_unevenly(pool: ExpertPool) -> None:
    """Merge all domains with different shares: no shortcut serves that."""
    amounts = {domain: k + 1.0 for k, domain in enumerate(pool.domains)}
    pool.merge(Mixture.proportional(amounts), LINEAR)


class GrayCode:
    """Two subsets of about half the domains, one domain apart, written in turns."""

    def __init__(self, pool: ExpertPool) -> None:
        half = set(pool.domains[::2])
        self._running = RunningSum(pool.live, pool.task_vectors)
        self._subsets = itertools.cycle([half, half | {pool.domains[1]}])
        for _ in range(2):  # the second neighbour begins the sum that is kept
            self.step()

    def step(self) -> None:
        """Go on to the other subset."""
        subset = next(self._subsets)
        self._running.write(subset, 1 / len(subset))


def measure(scratch: Path, repetitions: int) -> list[Claim]:
    """Merge and evaluate in turns."""
    live = LiveModel.load(open_checkpoint(large_base(scratch)))
    pools = {
        (n, precision): large_pool(scratch, live, n, precision, n_files=N_FILES)
        for precision in PRECISIONS
        for n in (8, 16)
    }
    work: dict[str, Callable[[], object]] = {}
    for (n, precision), pool in pools.items():
        what = f"merge and evaluate, N = {n}, {precision} store"
        work[what] = lambda pool=pool: merge_unevenly(pool)
        if precision == GRAY_CODE_STORE:
            work[f"{what}, next subset in Gray code"] = GrayCode(pool).step
    ids = torch.randint(0, 49_152, (SEQUENCES, TOKENS), generator=torch.Generator().manual_seed(0))
    merges: dict[str, list[float]] = {what: [] for what in work}
    passes: list[float] = []
    for part in ids.split(SEQUENCES // repetitions):
        passes.append(cpu_seconds(lambda part=part: forward(live, part)) / len(part))
        for what, merge in work.items():
            merges[what].append(cpu_seconds(merge))
    alone = statistics.mean(passes) * SEQUENCES
    slowest, fastest = max(passes) * SEQUENCES, min(passes) * SEQUENCES
    print(
        f"forward pass of {ids.numel():,} tokens: {alone:.1f} CPU s ({fastest:.1f}-{slowest:.1f})"
    )
    for what, seconds in merges.items():
        print(f"{what}: {statistics.median(seconds):.3f} CPU s")
    return [
        Claim(
            what,
            value=1 + statistics.median(seconds) / alone,
            low=1 + min(seconds) / slowest,
            high=1 + max(seconds) / fastest,
            n=len(seconds),
            at_most=1.05,
        )
        for what, seconds in merges.items()
    ]


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_scratch_option(parser)
    parser.add_argument("--repetitions", type=int, default=4, help="merges of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with scratch_folder(options.scratch) as scratch:
        claims = measure(scratch, options.repetitions)
    save_claims("time_per_candidate", claims, tokens=SEQUENCES * TOKENS, threads=1)


if __name__ == "__main__":
    main()
