"""What an estimate for devices elsewhere says of one core of this machine, and what a study takes.

    python -m benchmarks.cost

One core is measured as if it were such a device: the FLOP/s of a large product, the bytes a second
of a copy. `mixwise.study.cost` then works the demo out on it, with short runs, as `check --on`
does, and the stages are run one by one. Seconds are of the processor, for all processes of a
command, those that outlive it too (Linux), so that other work beside it matters little.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from benchmarks.models import DEMO

from mixwise.recipe import load_recipe
from mixwise.stages.check import run_check
from mixwise.study.cost import StudyCost
from mixwise.study.devices import Device, Fleet
from mixwise.study.inputs import Inputs, Settings

ADOPT = 36  # PR_SET_CHILD_SUBREAPER of prctl: processes that lose their parent become ours
SIDE = 1024  # of the matrices
COPIED_BYTES = 2**28
MORE = "final: {train: false}\nengine: {workers: 1, threads: 1}\nproxy: {answer: merged}\n"
COMMANDS = {"experts": "experts", "search": "scoring"}  # and the stage of the estimate


def main() -> None:
    """Run all and print it."""
    torch.set_num_threads(1)
    ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["MIXWISE_CACHE"] = str(folder / "cache")
        recipe, study = _write_recipe(folder / "demo"), folder / "study"
        device = measure_core()
        print(f"one core: {device.float32_flops / 1e9:.1f} GFLOP/s in float32, ", end="")
        print(f"{device.memory_bandwidth / 1e9:.1f} GB/s")
        cost = _estimate(recipe, study, device)
        _run("check", str(recipe), "--study", str(study), "--create")
        taken = {stage: _run(command, str(study)) for command, stage in COMMANDS.items()}
    for stage in cost.stages:
        if stage.name in taken:
            measured = taken[stage.name]
            print(
                f"{stage.name}: {stage.seconds:.1f} s estimated ({stage.bottleneck} the most), "
                f"{measured:.1f} s of the processor taken, {stage.seconds / measured:.2f}"
            )
    least, most = cost.seconds_range
    print(f"in all: {cost.seconds:.1f} s ({least:.1f} to {most:.1f}) estimated, ", end="")
    print(f"{sum(taken.values()):.1f} s taken")


def measure_core() -> Device:
    """What one core computes and moves."""
    one, copied = torch.ones(SIDE, SIDE), np.ones(COPIED_BYTES, dtype=np.uint8)
    flops = 2 * SIDE**3 / _fastest(lambda: one @ one)
    moved = COPIED_BYTES / _fastest(copied.copy)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Device("core", flops, flops, memory, moved, moved)


def _fastest(call: Callable[[], object]) -> float:
    """Seconds of the processor, the least of several times."""
    taken = []
    for _ in range(5):
        begun = time.process_time()
        call()
        taken.append(time.process_time() - begun)
    return min(taken)


def _write_recipe(folder: Path) -> Path:
    shutil.copytree(DEMO, folder)
    recipe = folder / "recipe.yaml"
    text = recipe.read_text().replace("horizon_tokens: 65536", "horizon_tokens: 16384")
    recipe.write_text(f"{text}\n{MORE}")
    return recipe


def _estimate(recipe: Path, study: Path, device: Device) -> StudyCost:
    settings = Settings(recipe.parent, Path(os.environ["MIXWISE_CACHE"]))
    cost = run_check(Inputs(load_recipe(recipe), settings), study, fleet=Fleet(1, device)).cost
    assert cost is not None  # a fleet was named
    return cost


def _run(*arguments: str) -> float:
    """A command of mixwise; seconds of the processor that it and its processes took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "mixwise", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    with suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
