"""From two answers to one recommendation: search, calibrate, choose, predict.

Method:
    The proxy is searched; the few mixtures that tell most are trained where a trainer is given
    (`calibration`); the best corrected score is found, and of the mixtures that cannot be told from
    it the simplest is recommended (`equals`). Nothing here knows a model or a file: scorers over
    tables of runs serve as well as merged and trained models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from mixwise.decision.bootstrap import Standing, bootstrap_objective, interval, standings
from mixwise.decision.calibration import (
    LEAST_GAIN,
    Calibrated,
    Reference,
    RepeatedScorer,
    correct,
    train_in_turn,
    training_pool,
)
from mixwise.decision.equals import (
    Equals,
    Preference,
    compare_with_anchor,
    simplest_between,
)
from mixwise.decision.forecast import Forecast, Range, draw_missed, forecast
from mixwise.decision.rounding import Rounding, nearest_good, what_is_lost
from mixwise.errors import RecipeError, nearest
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation
from mixwise.prior import Prior
from mixwise.scorer import Scorer
from mixwise.search.method_table import METHODS
from mixwise.search.methods.listed import search_listed
from mixwise.search.problem import SearchProblem, mixture_of, shares_of
from mixwise.search.space.designs import centre
from mixwise.search.space.optimum import maximise
from mixwise.search.surrogates.objective_model import fit_surface


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What is recommended, and what it rests on.

    Args:
        best: The recommended mixture, by the proxy.
        highest: The mixture with the largest corrected score, by the proxy; the same one where
            nothing simpler is as good.
        equals: Its comparison with the anchor; None where nothing simpler is preferred.
        calibrated: The corrected proxy.
        forecast: What training on the recommendation should reach.
        rounding: What shares in whole steps cost; None where the space has no grid, or the mixture
            lies on it anyway.
    """

    best: Observation
    highest: Observation
    equals: Equals | None
    calibrated: Calibrated
    forecast: Forecast
    rounding: Rounding | None = None

    @property
    def mixture(self) -> Mixture:
        """The recommended mixture."""
        return mixture_of(self.best)

    @property
    def is_anchor(self) -> bool:
        """Whether the simplest mixture of all is recommended: nothing is known to be better."""
        return self.equals is not None and self.mixture == self.equals.anchor


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Scored mixtures beside the recommended one.

    Args:
        observations: By the proxy.
        standings: Of each: ``recommended``, ``equal``, ``ahead`` or ``behind``.
        interval: Middle 95 % of the recommendation's proxy score over resampled examples.
    """

    observations: tuple[Observation, ...]
    standings: tuple[Standing, ...]
    interval: Range


def recommend(
    proxy: Scorer,
    space: MixtureSpace,
    objective: Objective,
    scale: Scale,
    *,
    trainer: RepeatedScorer | None = None,
    n_calibration: int = 0,
    n_seeds: int = 1,
    least_gain: float = LEAST_GAIN,
    known: Sequence[Reference] = (),
    candidates: Sequence[Mixture] | None = None,
    method: str = "auto",
    budget: int | None = None,
    prefer: Preference = "uniform",
    anchor: Mixture | None = None,
    base: Observation | None = None,
    n_final_seeds: int = 1,
    seed: int = 0,
    prior: Prior | None = None,
) -> Decision:
    """Recommend a mixture.

    Args:
        proxy: The cheap answer.
        space: Where the mixture must lie.
        objective: What to maximise.
        scale: Base values and spreads of its metrics.
        trainer: The dear answer; needed where mixtures are trained for calibration.
        n_calibration: At most so many mixtures are trained to correct the proxy.
        n_seeds: Seeds that the trainer trains each with.
        least_gain: Regret that training a mixture must be expected to save; 0 where the runs are
            paid for anyway.
        known: Mixtures that were scored by both answers before.
        candidates: The only mixtures that may be scored, trained and recommended, as far as they
            lie in the space and on its grid; None for all of the space. The anchor is preferred
            only where it is one of them.
        method: Search method, by its name; of no effect with candidates.
        budget: At most so many mixtures are scored; None for the method's own number.
        prefer: What is simplest among equals: the ``uniform`` mixture, the shares of the
            ``available`` tokens (then give `anchor`), or ``none``: the largest score wins.
        anchor: The simplest mixture, in the space; None for its centre.
        base: The base model by the proxy, which pairs the examples; None where there is none.
        n_final_seeds: Seeds that the forecast's interval is for.
        seed: Decides every random choice.
        prior: A mixture that leaving costs; None for none.

    Returns:
        The decision.

    Raises:
        RecipeError: If the method or the preference is unknown, the budget too small, no candidate
            in the space, calibration is asked for without a trainer, or the method answers with
            plain averages of subsets where the space has a grid.
    """
    if n_calibration and trainer is None:
        raise RecipeError(
            f"`n_calibration` is {n_calibration}, but there is no `trainer` to train mixtures: "
            "give one, or set it to 0"
        )
    problem = SearchProblem(proxy, space, objective, scale, budget, seed, prior=prior)
    if candidates is not None:
        candidates = [c for c in candidates if space.contains(c) and space.is_on_grid(c)]
    elif space.grid is not None and METHODS.find(method).is_of_subsets:
        raise RecipeError(
            f"the method `{method}` answers with plain averages, which are on no grid: use another "
            "method, or a space without one"
        )
    if candidates is None:
        found = METHODS.find(method).search(problem)
    else:
        found = search_listed(problem, candidates)
    surface = fit_surface(problem, found.scored)
    chosen: tuple[Reference, ...] = ()
    is_listed = candidates is not None or METHODS[found.method].is_of_subsets
    if trainer is not None and n_calibration:
        pool = candidates or training_pool(problem, found, surface, is_of_subsets=is_listed)
        chosen = train_in_turn(
            problem,
            pool,
            surface,
            trainer,
            n_mixtures=n_calibration,
            n_seeds=n_seeds,
            least_gain=least_gain,
            known=known,
        )
    calibrated = correct(problem, found, surface, chosen, known)
    return decide(
        calibrated,
        candidates=candidates,
        prefer=prefer,
        anchor=anchor,
        base=base,
        n_final_seeds=n_final_seeds,
        is_searched_again=True,
    )


def decide(
    calibrated: Calibrated,
    *,
    candidates: Sequence[Mixture] | None = None,
    prefer: Preference = "uniform",
    anchor: Mixture | None = None,
    base: Observation | None = None,
    n_final_seeds: int = 1,
    is_searched_again: bool,
) -> Decision:
    """Choose among all that is known.

    Args:
        calibrated: The corrected proxy.
        candidates: As in `recommend`.
        prefer: As there.
        anchor: As there.
        base: As there.
        n_final_seeds: As there.
        is_searched_again: Whether the corrected score is maximised anew; else the search's own
            answer is the highest.

    Raises:
        RecipeError: If the preference is unknown, or is for the available tokens without an anchor.
    """
    problem, found = calibrated.problem, calibrated.found
    is_listed = candidates is not None or METHODS[found.method].is_of_subsets
    highest = found.best
    if is_searched_again and calibrated.discrepancy is not None:
        highest = _highest(calibrated, candidates, is_listed=is_listed)
    simplest = _anchor(problem.space, prefer, anchor)
    is_allowed = candidates is None or simplest in candidates
    if simplest is None or not is_allowed:
        return _rounded(calibrated, highest, highest, None, n_final_seeds)
    [at_anchor] = problem.scorer.score([simplest])
    deviation = _example_deviation(calibrated, (highest, at_anchor), base)
    equals = compare_with_anchor(calibrated, highest, at_anchor, deviation)
    best = highest
    if equals.holds_anchor:
        best = at_anchor
    elif not is_listed:
        between = simplest_between(calibrated, highest, equals)
        [best] = problem.scorer.score([between])
    return _rounded(calibrated, best, highest, equals, n_final_seeds)


def _rounded(
    calibrated: Calibrated,
    best: Observation,
    highest: Observation,
    equals: Equals | None,
    n_seeds: int,
) -> Decision:
    """The decision for a mixture, or for one of the space's grid in its place."""
    space, chosen, rounding = calibrated.problem.space, best, None
    if space.grid is not None and not space.is_on_grid(mixture_of(best)):
        nearest = nearest_good(calibrated.value, space, mixture_of(best))
        [chosen] = calibrated.problem.scorer.score([nearest])
        rounding = what_is_lost(calibrated, space.grid, best, chosen)
    expected = forecast(calibrated, chosen, n_seeds=n_seeds)
    return Decision(chosen, highest, equals, calibrated, expected, rounding)


