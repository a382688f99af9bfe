"""What training on the recommended mixture should reach, and which mixtures are as good.

Notation:
    J: objective.  r: what the proxy misses, with its posterior.  σ: noise of one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.decision.calibration import Calibrated
from mixwise.observation import Observation
from mixwise.search.problem import shares_of
from mixwise.search.space.simplex import sample

Range = tuple[float, float]
_N_DRAWS = 1000  # as many as of the examples
_N_PREDICTED = 512
_TWO_SIDED = 1.96  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Forecast:
    """What training on the recommended mixture should reach.

    Without a reference the proxy's own score is expected, and misses it as is usual.

    Args:
        expected: Expected objective of a model that is trained on it.
        interval: Where the mean of the final runs should land, 95 %.
        near_optimal_shares: Of each domain, smallest and largest share of the mixtures that cannot
            be told from the recommended one, among many that were only predicted.
    """

    expected: float
    interval: Range
    near_optimal_shares: dict[str, Range]


def forecast(calibrated: Calibrated, best: Observation, *, n_seeds: int) -> Forecast:
    """Predict what training on a mixture reaches.

    Args:
        calibrated: The corrected proxy.
        best: The recommended mixture, by the proxy.
        n_seeds: Seeds of the final runs.
    """
    posterior = calibrated.posterior
    missed, deviation = posterior.predict(shares_of([best]))
    expected = calibrated.problem.measured(best) + float(missed[0])
    half = _TWO_SIDED * float(np.hypot(deviation[0], posterior.noise / np.sqrt(n_seeds)))
    return Forecast(
        expected, (expected - half, expected + half), _near_optimal_shares(calibrated, best)
    )


def draw_missed(calibrated: Calibrated, observations: Sequence[Observation]) -> Array:
    """What the proxy may miss, drawn at all mixtures together, ``(1000, n)``."""
    return _draw(calibrated, shares_of(observations))


@dataclass(frozen=True, slots=True)
class ExpectedRanks:
    """Spearman's ρ between the scores and what training would show, as far as can be foreseen.

    Args:
        middle: Median over what the proxy may miss.
        low: Lower end of its middle 95 %.
        high: Upper end.
    """

    middle: float
    low: float
    high: float


def expect_ranks(calibrated: Calibrated) -> ExpectedRanks:
    """Foresee how well mixtures are ranked, over those of the whole space, noise of runs left out.

    Zero where nothing tells mixtures apart. What the proxy may miss is drawn from its posterior,
    which is what is usual where no reference was trained, and what continuing the scores adds.
    """
    from scipy.stats import rankdata  # a second to import, and `status` does without it

    problem = calibrated.problem
    points = sample(problem.space, _N_PREDICTED, seed=problem.seed)
    proxies = calibrated.surface.measured(points)  # a prior, known for sure, agrees with itself
    scores = proxies + calibrated.missed(points)
    truths = proxies + _draw(calibrated, points)
    ranks = rankdata(truths, axis=1) - (len(points) + 1) / 2
    own = rankdata(scores) - (len(points) + 1) / 2
    lengths = np.linalg.norm(ranks, axis=1) * np.linalg.norm(own)
    rho = np.divide(ranks @ own, lengths, out=np.zeros(len(ranks)), where=lengths > 0)
    low, middle, high = np.quantile(rho, (0.025, 0.5, 0.975)).tolist()
    return ExpectedRanks(middle, low, high)


def _near_optimal_shares(calibrated: Calibrated, best: Observation) -> dict[str, Range]:
    """Range of each domain's share over predicted mixtures that may be as good as the best.

    They lie on lines from the best into the whole space, as many near it as far away.
    """
    space, seed = calibrated.problem.space, calibrated.problem.seed
    start = shares_of([best])
    steps = np.random.default_rng(seed).random((_N_PREDICTED, 1))
    many = start + steps * (sample(space, _N_PREDICTED, seed=seed) - start)
    points = np.concatenate([start, many])
    behind = calibrated.value(points)[0] - calibrated.value(points)
    draws = _draw(calibrated, points)
    deviation = (draws[:, :1] - draws).std(axis=0)
    kept = points[behind <= _TWO_SIDED * deviation + 1e-12]
    return {
        name: (float(low), float(high))
        for name, low, high in zip(space.domains, kept.min(0), kept.max(0), strict=True)
    }


def _draw(calibrated: Calibrated, shares: Array) -> Array:
    mean, covariance = calibrated.posterior.joint(shares)
    rng = np.random.default_rng(calibrated.problem.seed)
    return rng.multivariate_normal(mean, covariance, _N_DRAWS, check_valid="ignore", method="eigh")
