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
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from benchmarks.truth.beds import DEMO
from benchmarks.truth.families import (
    GROUPS,
    MANY,
    equal_parts,
    split_documents,
    write_family,
)
from benchmarks.truth.horizon_table import Key, Row, append, key_of, load, note_tokens, row_of

from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.scorer import VALUES
from mixwise.scoring.predictions import PredictionScorer
from mixwise.scoring.reference import train_jobs
from mixwise.scoring.weighing import LONGER_STEPS
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

STEPS = 128
POINTS = (4, 5, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128)
BATCH, LENGTH = 4, 128  # sequences, tokens
RATE = 2.5e-4  # four times less than at four times the batch
LARGER_BATCHES = (8, 16)
WARMUP = 3  # steps
SEEDS = (1, 2)
SHORT_SEED = 3
SHORT_POINTS = (4, 8, 16, 32, 64)
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
        expert_steps: Of the experts' runs; None for as many as the final one has.
        sequences: Of each evaluation set.
        groups: Whether experts are of groups of the family's domains, an equal part of each;
            nothing else is trained then.
        batch: Sequences of a step; the rate grows in proportion.
    """

    family: str
    steps: int = STEPS
    points: tuple[int, ...] = POINTS
    merged_points: tuple[int, ...] = POINTS
    longer_points: tuple[int, ...] = (6, 8, 11, 16, 23, 32, 45, 64)
    schedule: str = "constant"
    seeds: tuple[int, ...] = SEEDS
    short_points: tuple[int, ...] = SHORT_POINTS
    expert_steps: int | None = None
    sequences: int = 32
    groups: bool = False
    batch: int = BATCH


_LONG = Setting(
    "demo",
    512,
    points=(4, 5, 6, 8, 10, 14, 25, 27, 51, 53, 66, 102, 129, 204, 256, 512),
    merged_points=(5, 10, 25, 51, 102),
    longer_points=(5, 10, 25, 51, 102, 204, 256),
    short_points=(8, 16, 32, 64),
)
_LONGEST = Setting(
    "demo",
    2048,
    points=(6, 10, 20, 26, 40, 52, 102, 204, 256, 409, 512, 1024),
    merged_points=(20, 40, 102, 204, 409, 1024),
    longer_points=(20, 40, 102, 204, 409, 1024),
    seeds=(1,),
    short_points=(),
    expert_steps=1024,
)
_MANY = Setting(
    MANY,
    256,
    points=(4, 5, 6, 8, 9, 10, 16, 17, 32),
    merged_points=(4, 8, 16),
    longer_points=(4, 8, 16),
    seeds=(1,),
    short_points=(),
    expert_steps=32,
    sequences=12,
)
_DOZEN = replace(
    _MANY,
    family="dozen",
    steps=128,
    points=(4, 5, 8),
    merged_points=(4, 8),
    longer_points=(4, 8),
    expert_steps=8,
)
_GROUPS = replace(
    _MANY,
    points=(6, 9, 10, 16, 17, 18, 32, 33, 64),
    merged_points=(16, 32, 64),
    longer_points=(16, 32),
    seeds=(),
    expert_steps=64,
    groups=True,
)
_LARGER = {
    f"{family}-batch-{batch}": Setting(
        family,
        STEPS * BATCH // batch,
        points=tuple(steps * BATCH // batch for steps in (16, 32, 64)),
        merged_points=tuple(steps * BATCH // batch for steps in (16, 32, 64)),
        longer_points=(),
        seeds=(),
        short_points=(),
        expert_steps=64 * BATCH // batch,
        batch=batch,
    )
    for family in ("demo", "code")
    for batch in LARGER_BATCHES
}
SETTINGS: Mapping[str, Setting] = {
    "demo": Setting("demo"),
    "languages": Setting("languages"),
    "code": Setting("code"),
    "demo-cosine": Setting("demo", STEPS, (), (), (), "cosine", seeds=(1,), short_points=()),
    "demo-long": _LONG,
    "demo-longest": _LONGEST,
    "administration": Setting("administration"),
    "many": _MANY,
    "many-groups": _GROUPS,
    "dozen": _DOZEN,
    **_LARGER,
}


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
    sources = {name: {"files": str(path.resolve())} for name, path in domains.items()}
    sets = {name: {"files": str(path.resolve())} for name, path in targets.items()}
    if setting.family == MANY:
        sources = {name: split_documents(path, scratch / MANY) for name, path in domains.items()}
    if setting.groups:
        sets |= {name: {"files": source["heldout_files"]} for name, source in sources.items()}
        sources = {
            group: equal_parts([sources[n] for n in names]) for group, names in GROUPS.items()
        }
    folder = scratch / f"study-{bed}"
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {
        "base": str(DEMO / "base"),
        "domains": sources,
        "horizon_tokens": setting.steps * setting.batch * LENGTH,
        "experts": {
            "horizon_tokens": (setting.expert_steps or setting.steps) * setting.batch * LENGTH
        },
        "sequence_length": LENGTH,
        "evaluation": {
            "sets": sets,
            "max_sequences": setting.sequences,
            "batch_sequences": 32,
        },
        "training": {
            "learning_rate": RATE * setting.batch / BATCH,
            "batch_sequences": setting.batch,
            "warmup_steps": max(WARMUP * BATCH // setting.batch, 1),
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


def asked_of(bed: str, domains: Sequence[str]) -> list[Mixture]:
    """The mixtures that a bed's experts are asked of; of groups those that the domains' add up to.

    Args:
        bed: One of `SETTINGS`.
        domains: Its domains, or its groups.
    """
    if not SETTINGS[bed].groups:
        return mixtures(domains)
    every = mixtures([name for names in GROUPS.values() for name in names])
    return list(dict.fromkeys(grouped(mixture) for mixture in every))


def grouped(mixture: Mixture) -> Mixture:
    """A mixture of the many domains as one of their groups."""
    shares = mixture.as_dict()
    sums = [round(sum(shares[name] for name in names), 9) for names in GROUPS.values()]
    return Mixture(tuple(GROUPS), tuple(share / sum(sums) for share in sums))


def generate(bed: str, scratch: Path) -> None:
    """Measure what is missing of a bed's table."""
    setting = SETTINGS[bed]
    done = {row.key for row in load(bed)}
    with open_bed(bed, scratch) as workspace:
        if not setting.groups:
            note_tokens(setting.family, workspace.inputs.available_tokens)
        asked = asked_of(bed, workspace.recipe.domain_names)
        trained = mixtures(workspace.recipe.domain_names)[len(workspace.recipe.domains) :]
        if not done:
            append(bed, [row_of("base", 0, 0, asked[0], workspace.base_observation)])
        wanted = {("predictions", at) for at in setting.points}
        wanted |= {("merged", at) for at in setting.merged_points}
        wanted |= {(longer(c), at) for c in LONGER_STEPS for at in setting.longer_points}
        if any(key_of(*one, 0, m.shares) not in done for one in wanted for m in asked):
            _ask_experts(bed, workspace, scratch, asked, done)
        for seed in setting.seeds:
            for mixture in trained:
                if key_of("reference", setting.steps, seed, mixture.shares) not in done:
                    [[run]] = workspace.reference((seed,)).runs([mixture])
                    append(bed, [row_of("reference", setting.steps, seed, mixture, run)])
                    print(f"{bed}: trained on {mixture} with seed {seed}", flush=True)
        points = setting.short_points
        for mixture in trained:
            if points and key_of("reference", points[-1], SHORT_SEED, mixture.shares) not in done:
                append(bed, _short_run(workspace, mixture, points))
                print(f"{bed}: trained for short on {mixture}", flush=True)


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
        is_end = steps == workspace.inputs.horizons.expert_steps
        experts = {
            name: runs.expert(name) if is_end else runs.expert_at(name, steps)
            for name in workspace.recipe.domains
        }
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
