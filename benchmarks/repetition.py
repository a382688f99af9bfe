"""Scarce domains: what matching the final run's repetition brings, and what a cap on it costs.

    python -m benchmarks.repetition

Method:
    `benchmarks.truth.repetition` made the table: two of five domains have 13 sequences, which the
    final run reads eight times at an even share. Experts read what there is, or so few of these
    sequences that they repeat them as often (one run whose points repeat less, or a run for each
    point); their predictions are scored as they are and continued by the product's
    `continue_metric`. Held against them is the mean of two trained seeds, over 24 random mixtures;
    ρ is Spearman's with its 95 % bootstrap interval.

    What a cap costs is read from a quadratic of the trained mixtures' mean loss: how much worse
    its best mixture under the cap is than its best of all, as a share of what a random mixture
    (flat Dirichlet) loses.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.truth.horizon_table import Row, load
from benchmarks.truth.horizons import BATCH, SEEDS, STEPS
from benchmarks.truth.repetition import POINTS, ROWS, SCARCE, TABLE, WAYS

from mixwise.decision.fidelity import measure_fidelity
from mixwise.extrapolation import continue_metric

Array = npt.NDArray[np.float64]
_LOST = 2.0  # steps of the warm-up that do not count
_CAPS = (1, 2, 4, 8, 16)
_N_DRAWS = 200_000


class Bed:
    """The table's numbers: mixtures are the corners, uniform, then random ones."""

    def __init__(self) -> None:
        self._rows = load(TABLE)
        trained = [row for row in self._rows if row.answer == "reference"]
        self.domains, self.sets = list(trained[0].shares), list(trained[0].losses)
        self._mixtures = list(dict.fromkeys(tuple(row.shares.values()) for row in trained))
        self.shares = np.array(self._mixtures)
        self.truths = [self._block([r for r in trained if r.seed == seed]) for seed in SEEDS]

    @property
    def objectives(self) -> dict[str, list[int]]:
        """Which sets each objective averages."""
        n = len(self.domains)
        scarce = [self.domains.index(name) for name in SCARCE]
        return {
            "domains": list(range(n)),
            "scarce domains": scarce,
            "targets": list(range(n, len(self.sets))),
        }

    def scores(self, way: str, steps: int) -> dict[str, Array]:
        """Losses of all mixtures from experts of a length, as they are and continued."""
        points = POINTS[steps]
        chosen = [row for row in self._rows if row.answer == f"{way} {steps}"]
        measured = [self._block([r for r in chosen if r.steps == point]) for point in points]
        stacked, known = np.stack(measured, axis=-1), len(self.domains) + 1
        columns = []
        for k in range(len(self.sets)):
            lengths = [point - _LOST for point in points]
            found = continue_metric(stacked[:known, k], lengths, STEPS - _LOST)
            columns.append(stacked[:, k] @ found.weights + found.shift)
        return {"as they are": measured[-1], "continued": np.stack(columns, axis=1)}

    def _block(self, rows: list[Row]) -> Array:
        by = {tuple(row.shares.values()): row for row in rows}
        return np.array([[by[m].losses[name] for name in self.sets] for m in self._mixtures])


def main() -> None:
    """Print both tables, and keep the figures."""
    bed, claims = Bed(), []
    random = slice(len(bed.domains) + 1, None)
    print(
        "| experts ÷ final run | way | "
        + " | ".join(f"{o}: ρ, as they are | ρ, continued" for o in bed.objectives)
        + " |"
    )
    for steps in POINTS:
        for way in WAYS:
            cells = []
            for objective, sets in bed.objectives.items():
                for kind, losses in bed.scores(way, steps).items():
                    seeds = np.stack([t[random][:, sets].mean(axis=1) for t in bed.truths], axis=1)
                    scores = losses[random][:, sets].mean(axis=1)
                    found = measure_fidelity(scores, seeds, sign=-1, seed=0)
                    rho = found.spearman
                    assert rho.value is not None
                    assert rho.low is not None
                    assert rho.high is not None
                    cells.append(f"{rho.value:.2f} ({rho.low:.2f} to {rho.high:.2f})")
                    what = f"{objective}, experts 1/{STEPS // steps}, {way}, {kind}: ρ"
                    claims.append(Claim(what, rho.value, rho.low, rho.high, found.n_mixtures))
            print(f"| 1/{STEPS // steps} | {way} | {' | '.join(cells)} |")
    print("\n| objective | " + " | ".join(f"cap {cap}" for cap in _CAPS) + " |")
    for objective, sets in bed.objectives.items():
        lost = cap_costs(bed, sets)
        print(f"| {objective} | " + " | ".join(f"{share:.3f}" for share in lost) + " |")
    save_claims("repetition", claims)


def cap_costs(bed: Bed, sets: list[int]) -> list[float]:
    """What each cap loses, as a share of what a random mixture loses, by the fitted quadratic."""
    loss = np.mean([truth[:, sets].mean(axis=1) for truth in bed.truths], axis=0)
    coefficients = np.linalg.lstsq(_quadratic(bed.shares), loss, rcond=None)[0]
    drawn = np.random.default_rng(0).dirichlet(np.ones(len(bed.domains)), _N_DRAWS)
    fitted = _quadratic(drawn) @ coefficients
    scarce = drawn[:, [bed.domains.index(name) for name in SCARCE]]
    repetition = (scarce * STEPS * BATCH / ROWS).max(axis=1)
    best, random = fitted.min(), fitted.mean()
    return [float((fitted[repetition <= cap].min() - best) / (random - best)) for cap in _CAPS]


def _quadratic(shares: Array) -> Array:
    products = [shares[:, i] * shares[:, j] for i, j in combinations(range(shares.shape[1]), 2)]
    return np.column_stack([shares, *products])


if __name__ == "__main__":
    main()
