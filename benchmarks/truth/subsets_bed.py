"""Train classifiers on all subsets of labelled domains, and merge their stand-ins.

    python -m benchmarks.truth.subsets_bed [BED …] [--scratch .bench/labelled]

Of every bed of `benchmarks.truth.labelled`: a base that has read the base part alone, an expert for
each domain, the plain average of each subset trained with three seeds, and mixtures by ratios,
twelve of the other vendors' domains for each vendor, with two. All of them are answered by merges,
by averaged predictions, and by predictions of longer steps, at points of the experts' runs. A
killed script goes on where it was.

Method:
    Merging is the product's: experts are checkpoints on disk, opened and merged into the live
    network by the rule `linear`. Rates were chosen before `emoji` and `sentiment` were looked at:
    for drawings on `digits`, for sentences by the experts' loss on a third of their own training
    rows that they did not read.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.truth.horizons import longer
from benchmarks.truth.labelled import BASE, LABELLED_BEDS, Kind, write_labelled
from benchmarks.truth.labelled_derivatives import measure_at_base
from benchmarks.truth.labelled_models import (
    BATCH,
    NETWORKS,
    Rows,
    load_rows,
    log_likelihoods,
    mixed,
    train,
)
from benchmarks.truth.labelled_table import (
    LabelledRun,
    append_labelled,
    base_file,
    load_labelled,
    save_at_base,
)
from safetensors.torch import save_file
from torch import Tensor, nn

from mixwise.merging.pool import ExpertPool, write_scaled
from mixwise.merging.rules.rule import LINEAR
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import FULL_FILE, open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.scoring.weighing import LONGER_STEPS
from mixwise.search.methods.subsets import subsets

STEPS = 120
POINTS = (3, 6, 12, 30, 120)  # of the experts' runs
MERGED_POINTS = (6, 30, 120)
LONGER_POINTS = (6, 30)
SUBSET_SEEDS, RATIO_SEEDS = (1, 2, 3), (1, 2)
_EXPERTS_SEED = 0
_N_RATIOS = 12  # for each vendor


@dataclass(frozen=True, slots=True)
class Schedule:
    """How models are trained.

    Args:
        base_steps: Steps of the base.
        base_rate: Its learning rate.
        rate: Learning rate of experts and runs.
    """

    base_steps: int
    base_rate: float
    rate: float


SCHEDULES: Mapping[Kind, Schedule] = {
    "images": Schedule(60, 1e-3, 3e-4),
    "texts": Schedule(300, 3e-3, 1e-3),
}


def ratio_mixtures(vendors: Mapping[str, str]) -> list[Mixture]:
    """Flat Dirichlet draws over the domains of all vendors but one, each left out in turn."""
    rng = np.random.default_rng(0)
    domains, drawn = tuple(vendors), []
    for vendor in dict.fromkeys(vendors.values()):
        others = [k for k, name in enumerate(domains) if vendors[name] != vendor]
        for row in rng.dirichlet(np.ones(len(others)), _N_RATIOS).round(2):
            shares = np.zeros(len(domains))
            shares[others] = row / row.sum()
            drawn.append(Mixture(domains, tuple(shares.tolist())))
    return drawn


@dataclass(frozen=True, slots=True)
class Material:
    """What a bed's models are made from.

    Args:
        name: The bed.
        base: The base network.
        rate: Learning rate of experts and runs.
        train: Training rows by domain.
        test: Test rows by domain.
        folder: Of checkpoints.
    """

    name: str
    base: nn.Module
    rate: float
    train: Mapping[str, Rows]
    test: Mapping[str, Rows]
    folder: Path

    @classmethod
    def of(cls, name: str, scratch: Path, *, width: float = 1.0) -> Material:
        """Read a bed, and train its base, of so many times the usual units."""
        bed, folder = LABELLED_BEDS[name], write_labelled(name, scratch)
        found = {part: load_rows(folder, bed.kind, part) for part in ("base", "train", "test")}
        n_labels = 1 + max(int(rows.labels.max()) for rows in found["train"].values())
        torch.manual_seed(0)
        base = NETWORKS[bed.kind](n_labels, width)
        domains = tuple(found[BASE])
        schedule = SCHEDULES[bed.kind]
        n_rows = schedule.base_steps * BATCH
        rows = mixed(found[BASE], Mixture.uniform(domains), n_rows, _EXPERTS_SEED)
        for _ in train(base, rows, schedule.base_rate):
            pass
        ordered = [{d: found[part][d] for d in bed.domains} for part in ("train", "test")]
        models = f"models-{name}" if width == 1 else f"models-{name}-{width:g}"
        return cls(name, base, schedule.rate, *ordered, scratch / models)

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains."""
        return tuple(self.train)

    def run(
        self, mixture: Mixture, seed: int, points: Sequence[int] = (STEPS,)
    ) -> Iterator[nn.Module]:
        """A run on a mixture, at some points of it."""
        module = copy.deepcopy(self.base)
        rows = mixed(self.train, mixture, STEPS * BATCH, seed)
        for _ in train(module, rows, self.rate, points=points):
            yield module

    def predict(self, module: nn.Module) -> dict[str, Tensor]:
        """Log-likelihoods of all labels by test set."""
        return {name: log_likelihoods(module, rows) for name, rows in self.test.items()}

    def row(
        self, answer: str, steps: int, seed: int, mixture: Mixture, found: Mapping[str, Tensor]
    ) -> LabelledRun:
        """The row of what was predicted."""
        accuracies, losses = {}, {}
        for name, logs in found.items():
            labels = self.test[name].labels
            accuracies[name] = float((logs.argmax(dim=1) == labels).double().mean())
            losses[name] = float(nn.functional.nll_loss(logs.double(), labels))
        return LabelledRun(answer, steps, seed, mixture, accuracies, losses)


