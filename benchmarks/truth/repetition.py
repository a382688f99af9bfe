"""Scarce domains: what experts say of runs that repeat a text many times, and the truth.

    python -m benchmarks.truth.repetition [--scratch .bench/horizons]

The demo's five domains, of which two have 13 sequences to learn from: at an even share the final
run (128 steps of 512 tokens) reads them eight times. Experts read what there is (``natural``), or
so few of these sequences that they repeat them as often as the final run does at an even share:
from one run, whose earlier points repeat less (``matched``), or from a run for each point
(``matched each``). Their predictions are averaged over 30 mixtures that were also trained with two
seeds. One table, `tables/horizon-repetition.csv`; a killed script goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.truth.beds import FIVE
from benchmarks.truth.horizon_table import append, key_of, load, row_of
from benchmarks.truth.horizons import BATCH, SEEDS, STEPS, mixtures, open_bed

from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.scoring.predictions import PredictionScorer
from mixwise.scoring.reference import ReferenceScorer, train_jobs
from mixwise.study.session import Workspace
from mixwise.training.job import TrainingJob

TABLE = "repetition"
SCARCE = ("python", "german")
ROWS = 13  # sequences of each
POINTS = {32: (8, 16, 32), 16: (5, 8, 16), 8: (5, 8)}  # steps of the experts, where they are kept
WAYS = ("natural", "matched", "matched each")


def readable(steps: int, way: str) -> dict[str, int]:
    """Sequences of the scarce domains that an expert of some steps may read."""
    matched = ROWS * steps * len(FIVE) // STEPS
    n = ROWS if way == "natural" else min(ROWS, max(matched, 1))
    return dict.fromkeys(SCARCE, n)


def generate(scratch: Path) -> None:
    """Measure what is missing of the table."""
    done = {row.key for row in load(TABLE)}
    with open_bed("demo", scratch) as workspace:
        asked = mixtures(workspace.recipe.domain_names)
        for way, steps, at, experts in _experts(workspace, scratch / "repetition"):
            answer = f"{way} {steps}"
            missing = [m for m in asked if key_of(answer, at, 0, m.shares) not in done]
            scorer = PredictionScorer(experts, workspace.evaluations, scratch / "repetition" / "of")
            found = scorer.score(missing) if missing else ()
            append(TABLE, [row_of(answer, at, 0, o.mixture, o) for o in found])
            print(f"{answer} at {at} steps", flush=True)
        for seed in SEEDS:
            scorer_of_runs = _references(workspace, seed)
            for mixture in asked:
                if key_of("reference", STEPS, seed, mixture.shares) not in done:
                    [[run]] = scorer_of_runs.runs([mixture])
                    append(TABLE, [row_of("reference", STEPS, seed, mixture, run)])
            print(f"references of seed {seed}", flush=True)


def _references(workspace: Workspace, seed: int) -> ReferenceScorer:
    def job(mixture: Mixture, seed: int) -> TrainingJob:
        return _scarce(workspace.runs.job(mixture, seed), dict.fromkeys(SCARCE, ROWS))

    return ReferenceScorer(
        job,
        workspace.runs.engine,
        workspace.evaluations,
        workspace.ledger,
        seeds=(seed,),
        hash_file=workspace.hash_file,
        on_progress=workspace.on_progress,
    )


def _experts(
    workspace: Workspace, folder: Path
) -> Iterator[tuple[str, int, int, Mapping[str, Checkpoint]]]:
    """Experts by way, length and the point at which they are taken."""
    for way in WAYS:
        for steps, points in POINTS.items():
            if way == "matched each":
                for point in points:
                    yield way, steps, point, _trained(workspace, folder, point, way, ())[point]
            else:
                kept = _trained(workspace, folder, steps, way, points[:-1])
                yield from ((way, steps, point, kept[point]) for point in points)


def _trained(
    workspace: Workspace, folder: Path, steps: int, way: str, kept: tuple[int, ...]
) -> dict[int, dict[str, Checkpoint]]:
    jobs = {}
    for name in workspace.recipe.domains:
        job = workspace.runs.expert_job(name)
        rows = readable(steps, way)
        key = f"{steps}-{name}-{rows.get(name, 0)}-{len(kept)}"
        changed = {
            "output": folder / key,
            "n_sequences": steps * BATCH,
            "trajectory": kept,
            "most_rows": rows,
            "fingerprint": f"{job.fingerprint}-{key}",
        }
        jobs[name] = job.model_copy(update=changed)
    for _ in train_jobs(
        list(jobs.values()),
        workspace.runs.engine,
        workspace.on_progress,
        ledger=workspace.ledger,
        hash_file=workspace.hash_file,
    ):
        pass
    ends = {name: open_checkpoint(job.output) for name, job in jobs.items()}
    found = {steps: ends}
    for point in kept:
        found[point] = {
            name: open_checkpoint(job.output / "trajectory" / str(point))
            for name, job in jobs.items()
        }
    return found


def _scarce(job: TrainingJob, rows: Mapping[str, int]) -> TrainingJob:
    key = f"{job.fingerprint}-{'-'.join(map(str, rows.values()))}"
    output = job.output.with_name(f"{job.output.name}-scarce")
    return job.model_copy(update={"most_rows": dict(rows), "fingerprint": key, "output": output})


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scratch", type=Path, default=Path(".bench/horizons"))
    generate(parser.parse_args().scratch)


if __name__ == "__main__":
    main()
