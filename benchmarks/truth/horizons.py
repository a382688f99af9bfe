"""Short experts against trained mixtures: what every proxy says at many points, and the truth.

    python -m benchmarks.truth.horizons [BED …] [--scratch .bench/horizons]

Experts of a family are trained to the final horizon with a constant rate, so that each point of
their runs is the end of a shorter expert. At every point all mixtures are scored by merges and by
averaged predictions; the same mixtures are trained to the final horizon with two seeds, and with a
third one to half of it or less, measured on the way, for the methods that train mixtures for short.
One table a bed, `tables/horizon-BED.csv`; a killed script goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from benchmarks.truth.beds import DEMO
from benchmarks.truth.families import write_family

from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.observation import Measurement, Observation
from mixwise.scorer import VALUES
from mixwise.scoring.predictions import PredictionScorer
from mixwise.scoring.reference import train_jobs
from mixwise.scoring.weighing import LONGER_STEPS
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

TABLES = Path(__file__).parent / "tables"
TOKENS = TABLES / "family-tokens.csv"
STEPS = 128
POINTS = (4, 5, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128)
BATCH, LENGTH = 4, 128  # sequences, tokens
RATE = 2.5e-4  # four times less than at four times the batch
WARMUP = 3  # steps
SEEDS = (1, 2)
SHORT_SEED = 3
SHORT_POINTS = (4, 8, 16, 32, 64)
Key = tuple[str, int, int, tuple[float, ...]]
_N_MIXTURES = 24
_OF_UNIFORM = 0.3  # mixtures as far from uniform as a flat Dirichlet draws, moved to it by this


@dataclass(frozen=True, slots=True)
class Setting:
    """What a table holds.

    Args:
        family: Texts.
        steps: Of the final run.
        points: Steps at which experts' predictions are averaged.
        merged_points: Those at which their weights are averaged, too.
        longer_points: Those from which longer steps are taken, as the product does at the end of
            its experts' runs: at the prices of `benchmarks.price` and of `benchmarks.horizons`.
        schedule: Of the final run's learning rate; the experts' is constant.
        seeds: Of the final runs.
        short_points: Steps at which runs of another seed are measured; the last is their end.
    """

    family: str
    steps: int = STEPS
    points: tuple[int, ...] = POINTS
    merged_points: tuple[int, ...] = POINTS
    longer_points: tuple[int, ...] = (6, 8, 11, 16, 23, 32, 45, 64)
    schedule: str = "constant"
    seeds: tuple[int, ...] = SEEDS
    short_points: tuple[int, ...] = SHORT_POINTS


_LONG = Setting(
    "demo",
    512,
    points=(4, 5, 6, 8, 10, 14, 25, 27, 51, 53, 66, 102, 129, 204, 256, 512),
    merged_points=(5, 10, 25, 51, 102),
    longer_points=(5, 10, 25, 51, 102, 204, 256),
    seeds=(1,),
    short_points=(8, 16, 32, 64),
)
SETTINGS: Mapping[str, Setting] = {
    "demo": Setting("demo"),
    "languages": Setting("languages"),
    "code": Setting("code"),
    "demo-cosine": Setting("demo", STEPS, (), (), (), "cosine", seeds=(1,), short_points=()),
    "demo-long": _LONG,
    "administration": Setting("administration"),
}


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
    def key(self) -> Key:
        """What it is, without what was found."""
        return key_of(self.answer, self.steps, self.seed, tuple(self.shares.values()))


def key_of(answer: str, steps: int, seed: int, shares: Sequence[float]) -> Key:
    """The key of a row, with shares as a table holds them."""
    return answer, steps, seed, tuple(float(f"{share:g}") for share in shares)


def table(bed: str) -> Path:
    """Where a bed's rows are kept."""
    return TABLES / f"horizon-{bed}.csv"


