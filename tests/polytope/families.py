"""Random regions of the simplex that are not empty, as spaces."""

from __future__ import annotations

import numpy as np

from mixwise.mixture import Limit, MixtureSpace


def random_space(seed: int, n_domains: int, n_limits: int) -> MixtureSpace:
    """Bounds and limits around a random mixture; every third limit is an equality."""
    rng = np.random.default_rng(seed)
    inside = rng.dirichlet(np.ones(n_domains))
    lower = np.where(rng.random(n_domains) < 0.3, inside * rng.random(n_domains), 0.0)
    upper = np.where(rng.random(n_domains) < 0.3, inside + 0.4 * rng.random(n_domains), 1.0)
    limits = []
    for k in range(n_limits):
        row = rng.choice([-2.0, -1.0, 0.0, 1.0, 1.0, 3.0], n_domains)
        row[rng.integers(n_domains)] = 1.0
        value, room = float(row @ inside), 0.0 if k % 3 == 2 else 0.1 * float(rng.random())
        least = value - room if k % 3 != 1 else None
        limits.append(Limit(f"limit {k}", tuple(row.tolist()), least, value + room))
    names = tuple(f"d{i}" for i in range(n_domains))
    return MixtureSpace(
        names, tuple(lower.tolist()), tuple(np.minimum(upper, 1.0).tolist()), tuple(limits)
    )
