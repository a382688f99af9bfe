"""Searches in two levels beside flat ones: on the nine-domain bed, and over 64 domains.

    python -m benchmarks.hierarchy nine [--seeds 3] [--objectives domains languages]
    python -m benchmarks.hierarchy wide [--seeds 2]

Method:
    *nine*: the 58 mixtures of nine domains that were trained give a surface per evaluation set (the
    posterior mean of `mixwise.search.surrogates`, fitted to their mean losses); it stands for the
    truth, and every method searches it with the same number of evaluations, over some seeds. Groups
    are what anyone can see: programs and prose. Regret is in shares of the range of the surface.
    *wide*: the synthetic family of `benchmarks.search` with its meter: forward passes until within
    1 % of the range, a mixture with slopes counted as three. A group is what helps the same metric.
    What does not come so near within the cap counts as the cap.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.search import Contender, Question, Row, measure, synthetic_question
from benchmarks.synthetic import KINDS
from benchmarks.truth.pool import OBJECTIVES, Pool, load_pool

from mixwise.domain_groups import DomainGroup
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.scorer import VALUES, Request, Scorer
from mixwise.search.method_table import METHODS
from mixwise.search.problem import SearchProblem
from mixwise.search.space.simplex import climb, sample
from mixwise.search.surrogates.gaussian_process import Evidence, Posterior, fit

Array = npt.NDArray[np.float64]
PROGRAMS = ("python", "c", "sqlite", "perl", "libc")
BUDGETS = (20, 40)
FLAT = ("slopes", "bayes", "mergemix", "random")
LEVELS = ("top-down", "bottom-up", "mergemix-top-down", "mergemix-bottom-up")
_WIDE = 64
_GROUPS = 8
_CAP = 1000
_MERGEMIX = 360  # as many as its hierarchical rows score of eight groups of eight


@dataclass(frozen=True, slots=True, eq=False)
class BedScorer:
    """Answers from the surfaces of a bed.

    Args:
        metrics: One per surface.
        surfaces: Losses as functions of the mixture.
    """

    metrics: tuple[Metric, ...]
    surfaces: tuple[Posterior, ...]

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Values, and slopes where asked."""
        found = [s.predict(np.array([m.shares for m in mixtures])) for s in self.surfaces]
        return tuple(
            Observation(
                mixture,
                "reference",
                "",
                (),
                tuple(
                    Measurement(
                        metric.name,
                        values[k : k + 1],
                        np.ones(1),
                        Derivatives(slopes[k]) if request.order else None,
                    )
                    for metric, (values, slopes) in zip(self.metrics, found, strict=True)
                ),
                0.0,
                0,
                0,
                str(mixture),
            )
            for k, mixture in enumerate(mixtures)
        )


def bed_problem(pool: Pool, objective: str) -> SearchProblem:
    """A search on a bed's surfaces.

    Args:
        pool: Its trained mixtures.
        objective: What is asked for; a mean of losses.
    """
    names = OBJECTIVES[objective] or pool.bed.domains
    losses = np.nanmean(pool.losses, axis=1)
    metrics = tuple(Metric(name, "loss", "min") for name in names)
    none = np.zeros(0, dtype=np.int64)
    surfaces = tuple(
        fit(
            Evidence(
                pool.shares,
                losses[:, pool.bed.sets.index(name)],
                none,
                np.zeros((0, len(pool.bed.domains))),
            ),
            has_floor=True,
        )
        for name in names
    )
    scorer, space = BedScorer(metrics, surfaces), MixtureSpace.whole(pool.bed.domains)
    corners = scorer.score([Mixture.single(space.domains, name) for name in space.domains])
    spread = {m.name: 1.0 for m in metrics}
    base = {m.name: float(pool.base[pool.bed.sets.index(m.set_name)]) for m in metrics}
    prose = tuple(name for name in space.domains if name not in PROGRAMS)
    groups = (DomainGroup("programs", PROGRAMS), DomainGroup("prose", prose))
    terms = Objective(tuple(Term(metric, 1.0) for metric in metrics))
    return SearchProblem(
        scorer, space, terms, Scale(base, spread), None, 0, known=corners, groups=groups
    )