def generate(name: str, scratch: Path) -> None:
    """Measure what is missing of a bed's table."""
    material = Material.of(name, scratch)
    done = {run.key for run in load_labelled(name)}
    all_subsets, ratios = subsets(material.domains), ratio_mixtures(LABELLED_BEDS[name].vendors)
    _ask_experts(material, [*all_subsets, *ratios], is_done=bool(done))
    wanted = [(mixture, seed) for seed in SUBSET_SEEDS for mixture in all_subsets]
    wanted += [(mixture, seed) for seed in RATIO_SEEDS for mixture in ratios]
    for mixture, seed in wanted:
        if ("reference", STEPS, seed, str(mixture)) not in done:
            [module] = material.run(mixture, seed)
            found = material.predict(module)
            append_labelled(name, [material.row("reference", STEPS, seed, mixture, found)])
    print(f"{name}: {len(wanted)} runs on mixtures", flush=True)


def _ask_experts(material: Material, mixtures: Sequence[Mixture], *, is_done: bool) -> None:
    """Train the experts and write all that they answer, at once, where it is not there."""
    if is_done and base_file(material.name).is_file():
        return
    base = _save(material.base, material.folder / "base")
    for domain in material.domains:
        single = Mixture.single(material.domains, domain)
        for point, module in zip(POINTS, material.run(single, _EXPERTS_SEED, POINTS), strict=True):
            _save(module, material.folder / domain / str(point))
    live = LiveModel(copy.deepcopy(material.base), open_checkpoint(base))
    pools = {point: _pool(material, live, point) for point in POINTS}
    merged = {point: pools[point] for point in MERGED_POINTS}
    save_at_base(material.name, measure_at_base(live, merged, material.train, material.test))
    live.write_checkpoint(live.base)
    rows = [material.row("base", 0, 0, mixtures[0], material.predict(live.module))]
    for point, pool in pools.items():
        rows += _merged(material, pool, mixtures, point) if point in MERGED_POINTS else []
        steps = (1.0, *LONGER_STEPS) if point in LONGER_POINTS else (1.0,)
        for coefficient in steps:
            rows += _predicted(material, pool, mixtures, point, coefficient)
    append_labelled(material.name, rows)


def _save(module: nn.Module, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(module.state_dict(), folder / FULL_FILE)
    return folder


def _pool(material: Material, live: LiveModel, point: int) -> ExpertPool:
    folders = {domain: material.folder / domain / str(point) for domain in material.domains}
    return ExpertPool(live, {name: open_checkpoint(folder) for name, folder in folders.items()})


def _merged(
    material: Material, pool: ExpertPool, mixtures: Sequence[Mixture], point: int
) -> list[LabelledRun]:
    rows = []
    for mixture in mixtures:
        pool.merge(mixture, LINEAR)
        rows.append(material.row("merged", point, 0, mixture, material.predict(pool.live.module)))
    return rows


def _predicted(
    material: Material,
    pool: ExpertPool,
    mixtures: Sequence[Mixture],
    point: int,
    coefficient: float,
) -> list[LabelledRun]:
    """Averages of what the experts predict, whose steps from the base may be taken longer."""
    each = []
    for expert in pool.experts.values():
        write_scaled(pool.live, expert, coefficient)
        each.append(material.predict(pool.live.module))
    stacked = {name: torch.stack([one[name] for one in each]) for name in material.test}
    answer = "predictions" if coefficient == 1 else longer(coefficient)
    rows = []
    for mixture in mixtures:
        shares = torch.from_numpy(mixture.array).log()[:, None, None]
        found = {name: torch.logsumexp(logs + shares, dim=0) for name, logs in stacked.items()}
        rows.append(material.row(answer, point, 0, mixture, found))
    return rows


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"of {', '.join(LABELLED_BEDS)}")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/labelled"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.beds or LABELLED_BEDS:
        generate(name, options.scratch)


if __name__ == "__main__":
    main()
