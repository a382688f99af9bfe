"""mixwise's own way to choose a mixture, on the tables of a truth bed.

Notation:
    J: objective, minus a mean of losses in nats.  Shares ``(n, d)``, losses ``(n, sets)``.

Method:
    Train the experts and the uniform mixture; merge linearly as many candidates as a share of what
    is left allows, half of them spread over the candidates and half where J is predicted best, and
    interpolate the others by a Gaussian process; then train candidates one by one where it saves
    most expected regret, what the proxy misses being learned from all runs so far
    (`mixwise.decision`). The pick is the best expected.

Departures:
    `mixwise run` merges at mixtures of its own choosing, with slopes; a table has candidates only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from benchmarks.purse import Pick, Purse, objective
from benchmarks.surrogates import fit_process

from mixwise.decision.discrepancy import Trained, calibrate
from mixwise.decision.next_reference import choose_next
from mixwise.mixture import Mixture

Array = npt.NDArray[np.float64]
MERGED_SHARE = 0.8
_EXPERTS_SEED = 0
_ERROR_NATS, _NOISE_NATS = 0.02, 0.011  # guesses that the calibration starts from


def by_mixwise(merged_share: float) -> Pick:
    """Linear merges, corrected by references that are chosen one by one, the uniform one first.

    Args:
        merged_share: Share of what is left after experts and uniform run that merges may cost.
    """

    def pick(purse: Purse) -> int:
        corners = purse.buy_experts()
        uniform = purse.pool.index(Mixture.uniform(purse.pool.bed.domains))
        extra = purse.buy_extra(uniform)
        at_uniform = purse.merge(uniform)
        shares = np.concatenate([np.eye(len(corners)), purse.shares[[uniform]]])
        losses = np.concatenate([corners, at_uniform[None]])
        proxy = _proxy_scores(purse, merged_share * purse.left, shares, losses)
        known = Trained(
            purse.shares[uniform],
            float(objective(at_uniform)),
            objective(extra).reshape(1),
            (_EXPERTS_SEED,),
        )
        return _train_where_it_is_worth(purse, proxy, known)

    return pick


def _proxy_scores(purse: Purse, tokens: float, shares: Array, losses: Array) -> Array:
    """J by the proxy of all candidates: merged as far as the tokens reach, else interpolated.

    Half of the merges are spread over the candidates, the others go where J is predicted best.
    """
    n = min(int(tokens / purse.evaluation + 1e-9), len(purse.candidates))
    n_spread = n if n == len(purse.candidates) else -(-n // 2)
    chosen: list[int] = []
    for step in range(n):
        rest = np.setdiff1d(purse.candidates, chosen)
        if step < n_spread:
            gaps = np.abs(purse.shares[rest][:, None] - shares).sum(axis=-1).min(axis=1)
            best = int(rest[np.argmax(gaps)])
        else:
            predicted = objective(fit_process(shares, losses)(purse.shares[rest]))
            best = int(rest[np.argmax(predicted)])
        merged = purse.merge(best)
        chosen.append(best)
        shares = np.concatenate([shares, purse.shares[[best]]])
        losses = np.concatenate([losses, merged[None]])
    scores = objective(fit_process(shares, losses)(purse.shares[purse.candidates]))
    known = objective(losses[len(losses) - n :])
    scores[np.searchsorted(purse.candidates, chosen)] = known
    return scores


def _train_where_it_is_worth(purse: Purse, proxy: Array, known: Trained) -> int:
    """Train candidates while there are tokens, each where it saves most regret; then the best."""
    shares = purse.shares[purse.candidates]
    trained, taken = [known], list[int]()
    while True:
        belief = calibrate(trained, size=_ERROR_NATS, noise=_NOISE_NATS)
        correction, covariance = belief.joint(shares)
        means = proxy + correction
        covariance[:, taken] = 0.0  # a second seed of the same mixture is not on offer
        k = choose_next(means, covariance, belief.noise).index
        if not purse.affordable(purse.run) or k in taken:
            return int(purse.candidates[np.argmax(means)])
        score = objective(purse.train(int(purse.candidates[k])))
        seeds = (purse.training_seed,)
        trained.append(Trained(shares[k], float(proxy[k]), score.reshape(1), seeds))
        taken.append(k)
