"""Longer steps in weight space and less noise: what short experts say when they are changed so.

    python -m benchmarks.truth.steps [FAMILY …] [--scratch .bench/horizons]

Notation:
    θ₀: base.  δ_t: expert less base after t steps.  T: steps of the final run.  u: uniform mixture.

Method:
    ``longer C``: experts are θ₀ + C δ_t. ``longer found``: C is what the trajectory of u's merge
    says, the factor that carries it best from the point before t to t, as often as that step in log
    t leads to T. ``tail``: the weights of an expert's last points (at 2/3 of t, or later) are
    averaged; ``tail predictions``: their predictions are. All are averaged over domains in their
    predictions, and where the name ends in ``merged`` in their weights. One table a family,
    `tables/horizon-steps-FAMILY.csv`, read by `benchmarks.steps`; a killed script goes on where it
    was, experts and truth are those of `benchmarks.truth.horizons`.

Source:
    Izmailov et al. 2018 (arXiv 1803.05407) for averages along a trajectory; Kaddour 2022 (arXiv
    2209.14981) for the latest points of it.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from benchmarks.truth.horizon_table import append, key_of, load, row_of
from benchmarks.truth.horizons import POINTS, STEPS, mixtures, open_bed
from safetensors.numpy import load_file, save_file

from mixwise.extrapolation import gain
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.scorer import VALUES
from mixwise.scoring.predictions import PredictionScorer
from mixwise.study.session import Workspace

LENGTHS = (8, 16, 32, 64)
FACTORS = (1.5, 2.0, 3.0)
MERGED_LENGTHS = (16, 32)
MERGED_FACTOR = 2.0
_TAIL = 2 / 3
_WEIGHTS = "model.safetensors"


def tail(steps: int) -> tuple[int, ...]:
    """The kept points that end an expert's run of some steps."""
    return tuple(point for point in POINTS if _TAIL * steps <= point <= steps)


class Changed:
    """Experts of a family, and models that are sums of them.

    Args:
        workspace: The family's study; its experts are trained.
        scratch: Where models are written.
    """

    def __init__(self, workspace: Workspace, scratch: Path) -> None:
        self._workspace, self._scratch = workspace, scratch
        self.domains = workspace.recipe.domain_names
        self._base = load_file(workspace.inputs.base.folder / _WEIGHTS)

    def expert(self, domain: str, steps: int) -> Checkpoint:
        """An expert at a point of its run."""
        runs = self._workspace.runs
        return runs.expert(domain) if steps == STEPS else runs.expert_at(domain, steps)

    def found_factor(self, steps: int) -> float:
        """The C that the trajectory of the uniform merge says."""
        horizons = self._workspace.inputs.horizons
        before = max(point for point in POINTS if point <= steps * _TAIL)
        earlier, later = self._uniform_delta(before), self._uniform_delta(steps)
        factor = float(earlier @ later / (earlier @ earlier))
        lengths = [horizons.effective(point) for point in (before, steps)]
        return float(factor ** gain(lengths, horizons.effective(STEPS)))

    def write(self, name: str, terms: Sequence[tuple[float, Checkpoint]]) -> Checkpoint:
        """A model θ₀ + Σ w (θ − θ₀)."""
        folder = self._scratch / name
        if not (folder / _WEIGHTS).is_file():
            like = terms[0][1].folder
            shutil.copytree(like, folder, ignore=lambda _, names: set(names) - {"config.json"})
            total = {key: tensor.astype(np.float64) for key, tensor in self._base.items()}
            for weight, checkpoint in terms:
                for key, tensor in load_file(checkpoint.folder / _WEIGHTS).items():
                    total[key] += weight * (tensor.astype(np.float64) - self._base[key])
            tensors = {key: tensor.astype(np.float32) for key, tensor in total.items()}
            save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
        return open_checkpoint(folder)

    def _uniform_delta(self, steps: int) -> np.ndarray:
        deltas = []
        for domain in self.domains:
            tensors = load_file(self.expert(domain, steps).folder / _WEIGHTS)
            deltas.append([(tensors[key] - self._base[key]).ravel() for key in self._base])
        return np.mean([np.concatenate(delta).astype(np.float64) for delta in deltas], axis=0)


