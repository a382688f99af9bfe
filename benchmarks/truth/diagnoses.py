"""Measure on a bed all that might tell how good its proxy is, before anything is compared.

    python -m benchmarks.truth.diagnoses [BED …] [--scratch .bench/truth] [--sequences 4]

Needs the checkpoints that `benchmarks.truth.generate` leaves in the scratch folder. One file per
bed, ``BED.diagnoses.json``: sizes and cosines of the task vectors, first and second derivatives at
the base along them, and the noise of a run, from the seeds of a few development mixtures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.truth.beds import BEDS, Bed
from benchmarks.truth.design import planned
from benchmarks.truth.generate import open_bed
from benchmarks.truth.pool import Array, load_pool
from benchmarks.truth.table import TABLES

from mixwise.diagnostics.geometry import measure_geometry, measure_trajectory
from mixwise.diagnostics.interference import Interactions, noise_of_runs
from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.observation import Measurement
from mixwise.scorer import Part
from mixwise.scoring.derivatives.interactions import measure_interactions
from mixwise.study.session import Workspace

_N_NOISE = 3  # mixtures whose seeds are averaged
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """What was measured of a bed; metrics are the losses of its sets, in their order.

    Args:
        relative_sizes: ‖δᵢ‖ / ‖θ₀‖.
        mean_cosine: Mean cosine of two different task vectors.
        halfway: Mean cosine of a task vector with itself halfway through the run; None where no
            checkpoint lies along it.
        interactions: Derivatives at the base along the task vectors.
        noise: ν of each set, shape ``(n_sets,)``, nats/token.
    """

    relative_sizes: tuple[float, ...]
    mean_cosine: float
    halfway: float | None
    interactions: Interactions
    noise: Array


def diagnosis_file(bed: Bed) -> Path:
    """Where what was measured of a bed lies."""
    return TABLES / f"{bed.name}.diagnoses.json"


def load_diagnosis(bed: Bed) -> Diagnosis | None:
    """What was measured of a bed, or None."""
    path = diagnosis_file(bed)
    if not path.is_file():
        return None
    row = json.loads(path.read_text())
    found = row["interactions"]
    arrays = {name: np.array(found[name]) for name in ("slopes", "curvatures", "curvature_norms")}
    interactions = Interactions(
        tuple(found["domains"]), tuple(found["metrics"]), n_tokens=found["n_tokens"], **arrays
    )
    sizes = tuple(row["relative_sizes"])
    return Diagnosis(
        sizes, row["mean_cosine"], row["halfway"], interactions, np.array(row["noise"])
    )


def save_diagnosis(bed: Bed, found: Diagnosis) -> None:
    """Write what was measured of a bed."""
    derivatives = found.interactions
    content = {
        "relative_sizes": list(found.relative_sizes),
        "mean_cosine": found.mean_cosine,
        "halfway": found.halfway,
        "noise": found.noise.round(_DIGITS).tolist(),
        "interactions": {
            "domains": derivatives.domains,
            "metrics": derivatives.metrics,
            "slopes": derivatives.slopes.round(_DIGITS).tolist(),
            "curvatures": derivatives.curvatures.round(_DIGITS).tolist(),
            "curvature_norms": derivatives.curvature_norms.round(_DIGITS).tolist(),
            "n_tokens": derivatives.n_tokens,
        },
    }
    diagnosis_file(bed).write_text(json.dumps(content) + "\n")


def diagnose_bed(bed: Bed, scratch: Path, n_sequences: int) -> Diagnosis:
    """Measure everything on a bed whose experts and references are trained."""
    with open_bed(bed, scratch) as workspace:
        pool = workspace.open_pool()
        suite = PreparedSuite.of(workspace.inputs.suite, pool.live.module)
        geometry = measure_geometry(pool)
        folders = {n: workspace.study.expert_folder(n) / "trajectory" for n in bed.domains}
        points = list(measure_trajectory(pool, folders))
        middle = min(points, key=lambda p: abs(np.mean(p.progress) - 0.5), default=None)
        part = Part(0, 1, max(1, bed.max_sequences // n_sequences))
        found = measure_interactions(pool, suite, sets=bed.sets, part=part)
        return Diagnosis(
            geometry.relative_sizes,
            geometry.mean_cosine,
            float(np.mean(middle.alignment)) if middle else None,
            _losses_only(found, bed),
            _measure_noise(bed, workspace, pool, suite),
        )


def _losses_only(found: Interactions, bed: Bed) -> Interactions:
    rows = [found.metrics.index(f"{name}/loss") for name in bed.sets]
    return Interactions(
        found.domains,
        tuple(found.metrics[k] for k in rows),
        found.slopes[rows],
        found.curvatures[rows],
        found.curvature_norms[rows],
        found.n_tokens,
    )


def _measure_noise(bed: Bed, workspace: Workspace, pool: ExpertPool, suite: PreparedSuite) -> Array:
    """Mean ν over a few development mixtures, from the mean of the weights of two seeds each."""
    table = load_pool(bed.name)
    rows = [r for r in planned(bed.design, bed.domains) if r.split == "development"]
    found = []
    for row in rows[:_N_NOISE]:
        jobs = [workspace.runs.job(row.mixture, seed) for seed in (1, 2)]
        runs = [open_checkpoint(job.output) for job in jobs]
        losses = table.losses[table.index(row.mixture), :2]
        found.append(noise_of_runs(losses, _loss_of_mean(pool, runs, suite, bed)))
    return np.asarray(np.mean(found, axis=0))


def _loss_of_mean(
    pool: ExpertPool, runs: Sequence[Checkpoint], suite: PreparedSuite, bed: Bed
) -> Array:
    named = {f"seed {k}": run for k, run in enumerate(runs)}
    ExpertPool(pool.live, named).merge(Mixture.uniform(tuple(named)), LINEAR)
    found: tuple[Measurement, ...] = suite.evaluate(pool.live.module)
    values = {m.metric: m.value for m in found}
    return np.array([values[f"{name}/loss"] for name in bed.sets])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="+", metavar="BED", help=f"any of {', '.join(BEDS)}")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/truth"))
    parser.add_argument("--sequences", type=int, default=4, help="differentiated of each set")
    options = parser.parse_args()
    for name in options.beds:
        save_diagnosis(BEDS[name], diagnose_bed(BEDS[name], options.scratch, options.sequences))
        print(f"{name}: measured", flush=True)


if __name__ == "__main__":
    main()
