"""Memory and time of candidates read layer by layer, against whole merged models.

Each way runs in a process of its own on the 135 M model; memory is the peak of the anonymous pages
(what the system cannot drop), less what the process held before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from benchmarks.claims import Claim, save_claims
from benchmarks.models import add_scratch_option, large_base, large_experts, scratch_folder

_N_EXPERTS, _N_CANDIDATES = 4, 4
_SEQUENCES, _LENGTH, _BATCH = 8, 128, 2
_BUDGET = 320_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """What one way gave: losses of the candidates, CPU seconds, peak memory in bytes."""

    losses: list[float]
    seconds: float
    n_bytes: int


class Peak:
    """The largest anonymous memory seen, in bytes."""

    def __init__(self) -> None:
        self.n_bytes = _anonymous_bytes()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look every few milliseconds for the time of the block."""
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.003):
                self.n_bytes = max(self.n_bytes, _anonymous_bytes())

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def measure(way: str, scratch: Path) -> None:
    """Score the candidates one way; print losses, CPU seconds and peak memory as JSON."""
    import accelerate  # noqa: F401  code is loaded before memory is watched
    from transformers import LlamaForCausalLM  # noqa: F401

    from mixwise.data.heldout import HeldoutRows
    from mixwise.evaluation.likelihood.text import TextSet
    from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite
    from mixwise.merging.pool import ExpertPool
    from mixwise.merging.rules.rule import LINEAR
    from mixwise.mixture import Mixture
    from mixwise.models.checkpoint import open_checkpoint
    from mixwise.models.live_model import LiveModel
    from mixwise.models.skeleton import Skeleton
    from mixwise.scoring.worker.streaming import evaluate_streamed

    folders = large_experts(scratch, _N_EXPERTS)
    rng, rule = np.random.default_rng(0), LINEAR
    tokens = rng.integers(0, 49_152, (_SEQUENCES, _LENGTH))
    text = TextSet("text", HeldoutRows(tokens, np.ones_like(tokens)))
    suite = PreparedSuite(EvaluationSuite((text,), _BATCH), "cpu")
    shares = rng.dirichlet(np.ones(_N_EXPERTS), _N_CANDIDATES)
    mixtures = [Mixture(tuple(folders), tuple(row)) for row in shares]
    base = open_checkpoint(large_base(scratch))
    experts = {name: open_checkpoint(folder) for name, folder in folders.items()}
    before, peak, started = _anonymous_bytes(), Peak(), time.process_time()
    with peak.watched():
        if way == "streamed":
            skeleton = Skeleton(base)
            pool = ExpertPool(skeleton.live, experts, folder=scratch / "store")
            measured = evaluate_streamed(
                skeleton, pool, rule, mixtures, suite, budget_bytes=_BUDGET
            )
        else:
            live = LiveModel.load(base)
            pool, scored = ExpertPool(live, experts, folder=scratch / "store"), []
            for mixture in mixtures:
                pool.merge(mixture, rule)
                scored.append(suite.evaluate(live.module))
            measured = tuple(scored)
    seconds = time.process_time() - started
    losses = [measurements[0].value for measurements in measured]
    print(json.dumps(asdict(Found(losses, seconds, peak.n_bytes - before))))


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this benchmark reads memory from /proc")


def _run(way: str, scratch: Path) -> Found:
    command = [
        sys.executable,
        "-m",
        "benchmarks.streaming",
        "--way",
        way,
        "--scratch",
        str(scratch),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Found(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Run both ways and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=["streamed", "whole"], help=argparse.SUPPRESS)
    add_scratch_option(parser)
    given = parser.parse_args()
    if given.way:
        measure(given.way, given.scratch)
        return
    with scratch_folder(given.scratch) as scratch:
        large_experts(scratch, _N_EXPERTS)
        model_bytes = (large_base(scratch) / "model.safetensors").stat().st_size
        _run("streamed", scratch)  # builds the store
        whole, streamed = _run("whole", scratch), _run("streamed", scratch)
    error = float(np.abs(np.array(whole.losses) - np.array(streamed.losses)).max())
    budget = _BUDGET / model_bytes
    save_claims(
        "streaming",
        [
            Claim("largest difference in loss, nats", error, error, error, 1, at_most=1e-5),
            _claim("peak memory ÷ model, streamed", streamed.n_bytes / model_bytes, at_most=budget),
            _claim("peak memory ÷ model, whole", whole.n_bytes / model_bytes),
            _claim("CPU seconds, streamed ÷ whole", streamed.seconds / whole.seconds),
        ],
        model_bytes=model_bytes,
        budget_bytes=_BUDGET,
        n_candidates=_N_CANDIDATES,
        n_experts=_N_EXPERTS,
        tokens=_SEQUENCES * _LENGTH,
    )


def _claim(what: str, value: float, at_most: float | None = None) -> Claim:
    return Claim(what, value, value, value, 1, at_most=at_most)


if __name__ == "__main__":
    main()
