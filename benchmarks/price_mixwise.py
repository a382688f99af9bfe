"""The product's own answer at a price: its plan, its proxy, its calibration, its decision.

Method:
    `plan_horizons` says what the price buys: how long experts are, where they are averaged, how
    many mixtures are trained. Points are taken from those that the tables kept. `ProxyScorer`
    continues the averaged predictions, along the line and by longer steps; what follows is what
    `mixwise run` does in its stages.

Departures:
    `mixwise run` searches the whole simplex; here the candidates are listed. The objective is a
    mean of plain nats, as the bed is judged. A table has one number a set, so that the examples'
    scatter counts for nothing where mixtures are compared. Where a table holds no longer steps
    from a point, the line answers alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from benchmarks.mixwise_pick import metrics_of
from benchmarks.price_beds import Offer
from benchmarks.purse import OverspentError
from benchmarks.truth.horizons import BATCH, LENGTH, RATE, WARMUP, longer

from mixwise.decision.calibration import correct, train_in_turn
from mixwise.decision.equals import Preference
from mixwise.decision.recommend import decide
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Observation
from mixwise.recipe import Recipe
from mixwise.scoring.proxy import ProxyScorer
from mixwise.scoring.table import TableRow, TableScorer
from mixwise.scoring.weighing import LONGER_STEPS, ProxyPart
from mixwise.search.methods.listed import search_listed
from mixwise.search.problem import SearchProblem
from mixwise.search.surrogates.objective_model import fit_surface
from mixwise.study.horizons import Horizons, plan_horizons

Array = npt.NDArray[np.float64]
_UNLIKE_EXPERTS = 1  # what references' seeds begin with, as experts have 0


class BoughtRuns:
    """Final runs, each bought when it is asked for.

    Args:
        offer: Pays.
    """

    def __init__(self, offer: Offer) -> None:
        self._offer = offer

    def runs(self, mixtures: tuple[Mixture, ...]) -> tuple[tuple[Observation, ...], ...]:
        """Train mixtures."""
        bed = self._offer.bed
        places = np.array([bed.mixtures.index(mixture) for mixture in mixtures])
        losses = self._offer.train(places, bed.steps)
        rows = [
            TableRow(mixture, metrics_of(row), _UNLIKE_EXPERTS)
            for mixture, row in zip(mixtures, losses, strict=True)
        ]
        return TableScorer(rows).runs(mixtures)


def by_mixwise(prefer: Preference) -> Callable[[Offer], int]:
    """What the product recommends.

    Args:
        prefer: What is simplest among equals.
    """
    return lambda offer: _recommended(offer, prefer)


def _recommended(offer: Offer, prefer: Preference) -> int:
    bed, horizons = offer.bed, _plan(offer)
    points = _kept(horizons, bed.points("predictions"))
    proxy = _proxy(offer, horizons, points)
    anchors = bed.mixtures[: len(bed.domains) + 1]
    corners = proxy.score(anchors[:-1])
    names = list(corners[0].values)
    values = np.array([[corner.values[name] for name in names] for corner in corners])
    spread = values.std(axis=0, ddof=1)
    terms = [
        Term(Metric(n.split("/")[0], "loss", "min"), float(w))
        for n, w in zip(names, spread, strict=True)
    ]
    objective = Objective(tuple(terms))
    scale = Scale(
        dict(zip(names, values.mean(axis=0).tolist(), strict=True)),
        dict(zip(names, spread.tolist(), strict=True)),
    )
    problem = SearchProblem(
        proxy,
        MixtureSpace.whole(bed.domains),
        objective,
        scale,
        budget=None,
        seed=0,
        known=corners,
        continued=proxy.error(objective, scale),
    )
    candidates = [bed.mixtures[k] for k in offer.candidates]
    found = search_listed(problem, candidates)
    surface = fit_surface(problem, found.scored)
    chosen = train_in_turn(
        problem,
        candidates,
        surface,
        BoughtRuns(offer),
        n_mixtures=horizons.n_calibration,
        n_seeds=1,
    )
    calibrated = correct(problem, found, surface, chosen)
    decision = decide(
        calibrated, candidates=candidates, prefer=prefer, is_searched_again=bool(chosen)
    )
    return bed.mixtures.index(decision.mixture)


def _plan(offer: Offer) -> Horizons:
    """What the price buys.

    Raises:
        OverspentError: If that are no experts that leave their warm-up.
    """
    recipe = {
        "base": "base",
        "domains": {name: {"files": f"{name}.jsonl"} for name in offer.bed.domains},
        "horizon_tokens": offer.bed.steps * BATCH * LENGTH,
        "budget": offer.price,
        "sequence_length": LENGTH,
        "training": {"learning_rate": RATE, "batch_sequences": BATCH, "warmup_steps": WARMUP},
    }
    try:
        return plan_horizons(Recipe.model_validate(recipe))
    except RecipeError as error:
        raise OverspentError(str(error)) from None


def _kept(horizons: Horizons, kept: list[int]) -> list[int]:
    """The kept points that are nearest to the plan's; the last is none that was not paid for."""
    *before, last = horizons.points
    end = max(steps for steps in kept if steps <= last)
    nearest = {min(kept, key=lambda steps: abs(steps - point)) for point in before}
    return sorted({steps for steps in nearest if steps < end} | {end})


def _proxy(offer: Offer, horizons: Horizons, points: list[int]) -> ProxyScorer:
    """The averaged predictions at the points, then those of longer steps from the last."""
    bed = offer.bed
    asked = [("predictions", steps, 1.0) for steps in points]
    kept = [c for c in LONGER_STEPS if points[-1] in bed.points(longer(c))]
    asked += [(longer(c), points[-1], c) for c in kept]
    parts = []
    for answer, steps, coefficient in asked:
        losses = offer.of_experts(answer, steps)
        rows = [TableRow(m, metrics_of(y)) for m, y in zip(bed.mixtures, losses, strict=True)]
        scorer = TableScorer(rows, answer="proxy")
        length = horizons.effective(steps)
        parts.append(ProxyPart("predictions", steps, length, scorer, coefficient))
    names = metrics_of(np.zeros(len(offer.sets)))
    metrics = [Metric(name.split("/")[0], "loss", "min") for name in names]
    anchors = bed.mixtures[: len(bed.domains) + 1]
    base = dict(zip(names, bed.base[offer.sets].tolist(), strict=True))
    offer.n_passes += len(bed.domains) * len(parts) + 1
    target = horizons.effective(bed.steps)
    return ProxyScorer(parts, anchors, target, metrics, ("predictions",), "linear", lambda: base)
