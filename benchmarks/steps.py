"""Do longer steps in weight space, averages along a run, or larger batches help short experts?

    python -m benchmarks.steps

Method:
    `benchmarks.truth.steps` made the tables: the same mixtures scored by changed experts of several
    lengths. Held against them is the mean of two trained seeds: ρ is Spearman's over the random
    mixtures, its interval 95 % bootstrap over them. ``continued`` is the product's
    `continue_metric` on top, from experts of a quarter, half and all of the length, each changed in
    the same way; where a shorter one is missing, from what is there. ``batches of N`` are experts
    that read as many tokens in larger batches, at a rate that grows with them; the trained mixtures
    they are held against are the same (`benchmarks.truth.horizons FAMILY-batch-N`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.horizons import LOST, Bed, rho_interval
from benchmarks.truth.horizon_table import load
from benchmarks.truth.horizons import BATCH, LARGER_BATCHES, STEPS
from benchmarks.truth.steps import FACTORS, LENGTHS

from mixwise.extrapolation import continue_metric

Array = npt.NDArray[np.float64]
FAMILIES = ("demo", "code")
_PLAIN = {"predictions": "as they are (MixMin)", "merged": "merge as it is (MergeMix)"}
_CONTINUED = (
    "predictions",
    *(f"longer {factor:g}" for factor in FACTORS),
    "tail",
    *(f"batches of {batch}" for batch in LARGER_BATCHES),
)


def changed(family: str) -> dict[tuple[str, int], Array]:
    """Losses of the trained mixtures, ``(n, sets)``, corners first where there are some."""
    found: dict[tuple[str, int], list[list[float]]] = {}
    for row in load(f"steps-{family}"):
        found.setdefault((row.answer, row.steps), []).append(list(row.losses.values()))
    for batch in LARGER_BATCHES:
        for row in load(f"{family}-batch-{batch}"):
            name = f"batches of {batch}"
            name += ", merged" if row.answer == "merged" else ""
            if row.answer != "base":
                key = name, row.steps * batch // BATCH
                found.setdefault(key, []).append(list(row.losses.values()))
    return {key: np.array(rows) for key, rows in found.items()}


def scores_of(bed: Bed, losses: Mapping[tuple[str, int], Array], length: int) -> dict[str, Array]:
    """Losses of the random mixtures by every way at a length of the experts."""
    n_random = len(next(iter(bed.truths.values()))) - bed.domains - 1
    ways = {}
    for (answer, steps), rows in losses.items():
        if steps == length:
            ways[_PLAIN.get(answer, answer)] = rows[-n_random:]
    for answer in _CONTINUED:
        points = [p for p in (length // 4, length // 2, length) if (answer, p) in losses]
        if len(points) > 1:
            rows = np.stack([losses[answer, point] for point in points], axis=-1)
            ways[f"{_PLAIN.get(answer, answer)}, continued"] = _continued(rows, points, bed)[
                -n_random:
            ]
    return ways


def _continued(rows: Array, points: Sequence[int], bed: Bed) -> Array:
    counted = [point - LOST for point in points]
    columns = []
    for k in range(rows.shape[1]):
        found = continue_metric(rows[: bed.domains + 1, k], counted, STEPS - LOST)
        columns.append(rows[:, k] @ found.weights + found.shift)
    return np.stack(columns, axis=1)


def main() -> None:
    """Print a table for each family and objective, and keep the figures."""
    claims = []
    for family in FAMILIES:
        bed, made = Bed.of(family), changed(family)
        if not made:
            continue
        losses = {**bed.losses, **made}
        for objective, sets in bed.objectives.items():
            truth = -np.mean(list(bed.truths.values()), axis=0)[bed.domains + 1 :, sets].mean(
                axis=1
            )
            print(f"\n{family}, {objective}: ρ by steps of the experts, of {STEPS}\n")
            by_length = {n: scores_of(bed, losses, n) for n in LENGTHS}
            ways = dict.fromkeys(way for found in by_length.values() for way in found)
            print("\n".join([_row("way", LENGTHS), _row("---", ["---"] * len(LENGTHS))]))
            for way in ways:
                cells = []
                for length, found in by_length.items():
                    if way not in found:
                        cells.append("—")
                        continue
                    rho, low, high = rho_interval(-found[way][:, sets].mean(axis=1), truth)
                    cells.append(f"{rho:.2f} ({low:.2f} to {high:.2f})")
                    what = f"{family}, {objective}, experts of {length} steps: ρ of {way}"
                    claims.append(Claim(what, rho, low, high, len(truth)))
                print(_row(way, cells))
    save_claims("steps", claims)


def _row(name: str, cells: Sequence[object]) -> str:
    return f"| {' | '.join([name, *map(str, cells)])} |"


if __name__ == "__main__":
    main()
