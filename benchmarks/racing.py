"""Examples that racing saves, and how often it drops the best candidate.

Notation:
    saved: examples of all candidates ÷ examples that were evaluated.
    error: the winner is not the best candidate on all examples.

Method:
    Candidates are scored in full once; races then run on these scores with the examples of each set
    in another order every time. The same races without the control variate, with a z test of 5 %
    at every look in place of the boundary, and with two thirds of the field halved away at each
    look (successive halving) stand beside them.

Source:
    Jamieson and Talwalkar 2016 (arXiv 1502.07943) for successive halving.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.claims import Claim, save_claims
from benchmarks.search import Question, measured_question, synthetic_question
from benchmarks.synthetic import KINDS, instance
from scipy.stats import norm

from mixwise.mixture import Mixture
from mixwise.observation import Measurement, Observation
from mixwise.scorer import VALUES, Part, Request
from mixwise.search.methods.racing import look_schedule, race
from mixwise.search.problem import SearchProblem
from mixwise.search.space.designs import lattice

_ALPHA = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """A scorer that plays scores back with the examples in an order of its own.

    Args:
        observations: On all examples, by mixture.
        seed: Decides the order.
    """

    observations: dict[str, Observation]
    seed: int

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Play back the part that is asked for."""
        return tuple(self._part(self.observations[str(m)], request.part) for m in mixtures)

    def _part(self, observation: Observation, part: Part) -> Observation:
        rows = []
        for m, row in enumerate(observation.measurements):
            n = len(row.examples)
            seen = np.random.default_rng([self.seed, m]).permutation(n)[part.examples(n)]
            rows.append(Measurement(row.metric, row.examples[seen], row.example_weights[seen]))
        return replace(observation, measurements=tuple(rows))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One race.

    Args:
        contest: Which candidates, on what.
        method: Which race.
        saved: Examples of all candidates ÷ those evaluated.
        is_wrong: Whether another than the best won.
        loss: Objective below the best, in shares of the candidates' range.
    """

    contest: str
    method: str
    saved: float
    is_wrong: bool
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Candidates with all their scores.

    Args:
        name: In tables.
        question: Where they come from.
        candidates: To race.
        observations: Of candidates and experts, on all examples, by mixture.
    """

    name: str
    question: Question
    candidates: tuple[Mixture, ...]
    observations: dict[str, Observation]

    @classmethod
    def of(cls, name: str, question: Question, candidates: Sequence[Mixture]) -> Contest:
        """Score everything once."""
        scored = question.scorer.score(candidates)
        found = {str(o.mixture): o for o in (*question.experts, *scored)}
        return cls(name, question, tuple(candidates), found)

    def problem(self, seed: int, *, n_known: int | None = None) -> SearchProblem:
        """The contest with its examples in another order."""
        q, scorer = self.question, Recorded(self.observations, seed)
        experts = [o.mixture for o in q.experts if o.mixture is not None]
        known = scorer.score(experts[:n_known])
        return SearchProblem(scorer, q.space, q.objective, q.scale, None, seed, known)


Racer = Callable[[SearchProblem, Sequence[Mixture]], tuple[Mixture, float]]


def run_race(problem: SearchProblem, candidates: Sequence[Mixture]) -> tuple[Mixture, float]:
    """The package's race; winner and share of the examples seen."""
    found = race(problem, candidates, alpha=_ALPHA)
    return found.winner, found.seen


def run_naive(problem: SearchProblem, candidates: Sequence[Mixture]) -> tuple[Mixture, float]:
    """A paired z test at every look, uncorrected."""
    return _run_looks(problem, candidates, _naive_rows)


