"""Searching for accuracy: what each way costs in evaluated examples, and what its pick loses.

    python -m benchmarks.jumps [--beds digits sentiment] [--draws 20] [--scratch .bench/labelled]

Notation:
    pass: as many examples as all search rows together; slopes cost three.
    regret: weighted accuracy of the best of 200 mixtures less the pick's, in points.

Method:
    Classifiers of `benchmarks.truth.labelled` are merged for real; every right and wrong answer is
    one of theirs. A draw cuts each test set into rows that the search sees and rows that it does
    not, and weighs the sets by a flat Dirichlet. Each way searches by the former; regret is taken
    on the latter, against the mixture that is best on all rows, so that it may be negative. All
    ways are given the experts' scores, which the scale of the objective is made of, for nothing.
    What a search would pick after so many passes is the best of what it has scored by then; a race
    is one number of passes and one pick. Intervals are those of the mean over draws (95 %, 2000
    resamples): they hold the rows and weights, not other experts.

Source:
    See `mixwise.search.methods.racing`, `bayes` and `slopes`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from benchmarks.claims import Claim, save_claims
from benchmarks.merged_classifiers import SLOPES_COST, Merges, RowsScorer

from mixwise.arrays import Array
from mixwise.kinds import LABEL_ACCURACY, LABEL_LOSS
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Measure, Metric, Objective, Scale, Term
from mixwise.search.method_table import METHODS
from mixwise.search.methods.racing import race
from mixwise.search.problem import SearchProblem, mixture_of
from mixwise.search.space.designs import low_discrepancy

STEPS = 30  # of the experts, a quarter of the runs of the bed's table
_BUDGETS = (8, 16, 24)  # passes
_RACED = (8, 16, 24)  # candidates
_N_DENSE = 200
_N_RESAMPLES = 2000
_BEST = f"slopes on {LABEL_LOSS.name}, {max(_BUDGETS)}"


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """Rows and weights.

    Args:
        merges: Of a bed.
        seed: Decides both.
        dense: Mixtures among which the best is looked for.
    """

    merges: Merges
    seed: int
    dense: Sequence[Mixture]

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of domains and of test sets, which are theirs."""
        return self.merges.material.domains

    @property
    def weights(self) -> Array:
        """Of the test sets, ``(n_sets,)``."""
        return np.random.default_rng(self.seed).dirichlet(np.ones(len(self.domains)))

    def halves(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """Rows of each set that the search sees, and those that it does not."""
        rng = np.random.default_rng([self.seed, 1])
        orders = {name: rng.permutation(len(rows)) for name, rows in self._test.items()}
        cut = {name: len(order) // 2 for name, order in orders.items()}
        return (
            {name: order[: cut[name]] for name, order in orders.items()},
            {name: order[cut[name] :] for name, order in orders.items()},
        )

    @property
    def _test(self) -> dict[str, object]:
        return dict(self.merges.material.test)

    def problem(self, measure: Measure, *, has_slopes: bool = True) -> SearchProblem:
        """The search for a measure on the rows that are seen."""
        scorer = RowsScorer(self.merges, self.halves()[0], has_slopes)
        experts = scorer.score([Mixture.single(self.domains, name) for name in self.domains])
        scorer.spent.clear()
        metrics = [Metric.of(name, measure) for name in self.domains]
        base = self._base(metrics, measure)
        scale = Scale.measure(base, [{m.name: o.values[m.name] for m in metrics} for o in experts])
        terms = [Term(m, float(w)) for m, w in zip(metrics, self.weights, strict=True)]
        space = MixtureSpace.whole(self.domains)
        objective = Objective(tuple(terms))
        return SearchProblem(scorer, space, objective, scale, None, self.seed, experts)

    def _base(self, metrics: Sequence[Metric], measure: Measure) -> dict[str, float]:
        column = 0 if measure == LABEL_ACCURACY else 1
        answers, rows = self.merges.answers(None), self.halves()[0]
        return {
            metric.name: float(answers[name][column][rows[name]].mean())
            for name, metric in zip(self.domains, metrics, strict=True)
        }

    def regret(self, picks: Sequence[Mixture]) -> Array:
        """In points, on the rows that the search did not see, ``(n_picks,)``."""
        seen, unseen = self.halves()
        both = {name: np.concatenate([seen[name], unseen[name]]) for name in seen}
        share = self._effective_weights()
        best = max(self.dense, key=lambda mixture: self._accuracy(mixture, both, share))
        values = [self._accuracy(mixture, unseen, share) for mixture in (best, *picks)]
        return 100 * (values[0] - np.array(values[1:]))

    def _effective_weights(self) -> Array:
        """Of accuracies in the objective, whose gains are in the experts' spreads."""
        spread = np.array(list(self.problem(LABEL_ACCURACY).scale.spread.values()))
        raw = np.where(spread > 0, self.weights / np.where(spread > 0, spread, 1), 0)
        return raw / raw.sum()

    def _accuracy(self, mixture: Mixture, rows: dict[str, Array], share: Array) -> float:
        answers = self.merges.answers(mixture)
        return float(share @ [answers[name][0][rows[name]].mean() for name in self.domains])


@dataclass(frozen=True, slots=True)
class Pick:
    """What a way would recommend.

    Args:
        way: Its name.
        passes: What it has cost.
        mixture: The mixture.
    """

    way: str
    passes: float
    mixture: Mixture


def by_search(
    method: str, measure: Measure, *, has_slopes: bool = False
) -> Callable[[Draw], list[Pick]]:
    """Picks of a method along its way: what it has scored best within each budget."""
    name = f"{method} on {measure.name}"
    if method == "bayes":
        name += ", slopes of the loss" if has_slopes else ", values alone"

    def picks(draw: Draw) -> list[Pick]:
        problem = draw.problem(measure, has_slopes=has_slopes)
        scorer = problem.scorer
        assert isinstance(scorer, RowsScorer)
        most = max(_BUDGETS)
        n_mixtures = most // SLOPES_COST + len(draw.domains) if has_slopes else most
        scored = METHODS[method].search(replace(problem, budget=n_mixtures)).scored
        spent = np.cumsum(scorer.spent[: len(scored)])
        found = []
        for budget in _BUDGETS:
            n = int(np.searchsorted(spent, budget, side="right"))
            best = problem.best([*scored[:n], *problem.known])
            found.append(Pick(f"{name}, {budget}", float(spent[n - 1]), mixture_of(best)))
        return found

    return picks


def by_race(draw: Draw) -> list[Pick]:
    """Winners of races over evenly spread candidates and the experts."""
    found = []
    for n in _RACED:
        problem = draw.problem(LABEL_ACCURACY)
        scorer = problem.scorer
        assert isinstance(scorer, RowsScorer)
        experts = [mixture_of(o) for o in problem.known]
        candidates = [*low_discrepancy(problem.space, n, seed=draw.seed), *experts]
        winner = race(problem, candidates).winner
        found.append(Pick(f"race of {n} and the experts", sum(scorer.spent), winner))
    return found


def uniform(draw: Draw) -> list[Pick]:
    """What nobody has to search."""
    return [Pick("uniform", 0.0, Mixture.uniform(draw.domains))]


WAYS: Sequence[Callable[[Draw], list[Pick]]] = (
    uniform,
    by_search("random", LABEL_ACCURACY),
    by_race,
    by_search("bayes", LABEL_ACCURACY),
    by_search("bayes", LABEL_ACCURACY, has_slopes=True),
    by_search("slopes", LABEL_LOSS, has_slopes=True),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One pick of one draw."""

    bed: str
    seed: int
    way: str
    passes: float
    regret: float


def compare(bed: str, merges: Merges, n_draws: int, file: Path) -> list[Outcome]:
    """All ways on all draws of a bed; a killed script goes on at the draw where it was.

    Args:
        bed: Its name.
        merges: Of its experts.
        n_draws: Wanted.
        file: Keeps what was found; remove it where a way to search has changed.
    """
    space = MixtureSpace.whole(merges.material.domains)
    dense = low_discrepancy(space, _N_DENSE, seed=0)
    outcomes = [Outcome(**row) for row in json.loads(file.read_text())] if file.is_file() else []
    for seed in range(1 + max((o.seed for o in outcomes), default=-1), n_draws):
        draw = Draw(merges, seed, dense)
        picks = [pick for way in WAYS for pick in way(draw)]
        regrets = draw.regret([pick.mixture for pick in picks])
        outcomes += [
            Outcome(bed, seed, pick.way, pick.passes, float(regret))
            for pick, regret in zip(picks, regrets, strict=True)
        ]
        file.write_text(json.dumps([asdict(outcome) for outcome in outcomes]))
    return [outcome for outcome in outcomes if outcome.seed < n_draws]


def claims_of(outcomes: Sequence[Outcome]) -> list[Claim]:
    """Mean regret of every way with what it cost, by bed, and how far it is above slopes'."""
    claims = []
    ways = dict.fromkeys(o.way for o in outcomes)
    for bed in dict.fromkeys(o.bed for o in outcomes):
        for way in ways:
            mine = [o for o in outcomes if (o.bed, o.way) == (bed, way)]
            passes = float(np.mean([o.passes for o in mine]))
            what = f"{bed}: regret in points, {way} ({passes:.1f} passes)"
            claims.append(_mean_claim(what, [o.regret for o in mine]))
    found = {(o.way, o.bed, o.seed): o.regret for o in outcomes}
    for way in ways:
        above = [r - found[_BEST, *draw] for (name, *draw), r in found.items() if name == way]
        claims.append(_mean_claim(f"all beds: {way}, less {_BEST}", above))
    return claims


def _mean_claim(what: str, values: Sequence[float]) -> Claim:
    """A mean over draws, with its interval."""
    rng = np.random.default_rng(0)
    means = rng.choice(np.array(values), (_N_RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Claim(what, float(np.mean(values)), float(low), float(high), len(values))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--beds", nargs="*", default=["digits", "sentiment"])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--scratch", type=Path, default=Path(".bench/labelled"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    outcomes = []
    for bed in options.beds:
        merges = Merges.of(bed, options.scratch, STEPS)
        kept = options.scratch / f"jumps-{bed}-{STEPS}.json"
        outcomes += compare(bed, merges, options.draws, kept)
    save_claims(
        "jumps",
        claims_of(outcomes),
        n_draws=options.draws,
        expert_steps=STEPS,
        outcomes=[asdict(outcome) for outcome in outcomes],
    )


if __name__ == "__main__":
    main()
