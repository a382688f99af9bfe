"""Memory beside the model's own: anonymous memory at its peak, for 4 to 32 experts.

A random Llama of SmolLM2-135M's shape in float32. Each N runs in a process of its own and merges
all domains, one domain, and neighbouring subsets (which keep a running sum). Anonymous memory is
what the system cannot take back; base and experts are mapped files, whose pages it can drop. Four
experts have files of their own, the others are links to them: that changes what the page cache
holds, not what is anonymous. The memory of the process before the model is loaded (Python, torch)
is taken off.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from benchmarks.claims import Claim, save_claims
from benchmarks.models import add_scratch_option, large_base, large_pool, scratch_folder

from mixwise.merging.rules.rule import LINEAR
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel

N_EXPERTS = (4, 8, 16, 32)
N_FILES = 4
_PERIOD_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Peak:
    """Memory of one process in MB, its start taken off.

    Args:
        live: Anonymous, once the live model is loaded and the experts are opened.
        sums: Anonymous at the peak of sums over all domains and of single experts.
        neighbours: Anonymous at the peak of neighbouring subsets.
        mapped: Pages of files in memory at the end; the system may drop them.
        model: Size of the base.
    """

    live: float
    sums: float
    neighbours: float
    mapped: float
    model: float


class Watch:
    """Looks at the memory of this process again and again, in a thread."""

    def __init__(self) -> None:
        self.peak = memory_mb("RssAnon")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._is_over.is_set():
            self.peak = max(self.peak, memory_mb("RssAnon"))
            time.sleep(_PERIOD_SECONDS)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()


def memory_mb(kind: str) -> float:
    """A line of ``/proc/self/status``: RssAnon or RssFile, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(rf"{kind}:\s+(\d+) kB", status)[0]) / 1000


def measure(scratch: Path, n_experts: int) -> Peak:
    """Merge in this process."""
    torch.set_num_threads(1)
    start = memory_mb("RssAnon")
    live = LiveModel.load(open_checkpoint(large_base(scratch)))
    pool = large_pool(scratch, live, n_experts, "bfloat16", n_files=N_FILES)
    loaded = memory_mb("RssAnon") - start
    amounts = {domain: k + 1.0 for k, domain in enumerate(pool.domains)}
    with Watch() as sums:
        for mixture in (Mixture.proportional(amounts), Mixture.single(pool.domains, "d1")):
            pool.merge(mixture, LINEAR)
    with Watch() as neighbours:
        for n_left_out in range(3):
            members = pool.domains[n_left_out:]
            pool.merge(Mixture.uniform(pool.domains, members), LINEAR)
    size = sum(tensor.nbytes for tensor in live.tensors.values()) / 1e6
    mapped = memory_mb("RssFile")
    return Peak(loaded, sums.peak - start, neighbours.peak - start, mapped, size)


def measure_apart(scratch: Path, n_experts: int) -> Peak:
    """Merge in a new process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--scratch", str(scratch)]
    done = subprocess.run(
        [*command, "--one", str(n_experts)], check=True, capture_output=True, text=True
    )
    return Peak(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_scratch_option(parser)
    parser.add_argument("--one", type=int, help="measure in this process, with so many experts")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asdict(measure(options.scratch, options.one))))
        return
    with scratch_folder(options.scratch) as scratch:
        measure_apart(scratch, max(N_EXPERTS))  # builds the store
        peaks = {n: measure_apart(scratch, n) for n in N_EXPERTS}
    claims = []
    for n, peak in peaks.items():
        print(f"N = {n}: " + ", ".join(f"{k} {v:,.0f} MB" for k, v in asdict(peak).items()))
        allowed = 2 * peak.model  # base + live model
        for what, megabytes in (("sums", peak.sums), ("neighbours", peak.neighbours)):
            figure = megabytes / allowed
            name = f"peak anonymous memory ÷ (base + live model), N = {n}, {what}"
            claims.append(Claim(name, figure, figure, figure, 1, at_most=1.2))
    grown = [peaks[n].sums / peaks[min(N_EXPERTS)].sums for n in N_EXPERTS]
    flat = "peak with 32 experts ÷ with 4"
    claims.append(Claim(flat, grown[-1], min(grown), max(grown), len(grown), at_most=1.05))
    save_claims("memory", claims, model="135 M parameters, float32", store="bfloat16")


if __name__ == "__main__":
    main()
