"""The recommendation, as `recommendation.json` holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mixwise.decision.binding import Binding
from mixwise.decision.fidelity import Fidelity
from mixwise.decision.front import Front
from mixwise.decision.left_prior import PriorFacts
from mixwise.decision.outcome import Outcome
from mixwise.decision.rounding import Rounding
from mixwise.decision.score import Score, Shares
from mixwise.decision.trust import Trust
from mixwise.share_units import UNIT_WORDS, ShareUnit
from mixwise.study.results.circumstances import Cost, FinalRun, HorizonFacts, Provenance
from mixwise.study.results.forecasts import (
    FloorFacts,
    ProxyForecast,
    Rated,
    ReferenceForecast,
    Simplicity,
)
from mixwise.study.results.scored import ObjectiveFacts, Range


@dataclass(frozen=True, slots=True)
class Recommendation:
    """``recommendation.json``.

    Args:
        mixture: What to train on.
        answer: The answer in one sentence.
        proxy: The mixture by the proxy.
        reference: What training on it should reach.
        simplicity: Why it is not, or is, the simplest mixture; None where the largest score wins.
        near_optimal: Scored mixtures that cannot be told from it.
        near_optimal_shares: Of each domain, smallest and largest share of predicted mixtures that
            cannot be told from it.
        baselines: All baselines.
        fidelity: Of the proxy's objective, over the validation's references; None without one.
        fidelity_calibrated: The same of the calibrated score.
        trust: How far the recommendation may be trusted.
        horizons: At what the proxy was measured, and whether its answer still moves.
        outcome: What real training showed; None before it.
        cost: Spent and avoided.
        run: The run that it is for.
        provenance: What it was made from.
        floors: Floors of the objective.
        shares_by: What the shares of `mixture`, and of every mixture of the study, count.
        by_other_units: The mixture by the other units; empty where all tokens are learned.
        worse_than_base: Metrics of the objective that the proxy expects to get worse by the
            recommended mixture: the base's value, and what is expected.
        front: Pareto front of the groups that the recipe names; None where it names none.
        binding: Limits that it lies on, and what loosening each would gain.
        rounding: What shares in whole steps cost; None where nothing had to be rounded.
        prior: What staying close to a prior means here; None without one.
        objective: What every J here is made of; None in a file of an older version.
    """

    mixture: Shares
    answer: str
    proxy: ProxyForecast
    reference: ReferenceForecast
    simplicity: Simplicity | None
    near_optimal: tuple[Rated, ...]
    near_optimal_shares: Mapping[str, Range]
    baselines: tuple[Rated, ...]
    fidelity: Fidelity | None
    fidelity_calibrated: Fidelity | None
    trust: Trust
    horizons: HorizonFacts
    outcome: Outcome | None
    cost: Cost
    run: FinalRun
    provenance: Provenance
    floors: tuple[FloorFacts, ...] = ()
    shares_by: ShareUnit = "tokens"
    by_other_units: Mapping[ShareUnit, Shares] = field(default_factory=dict)
    worse_than_base: Mapping[str, Range] = field(default_factory=dict)
    front: Front | None = None
    binding: tuple[Binding, ...] = ()
    rounding: Rounding | None = None
    prior: PriorFacts | None = None
    objective: ObjectiveFacts | None = None

    @property
    def by_tokens(self) -> Shares:
        """The mixture by all tokens, as a run reads it."""
        return self.by_other_units.get("tokens", self.mixture)

    @property
    def unit_words(self) -> str:
        """What its shares count, in words that tell which tokens are meant where there are two."""
        return UNIT_WORDS[self.shares_by] if self.by_other_units else self.horizons.unit

    @property
    def score(self) -> Score:
        """The recommended mixture by the proxy."""
        return Score(self.mixture, self.proxy.objective, self.proxy.metrics)
