"""Loss and all slopes in the merge weights, against one plain forward pass.

Method:
    SmolLM2-135M's shape with random weights. Plain forward, slopes with few and with many full
    experts, and slopes with LoRA experts follow each other in every repetition; CPU seconds. 32
    experts share 8 files, which is more than a cache holds. Gradients are checked against
    central differences of the loss along each share. Memory is the peak of anonymous pages in a
    fresh process, beyond what it holds with the model loaded.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from benchmarks.adapters import RANK, cpu_seconds, random_suite, save_adapters
from benchmarks.claims import Claim, save_claims
from benchmarks.models import add_scratch_option, large_base, large_experts, scratch_folder

from mixwise.evaluation.likelihood.rows import Batch, batch_nats
from mixwise.merging.multi_lora import UnmergedAdapters
from mixwise.merging.rules.rule import LINEAR
from mixwise.merging.tangents import WeightMap, tangents_of
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.merging.task_vectors.store import open_stored
from mixwise.merging.task_vectors.task_vector import TaskVector
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.scoring.derivatives.slopes import AdapterSlopes, Differentiator, ModelSlopes

_FILES = 8
_LORA_EXPERTS = 8
_THRESHOLDS = {4: 3.1, 32: 3.3}
_LORA_THRESHOLD = 2.4
_LIMIT = "forward and backward alone ÷ plain forward"
_WAYS = ("forward", "slopes", "adapter slopes", "whole gradient")


def full_vectors(live: LiveModel, scratch: Path) -> list[TaskVector]:
    """Stored task vectors of full experts."""
    return [
        open_stored(
            scratch / "store" / f"{name}.safetensors", live, open_checkpoint(folder), "float32"
        )
        for name, folder in large_experts(scratch, _FILES).items()
    ]


def full_slopes(live: LiveModel, vectors: Sequence[TaskVector], n_experts: int) -> ModelSlopes:
    """Slopes with so many full experts, which share the task vectors there are."""
    shared = [vectors[k % len(vectors)] for k in range(n_experts)]
    return ModelSlopes(live, tangents_of(LINEAR, shared, [1 / n_experts] * n_experts))


def adapter_slopes(live: LiveModel, scratch: Path) -> AdapterSlopes:
    """Slopes with LoRA experts."""
    experts = [LoraExpert(live, adapter) for adapter in save_adapters(live, scratch, _LORA_EXPERTS)]
    weight_map = WeightMap(np.eye(len(experts)), np.zeros((len(experts),) * 3))
    return AdapterSlopes(live, UnmergedAdapters(live, experts), weight_map)


@torch.inference_mode()
def plain_nats(live: LiveModel, batch: Batch) -> float:
    """A batch's likelihood by the plain forward pass."""
    return float(batch_nats(live.module, batch).sum())


def check_slopes(
    live: LiveModel, vectors: Sequence[TaskVector], batch: Batch, step: float
) -> float:
    """Largest error of the slopes against central differences, relative to the largest slope."""
    slopes = full_slopes(live, vectors, len(vectors))(batch).slopes[0]
    differences = [
        (_moved_nats(live, vector, batch, step) - _moved_nats(live, vector, batch, -step))
        / (2 * step)
        for vector in vectors
    ]
    live.write_checkpoint(live.base)
    print(f"slopes {slopes.tolist()}, central differences {differences}")
    return float(np.abs(slopes - differences).max() / np.abs(differences).max())


def _moved_nats(live: LiveModel, vector: TaskVector, batch: Batch, share: float) -> float:
    for name, tensor in live.tensors.items():
        moved = live.base_tensor(name).clone()
        vector.add_to(moved, name, share)
        tensor.copy_(moved)
    return plain_nats(live, batch)


def peak_bytes(scratch: Path, way: str, n_tokens: int) -> int:
    """Anonymous memory of one way in a fresh process, beyond the loaded model."""
    command = [sys.executable, "-m", "benchmarks.slopes", "--scratch", str(scratch)]
    command += ["--tokens", str(n_tokens), "--memory-of", way]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(found.split()[-1])


