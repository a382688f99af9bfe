"""Price and regret of an answer from short experts, on families of corpora of their own.

    python -m benchmarks.horizons

Method:
    For each bed and each length t of the experts (`benchmarks.truth.horizons` made the tables),
    the price is what the experts read over what the final run reads. Every way scores the same
    mixtures; the continued ones use the product's `continue_metric`, and with longer steps its
    `weigh`, found from the corners and the uniform mixture as the product does. Held against them
    is the mean of the trained seeds: ρ is Spearman's over the random mixtures, its interval 95 %
    bootstrap over them, the ceiling what the seeds allow. Regret is that of the pick among draws of
    half the mixtures, as a share of what a random pick of the same draw loses, the mean over draws
    with its 95 % interval; uniform is picked where it is one of them always.

    What is continued how was chosen on ``demo`` and ``languages``, and the level on ``code`` too;
    ``administration`` was named before it was seen, and looked at once, when all that was fixed.

Source:
    MergeMix (arXiv 2601.17858) is the merge as it is at t, MixMin (arXiv 2502.10510) the averaged
    predictions as they are at t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.mixwise_pick import metrics_of
from benchmarks.truth.horizon_table import Row, load
from benchmarks.truth.horizons import SETTINGS, longer
from scipy.stats import spearmanr

from mixwise.extrapolation import continue_metric
from mixwise.mixture import Mixture
from mixwise.objective import Metric
from mixwise.scoring.table import TableRow, TableScorer
from mixwise.scoring.weighing import LONGER_STEPS, ProxyPart, weigh

Array = npt.NDArray[np.float64]
BEDS = ("demo", "languages", "demo-long", "demo-longest", "code", "administration")
DEVELOPMENT = ("demo", "languages")
Lengths = Mapping[int, tuple[int, ...]]
LENGTHS: Lengths = {
    128: (32, 64, 128),
    64: (16, 32, 64),
    32: (8, 16, 32),
    16: (5, 8, 16),
    8: (4, 5, 8),
}  # of the experts, and the points at which they are averaged
_OTHERS: Mapping[str, Lengths] = {
    "demo-long": {
        102: (27, 51, 102),
        51: (14, 27, 51),
        25: (8, 14, 25),
        10: (4, 6, 10),
        5: (4, 5),
    },
    "demo-longest": {
        1024: (256, 512, 1024),
        409: (102, 204, 409),
        204: (52, 102, 204),
        102: (26, 52, 102),
        40: (10, 20, 40),
        20: (6, 10, 20),
    },
    "many": {16: (6, 9, 16), 8: (5, 8), 4: (4,)},
    "dozen": {8: (5, 8), 4: (4,)},
    "many-groups": {64: (18, 33, 64), 32: (10, 17, 32), 16: (6, 9, 16)},
}  # of beds whose final runs are longer
LOST = 2.0  # steps of the warm-up that do not count
_N_DRAWS, _N_BOOTSTRAP = 200, 2000
WAYS = (
    "merge at t (MergeMix)",
    "predictions at t (MixMin)",
    "merge, continued",
    "predictions, continued",
    "both, continued",
)
MIXWISE = "predictions, continued, and of longer steps (mixwise)"


@dataclass(frozen=True, slots=True)
class Bed:
    """A family's numbers: losses of mixtures, the corners first, then uniform, then random ones.

    Random ones that were not trained with every seed are left out.

    Args:
        name: Of the bed.
        names: Of the domains.
        sets: Of the evaluation sets.
        steps: Of the final run.
        base: Losses of the base, ``(n_sets,)``.
        shares: Of the mixtures, ``(n_mixtures, n_domains)``.
        losses: By answer and steps, ``(n_mixtures, n_sets)``; the domains' sets first.
        truths: By seed.
    """

    name: str
    names: tuple[str, ...]
    sets: tuple[str, ...]
    steps: int
    base: Array
    shares: Array
    losses: Mapping[tuple[str, int], Array]
    truths: Mapping[int, Array]

    @classmethod
    def of(cls, name: str) -> Bed:
        """The bed of a name."""
        setting, rows = SETTINGS[name], load(name)
        first = next(row for row in rows if row.answer == "merged")
        names = list(first.losses)
        asked = dict.fromkeys(tuple(row.shares.values()) for row in rows if row.answer == "merged")
        runs = {(tuple(r.shares.values()), r.seed) for r in rows if r.answer == "reference"}
        first_random = len(first.shares) + 1
        mixtures = [
            mixture
            for k, mixture in enumerate(asked)
            if k < first_random or all((mixture, seed) in runs for seed in setting.seeds)
        ]

        def block(chosen: Sequence[Row]) -> Array:
            by = {tuple(row.shares.values()): row for row in chosen}
            missing = dict.fromkeys(names, np.nan)  # experts are not trained once more
            found = [by[m].losses if m in by else missing for m in mixtures]
            return np.array([[losses[name] for name in names] for losses in found])

        kinds = {"merged", "predictions", *(longer(c) for c in LONGER_STEPS)}
        steps = {(row.answer, row.steps) for row in rows if row.answer in kinds}
        return cls(
            name,
            tuple(first.shares),
            tuple(names),
            setting.steps,
            np.array([next(r for r in rows if r.answer == "base").losses[n] for n in names]),
            np.array(mixtures),
            {key: block([r for r in rows if (r.answer, r.steps) == key]) for key in steps},
            {
                seed: block([r for r in rows if r.answer == "reference" and r.seed == seed])
                for seed in setting.seeds
            },
        )

    @property
    def lengths(self) -> Lengths:
        """Of the experts, and their points."""
        return _OTHERS.get(self.name, LENGTHS)

    @property
    def domains(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def objectives(self) -> dict[str, slice]:
        """Which sets each objective averages."""
        return {"domains": slice(0, self.domains), "targets": slice(self.domains, None)}

    def scores(self, length: int) -> dict[str, Array]:
        """Losses of all mixtures by every way, from experts of this length."""
        plain = {kind: self.losses[kind, length] for kind in ("merged", "predictions")}
        continued = {kind: self._continued(kind, length) for kind in plain}
        both = (continued["merged"] + continued["predictions"]) / 2
        ways = dict(zip(WAYS, (*plain.values(), *continued.values(), both), strict=True))
        if all((longer(c), length) in self.losses for c in LONGER_STEPS):
            ways[MIXWISE] = self._by_product(length)
        return ways

    def _by_product(self, length: int) -> Array:
        """By the product's own weights of the line and of longer steps."""
        asked = [("predictions", point, 1.0) for point in self.lengths[length]]
        asked += [(longer(c), length, c) for c in LONGER_STEPS]
        mixtures = [Mixture(self.names, tuple(row / row.sum())) for row in self.shares]
        sets = metrics_of(np.zeros(self.losses["predictions", length].shape[1]))
        parts = []
        for answer, steps, coefficient in asked:
            rows = [
                TableRow(mixture, metrics_of(row))
                for mixture, row in zip(mixtures, self.losses[answer, steps], strict=True)
            ]
            scorer = TableScorer(rows, answer="proxy")
            parts.append(ProxyPart("predictions", steps, steps - LOST, scorer, coefficient))
        metrics = [Metric(name.split("/")[0], "loss", "min") for name in sets]
        known = mixtures[: self.domains + 1]
        found = weigh(
            parts,
            known,
            self.steps - LOST,
            metrics,
            ("predictions",),
            dict(zip(sets, self.base.tolist(), strict=True)),
        )
        stacked = np.stack([self.losses[answer, steps] for answer, steps, _ in asked], axis=-1)
        columns = [stacked[:, k] @ found[m].weights + found[m].shift for k, m in enumerate(sets)]
        return np.stack(columns, axis=1)

    def _continued(self, kind: str, length: int) -> Array:
        points = self._kept(kind, length)
        stacked = np.stack([self.losses[kind, point] for point in points], axis=-1)
        counted = [point - LOST for point in points]
        columns = []
        for k in range(stacked.shape[1]):
            found = continue_metric(stacked[: self.domains + 1, k], counted, self.steps - LOST)
            columns.append(stacked[:, k] @ found.weights + found.shift)
        return np.stack(columns, axis=1)

    def _kept(self, kind: str, length: int) -> list[int]:
        """The points of a length, or those that are nearest to them where some were not kept."""
        kept = [steps for answer, steps in self.losses if answer == kind and steps <= length]
        near = {min(kept, key=lambda s: abs(s - point)) for point in self.lengths[length]}
        return sorted(near)