def run_halving(problem: SearchProblem, candidates: Sequence[Mixture]) -> tuple[Mixture, float]:
    """The worse half goes at every look."""
    return _run_looks(problem, candidates, lambda values: _ranked(values)[: (len(values) + 1) // 2])


RACERS: dict[str, tuple[Racer, int | None]] = {
    "race": (run_race, None),
    "race, no control variate": (run_race, 1),
    "z test at every look": (run_naive, None),
    "halving": (run_halving, None),
}


def _run_looks(
    problem: SearchProblem,
    candidates: Sequence[Mixture],
    keep: Callable[[np.ndarray], Sequence[int]],
) -> tuple[Mixture, float]:
    """Race by a rule on the objective's per-example terms, blocks of all sets taken together."""
    n_blocks = min(len(m.examples) for m in problem.known[0].measurements)
    looks = look_schedule(n_blocks)
    rows, n_seen, first = list(range(len(candidates))), 0, 0
    values = np.zeros((len(candidates), 0))
    for last in looks:
        blocks = [
            problem.metric_values(
                problem.scorer.score(
                    [candidates[i] for i in rows], Request(part=Part(k, k + 1, looks[-1]))
                )
            )
            for k in range(first, last)
        ]
        heights = [problem.objective.aggregate(block, problem.scale) for block in blocks]
        values = np.concatenate([values, np.array(heights).T], axis=1)
        n_seen += len(rows) * (last - first)
        kept = _ranked(values)[:1] if last == looks[-1] else list(keep(values))
        rows, values, first = [rows[i] for i in kept], values[kept], last
        if len(rows) == 1:
            break
    return candidates[rows[0]], n_seen / (len(candidates) * looks[-1])


def _ranked(values: np.ndarray) -> list[int]:
    return [int(i) for i in np.argsort(-values.mean(axis=1), kind="stable")]


def _naive_rows(values: np.ndarray) -> list[int]:
    order, n = _ranked(values), values.shape[1]
    if n < 4:
        return order
    gaps = values[order[0]] - values[order[1:]]
    z = gaps.mean(axis=1) / np.maximum(gaps.std(axis=1, ddof=1) / np.sqrt(n), 1e-30)
    return order[:1] + [i for i, one in zip(order[1:], z, strict=True) if one < norm.isf(_ALPHA)]


def compare(contests: Sequence[Contest], n_orders: int) -> list[Outcome]:
    """Race every contest in as many orders of the examples."""
    outcomes = []
    for contest in contests:
        scorer = Recorded(contest.observations, 0)
        problem = contest.problem(0)
        values = np.array([problem.value(o) for o in scorer.score(contest.candidates)])
        worth = dict(zip((str(c) for c in contest.candidates), values.tolist(), strict=True))
        for seed in range(n_orders):
            for name, (racer, n_known) in RACERS.items():
                winner, seen = racer(contest.problem(seed, n_known=n_known), contest.candidates)
                loss = (values.max() - worth[str(winner)]) / np.ptp(values)
                outcomes.append(Outcome(contest.name, name, 1 / seen, bool(loss > 0), float(loss)))
    return outcomes


def claims_of(outcomes: Sequence[Outcome]) -> list[Claim]:
    """Savings and errors of each race, contest by contest, and all of them together."""
    claims = []
    for contest in [*dict.fromkeys(o.contest for o in outcomes), None]:
        for method in dict.fromkeys(o.method for o in outcomes):
            mine = [o for o in outcomes if o.method == method and contest in (None, o.contest)]
            claims += _claims(mine, method, contest or "all", is_ours=method == "race")
    return claims


def _claims(mine: Sequence[Outcome], method: str, where: str, *, is_ours: bool) -> list[Claim]:
    n, saved = len(mine), np.array([o.saved for o in mine])
    total = float(1 / np.mean(1 / saved))  # examples of all races ÷ those evaluated
    low, high = np.quantile(saved, [0.025, 0.975])
    wrong = float(np.mean([o.is_wrong for o in mine]))
    spread = 1.96 * float(np.sqrt(max(wrong * (1 - wrong), 1 / n) / n))
    goal = 4.0 if is_ours and where == "all" else None
    return [
        Claim(f"{method}: examples saved, {where}", total, float(low), float(high), n, None, goal),
        Claim(
            f"{method}: error rate, {where}",
            wrong,
            max(0.0, wrong - spread),
            wrong + spread,
            n,
            _ALPHA if is_ours else None,
        ),
    ]


def synthetic_contests(n_examples: int, first_seed: int) -> list[Contest]:
    """The lattices of 5 and 8 domains, one problem of each kind, and close candidates."""
    contests = []
    for k, kind in enumerate(KINDS):
        n_domains = 5 if k % 2 else 8
        question = synthetic_question(lambda seed, kind=kind: kind, n_domains, n_examples)(
            first_seed + k
        )
        candidates = lattice(question.space)
        contests.append(Contest.of(f"{kind} N={n_domains}, lattice", question, candidates))
    made = instance("interior", 5, first_seed + 9, n_examples)
    question = synthetic_question(lambda seed: "interior", 5, n_examples)(first_seed + 9)
    rng = np.random.default_rng(first_seed)
    close = [made.space.mixture(0.2 + rng.normal(0, 0.03, 5)) for _ in range(16)]
    return [*contests, Contest.of("close candidates N=5", question, close)]


def main() -> None:
    """Race on the synthetic family, or on the demo's model with ``--demo``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=100, help="of the examples, a contest")
    parser.add_argument("--examples", type=int, default=256, help="of each metric")
    parser.add_argument("--first-seed", type=int, default=3000)
    parser.add_argument("--demo", type=Path, help="the demo's model; experts are kept here")
    parser.add_argument("--domains", type=int, default=5, help="of the demo's model")
    options = parser.parse_args()
    if options.demo is None:
        outcomes = compare(synthetic_contests(options.examples, options.first_seed), options.orders)
    else:
        outcomes = compare_on_demo(options)
    save_claims(
        "racing" if options.demo is None else "racing_demo",
        claims_of(outcomes),
        n_orders=options.orders,
        n_examples=options.examples,
        first_seed=options.first_seed,
        outcomes=[asdict(outcome) for outcome in outcomes],
    )


def compare_on_demo(options: argparse.Namespace) -> list[Outcome]:
    """Race the lattice of the demo's domains on real merges."""
    from benchmarks.demo_problem import demo_problem

    n = options.domains
    with demo_problem(options.demo, n, max_sequences=options.examples) as (problem, _):
        question = measured_question(f"demo N={n}", problem)
        contest = Contest.of(question.name, question, lattice(question.space))
        return compare([contest], options.orders)


if __name__ == "__main__":
    main()
