"""How sure an objective is, given that each metric is a mean over examples.

Notation:
    J: objective.  e: examples of one metric's set, resampled alike for every model (paired).

Method:
    Bootstrap over the examples of each evaluation set: one draw of examples serves the base and all
    models, so that what makes an example hard for all of them cancels. Spreads stay fixed.

Source:
    Efron 1979; paired comparison on the same examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mixwise.arrays import Array
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation

Standing = Literal["recommended", "equal", "ahead", "behind"]
_N_BOOTSTRAP = 1000


def bootstrap_objective(
    observations: Sequence[Observation],
    base: Observation | None,
    objective: Objective,
    scale: Scale,
    *,
    seed: int,
) -> Array:
    """Draw the objective of models under resampled examples.

    Args:
        observations: Models, all measured by the same suite as the base.
        base: The base model's observation; None where there is none, and the first model's value
            stays as it is.
        objective: What is aggregated.
        scale: Base values and spreads.
        seed: Of the draws.

    Returns:
        J of each draw and model, shape ``(1000, n_models)``.
    """
    rng = np.random.default_rng(seed)
    fixed = base or observations[0]
    columns = []
    counts_of: dict[str, Array] = {}  # one draw of examples per evaluation set
    for metric in objective.metrics:
        measured = fixed.measurement(metric.name)
        n = len(measured.examples)
        if metric.set_name not in counts_of:
            counts_of[metric.set_name] = rng.multinomial(n, np.full(n, 1 / n), _N_BOOTSTRAP).astype(
                np.float64
            )
        shares = counts_of[metric.set_name] * measured.example_weights
        shares = shares / shares.sum(axis=1, keepdims=True)
        differences = np.array(
            [o.measurement(metric.name).examples - measured.examples for o in observations]
        )
        columns.append(measured.value + shares @ differences.T)
    return objective.aggregate(np.stack(columns, axis=-1), scale)


def interval(draws: Array) -> tuple[float, float]:
    """The middle 95 % of draws."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def standings(draws: Array, best: int) -> list[Standing]:
    """Where models stand beside the recommended one.

    Args:
        draws: J of each draw and model, shape ``(n_draws, n_models)``.
        best: Index of the recommended model.

    Returns:
        For each model: ``equal`` where the 95 % interval of the difference holds 0, so that the two
        cannot be told apart; ``behind`` or ``ahead`` where it lies on one side; ``recommended`` for
        the best one itself.
    """
    lows, highs = np.percentile(draws[:, best, None] - draws, [2.5, 97.5], axis=0)
    found: list[Standing] = [
        "behind" if low > 0 else "ahead" if high < 0 else "equal"
        for low, high in zip(lows, highs, strict=True)
    ]
    found[best] = "recommended"
    return found


def near_optimal(draws: Array, best: int) -> list[int]:
    """Models that are not behind the best one, the best one included.

    Args:
        draws: J of each draw and model, shape ``(n_draws, n_models)``.
        best: Index of the best model.
    """
    return [k for k, standing in enumerate(standings(draws, best)) if standing != "behind"]
