"""A Ray cluster of two nodes beside worker processes of this machine: bytes, overhead, scaling.

``python -m benchmarks.cluster`` runs the demo's study, shortened, with two workers in both ways on
this host: without Ray, and on a head and a second node of one core each. Then, in both ways: jobs
that do nothing, for what a job costs beside its work; and the same candidates and as many runs with
one worker and with two. Seconds are those of a wall clock: on a machine with other work only their
ratios say something.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.models import DEMO

from mixwise.api import open_workspace
from mixwise.engine.protocol import OnStep
from mixwise.ledger.copies import copy_to_memory
from mixwise.mixture import Mixture
from mixwise.scorer import VALUES
from mixwise.study.folder import StudyFolder
from mixwise.training.launch import train

N_EMPTY = 60  # jobs that do nothing
N_CANDIDATES = 8
N_RUNS = 2
SHORTER = {  # of the demo's recipe: minutes on two cores
    "horizon_tokens: 65536": "horizon_tokens: 32768",
    "max_sequences: 32": "max_sequences: 16",
    "batch_sequences: 32": "batch_sequences: 16",
}
RESULTS = ("recommendation.json", "search.json", "calibration.json")
WITHOUT = "{workers: 2, threads: 1}"
ON_RAY = "{cluster: ray, workers: 2, threads: 1}"


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds that one way took.

    Args:
        candidates: All candidates.
        runs: All training runs.
        empty: One job that does nothing.
    """

    candidates: float
    runs: float
    empty: float


def main() -> None:
    """Run all and print it."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["MIXWISE_CACHE"] = str(folder / "cache")
        here = _run(folder / "here", WITHOUT)
        local_one, local = _time(folder / "here", 1), _time(folder / "here", 2)
        with _two_nodes():
            there = _run(folder / "there", ON_RAY)
            is_same = _results(folder / "here") == _results(folder / "there")
            print(f"bytes of results and ledger: {'the same' if is_same else 'DIFFERENT'}")
            print(
                f"the whole job: {here:.1f} s without Ray, {there:.1f} s on two nodes", flush=True
            )
            one, two = _time(folder / "there", 1), _time(folder / "there", 2)
    rows = {
        "a job beside its work, without Ray": f"{1e3 * local.empty:.0f} ms",
        "the same on Ray": f"{1e3 * two.empty:.0f} ms",
        "Ray's own part of a candidate": f"{1e3 * _per_candidate(two, local):.0f} ms",
        f"{N_CANDIDATES} candidates on Ray, one worker ÷ two": _ratio(one, two, "candidates"),
        "the same without Ray": _ratio(local_one, local, "candidates"),
        f"{N_RUNS} runs on Ray, one worker ÷ two": _ratio(one, two, "runs"),
        "the same without Ray ": _ratio(local_one, local, "runs"),
        "candidates of two workers, Ray ÷ without": _ratio(two, local, "candidates"),
        "runs of two workers, Ray ÷ without": _ratio(two, local, "runs"),
    }
    for what, value in rows.items():
        print(f"{what.strip()}: {value}")


def _per_candidate(on_ray: Timed, without: Timed) -> float:
    """Seconds that a candidate takes longer."""
    return (on_ray.candidates - without.candidates) / N_CANDIDATES


def _ratio(above: Timed, below: Timed, name: str) -> str:
    return f"{getattr(above, name) / getattr(below, name):.2f}"


@contextmanager
def _two_nodes() -> Iterator[None]:
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 10**8}
    cluster: Any = Cluster(initialize_head=True, head_node_args=dict(size, include_dashboard=False))
    cluster.add_node(**size)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        cluster.shutdown()


def _run(study: Path, engine: str) -> float:
    """The main job in a process of its own; wall seconds."""
    source = study.parent / "demo"
    if not source.exists():
        shutil.copytree(DEMO, source)
    recipe = source / f"{study.name}.yaml"
    text = (source / "recipe.yaml").read_text()
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    recipe.write_text(f"{text}\nfinal: {{train: false}}\nengine: {engine}\n")
    command = [sys.executable, "-m", "mixwise", "run", str(recipe), "--study", str(study)]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return time.perf_counter() - begun


def _results(study: Path) -> list[object]:
    copy = copy_to_memory(study / "ledger.sqlite")
    query = (
        "SELECT fingerprint, metric, value, examples FROM observation JOIN measurement "
        "ON observation.id = measurement.observation ORDER BY fingerprint, metric"
    )
    rows = copy.execute(query).fetchall()
    copy.close()
    return [*((study / name).read_bytes() for name in RESULTS), rows]


def _time(study: Path, n_workers: int) -> Timed:
    """Time candidates, runs and empty jobs, each once its workers are warm."""
    opened = StudyFolder.open(study)
    recipe = opened.recipe
    engine = recipe.engine.model_copy(update={"workers": n_workers})
    with open_workspace(opened, recipe=recipe.model_copy(update={"engine": engine})) as workspace:
        names = recipe.domain_names
        mixtures = [_mixture(names, k) for k in range(N_CANDIDATES)]
        evaluations = replace(workspace.evaluations, merges=workspace.merges)
        list(evaluations.run(mixtures[:n_workers], VALUES))
        candidates = _seconds(lambda: list(evaluations.run(mixtures, VALUES)))
        first = 100 + N_RUNS * n_workers
        seeds = range(first, first + N_RUNS)  # of no other run
        jobs = [workspace.runs.job(Mixture.uniform(names), seed) for seed in seeds]
        pool = workspace.runs.engine
        runs = _seconds(lambda: list(pool.run(train, jobs, _ignore)))
        list(pool.run(_nothing, range(2), _ignore))
        empty = _seconds(lambda: list(pool.run(_nothing, range(N_EMPTY), _ignore))) / N_EMPTY
    print(
        f"{study.name}, {n_workers} worker(s): {candidates:.1f} s {N_CANDIDATES} candidates, "
        f"{runs:.1f} s {N_RUNS} runs, {1e3 * empty:.0f} ms a job that does nothing",
        flush=True,
    )
    return Timed(candidates, runs, empty)


def _mixture(names: Sequence[str], k: int) -> Mixture:
    """A mixture of all domains, another one for each number."""
    shares = [1.0 + (k * (i + 1)) % 7 for i in range(len(names))]
    return Mixture(tuple(names), tuple(share / sum(shares) for share in shares))


def _nothing(job: int, on_step: OnStep) -> int:
    return job


def _ignore(index: int, step: int) -> None:
    pass


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    from benchmarks.cluster import main as run_it  # workers of Ray find functions by their module

    run_it()
