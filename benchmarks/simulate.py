"""A study's queue on a thousand GPUs that fail: what breaks first, by a discrete simulation.

``python -m benchmarks.simulate [--domains 64] [--billions 70] [--devices 1000] …``

Notation:
    P: parameters.  g: devices of a run.  M: mean time between failures of one device, hours.
    s: seconds between snapshots.  w: seconds to write one.

Method:
    Runs of g devices wait in one queue and start where g devices are free; a device fails after an
    exponential time of mean M, which ends its run. The run goes back to the end of the queue with
    the steps of its last snapshot; its devices come back after a repair. Snapshots of all runs go
    through one disk, so that w grows with the runs that write. A straggler is a run whose devices
    are slower by a factor drawn from a log-normal law. Scoring afterwards reads every expert's task
    vector once for each candidate.

    The interval that wastes least is s = √(2 w M / g), Young 1974 (doi 10.1145/361147.361115).

Source:
    M of 50,000 hours a device: Llama 3's 419 interruptions in 54 days of 16,384 GPUs are one per
    50,676 device hours (arXiv 2407.21783, §3.3.4). FLOP/s and bandwidths:
    `mixwise.study.devices`.
"""

from __future__ import annotations

import argparse
import heapq
import math
from dataclasses import dataclass, replace

import numpy as np

from mixwise.study.cost import DISK_BANDWIDTH, UTILISATION
from mixwise.study.devices import DEVICES

STATE_BYTES = 16.0  # of a parameter: itself, its gradient, two moments, in float32
SNAPSHOT_BYTES = 12.0  # of a parameter: itself and two moments
REPAIR_HOURS = 0.5
SPREAD = 0.1  # of the logarithm of how much slower a run is than it could be


