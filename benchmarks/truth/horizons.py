"""Short experts against trained mixtures: what every proxy says at many points, and the truth.

    python -m benchmarks.truth.horizons [FAMILY …] [--scratch .bench/horizons]

Experts of a family are trained to the final horizon with a constant rate, so that each point of
their runs is the end of a shorter expert. At every point all mixtures are scored by merges and by
averaged predictions; the same mixtures are trained to the final horizon with two seeds. One table
a family, `tables/horizon-FAMILY.csv`; a killed script goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from benchmarks.truth.beds import DEMO
from benchmarks.truth.families import FAMILIES, write_family

from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

TABLES = Path(__file__).parent / "tables"
STEPS = 128
POINTS = (4, 5, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128)
BATCH, LENGTH = 4, 128  # sequences, tokens
RATE = 2.5e-4  # four times less than at four times the batch
SEEDS = (1, 2)
_N_MIXTURES = 24
_OF_UNIFORM = 0.3  # mixtures as far from uniform as a flat Dirichlet draws, moved to it by this


@dataclass(frozen=True, slots=True)
class Row:
    """What one answer says of one mixture.

    Args:
        answer: ``base``, ``merged``, ``predictions`` or ``reference``.
        steps: Of the experts, or of the reference.
        seed: Of the reference; else 0.
        shares: By domain.
        losses: By set.
    """

    answer: str
    steps: int
    seed: int
    shares: dict[str, float]
    losses: dict[str, float]

    @property
    def key(self) -> tuple[str, int, int, tuple[float, ...]]:
        """What it is, without what was found."""
        return self.answer, self.steps, self.seed, tuple(self.shares.values())


def table(family: str) -> Path:
    """Where a family's rows are kept."""
    return TABLES / f"horizon-{family}.csv"


def load(family: str) -> list[Row]:
    """The rows of a family; none before they are made."""
    if not table(family).is_file():
        return []
    with table(family).open() as file:
        rows = list(csv.DictReader(file))
    return [
        Row(
            row["answer"],
            int(row["steps"]),
            int(row["seed"]),
            {k.removeprefix("share "): float(v) for k, v in row.items() if k.startswith("share ")},
            {k.removeprefix("loss "): float(v) for k, v in row.items() if k.startswith("loss ")},
        )
        for row in rows
    ]


def mixtures(domains: Sequence[str], *, seed: int = 0) -> list[Mixture]:
    """The mixtures that every answer is asked of: corners, uniform, and random ones."""
    n = len(domains)
    draws = np.random.default_rng(seed).dirichlet(np.ones(n), _N_MIXTURES)
    shares = (1 - _OF_UNIFORM) * draws + _OF_UNIFORM / n
    corners = [Mixture.single(tuple(domains), name) for name in domains]
    rounded = [np.round(row, 3) for row in shares]
    named = [Mixture(tuple(domains), tuple((row / row.sum()).tolist())) for row in rounded]
    return [*corners, Mixture.uniform(tuple(domains)), *named]


@contextmanager
def open_family(family: str, scratch: Path) -> Iterator[Workspace]:
    """The family as a study of mixwise, whose experts are merged at every point."""
    domains, targets = write_family(family, scratch)
    folder = scratch / f"study-{family}"
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {
        "base": str(DEMO / "base"),
        "domains": {name: {"files": str(path.resolve())} for name, path in domains.items()},
        "horizon_tokens": STEPS * BATCH * LENGTH,
        "experts": {"horizon_tokens": STEPS * BATCH * LENGTH},
        "sequence_length": LENGTH,
        "evaluation": {
            "sets": {name: {"files": str(path.resolve())} for name, path in targets.items()},
            "max_sequences": 32,
            "batch_sequences": 32,
        },
        "training": {
            "learning_rate": RATE,
            "batch_sequences": BATCH,
            "warmup_steps": 3,
            "snapshots": 0,
        },
        "proxy": {"answer": "both"},
        "search": {"max_repetition": 100},
        "calibration": {"mixtures": 0},
        "final": {"train": False},
        "engine": {"workers": 1, "threads": 1},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    study = StudyFolder.create(folder / "study", folder / "recipe.yaml")
    study.save_recipe((folder / "recipe.yaml").read_text())
    workspace = Workspace(study, Settings(folder, scratch / "tokens"))
    horizons = replace(workspace.inputs.horizons, points=POINTS)
    workspace.inputs.__dict__["horizons"] = horizons  # the plan would merge at the end alone
    try:
        yield workspace
    finally:
        workspace.close()


def generate(family: str, scratch: Path) -> None:
    """Measure what is missing of a family's table."""
    done = {row.key for row in load(family)}
    with open_family(family, scratch) as workspace:
        if not done:
            base = workspace.base_observation
            append(family, [row_of("base", 0, 0, mixtures(workspace.recipe.domain_names)[0], base)])
        workspace.runs.train_experts()
        asked = mixtures(workspace.recipe.domain_names)
        for part in workspace.proxy.parts:
            missing = [m for m in asked if (part.means, part.steps, 0, m.shares) not in done]
            found = part.scorer.score(missing)
            append(family, [row_of(part.means, part.steps, 0, o.mixture, o) for o in found])
            print(f"{family}: {part.means} at {part.steps} steps", flush=True)
        for seed in SEEDS:
            for mixture in asked:
                if ("reference", STEPS, seed, mixture.shares) not in done:
                    [[run]] = workspace.reference((seed,)).runs([mixture])
                    append(family, [row_of("reference", STEPS, seed, mixture, run)])
            print(f"{family}: references of seed {seed}", flush=True)


def row_of(answer: str, steps: int, seed: int, mixture: Mixture | None, found: Observation) -> Row:
    """The row of an observation, or of the base's with a corner for its columns."""
    assert mixture is not None
    losses = {m.metric: m.value for m in found.measurements if m.metric.endswith("/loss")}
    named = {name.removesuffix("/loss"): value for name, value in losses.items()}
    return Row(answer, steps, seed, dict(mixture.as_dict()), named)


def append(family: str, rows: Sequence[Row]) -> None:
    """Add rows to a family's table."""
    if not rows:
        return
    is_new = not table(family).is_file()
    with table(family).open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        shares, losses = rows[0].shares, rows[0].losses
        if is_new:
            names = [*(f"share {name}" for name in shares), *(f"loss {name}" for name in losses)]
            writer.writerow(["answer", "steps", "seed", *names])
        for row in rows:
            numbers = [f"{share:g}" for share in row.shares.values()]
            numbers += [f"{row.losses[name]:.6f}" for name in losses]
            writer.writerow([row.answer, row.steps, row.seed, *numbers])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/horizons"))
    options = parser.parse_args()
    for family in options.families or FAMILIES:
        generate(family, options.scratch)


if __name__ == "__main__":
    main()
