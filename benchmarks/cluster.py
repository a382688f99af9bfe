"""A Ray cluster of two nodes beside worker processes of this machine: bytes, overhead, scaling.

``python -m benchmarks.cluster`` runs the demo's study, shortened, with two workers in both ways on
this host: without Ray, and on a head and a second node of one core each. Then, on the cluster: jobs
that do nothing, for what a job costs beside its work; and the same candidates and the same runs
with one worker and with two.
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
N_CANDIDATES = 12
N_RUNS = 4
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
        with _two_nodes():
            there = _run(folder / "there", ON_RAY)
            is_same = _results(folder / "here") == _results(folder / "there")
            print(f"bytes of results and ledger: {'the same' if is_same else 'DIFFERENT'}")
            print(f"the whole job: {here:.1f} s without Ray, {there:.1f} s on two nodes")
            local = _time(folder / "here", 2)
            one, two = _time(folder / "there", 1), _time(folder / "there", 2)
    rows = {
        "a job beside its work, without Ray": f"{1e3 * local.empty:.0f} ms",
        "the same on Ray": f"{1e3 * two.empty:.0f} ms",
        f"{N_CANDIDATES} candidates, one worker ÷ two": f"{one.candidates / two.candidates:.2f}",
        f"{N_RUNS} runs, one worker ÷ two": f"{one.runs / two.runs:.2f}",
        "candidates, Ray ÷ without": f"{two.candidates / local.candidates:.2f}",
        "runs, Ray ÷ without": f"{two.runs / local.runs:.2f}",
    }
    for what, value in rows.items():
        print(f"{what}: {value}")


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
    text = text.replace("horizon_tokens: 65536", "horizon_tokens: 32768")
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
        evaluate: Callable[[], object] = lambda: list(evaluations.run(mixtures, VALUES))  # noqa: E731
        evaluate()
        candidates = _seconds(evaluate)
        seeds = range(100 + 10 * n_workers, 100 + 10 * n_workers + N_RUNS)  # of no other run
        jobs = [workspace.runs.job(Mixture.uniform(names), seed) for seed in seeds]
        pool = workspace.runs.engine
        runs = _seconds(lambda: list(pool.run(train, jobs, _ignore)))
        list(pool.run(_nothing, range(2), _ignore))
        empty = _seconds(lambda: list(pool.run(_nothing, range(N_EMPTY), _ignore))) / N_EMPTY
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
    main()
