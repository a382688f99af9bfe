"""Which mixture, from runs that you have trained already: a table of mixtures and scores.

    python examples/own_runs.py

Here the table is made up: thirty runs of a problem whose best mixture is known. Yours is a file
(`read_swarm`, or `mixwise fit FILE` without any code) or anything that gives you two arrays.
"""

import numpy as np

from mixwise import SwarmTable, fit_swarm

DOMAINS = ("math", "code", "web")
BEST = np.array([0.5, 0.3, 0.2])


def runs() -> SwarmTable:
    """Thirty runs: the loss is least near 50 % math, 30 % code and 20 % web."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), 30)
    losses = 2.0 + ((shares - BEST) ** 2).sum(axis=1) + 0.005 * rng.standard_normal(30)
    places = tuple(f"run {number}" for number in range(30))
    return SwarmTable(DOMAINS, {"dev/loss": "min"}, shares, losses[:, None], places)


def main() -> None:
    """Say what to train on, how well held-out runs were predicted, and what to train next."""
    found = fit_swarm(runs())
    print(found.answer)
    print(f"ρ of held-out runs: {found.fidelity.spearman.value:.2f}")
    gain = found.next_run.gain
    print(f"train next: {found.next_run.mixture}, which saves {gain:.4f} of expected regret")


if __name__ == "__main__":
    main()