def generate(family: str, scratch: Path) -> None:
    """Measure what is missing of a family's table."""
    bed = f"steps-{family}"
    done = {row.key for row in load(bed)}
    with open_bed(family, scratch) as workspace:
        workspace.runs.train_experts()
        folder = scratch / bed
        changed = Changed(workspace, folder / "models")
        asked = mixtures(workspace.recipe.domain_names)
        for steps in LENGTHS:
            factors = {f"longer {c:g}": c for c in FACTORS}
            factors["longer found"] = changed.found_factor(steps)
            print(f"{bed}: factor found at {steps}: {factors['longer found']:.3f}", flush=True)
            experts: dict[str, Mapping[str, Checkpoint]] = {}
            for name, c in factors.items():
                experts[name] = {
                    d: changed.write(f"{name}-{steps}-{d}", [(c, changed.expert(d, steps))])
                    for d in changed.domains
                }
            points = tail(steps)
            experts["tail"] = {
                d: changed.write(
                    f"tail-{steps}-{d}", [(1 / len(points), changed.expert(d, p)) for p in points]
                )
                for d in changed.domains
            }
            for name, opened in experts.items():
                if key_of(name, steps, 0, asked[-1].shares) not in done:
                    scorer = PredictionScorer(opened, workspace.evaluations, folder / "of")
                    found = zip(asked, scorer.score(asked), strict=True)
                    append(bed, [row_of(name, steps, 0, m, o) for m, o in found])
            if key_of("tail predictions", steps, 0, asked[-1].shares) not in done:
                _average_points(bed, workspace, changed, steps, folder)
            for name in (f"longer {MERGED_FACTOR:g}", "longer found", "tail"):
                if steps in MERGED_LENGTHS:
                    _merge(bed, workspace, changed, name, steps, experts[name])
            print(f"{bed}: {steps} steps", flush=True)


def _average_points(
    bed: str, workspace: Workspace, changed: Changed, steps: int, folder: Path
) -> None:
    """Predictions averaged over domains and over the last points of each expert."""
    points = tail(steps)
    experts = {f"{d}@{p}": changed.expert(d, p) for p in points for d in changed.domains}
    scorer = PredictionScorer(experts, workspace.evaluations, folder / "of")
    asked = mixtures(changed.domains)
    spread = [Mixture(tuple(experts), tuple(m.array / len(points)) * len(points)) for m in asked]
    found = zip(asked, scorer.score(spread), strict=True)
    append(bed, [row_of("tail predictions", steps, 0, m, o) for m, o in found])


def _merge(
    bed: str,
    workspace: Workspace,
    changed: Changed,
    name: str,
    steps: int,
    experts: Mapping[str, Checkpoint],
) -> None:
    """Weights averaged over domains, at the mixtures that were trained."""
    done = {row.key for row in load(bed)}
    answer = f"{name}, merged"
    for k, mixture in enumerate(mixtures(changed.domains)[len(changed.domains) :]):
        if key_of(answer, steps, 0, mixture.shares) in done:
            continue
        terms = list(zip(mixture.shares, experts.values(), strict=True))
        merged = changed.write(f"{answer}-{steps}-{k}", terms)
        [(_, evaluated)] = workspace.evaluations.run([merged], VALUES)
        append(bed, [row_of(answer, steps, 0, mixture, evaluated.measurements)])
        shutil.rmtree(merged.folder)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("families", nargs="*", default=["demo", "code"], metavar="FAMILY")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/horizons"))
    options = parser.parse_args()
    for family in options.families:
        generate(family, options.scratch)


if __name__ == "__main__":
    main()
