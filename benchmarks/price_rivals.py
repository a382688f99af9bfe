"""Published ways to choose a mixture, at a price on the beds of short experts; and their table.

Notation:
    λ: shares, ``(n, d)``.  y: losses of the objective's sets, ``(n, sets)``.  J: minus their mean.

Method:
    Each takes an offer, buys what the price allows, and returns one of the candidates. How many
    runs a method shares the price among, Olmix' pull towards the available tokens, and leaves of
    trees were chosen on the development beds (`benchmarks.price --tune`).

Source:
    Liu et al. 2024 (RegMix, arXiv 2407.01492); Ye et al. 2024 (Data Mixing Laws, arXiv 2403.16952);
    Chen et al. 2026 (Olmix, arXiv 2602.12237); Shukor et al. 2025 (arXiv 2507.09404);
    Chung et al. 2023 (UniMax, arXiv 2304.09151); Wang et al. 2026 (MergeMix, arXiv 2601.17858);
    Li et al. 2026 (DeMix, arXiv 2602.00747); Thudi et al. 2025 (MixMin, arXiv 2502.10510).

Departures:
    BiMix (arXiv 2405.14908) knows a domain's own loss alone and no text that is none of them, so
    the law in mixture and horizon is Shukor's. Merge to Mix (arXiv 2505.16066) picks a plain
    average of some domains, of which the beds trained the uniform one alone: it is in
    `benchmarks.regret`. MixMin descends on the simplex; here the best candidate is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from benchmarks.horizon_law import fit_horizon_law
from benchmarks.log_linear_law import fit_law
from benchmarks.price_beds import Offer
from benchmarks.price_mixwise import by_mixwise
from benchmarks.purse import OverspentError, objective
from benchmarks.surrogates import Predict, fit_line, fit_trees
from benchmarks.truth.horizons import BATCH, LENGTH
from benchmarks.truth.pool import load_pool

Array = npt.NDArray[np.float64]
Pick = Callable[[Offer], int]
Fit = Callable[[Array, Array], Predict]
MIXWISE = "mixwise"
_MERGEMIX_POINTS = 40
_MOST_EPOCHS = 4.0  # of UniMax
_SMALL, _SMALL_DOMAINS = "width-32", ("python", "c", "german", "french", "glosses")


@dataclass(frozen=True, slots=True)
class Rival:
    """A row of the table.

    Args:
        name: In tables.
        source: Paper.
        pick: What it does; raises OverspentError where the price is too low for it.
    """

    name: str
    source: str
    pick: Pick


# --- nothing is bought ---------------------------------------------------------------------------


def pick_uniform(offer: Offer) -> int:
    """The uniform mixture."""
    return offer.bed.uniform


def pick_proportional(offer: Offer) -> int:
    """The candidate nearest to the domains' available tokens."""
    return _nearest(offer, offer.bed.available)


def pick_unimax(offer: Offer) -> int:
    """The candidate nearest to even shares under a cap of epochs."""
    bed = offer.bed
    run = bed.steps * BATCH * LENGTH
    caps = _MOST_EPOCHS * np.array([bed.tokens[name] for name in bed.domains]) / run
    shares = np.zeros(len(caps))
    for left, k in zip(range(len(caps), 0, -1), np.argsort(caps), strict=True):
        shares[k] = min(caps[k], (1 - shares.sum()) / left)
    return _nearest(offer, shares / shares.sum())


# --- short runs of mixtures ----------------------------------------------------------------------


def by_regression(fit: Fit, n_wanted: int) -> Pick:
    """Train random mixtures for short, fit a regression of the objective, take its best."""

    def pick(offer: Offer) -> int:
        chosen, steps = offer.runs(n_wanted)
        losses = offer.train(chosen, steps).mean(axis=1, keepdims=True)
        return _best(offer, fit(offer.bed.shares[chosen], losses)(_shares(offer)))

    return pick


def by_law(n_wanted: int, pull: float) -> Pick:
    """The same with a log-linear law of every loss, and a pull towards the available tokens."""

    def pick(offer: Offer) -> int:
        chosen, steps = offer.runs(n_wanted)
        losses = offer.train(chosen, steps)
        shares = _shares(offer)
        predicted = fit_law(offer.bed.shares[chosen], losses)(shares).mean(axis=1)
        apart = (shares * np.log(np.maximum(shares, 1e-9) / offer.bed.available)).sum(axis=1)
        return _best(offer, (predicted + pull * apart)[:, None])

    return pick


def by_horizon_law(n_wanted: int) -> Pick:
    """A law in mixture and horizon, fitted to every point of short runs."""

    def pick(offer: Offer) -> int:
        chosen, steps = offer.runs(n_wanted)
        points = [point for point in offer.bed.short_points if point < steps]
        rows = [offer.train(chosen, point).mean(axis=1) for point in (*points, steps)]
        lengths = np.repeat([*points, steps], len(chosen)).astype(np.float64)
        shares = np.tile(offer.bed.shares[chosen], (len(rows), 1))
        law = fit_horizon_law(shares, lengths, np.concatenate(rows))
        return _best(offer, law(_shares(offer), float(offer.bed.steps))[:, None])

    return pick