@dataclass(frozen=True, slots=True)
class Setting:
    """What is simulated.

    Args:
        n_domains: Experts.
        n_parameters: P.
        expert_tokens: Tokens of one of them.
        n_devices: H100s.
        mean_hours: M.
        snapshot_seconds: s; None for Young's.
        disk_bandwidth: Bytes a second, of all.
        seed: Of failures and speeds.
    """

    n_domains: int = 64
    n_parameters: float = 70e9
    expert_tokens: float = 1e9
    n_devices: int = 1000
    mean_hours: float = 50_000.0
    snapshot_seconds: float | None = None
    disk_bandwidth: float = DISK_BANDWIDTH
    seed: int = 0

    @property
    def run_devices(self) -> int:
        """G: the fewest devices, a power of two, that hold the state of a run."""
        needed = STATE_BYTES * self.n_parameters / (0.9 * DEVICES["H100"].memory_bytes)
        return 1 << math.ceil(math.log2(needed))

    @property
    def n_seats(self) -> int:
        """Runs side by side."""
        return self.n_devices // self.run_devices

    @property
    def run_seconds(self) -> float:
        """Of an expert that nothing disturbs."""
        rate = UTILISATION * DEVICES["H100"].bfloat16_flops * self.run_devices
        return 6.0 * self.n_parameters * self.expert_tokens / rate

    @property
    def write_seconds(self) -> float:
        """W, when all runs that go side by side write at once."""
        n_writing = min(self.n_seats, self.n_domains)
        return SNAPSHOT_BYTES * self.n_parameters * n_writing / self.disk_bandwidth

    @property
    def interval_seconds(self) -> float:
        """S."""
        if self.snapshot_seconds is not None:
            return self.snapshot_seconds
        run_mean = self.mean_hours * 3600 / self.run_devices
        return math.sqrt(2 * self.write_seconds * run_mean)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Args:
        hours: Until the last expert is done.
        ideal_hours: The same without failures, snapshots and stragglers.
        n_failures: Runs that were ended.
        repeated: Share of all computing that was done twice.
        writing: Share of all time that went into snapshots.
        idle: Share of the devices' time without a run.
    """

    hours: float
    ideal_hours: float
    n_failures: int
    repeated: float
    writing: float
    idle: float


def simulate(setting: Setting) -> Outcome:
    """Run the queue until all experts are done."""
    rng = np.random.default_rng(setting.seed)
    work, write = setting.run_seconds, setting.write_seconds
    interval = min(setting.interval_seconds, work)
    run_mean = setting.mean_hours * 3600 / setting.run_devices
    waiting = [(0.0, 0.0)] * setting.n_domains  # done of each, and when it may begin
    seats = [(0.0, number) for number in range(setting.n_seats)]
    heapq.heapify(seats)
    end = computed = written = 0.0
    n_failures = 0
    while waiting:
        done, ready = waiting.pop(0)
        free, number = heapq.heappop(seats)
        begin = max(free, ready)
        slowness = float(np.exp(SPREAD * abs(rng.standard_normal())))
        left = work - done
        n_writes = math.ceil(left / interval) - 1
        needed = left * slowness + n_writes * write
        fails = float(rng.exponential(run_mean))
        if fails >= needed:
            heapq.heappush(seats, (begin + needed, number))
            end = max(end, begin + needed)
            computed += left
            written += n_writes * write
            continue
        n_failures += 1
        kept = math.floor(fails / (interval * slowness + write))
        computed += min(left, (fails - kept * write) / slowness)
        written += kept * write
        heapq.heappush(seats, (begin + fails + REPAIR_HOURS * 3600, number))
        waiting.append((done + kept * interval, begin + fails))
    total = setting.n_domains * work
    n_waves = -(-setting.n_domains // setting.n_seats)
    return Outcome(
        hours=end / 3600,
        ideal_hours=n_waves * work / 3600,
        n_failures=n_failures,
        repeated=computed / total - 1,
        writing=written / (computed + written),
        idle=1 - (computed + written) / (end * setting.n_seats),
    )


def scoring_hours(setting: Setting, n_candidates: int, *, bytes_each: float) -> float:
    """Reading all task vectors for each candidate, over the links of all devices."""
    held = bytes_each * setting.n_parameters * setting.n_domains
    return n_candidates * held / (DEVICES["H100"].link_bandwidth * setting.n_devices) / 3600


def main() -> None:
    """Print what breaks first."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--domains", type=int, default=64)
    parser.add_argument("--billions", type=float, default=70.0, help="of parameters")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--tokens", type=float, default=1e9, help="of an expert")
    parser.add_argument("--seeds", type=int, default=20)
    asked = parser.parse_args()
    base = Setting(asked.domains, asked.billions * 1e9, asked.tokens, asked.devices)
    print(
        f"{base.n_domains} experts of {asked.billions:g} B on {base.n_devices} H100: "
        f"{base.run_devices} for a run, {base.n_seats} at once, "
        f"{base.run_seconds / 3600:.1f} h each, "
        f"{base.write_seconds / 60:.0f} min for a snapshot of all"
    )
    minutes = base.interval_seconds / 60
    table = {
        f"a snapshot each {minutes:,.0f} min (best)": base,
        "no snapshots": replace(base, snapshot_seconds=math.inf),
        "24 devices more": replace(base, n_devices=base.n_devices + 24),
        "eight snapshots a run, as usual": replace(base, snapshot_seconds=base.run_seconds / 9),
        "the same, a disk of 100 GB/s": replace(
            base, snapshot_seconds=base.run_seconds / 9, disk_bandwidth=1e11
        ),
        "a snapshot each 10 min": replace(base, snapshot_seconds=600.0),
        "ten times as many failures, best": replace(base, mean_hours=base.mean_hours / 10),
        "ten times as many, no snapshots": replace(
            base, mean_hours=base.mean_hours / 10, snapshot_seconds=math.inf
        ),
    }
    for name, setting in table.items():
        found = [simulate(replace(setting, seed=seed)) for seed in range(asked.seeds)]
        means = {key: np.mean([getattr(f, key) for f in found]) for key in Outcome.__slots__}
        hours = [f.hours for f in found]
        print(
            f"{name:38} {means['hours']:6.1f} h ({min(hours):.1f} to {max(hours):.1f}; ideal "
            f"{means['ideal_hours']:.1f}), {means['n_failures']:.1f} failures, "
            f"{means['repeated']:.1%} repeated, {means['writing']:.1%} writing, "
            f"{means['idle']:.0%} idle"
        )
    for n_bytes, what in ((4.0, "float32"), (2.0, "bfloat16"), (1 + 4 / 128, "int8")):
        held = n_bytes * base.n_parameters * base.n_domains
        each = scoring_hours(base, 1, bytes_each=n_bytes) * 3600
        print(
            f"task vectors in {what:8}: {held / 1e12:5.1f} TB, {each:5.2f} s a candidate over the "
            f"links, {held / base.disk_bandwidth / 3600:5.1f} h from one disk of "
            f"{base.disk_bandwidth / 1e9:g} GB/s"
        )


if __name__ == "__main__":
    main()