def reach_of(problem: SearchProblem) -> tuple[float, float]:
    """Best and worst of a surface, by climbs from the best of many mixtures."""

    def ascent(shares: Array) -> tuple[Array, Array]:
        mixtures = [Mixture(problem.space.domains, tuple(row / row.sum())) for row in shares]
        found = problem.scorer.score(mixtures, Request(order=1))
        slopes = [
            -np.mean([m.derivatives.slopes for m in one.measurements if m.derivatives], axis=0)
            for one in found
        ]
        return np.array([problem.value(one) for one in found]), np.array(slopes)

    points = np.concatenate(
        [np.eye(len(problem.space.domains)), sample(problem.space, 2000, seed=0)]
    )
    values = ascent(points)[0]
    tops = climb(ascent, problem.space, points[np.argsort(-values)[:8]])
    return float(max(values.max(), ascent(tops)[0].max())), float(values.min())


def on_nine(objectives: Sequence[str], n_seeds: int) -> list[Claim]:
    """Regret of every method at equal evaluations.

    Args:
        objectives: Of the bed.
        n_seeds: Of each method.
    """
    pool, claims = load_pool("nine"), []
    print("| objective | evaluations | " + " | ".join((*FLAT, *LEVELS)) + " |")
    for objective in objectives:
        problem = bed_problem(pool, objective)
        best, worst = reach_of(problem)
        for budget in BUDGETS:
            cells = []
            for name in (*FLAT, *LEVELS):
                lost = []
                for seed in range(n_seeds):
                    found = METHODS[name].search(replace(problem, budget=budget, seed=seed))
                    lost.append(100 * (best - problem.value(found.best)) / (best - worst))
                low, high = np.percentile(lost, [2.5, 97.5])
                value = float(np.median(lost))
                what = f"regret, % of the range, nine, {objective}, {budget} evaluations: {name}"
                claims.append(Claim(what, value, float(low), float(high), n_seeds))
                cells.append(f"{value:.2f}")
            print(f"| {objective} | {budget} | " + " | ".join(cells) + " |", flush=True)
    return claims


@dataclass(frozen=True, slots=True)
class ValuesAlone:
    """A scorer without slopes, as that of accuracies is.

    Args:
        scorer: Answers.
    """

    scorer: Scorer

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Values, whatever is asked."""
        return self.scorer.score(mixtures, replace(request, order=0))


def wide_contenders(domains: tuple[str, ...]) -> tuple[Contender, ...]:
    """Flat methods and those in levels, over groups that help one metric."""
    groups = tuple(DomainGroup(f"g{k}", domains[k::_GROUPS]) for k in range(_GROUPS))

    def contender(name: str, budget: int | None = None, *, has_slopes: bool) -> Contender:
        def run(problem: SearchProblem) -> object:
            scorer = problem.scorer if has_slopes else ValuesAlone(problem.scorer)
            return METHODS[name].search(replace(problem, groups=groups, scorer=scorer))

        return Contender(f"{name}{', values alone' * (not has_slopes)}", run, (budget,))

    return (
        *(contender(name, has_slopes=True) for name in ("slopes", "top-down", "bottom-up")),
        *(contender(name, has_slopes=False) for name in ("bayes", *LEVELS)),
        contender("mergemix", _MERGEMIX, has_slopes=False),
        contender("random", _CAP, has_slopes=False),
    )


def on_many(n_seeds: int) -> tuple[list[Claim], list[Row]]:
    """Passes, evaluations and seconds until within 1 %."""
    question_of, rows = synthetic_question(lambda s: KINDS[s % len(KINDS)], _WIDE), list[Row]()
    for seed in range(1000, 1000 + n_seeds):
        question: Question = question_of(seed)
        for method in wide_contenders(question.space.domains):
            rows.append(measure(question, method, seed))
            print(rows[-1], flush=True)
    claims = []
    for name in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == name]
        hits = np.array([_CAP if row.hit is None else row.hit for row in own])
        never = sum(row.hit is None for row in own)
        for what, values in (
            (f"forward passes until within 1 %, N={_WIDE}: {name} (never: {never})", hits),
            (f"CPU seconds, N={_WIDE}: {name}", np.array([row.cpu_seconds for row in own])),
            (f"regret, % of R, N={_WIDE}: {name}", 100 * np.array([r.regret for r in own])),
        ):
            median = float(np.median(values))
            claims.append(Claim(what, median, float(values.min()), float(values.max()), len(own)))
    return claims, rows


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bed", choices=("nine", "wide"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), help="of nine")
    options = parser.parse_args()
    if options.bed == "nine":
        save_claims("hierarchy_nine", on_nine(options.objectives, options.seeds))
        return
    claims, rows = on_many(options.seeds)
    save_claims("hierarchy_wide", claims, rows=[str(row) for row in rows])


if __name__ == "__main__":
    main()
