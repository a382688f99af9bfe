"""Which mixture, from runs that you have made already: a table of mixtures and scores.

    python examples/own_runs.py

Here the table is made up: thirty runs of a problem whose best mixture is known. Yours comes from
anywhere, such as `pandas.read_csv`.
"""

import numpy as np

from mixwise import (
    Metric,
    Mixture,
    MixtureSpace,
    Objective,
    TableRow,
    TableScorer,
    Term,
    recommend,
)

DOMAINS = ("math", "code", "web")
BEST = np.array([0.5, 0.3, 0.2])


def runs() -> list[TableRow]:
    """Thirty runs: the loss is least near 50 % math, 30 % code and 20 % web."""
    rng = np.random.default_rng(0)
    rows = []
    for shares in rng.dirichlet(np.ones(3), 30):
        loss = 2.0 + float(((shares - BEST) ** 2).sum()) + 0.005 * rng.standard_normal()
        rows.append(TableRow(Mixture(DOMAINS, tuple(shares / shares.sum())), {"dev/loss": loss}))
    return rows


def main() -> None:
    """Recommend one of the mixtures that were trained."""
    table = TableScorer(runs())
    objective = Objective((Term(Metric("dev", "loss", "min"), 1.0),))
    decision = recommend(
        table,
        MixtureSpace.whole(DOMAINS),
        objective,
        table.scale(),
        candidates=table.mixtures,
    )
    print(f"train on {decision.mixture}")


if __name__ == "__main__":
    main()
