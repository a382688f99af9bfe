"""Does the share of frivolous units tell how well experts merge? Of classifiers, over widths.

    python -m benchmarks.units_labelled                                 # prints what the table says
    python -m benchmarks.units_labelled --scratch .bench/labelled [--beds digits …]   # fills it

Method:
    The labelled beds with networks of half, once and twice the usual units, and runs of the same
    length for experts and mixtures. Of each setting: prunable and redundant units of its base and,
    on average, of its experts, on test rows; and two figures of the linear merge over all pairs of
    domains and all domains together: mean over mixtures and test sets of |loss of the merge − mean
    loss of two trained models|, nats per row, and Spearman's ρ of the two over mixtures, the mean
    of test sets. The claims are Spearman's ρ of share and figure over settings, and over the widths
    of one bed alone, whose mean over beds has its least and largest.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from benchmarks.claims import Claim, save_claims
from benchmarks.truth.labelled import LABELLED_BEDS
from benchmarks.truth.labelled_models import log_likelihoods
from benchmarks.truth.subsets_bed import STEPS, Material
from scipy.stats import spearmanr
from torch import nn
from torch.func import functional_call
from torch.nn.functional import nll_loss

from mixwise.arrays import Array
from mixwise.diagnostics.units.layers import find_classifier_layers
from mixwise.diagnostics.units.silencing import FrivolousUnits, classes, measure_units
from mixwise.mixture import Mixture

TABLE = Path(__file__).parent / "truth" / "tables" / "labelled-widths.csv"
WIDTHS = (0.5, 1.0, 2.0)
_EXPERTS_SEED, _SEEDS = 0, (1, 2)
_ROWS = 256  # of each test set
_N_BOOTSTRAP = 1000


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table.

    Args:
        bed: Its name.
        width: Of its networks.
        prunable_base: Prunability of the base, mean over draws.
        redundant_base: Its redundancy.
        prunable_experts: Prunability of the experts, on average.
        redundant_experts: Their redundancy.
        error: Of the merges' losses, nats per row.
        rank: ρ of the merges' losses.
        gap: How much higher the merges' losses are on average, nats per row.
    """

    bed: str
    width: float
    prunable_base: float
    redundant_base: float
    prunable_experts: float
    redundant_experts: float
    error: float
    rank: float
    gap: float


def measure_setting(bed: str, scratch: Path, width: float) -> Setting:
    """Train base, experts and references of one setting, and measure them."""
    material = Material.of(bed, scratch, width=width)
    experts = [
        next(material.run(Mixture.single(material.domains, name), _EXPERTS_SEED, (STEPS,)))
        for name in material.domains
    ]
    base, *of_experts = (units_of(module, material) for module in (material.base, *experts))
    mixtures = mixtures_of(material.domains)
    merged = np.array([losses_of(_merge(material.base, experts, m), material) for m in mixtures])
    truth = np.mean(
        [[losses_of(next(material.run(m, seed)), material) for m in mixtures] for seed in _SEEDS],
        axis=0,
    )
    ranks = [spearmanr(merged[:, k], truth[:, k]).statistic for k in range(merged.shape[1])]
    return Setting(
        bed,
        width,
        base.prunable.mean,
        base.redundant,
        float(np.mean([units.prunable.mean for units in of_experts])),
        float(np.mean([units.redundant for units in of_experts])),
        float(np.abs(merged - truth).mean()),
        float(np.mean(ranks)),
        float((merged - truth).mean()),
    )


def mixtures_of(domains: Sequence[str]) -> list[Mixture]:
    """Plain averages of all pairs, and of all domains."""
    pairs = [Mixture.uniform(domains, pair) for pair in itertools.combinations(domains, 2)]
    return [*pairs, Mixture.uniform(domains)]


def units_of(module: nn.Module, material: Material) -> FrivolousUnits:
    """Frivolous units on the first rows of each test set."""
    module.eval()
    batches = [rows.inputs[:_ROWS] for rows in material.test.values()]
    layers = find_classifier_layers(module, lambda network: network(batches[0][:1]))
    return measure_units(module, batches, layers, predict=classes)


def losses_of(module: Callable[[torch.Tensor], torch.Tensor], material: Material) -> list[float]:
    """Nats per row of each test set."""
    return [
        float(nll_loss(log_likelihoods(module, rows).double(), rows.labels))
        for rows in material.test.values()
    ]


def _merge(
    base: nn.Module, experts: Sequence[nn.Module], mixture: Mixture
) -> Callable[[torch.Tensor], torch.Tensor]:
    states = [dict(expert.named_parameters()) for expert in experts]
    merged = {
        name: sum(
            share * state[name].detach()
            for share, state in zip(mixture.shares, states, strict=True)
        )
        for name, _ in base.named_parameters()
    }
    return lambda inputs: functional_call(base, merged, (inputs,))


def load_settings() -> list[Setting]:
    """The rows of the table."""
    if not TABLE.is_file():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [
            Setting(row.pop("bed"), *(float(row[f.name]) for f in fields(Setting)[1:]))
            for row in csv.DictReader(file)
        ]


def _append(setting: Setting) -> None:
    is_new = not TABLE.is_file()
    with TABLE.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file, [field.name for field in fields(Setting)], lineterminator="\n"
        )
        if is_new:
            writer.writeheader()
        rounded = {k: v if isinstance(v, str) else f"{v:.6g}" for k, v in asdict(setting).items()}
        writer.writerow(rounded)


def relate(settings: Sequence[Setting]) -> list[Claim]:
    """ρ of each share of units and each figure of the merge."""
    claims = []
    for share, figure in itertools.product(
        ("prunable_base", "redundant_base", "prunable_experts", "redundant_experts"),
        ("error", "rank"),
    ):
        x, y = (np.array([getattr(s, name) for s in settings]) for name in (share, figure))
        beds = np.array([setting.bed for setting in settings])
        what = f"rank correlation of {share} with the merge's {figure}, over "
        claims.append(Claim(f"{what}all settings", *_over_settings(x, y), n=len(settings)))
        within = [_rho(x[beds == bed], y[beds == bed]) for bed in dict.fromkeys(beds.tolist())]
        mean, low, high = float(np.mean(within)), min(within), max(within)
        claims.append(Claim(f"{what}widths of a bed", mean, low, high, n=len(within)))
    return claims


def _rho(x: Array, y: Array) -> float:
    return float(spearmanr(x, y).statistic)


def _over_settings(x: Array, y: Array) -> tuple[float, float, float]:
    """Figure and 95 % interval by drawing settings, those with two or more of each alone."""
    draws = np.random.default_rng(0).integers(0, len(x), (_N_BOOTSTRAP, len(x)))
    usable = [d for d in draws if len(set(x[d])) > 1 and len(set(y[d])) > 1]
    low, high = np.percentile([_rho(x[d], y[d]) for d in usable], [2.5, 97.5])
    return _rho(x, y), float(low), float(high)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scratch", type=Path, help="where packages and beds are: fills the table")
    parser.add_argument("--beds", nargs="+", default=list(LABELLED_BEDS), choices=LABELLED_BEDS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = {(setting.bed, setting.width) for setting in load_settings()}
    for bed, width in itertools.product(options.beds, WIDTHS) if options.scratch else ():
        if (bed, width) not in done:
            _append(setting := measure_setting(bed, options.scratch, width))
            print(setting, flush=True)
    settings = load_settings()
    save_claims("units_labelled", relate(settings), settings=[asdict(s) for s in settings])


if __name__ == "__main__":
    main()