def main() -> None:
    """Print a table for each objective, and keep the figures."""
    claims: list[Claim] = []
    for name in BEDS:
        bed = Bed.of(name)
        for objective, sets in bed.objectives.items():
            claims += _report(name, bed, objective, sets)
    save_claims("horizons", claims)


def _report(name: str, bed: Bed, objective: str, sets: slice) -> list[Claim]:
    seeds = [-truth[bed.domains + 1 :, sets].mean(axis=1) for truth in bed.truths.values()]
    truth, spread = np.mean(seeds, axis=0), float(np.std(np.mean(seeds, axis=0)))
    use = "development" if SETTINGS[name].family in DEVELOPMENT else "report"
    print(f"\n{name} ({use}), {objective}: {len(truth)} mixtures × {len(seeds)} seeds, ", end="")
    allowed = f"; the seeds allow ρ {ceiling_of(seeds):.2f}" if len(seeds) > 1 else ""
    print(f"spread {spread:.4f}{allowed}\n")
    print("| experts ÷ final run | price | way | ρ | error ÷ spread | regret ÷ random pick's |")
    print("| --- | --- | --- | --- | --- | --- |")
    claims = []
    for length in bed.lengths:
        for way, losses in bed.scores(length).items():
            scores = -losses[bed.domains + 1 :, sets].mean(axis=1)
            rho, low, high = rho_interval(scores, truth)
            error = float(np.abs(scores - truth).mean()) / spread
            lost, lost_low, lost_high = regret_of(scores, truth)
            price = bed.domains * length / bed.steps
            print(
                f"| 1/{bed.steps // length} | {price:.2f} | {way} | {rho:.2f} ({low:.2f} to "
                f"{high:.2f}) | {error:.2f} | {lost:.2f} ({lost_low:.2f} to {lost_high:.2f}) |"
            )
            what = f"{name}, {objective}, experts 1/{bed.steps // length}: ρ of {way}"
            claims.append(Claim(what, rho, low, high, len(truth)))
    return claims


