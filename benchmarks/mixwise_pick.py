"""The product's own decision on the tables of a truth bed: `mixwise.decision.recommend`.

Method:
    Experts and the uniform mixture are bought first. A share of what is left buys linear merges of
    candidates, the rest trains candidates one by one where `recommend` says that it saves most
    regret. Merged and trained models are scorers that pay from the purse; everything else is the
    product.

Departures:
    `mixwise run` merges at mixtures of its own choosing, with slopes; a table has candidates only.
    The objective is a mean of plain nats, as the bed is judged: each metric weighs its own spread.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from benchmarks.purse import OverspentError, Pick, Purse

from mixwise.decision.calibration import Reference
from mixwise.decision.equals import Preference
from mixwise.decision.recommend import recommend
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Observation
from mixwise.scorer import VALUES, Request
from mixwise.scoring.table import TableRow, TableScorer
from mixwise.search.problem import distinct

Array = npt.NDArray[np.float64]
MERGED_SHARE = 0.8
_EXPERTS_SEED = 0


class BoughtMerges:
    """Linear merges, each paid for when it is first asked for.

    Args:
        purse: Pays, and knows the losses.
        corners: Losses of the experts, ``(d, sets)``, paid already.
    """

    def __init__(self, purse: Purse, corners: Array) -> None:
        domains = purse.pool.bed.domains
        self._purse = purse
        self._known = {
            str(Mixture.single(domains, name)): row
            for name, row in zip(domains, corners, strict=True)
        }

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Score merges."""
        for mixture in mixtures:
            if str(mixture) not in self._known:
                self._known[str(mixture)] = self._purse.merge(self._purse.pool.index(mixture))
        rows = [TableRow(m, metrics_of(self._known[str(m)])) for m in distinct(mixtures)]
        return TableScorer(rows, answer="proxy").score(mixtures)


class BoughtRuns:
    """Trained models, each paid for when it is first asked for.

    Args:
        purse: Pays, and knows the losses.
    """

    def __init__(self, purse: Purse) -> None:
        self._purse = purse

    def runs(self, mixtures: Sequence[Mixture]) -> tuple[tuple[Observation, ...], ...]:
        """Train mixtures with the draw's seed."""
        rows = [
            TableRow(m, metrics_of(self._purse.train(self._purse.pool.index(m))), self._seed)
            for m in mixtures
        ]
        return TableScorer(rows).runs(mixtures)

    @property
    def _seed(self) -> int:
        return self._purse.training_seed


def metrics_of(losses: Array) -> dict[str, float]:
    """Losses of the objective's sets, by name."""
    return {f"{k}/loss": float(loss) for k, loss in enumerate(losses)}


def by_mixwise(merged_share: float, *, prefer: Preference = "uniform") -> Pick:
    """What the product recommends.

    Args:
        merged_share: Share of what is left after experts and uniform run that merges may cost.
        prefer: What is simplest among equals.
    """

    def pick(purse: Purse) -> int:
        domains = purse.pool.bed.domains
        corners = purse.buy_experts()
        uniform = Mixture.uniform(domains)
        at_uniform = purse.buy_extra(purse.pool.index(uniform))
        proxy = BoughtMerges(purse, corners)
        known = Reference(
            proxy.score([uniform])[0],
            TableScorer([TableRow(uniform, metrics_of(at_uniform), _EXPERTS_SEED)]).runs([uniform])[
                0
            ],
        )
        n_merges = int(merged_share * purse.left / purse.evaluation + 1e-9)
        n_merges = n_merges or min(1, purse.affordable(purse.evaluation))
        if not n_merges:
            raise OverspentError("no merge can be afforded")
        paid = min(n_merges, len(purse.candidates)) * purse.evaluation
        n_runs = int((purse.left - paid) / purse.run + 1e-9)
        spread = corners.std(axis=0, ddof=1)
        names = list(metrics_of(spread))
        decision = recommend(
            proxy,
            MixtureSpace.whole(domains),
            Objective(
                tuple(
                    Term(Metric(name.split("/")[0], "loss", "min"), float(weight))
                    for name, weight in zip(names, spread, strict=True)
                )
            ),
            Scale(metrics_of(corners.mean(axis=0)), metrics_of(spread)),
            trainer=BoughtRuns(purse),
            n_calibration=n_runs,
            least_gain=0.0,
            known=[known],
            candidates=[purse.pool.mixtures[k] for k in purse.candidates],
            budget=n_merges,
            prefer=prefer,
            anchor=uniform,
        )
        return purse.pool.index(decision.mixture)

    return pick