def pick_by_small_models(offer: Offer) -> int:
    """RegMix with runs of a model of a quarter of the width, on other mixtures of its domains."""
    small = load_pool(_SMALL)
    if offer.bed.domains != _SMALL_DOMAINS:
        raise OverspentError("there are no small models of these domains")
    tokens = offer.bed.steps * BATCH * LENGTH
    standard = load_pool("standard").n_parameters
    cost = small.bed.horizon_tokens * small.n_parameters / standard / tokens
    n = min(int(offer.price / cost + 1e-9), len(small.mixtures))
    if n < 3:
        raise OverspentError("too few runs to fit anything")
    chosen = offer.rng.choice(len(small.mixtures), n, replace=False)
    offer.n_passes += n
    sets = [small.bed.sets.index(offer.bed.sets[k]) for k in offer.sets]
    losses = small.losses[chosen, 0][:, sets].mean(axis=1, keepdims=True)
    return _best(offer, fit_trees(small.shares[chosen], losses)(_shares(offer)))


# --- experts -------------------------------------------------------------------------------------


def pick_mixmin(offer: Offer) -> int:
    """MixMin: the best average of the experts' predictions."""
    losses = offer.of_experts("predictions", offer.kept("predictions"))
    offer.n_passes += len(offer.bed.domains)
    return _best(offer, losses[offer.candidates])


def pick_mergemix(offer: Offer) -> int:
    """MergeMix: trees on at most 40 merges, the best prediction checked by a merge."""
    losses, corners = _merges(offer)
    n = min(_MERGEMIX_POINTS - corners, len(offer.candidates))
    chosen = offer.rng.choice(offer.candidates, n, replace=False)
    known = np.concatenate([np.arange(corners), chosen])
    offer.n_passes += len(known)
    predict = fit_trees(offer.bed.shares[known], losses[known].mean(axis=1, keepdims=True))
    best = _best(offer, predict(_shares(offer)))
    if best in chosen:
        return best
    some = np.append(chosen, best)
    return int(some[np.argmax(objective(losses[some]))])


def pick_demix(offer: Offer) -> int:
    """DeMix: three rounds of merges (4 : 2 : 1), each of the best predicted ranks."""
    losses, corners = _merges(offer)
    n = len(offer.candidates)
    known = np.arange(corners)
    chosen = offer.rng.choice(offer.candidates, max(round(n * 4 / 7), 1), replace=False)
    for share in (2 / 7, 1 / 7):
        predict = _fit_ranks(offer, losses, np.concatenate([known, chosen]))
        rest = np.setdiff1d(offer.candidates, chosen)
        order = np.argsort(-predict(offer.bed.shares[rest]), kind="stable")
        chosen = np.concatenate([chosen, rest[order[: round(n * share)]]])
    offer.n_passes += corners + len(chosen)
    predict = _fit_ranks(offer, losses, np.concatenate([known, chosen]))
    return _best(offer, -predict(_shares(offer))[:, None])


def _merges(offer: Offer) -> tuple[Array, int]:
    """Losses of all merges at the price, and how many corners stand before them."""
    return offer.of_experts("merged", offer.kept("merged")), len(offer.bed.domains)


def _fit_ranks(offer: Offer, losses: Array, known: npt.NDArray[np.int64]) -> Predict:
    """Trees on the rank of the objective; larger is better."""
    ranks = np.argsort(np.argsort(objective(losses[known]))).astype(np.float64)
    fitted = fit_trees(offer.bed.shares[known], ranks[:, None])
    return lambda points: fitted(points)[:, 0]


# --- shared --------------------------------------------------------------------------------------


def _shares(offer: Offer) -> Array:
    return offer.bed.shares[offer.candidates]


def _best(offer: Offer, losses: Array) -> int:
    """The candidate of the least mean loss; of equals any."""
    scores = objective(losses)
    return int(offer.rng.choice(offer.candidates[scores >= scores.max() - 1e-12]))


def _nearest(offer: Offer, target: Array) -> int:
    gaps = np.abs(_shares(offer) - target).sum(axis=1)
    return int(offer.candidates[np.argmin(gaps)])


N_WANTED = (4, 8, 16)
PULLS = (0.0, 0.01, 0.03, 0.1)
RIVALS: tuple[Rival, ...] = (
    Rival("uniform", "what everyone trains on", pick_uniform),
    Rival("token-proportional", "what everyone trains on", pick_proportional),
    Rival("UniMax", "arXiv 2304.09151", pick_unimax),
    Rival("RegMix, short runs", "arXiv 2407.01492", by_regression(fit_trees, 8)),
    Rival("RegMix, short runs, linear", "arXiv 2407.01492", by_regression(fit_line, 8)),
    Rival("RegMix, small models", "arXiv 2407.01492", pick_by_small_models),
    Rival("log-linear law", "arXiv 2403.16952", by_law(8, 0.0)),
    Rival("Olmix: the same with KL", "arXiv 2602.12237", by_law(8, 0.03)),
    Rival("law in mixture and horizon", "arXiv 2507.09404", by_horizon_law(16)),
    Rival("MergeMix", "arXiv 2601.17858", pick_mergemix),
    Rival("DeMix", "arXiv 2602.00747", pick_demix),
    Rival("MixMin", "arXiv 2502.10510", pick_mixmin),
    Rival(MIXWISE, "", by_mixwise("uniform")),
)
VARIANTS: tuple[Rival, ...] = (
    *(Rival(f"RegMix, {n} runs", "", by_regression(fit_trees, n)) for n in N_WANTED),
    *(Rival(f"RegMix, linear, {n} runs", "", by_regression(fit_line, n)) for n in N_WANTED),
    *(
        Rival(f"log-linear law, {n} runs, pull {pull:g}", "", by_law(n, pull))
        for n in N_WANTED
        for pull in PULLS
    ),
    *(Rival(f"horizon law, {n} runs", "", by_horizon_law(n)) for n in N_WANTED),
    Rival("mixwise, the largest score", "", by_mixwise("none")),
    Rival(MIXWISE, "", by_mixwise("uniform")),
)