def ceiling_of(seeds: Sequence[Array]) -> float:
    """ρ of a perfect answer with the mean of two seeds, by how far these agree."""
    agreement = max(float(spearmanr(*seeds)[0]), 0.0)
    return float(np.sqrt(2 * agreement / (1 + agreement)))


def rho_interval(scores: Array, truth: Array) -> tuple[float, float, float]:
    """Spearman's ρ and its 95 % bootstrap interval over mixtures."""
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(_N_BOOTSTRAP):
        rows = rng.integers(0, len(truth), len(truth))
        if len(set(rows.tolist())) > 2:
            draws.append(spearmanr(scores[rows], truth[rows])[0])
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    return float(spearmanr(scores, truth)[0]), low, high


def regret_of(scores: Array, truth: Array) -> tuple[float, float, float]:
    """Regret of the pick over a random one's, a draw of half the mixtures at a time."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(_N_DRAWS):
        drawn = rng.choice(len(truth), len(truth) // 2, replace=False)
        best = truth[drawn].max()
        rows.append((best - truth[drawn][scores[drawn].argmax()], best - truth[drawn].mean()))
    lost = np.array(rows)
    ratios = [lost[rng.integers(0, _N_DRAWS, _N_DRAWS)].mean(axis=0) for _ in range(_N_BOOTSTRAP)]
    low, high = np.quantile([a / b for a, b in ratios], (0.025, 0.975)).tolist()
    picked, random_pick = lost.mean(axis=0)
    return float(picked / random_pick), low, high


if __name__ == "__main__":
    main()
