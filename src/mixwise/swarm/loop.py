"""Ask and tell: mixtures for a trainer of the user's own, one after the other, and what they gave.

    swarm = Swarm(("math", "code", "web"), {"dev/loss": "min"})
    for _ in range(20):
        mixture = swarm.ask()
        swarm.tell(mixture, {"dev/loss": train_and_evaluate(mixture.as_dict())})
    print(swarm.fit().answer)

Method:
    The first mixtures are uniform, then far from each other (`spread_references`); from then on the
    one whose run is expected to save most regret, given all that was told. What was asked and not
    yet told counts as told what is expected of it, so that several trainings may run at once.

Source:
    Ginsbourger, Le Riche & Carraro 2010, the "kriging believer", for runs that are under way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixwise.decision.references import spread_references
from mixwise.errors import EvaluationError, nearest, printable
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Direction
from mixwise.prior import Prior
from mixwise.search.space.designs import centre
from mixwise.swarm.cross_validation import cross_validate
from mixwise.swarm.findings import SwarmFit
from mixwise.swarm.fit import LEAST_MIXTURES, fit_swarm
from mixwise.swarm.table import SwarmTable, require_columns


class Swarm:
    """Runs of a user's own trainer, and which to make next.

    Args:
        domains: Names.
        metrics: The direction in which each improves, by name; all belong to the objective.
        space: Where mixtures must lie; None for all of these domains.
        prior: A mixture that leaving costs; None for none.
        known: Runs that exist already.
        seed: Decides designs, folds and draws.

    Raises:
        DataError: If a name stands twice, or a direction is none.
        EvaluationError: If the space, the prior or the known runs have other domains, or these
            other metrics.
    """

    def __init__(
        self,
        domains: Sequence[str],
        metrics: Mapping[str, Direction],
        *,
        space: MixtureSpace | None = None,
        prior: Prior | None = None,
        known: SwarmTable | None = None,
        seed: int = 0,
    ) -> None:
        self._domains = tuple(domains)
        self._metrics = dict(metrics)
        self._space = space or MixtureSpace.whole(self._domains)
        require_columns(self._domains, self._metrics)
        if self._space.domains != self._domains:
            raise EvaluationError(
                f"the space is of {', '.join(self._space.domains)}, but the swarm of "
                f"{', '.join(self._domains)}: name the same domains in the same order"
            )
        self._prior = prior
        if prior is not None and prior.mixture.domains != self._domains:
            raise EvaluationError(
                f"the prior is of {', '.join(prior.mixture.domains)}, but the swarm of "
                f"{', '.join(self._domains)}: name the same domains in the same order"
            )
        self._seed = seed
        self._told: list[tuple[Mixture, tuple[float, ...], str]] = []
        self._pending: list[Mixture] = []
        if known is not None:
            self._take(known)

    @property
    def table(self) -> SwarmTable:
        """All that was told, a row a run.

        Raises:
            EvaluationError: If nothing was told yet.
        """
        if not self._told:
            raise EvaluationError("no run was told yet: train what `ask` names, and tell it")
        return SwarmTable(
            self._domains,
            self._metrics,
            np.array([mixture.shares for mixture, _, _ in self._told]),
            np.array([values for _, values, _ in self._told]),
            tuple(place for _, _, place in self._told),
        )

    def ask(self) -> Mixture:
        """The mixture to train next."""
        mixture = self._propose()
        self._pending.append(mixture)
        return mixture

    def tell(self, mixture: Mixture, metrics: Mapping[str, float]) -> None:
        """Give what a run on a mixture scored, whether or not it was asked for.

        Args:
            mixture: Of the same domains.
            metrics: By name, all of them.

        Raises:
            EvaluationError: If domains or metrics are others, or a score is no finite number.
        """
        if mixture.domains != self._domains:
            raise EvaluationError(
                f"the mixture's domains are {', '.join(mixture.domains)}, but those of the swarm "
                f"are {', '.join(self._domains)}: name the same ones in the same order"
            )
        for name in metrics:
            if name not in self._metrics:
                raise EvaluationError(
                    f"`{name}` is no metric of the swarm: {nearest(name, self._metrics)}"
                )
        values = tuple(_number(metrics.get(name)) for name in self._metrics)
        for name, value in zip(self._metrics, values, strict=True):
            if not np.isfinite(value):
                given = printable(str(metrics.get(name, "missing")), 80)
                raise EvaluationError(
                    f"the score `{name}` of {mixture} is {given}: tell a finite number, or train "
                    "the mixture again"
                )
        if mixture in self._pending:
            self._pending.remove(mixture)
        self._told.append((mixture, values, f"run {len(self._told) + 1}"))

    def fit(self) -> SwarmFit:
        """What to train on, by all that was told; see `mixwise.swarm.fit_swarm`."""
        return fit_swarm(self.table, self._space, prior=self._prior, seed=self._seed)

    def _propose(self) -> Mixture:
        known = [*(mixture for mixture, _, _ in self._told), *self._pending]
        told = {mixture for mixture, _, _ in self._told}
        n_first = max(LEAST_MIXTURES, len(self._domains) + 1)
        if len(set(known)) < n_first or len(told) < LEAST_MIXTURES:
            first = centre(self._space)
            if first not in known:
                return first
            found = spread_references(self._space, 1, taken=known, seed=self._seed)
            if found:
                return found[0]
        if len(told) < LEAST_MIXTURES:
            raise EvaluationError(
                "the bounds leave no more mixtures to tell apart, and too few were told for a fit: "
                "widen them"
            )
        table = self._with_pending()
        fitted = fit_swarm(table, self._space, prior=self._prior, seed=self._seed)
        return fitted.next_run.mixture

    def _with_pending(self) -> SwarmTable:
        """What was told, and for each pending mixture what is expected of it."""
        table = self.table
        if not self._pending:
            return table
        shares = np.array([mixture.shares for mixture in self._pending])
        expected = cross_validate(table, seed=self._seed).surface.metrics(shares)
        return SwarmTable(
            self._domains,
            self._metrics,
            np.concatenate([table.shares, shares]),
            np.concatenate([table.values, expected]),
            (*table.places, *("pending" for _ in shares)),
        )

    def _take(self, known: SwarmTable) -> None:
        if known.domains != self._domains or dict(known.metrics) != self._metrics:
            raise EvaluationError(
                "the known runs have other domains or metrics than the swarm: read them with the "
                "same ones"
            )
        for shares, values, place in zip(
            known.shares.tolist(), known.values.tolist(), known.places, strict=True
        ):
            self._told.append((Mixture(self._domains, tuple(shares)), tuple(values), place))


def _number(value: Any) -> float:
    """A score as a trainer gives it; NaN where it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