def prepare(live: LiveModel, scratch: Path, way: str, batch: Batch) -> Callable[[], object]:
    """Load what a way needs, and give the work that it then does."""
    if way == "forward":
        return lambda: plain_nats(live, batch)
    if way == "whole gradient":
        return lambda: whole_gradient(live, batch)
    if way == "slopes":
        full = full_slopes(live, full_vectors(live, scratch), min(_THRESHOLDS))
        return lambda: full(batch)
    adapters = adapter_slopes(live, scratch)
    return lambda: adapters(batch)


def watch_memory(work: Callable[[], object]) -> int:
    """Peak of anonymous memory while something runs, beyond what there was before."""
    before, peaks, stop = _anonymous_bytes(), [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            peaks[0] = max(peaks[0], _anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    stop.set()
    watcher.join()
    return peaks[0] - before


def _anonymous_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def measure_time(live: LiveModel, scratch: Path, batch: Batch, repetitions: int) -> list[Claim]:
    """Time every way, one after the other."""
    vectors = full_vectors(live, scratch)
    ways: dict[str, tuple[Differentiator, float]] = {
        f"{n} full experts": (full_slopes(live, vectors, n), at_most)
        for n, at_most in _THRESHOLDS.items()
    }
    ways[f"{_LORA_EXPERTS} LoRA experts"] = (adapter_slopes(live, scratch), _LORA_THRESHOLD)
    ratios: dict[str, list[float]] = {name: [] for name in (*ways, _LIMIT)}
    plain_nats(live, batch)
    for differentiate, _ in ways.values():
        differentiate(batch)  # its pages come from the disk once
    for _ in range(repetitions):
        for name, (differentiate, _) in ways.items():
            plain = cpu_seconds(lambda: plain_nats(live, batch))
            slopes = cpu_seconds(lambda: differentiate(batch))  # noqa: B023
            ratios[name].append(slopes / plain)
            print(f"{name}: {slopes:.2f} s, plain forward {plain:.2f} s", flush=True)
        plain = cpu_seconds(lambda: plain_nats(live, batch))
        ratios[_LIMIT].append(cpu_seconds(lambda: whole_gradient(live, batch)) / plain)
    limits = ratios.pop(_LIMIT)
    limit = Claim(_LIMIT, float(np.median(limits)), min(limits), max(limits), repetitions)
    return [limit] + [
        Claim(
            what=f"loss and slopes, {name} ÷ plain forward",
            value=float(np.median(ratios[name])),
            low=min(ratios[name]),
            high=max(ratios[name]),
            n=repetitions,
            at_most=at_most,
        )
        for name, (_, at_most) in ways.items()
    ]


def whole_gradient(live: LiveModel, batch: Batch) -> None:
    """Forward and backward pass and nothing else: what slopes cannot be cheaper than."""
    parameters = list(live.module.parameters())
    for parameter in parameters:
        parameter.requires_grad_(requires_grad=True)
    batch_nats(live.module, batch).sum().backward()  # type: ignore[no-untyped-call]
    for parameter in parameters:
        parameter.grad = None
        parameter.requires_grad_(requires_grad=False)


def main() -> None:
    """Measure time, error and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--memory-of", choices=_WAYS, help=argparse.SUPPRESS)
    add_scratch_option(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with scratch_folder(given.scratch) as scratch:
        live = LiveModel.load(open_checkpoint(large_base(scratch)))
        suite = random_suite(given.tokens, live.module.config.vocab_size)
        [batch] = suite.batches(suite.suite.sets[0])
        if given.memory_of:
            print(watch_memory(prepare(live, scratch, given.memory_of, batch)))
            return
        claims = measure_time(live, scratch, batch, given.repetitions)
        error = check_slopes(live, full_vectors(live, scratch), batch, step=2.0)
        claims.append(Claim("slopes against central differences", error, error, error, 1))
        for way in _WAYS:
            peak = peak_bytes(scratch, way, given.tokens) / 1e6
            claims.append(Claim(f"peak memory of {way}, MB", peak, peak, peak, 1))
    save_claims("slopes", claims, tokens=given.tokens, files=_FILES, rank=RANK)


if __name__ == "__main__":
    main()