def compare(decision: Decision, others: Sequence[Observation], base: Observation) -> Compared:
    """Say where scored mixtures stand beside the recommended one.

    Args:
        decision: What is recommended.
        others: By the proxy; mixtures outside the space too.
        base: The base model by the proxy.
    """
    every = _each_once([*_inside(decision.calibrated), *others, decision.highest, decision.best])
    problem = decision.calibrated.problem
    draws = bootstrap_objective(every, base, problem.objective, problem.scale, seed=problem.seed)
    best = [o.mixture for o in every].index(decision.best.mixture)
    compared = problem.pulled(draws + draw_missed(decision.calibrated, every), shares_of(every))
    stand = standings(compared, best)
    return Compared(tuple(every), tuple(stand), interval(draws[:, best]))


def _anchor(space: MixtureSpace, prefer: Preference, anchor: Mixture | None) -> Mixture | None:
    """The simplest mixture; None where the largest score wins."""
    if prefer not in get_args(Preference):
        raise RecipeError(f"`prefer` is `{prefer}`: {nearest(prefer, get_args(Preference))}")
    if prefer == "available" and anchor is None:
        raise RecipeError(
            "`prefer` is `available`, but there is no `anchor`: give the mixture of the available "
            "tokens (`Mixture.proportional`)"
        )
    return None if prefer == "none" else anchor or centre(space)


def _highest(
    calibrated: Calibrated, candidates: Sequence[Mixture] | None, *, is_listed: bool
) -> Observation:
    """The proxy's observation of the mixture with the largest corrected score."""
    problem = calibrated.problem
    known = list(_inside(calibrated))
    if candidates is not None:
        shares = np.array([candidate.shares for candidate in candidates])
        top = candidates[int(calibrated.value(shares).argmax())]
        known = [*problem.scorer.score([top]), *known]
    elif not is_listed:
        top = maximise(calibrated.value, problem.space, seed=problem.seed)
        known = [*problem.scorer.score([top]), *known]
    scores = np.array([problem.value(o) for o in known])
    return known[int((scores + calibrated.missed(shares_of(known))).argmax())]


def _inside(calibrated: Calibrated) -> list[Observation]:
    """What was scored within the bounds, which alone may be recommended."""
    space = calibrated.problem.space
    return [o for o in calibrated.found.scored if o.mixture and space.contains(o.mixture)]


def _example_deviation(
    calibrated: Calibrated, pair: tuple[Observation, Observation], base: Observation | None
) -> float:
    problem = calibrated.problem
    draws = bootstrap_objective(pair, base, problem.objective, problem.scale, seed=problem.seed)
    return float((draws[:, 0] - draws[:, 1]).std())


def _each_once(observations: Sequence[Observation]) -> list[Observation]:
    return list({str(o.mixture): o for o in observations}.values())