def load(bed: str) -> list[Row]:
    """The rows of a bed; none before they are made."""
    if not table(bed).is_file():
        return []
    with table(bed).open() as file:
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
def open_bed(bed: str, scratch: Path) -> Iterator[Workspace]:
    """The bed as a study of mixwise, whose experts are merged at every point."""
    setting = SETTINGS[bed]
    domains, targets = write_family(setting.family, scratch)
    folder = scratch / f"study-{bed}"
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {
        "base": str(DEMO / "base"),
        "domains": {name: {"files": str(path.resolve())} for name, path in domains.items()},
        "horizon_tokens": setting.steps * BATCH * LENGTH,
        "experts": {"horizon_tokens": setting.steps * BATCH * LENGTH},
        "sequence_length": LENGTH,
        "evaluation": {
            "sets": {name: {"files": str(path.resolve())} for name, path in targets.items()},
            "max_sequences": 32,
            "batch_sequences": 32,
        },
        "training": {
            "learning_rate": RATE,
            "batch_sequences": BATCH,
            "warmup_steps": WARMUP,
            "schedule": setting.schedule,
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
    horizons = replace(workspace.inputs.horizons, points=setting.points or (setting.steps,))
    workspace.inputs.__dict__["horizons"] = horizons  # the plan would merge at the end alone
    try:
        yield workspace
    finally:
        workspace.close()


def generate(bed: str, scratch: Path) -> None:
    """Measure what is missing of a bed's table."""
    setting = SETTINGS[bed]
    done = {row.key for row in load(bed)}
    with open_bed(bed, scratch) as workspace:
        _note_tokens(setting.family, workspace.inputs.available_tokens)
        asked = mixtures(workspace.recipe.domain_names)
        trained = asked[len(workspace.recipe.domains) :]
        if not done:
            append(bed, [row_of("base", 0, 0, asked[0], workspace.base_observation)])
        wanted = {("predictions", at) for at in setting.points}
        wanted |= {("merged", at) for at in setting.merged_points}
        wanted |= {(longer(c), at) for c in LONGER_STEPS for at in setting.longer_points}
        if any(key_of(*one, 0, m.shares) not in done for one in wanted for m in asked):
            _ask_experts(bed, workspace, scratch, asked, done)
        for mixture in trained:
            for seed in setting.seeds:
                if key_of("reference", setting.steps, seed, mixture.shares) not in done:
                    [[run]] = workspace.reference((seed,)).runs([mixture])
                    append(bed, [row_of("reference", setting.steps, seed, mixture, run)])
            points = setting.short_points
            if points and key_of("reference", points[-1], SHORT_SEED, mixture.shares) not in done:
                append(bed, _short_run(workspace, mixture, points))
            print(f"{bed}: trained on {mixture}", flush=True)


def _ask_experts(
    bed: str, workspace: Workspace, scratch: Path, asked: Sequence[Mixture], done: Set[Key]
) -> None:
    """Merges and averaged predictions at all points."""
    workspace.runs.train_experts()
    merged = SETTINGS[bed].merged_points
    for part in workspace.proxy.parts:
        if part.coefficient != 1 or (part.means == "merged" and part.steps not in merged):
            continue
        missing = [m for m in asked if key_of(part.means, part.steps, 0, m.shares) not in done]
        found = part.scorer.score(missing)
        append(bed, [row_of(part.means, part.steps, 0, o.mixture, o) for o in found])
        print(f"{bed}: {part.means} at {part.steps} steps", flush=True)
    _step_longer(bed, workspace, scratch, asked, done)


def _step_longer(
    bed: str, workspace: Workspace, scratch: Path, asked: Sequence[Mixture], done: Set[Key]
) -> None:
    """Averaged predictions of experts whose step from the base is taken longer."""
    runs, folder = workspace.runs, scratch / f"longer-{bed}"
    for steps in SETTINGS[bed].longer_points:
        experts = {name: runs.expert_at(name, steps) for name in workspace.recipe.domains}
        for c in LONGER_STEPS:
            missing = [m for m in asked if key_of(longer(c), steps, 0, m.shares) not in done]
            if missing:
                scorer = PredictionScorer(experts, workspace.evaluations, folder, coefficient=c)
                found = scorer.score(missing)
                append(bed, [row_of(longer(c), steps, 0, o.mixture, o) for o in found])
        print(f"{bed}: longer steps from {steps}", flush=True)


def longer(coefficient: float) -> str:
    """What rows of longer steps are called."""
    return f"longer {coefficient:g}"


def _short_run(workspace: Workspace, mixture: Mixture, points: Sequence[int]) -> list[Row]:
    """A run that is measured at some points of it."""
    *kept, steps = points
    whole = workspace.runs.job(mixture, SHORT_SEED)
    changed = {
        "output": whole.output.with_name(f"{whole.output.name}-short"),
        "n_sequences": steps * BATCH,
        "trajectory": tuple(kept),
        "fingerprint": f"{whole.fingerprint}-{'-'.join(map(str, points))}",
    }
    job = whole.model_copy(update=changed)
    for _ in train_jobs(
        [job],
        workspace.runs.engine,
        workspace.on_progress,
        ledger=workspace.ledger,
        hash_file=workspace.hash_file,
    ):
        pass
    folders = [*(job.output / "trajectory" / str(point) for point in kept), job.output]
    found = workspace.evaluations.run([open_checkpoint(folder) for folder in folders], VALUES)
    return [
        row_of("reference", points[k], SHORT_SEED, mixture, evaluated.measurements)
        for k, evaluated in found
    ]


def row_of(
    answer: str,
    steps: int,
    seed: int,
    mixture: Mixture | None,
    found: Observation | Sequence[Measurement],
) -> Row:
    """The row of what was measured, or of the base's with a corner for its columns."""
    assert mixture is not None
    measured = found.measurements if isinstance(found, Observation) else found
    losses = {m.metric: m.value for m in measured if m.metric.endswith("/loss")}
    named = {name.removesuffix("/loss"): value for name, value in losses.items()}
    return Row(answer, steps, seed, dict(mixture.as_dict()), named)


def append(bed: str, rows: Sequence[Row]) -> None:
    """Add rows to a bed's table."""
    if not rows:
        return
    is_new = not table(bed).is_file()
    with table(bed).open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        shares, losses = rows[0].shares, rows[0].losses
        if is_new:
            names = [*(f"share {name}" for name in shares), *(f"loss {name}" for name in losses)]
            writer.writerow(["answer", "steps", "seed", *names])
        for row in rows:
            numbers = [f"{share:g}" for share in row.shares.values()]
            numbers += [f"{row.losses[name]:.6f}" for name in losses]
            writer.writerow([row.answer, row.steps, row.seed, *numbers])


def load_tokens(family: str) -> dict[str, int]:
    """Training tokens of a family's domains; none before its bed is opened."""
    if not TOKENS.is_file():
        return {}
    with TOKENS.open() as file:
        rows = list(csv.DictReader(file))
    return {row["domain"]: int(row["tokens"]) for row in rows if row["family"] == family}


def _note_tokens(family: str, tokens: Mapping[str, int]) -> None:
    known = load_tokens(family)
    if known and known != dict(tokens):
        raise SystemExit(
            f"the tables of `{family}` are of other texts ({known}) than those that are there now "
            f"({dict(tokens)}): remove them, and its lines of {TOKENS.name}, to make them anew"
        )
    if known:
        return
    is_new = not TOKENS.is_file()
    with TOKENS.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(["family", "domain", "tokens"])
        writer.writerows([family, name, n] for name, n in tokens.items())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/horizons"))
    options = parser.parse_args()
    for bed in options.beds or SETTINGS:
        generate(bed, options.scratch)


if __name__ == "__main__":
    main()
