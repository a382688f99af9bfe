"""Do experts at a constant rate rank mixtures whose final run lowers its rate to zero?

    python -m benchmarks.schedules

Method:
    The same mixtures were trained to the same length with the same seed, once at a constant rate
    and once with a cosine (`benchmarks.truth.horizons demo-cosine`). Every way of
    `benchmarks.horizons` scores them from constant-rate experts; ρ is Spearman's over the random
    mixtures, its interval 95 % bootstrap over them, level the mean error over the spread between
    mixtures.
"""

from __future__ import annotations

import numpy as np
from benchmarks.claims import Claim, save_claims
from benchmarks.horizons import LENGTHS, Bed, rho_interval
from benchmarks.truth.horizon_table import load
from benchmarks.truth.horizons import STEPS

FAMILY, COSINE, SEED = "demo", "demo-cosine", 1


def main() -> None:
    """Print a table for each objective, and keep the figures."""
    bed = Bed.of(FAMILY)
    rows = [row for row in load(COSINE) if row.answer == "reference"]
    decayed = np.array([list(row.losses.values()) for row in rows])[1:]  # without the uniform one
    constant = bed.truths[SEED][bed.domains + 1 :][: len(decayed)]
    claims = []
    for objective, sets in bed.objectives.items():
        truths = {
            "constant": -constant[:, sets].mean(axis=1),
            "cosine": -decayed[:, sets].mean(axis=1),
        }
        gained = float((truths["cosine"] - truths["constant"]).mean())
        rho, low, high = rho_interval(truths["constant"], truths["cosine"])
        spread = {name: float(truth.std()) for name, truth in truths.items()}
        print(f"\n{FAMILY}, {objective}: {len(decayed)} mixtures, seed {SEED}; ", end="")
        print(f"the cosine's score less the constant rate's {gained:.4f} nats, spread ", end="")
        print(f"{spread['cosine']:.4f} for {spread['constant']:.4f}; ", end="")
        print(f"ρ of the two {rho:.2f} ({low:.2f} to {high:.2f})\n")
        claims.append(Claim(f"{objective}: ρ of the two schedules", rho, low, high, len(decayed)))
        print("| experts ÷ final run | way | ρ, constant | ρ, cosine | level, constant | cosine |")
        print("| --- | --- | --- | --- | --- | --- |")
        for length in LENGTHS:
            for way, losses in bed.scores(length).items():
                scores = -losses[bed.domains + 1 :, sets].mean(axis=1)[: len(decayed)]
                cells, levels = [], []
                for name, truth in truths.items():
                    rho, low, high = rho_interval(scores, truth)
                    cells.append(f"{rho:.2f} ({low:.2f} to {high:.2f})")
                    levels.append(f"{(scores - truth).mean() / spread[name]:.2f}")
                    what = f"{objective}, experts 1/{STEPS // length}, {way}: ρ, {name}"
                    claims.append(Claim(what, rho, low, high, len(truth)))
                print(f"| 1/{STEPS // length} | {way} | {' | '.join([*cells, *levels])} |")
    save_claims("schedules", claims)


if __name__ == "__main__":
    main()
