"""Train what is missing of the truth bed, and say what is left.

    python -m benchmarks.truth.generate [BED …] [--scratch .bench/truth] [--left]

Every run is made by mixwise's own training and evaluation. Finished runs are in the tables, which
are kept in the repository; checkpoints stay in the scratch folder, for what is computed from them.
A killed script goes on where it was.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.truth.beds import BEDS, Bed
from benchmarks.truth.design import Split, extra_runs, planned
from benchmarks.truth.table import Kind, Run, append_runs, load_runs

from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

_TOGETHER = 8  # runs between two looks at the table
_EXPERTS_SEED = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that the bed asks for."""

    kind: Kind
    mixture: Mixture
    seed: int
    split: Split | None = None


def wanted_runs(bed: Bed) -> tuple[Wanted, ...]:
    """All runs of a bed, experts first, then what corrects them, then references by seed."""
    experts = [Wanted("expert", Mixture.single(bed.domains, d), _EXPERTS_SEED) for d in bed.domains]
    extras = [Wanted("extra", mixture, _EXPERTS_SEED) for mixture in extra_runs(bed.domains)]
    if bed.design == "few":
        extras = extras[:1]
    rows = planned(bed.design, bed.domains)
    references = [
        Wanted("reference", row.mixture, seed, row.split)
        for seed in range(1, 1 + max(row.n_seeds for row in rows))
        for row in rows
        if seed <= row.n_seeds
    ]
    return (*experts, *extras, *references)


def missing_runs(bed: Bed) -> tuple[Wanted, ...]:
    """The runs of a bed that its table does not hold yet."""
    done = {run.key for run in load_runs(bed)}
    return tuple(w for w in wanted_runs(bed) if (w.kind, str(w.mixture), w.seed) not in done)


@contextmanager
def open_bed(bed: Bed, scratch: Path, *, rule: str = "linear") -> Iterator[Workspace]:
    """The bed as a study of mixwise, with this merge rule."""
    folder = scratch / bed.name
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.yaml"
    recipe.write_text(bed.recipe((scratch / "bases").resolve()))
    study = StudyFolder.create(folder / "study", recipe)
    study.save_recipe(recipe.read_text())
    workspace = Workspace(study, Settings(folder, scratch / "tokens"), rule=rule)
    try:
        yield workspace
    finally:
        workspace.close()


def generate(bed: Bed, scratch: Path) -> None:
    """Train and evaluate what is missing of a bed."""
    missing = missing_runs(bed)
    if not missing:
        return
    with open_bed(bed, scratch) as workspace:
        if not load_runs(bed):
            append_runs(bed, [_row(Wanted("base", missing[0].mixture, 0), workspace)])
        workspace.runs.train_experts()
        for start in range(0, len(missing), _TOGETHER):
            some = missing[start : start + _TOGETHER]
            append_runs(bed, _train(some, workspace))
            print(f"{bed.name}: {len(missing) - start - len(some)} runs left", flush=True)


def _train(wanted: Sequence[Wanted], workspace: Workspace) -> list[Run]:
    seeds = sorted({w.seed for w in wanted if w.kind != "expert"})
    for seed in seeds:  # all of a seed at once, so that all workers have something to do
        mixtures = [w.mixture for w in wanted if w.seed == seed and w.kind != "expert"]
        workspace.reference((seed,)).runs(mixtures)
    return [_row(w, workspace) for w in wanted]


def _row(wanted: Wanted, workspace: Workspace) -> Run:
    """One row of the table; what has been evaluated already is found in the study's ledger."""
    if wanted.kind == "base":
        return Run("base", None, wanted.seed, None, _losses(workspace.base_observation))
    if wanted.kind == "expert":
        [found] = workspace.proxy.score([wanted.mixture])
    else:
        [[found]] = workspace.reference((wanted.seed,)).runs([wanted.mixture])
    return Run(wanted.kind, wanted.mixture, wanted.seed, wanted.split, _losses(found))


def _losses(observation: Observation) -> dict[str, float]:
    ending = "/loss"
    values = observation.values.items()
    return {name.removesuffix(ending): value for name, value in values if name.endswith(ending)}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"any of {', '.join(BEDS)}")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/truth"))
    parser.add_argument("--left", action="store_true", help="say what is left and train nothing")
    options = parser.parse_args()
    for name in options.beds or BEDS:
        bed = BEDS[name]
        if not options.left:
            generate(bed, options.scratch)
        left = Counter(w.kind for w in missing_runs(bed))
        total = Counter(w.kind for w in wanted_runs(bed))
        counts = ", ".join(f"{left[kind]} of {n} {kind}" for kind, n in total.items())
        print(f"{name}: {counts} runs left" if left.total() else f"{name}: complete", flush=True)


if __name__ == "__main__":
    main()
