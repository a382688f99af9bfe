"""How many forward tokens each search needs to come within 1 % of the best proxy score.

Notation:
    R: range of the objective, best less worst over a dense sample and the extreme points.
    hit: first mixture whose score is within 0.01 R of the best.

Method:
    Every method runs on the same problems through a meter. One evaluation is one forward pass over
    all examples; a mixture with slopes costs three, a mixture that was scored before costs nothing,
    and neither do the experts' own scores, which every method is given because the objective's
    scale is made of them (a claim counts them). A method whose budget is fixed
    beforehand runs with growing budgets until one hits, and only the run that hits is counted.
    What does not hit within the cap is censored: it counts as the cap, and is reported.

Source:
    Wang et al. 2026 (arXiv 2601.17858), Li et al. 2026 (arXiv 2602.00747); Hansen 2016 (arXiv
    1604.00772) for CMA-ES, over shares divided by their sum from σ = 1/6, as mergekit-evolve runs
    it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.synthetic import KINDS, Kind, extremes, instance

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation
from mixwise.scorer import VALUES, Request, Scorer
from mixwise.search.method_table import METHODS
from mixwise.search.problem import SearchProblem, mixture_of

Array = npt.NDArray[np.float64]
_NEAR = 0.01  # of R
_CAP = 1000  # forward passes
_TOKENS_OF_SLOPES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A problem whose answer is known, synthetic or measured.

    Args:
        name: What it is called in tables.
        scorer: Answers.
        space: Where.
        objective: What is maximised.
        scale: Of the objective.
        experts: Observations of the single domains, given to every method.
        true_value: The objective without noise, of a mixture.
        best: Its largest value in the space.
        worst: Its smallest.
    """

    name: str
    scorer: Scorer
    space: MixtureSpace
    objective: Objective
    scale: Scale
    experts: tuple[Observation, ...]
    true_value: Callable[[Mixture], float]
    best: float
    worst: float


@dataclass(slots=True)
class Meter:
    """A scorer that counts, and stops nobody."""

    question: Question
    free: set[str]
    cost: float = 0.0
    costs: list[float] = field(default_factory=list)
    regrets: list[float] = field(default_factory=list)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Pass the question on, and note what it cost and how good the mixtures are."""
        answers = self.question.scorer.score(mixtures, request)
        for answer in answers:
            self._note(mixture_of(answer), request)
        return answers

    def _note(self, mixture: Mixture, request: Request) -> None:
        question, is_free = self.question, str(mixture) in self.free and request.order == 0
        self.cost += 0 if is_free else _TOKENS_OF_SLOPES if request.order else 1
        self.free.add(str(mixture))
        if not question.space.contains(mixture):
            return
        loss = question.best - question.true_value(mixture)
        self.costs.append(self.cost)
        self.regrets.append(loss / (question.best - question.worst))

    @property
    def hit(self) -> float | None:
        """Forward passes until the best is nearly reached."""
        near = [c for c, r in zip(self.costs, self.regrets, strict=True) if r <= _NEAR]
        return near[0] if near else None


Run = Callable[[SearchProblem], object]


@dataclass(frozen=True, slots=True)
class Contender:
    """A method with the budgets that it tries one after the other.

    Args:
        name: In tables.
        run: The search.
        budgets: Mixtures; None for the method's own.
    """

    name: str
    run: Run
    budgets: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one question.

    Args:
        question: Name.
        method: Name.
        hit: Forward passes to come within 1 %, None where it never did.
        spent: Forward passes of the run that hit, or of the last one.
        regret: Of the best scored mixture of that run, in shares of R.
        first_regret: The same of the run with the first budget.
        cpu_seconds: Of that run, scoring included.
    """

    question: str
    method: str
    hit: float | None
    spent: float
    regret: float
    first_regret: float
    cpu_seconds: float


def run_cma(problem: SearchProblem) -> None:
    """CMA-ES over unnormalised weights, as mergekit-evolve covers the simplex."""
    with warnings.catch_warnings():  # it misses a plotting library that nobody asked for
        warnings.simplefilter("ignore")
        import cma
    n, domains = len(problem.space.domains), problem.space.domains
    budget = problem.budget or _CAP
    options = {"verbose": -9, "seed": problem.seed + 1, "bounds": [0, None]}
    strategy = cma.CMAEvolutionStrategy(np.full(n, 1 / n), 1 / 6, options)
    n_scored = 0
    while n_scored < budget and not strategy.stop():
        genomes = strategy.ask()
        shares = [g / g.sum() if g.sum() > 0 else np.full(n, 1 / n) for g in genomes]
        answers = problem.scorer.score([Mixture(domains, tuple(s)) for s in shares])
        strategy.tell(genomes, [-problem.value(answer) for answer in answers])
        n_scored += len(genomes)


def contenders(n_domains: int) -> tuple[Contender, ...]:
    """The default, what was published, and the strong plain ones."""
    n_lattice = n_domains * (n_domains + 1) // 2
    return (
        Contender("mixwise", METHODS["auto"].search, (None,)),
        Contender("mergemix", METHODS["mergemix"].search, (40, 80, 160, 320, _CAP)),
        Contender("demix", METHODS["demix"].search, (112, 224, _CAP)),
        Contender("cma-es", run_cma, (_CAP,)),
        Contender("lattice", METHODS["lattice"].search, (None, n_lattice + 20)),
        Contender("random", METHODS["random"].search, (40, _CAP)),
    )


def compare(
    question_of: Callable[[int], Question], methods: Sequence[Contender], seeds: Sequence[int]
) -> list[Row]:
    """Run every method on the question of every seed.

    Args:
        question_of: Seed → question.
        methods: To compare.
        seeds: Of questions and methods.
    """
    return [
        measure(question, method, seed)
        for seed in seeds
        for question in (question_of(seed),)
        for method in methods
    ]


def measure(question: Question, method: Contender, seed: int) -> Row:
    """Run one method on one question, with growing budgets until it hits."""
    keys = {str(o.mixture) for o in question.experts}
    regrets = []
    for budget in method.budgets:
        meter = Meter(question, set(keys))
        started = time.process_time()
        method.run(
            SearchProblem(
                meter,
                question.space,
                question.objective,
                question.scale,
                budget,
                seed,
                question.experts,
            )
        )
        seconds = time.process_time() - started
        regrets.append(min(meter.regrets))
        if meter.hit is not None:
            break
    return Row(question.name, method.name, meter.hit, meter.cost, regrets[-1], regrets[0], seconds)


def synthetic_question(
    kind_of: Callable[[int], Kind], n_domains: int, n_examples: int = 64
) -> Callable[[int], Question]:
    """Questions of the synthetic family, seed by seed."""

    def question(seed: int) -> Question:
        made = instance(kind_of(seed), n_domains, seed, n_examples)
        best, worst = extremes(made)
        corners = [Mixture.single(made.space.domains, name) for name in made.space.domains]
        return Question(
            made.name,
            made.scorer,
            made.space,
            made.objective,
            made.scale,
            made.scorer.score(corners),
            lambda mixture: float(made.truth(mixture.array[None])[0]),
            best,
            worst,
        )

    return question


def measured_question(name: str, problem: SearchProblem) -> Question:
    """A question about real merges, whose best and worst are those of a long search.

    Args:
        name: In tables.
        problem: Real scorer; `known` holds the experts.
    """
    values = [problem.value(o) for o in problem.known]
    n = len(problem.space.domains)
    for method, budget in (("lattice", n * (n + 1) // 2 + 10), ("slopes", 30), ("bayes", 40)):
        result = METHODS[method].search(replace(problem, budget=budget))
        values += [problem.value(o) for o in result.scored]
    return Question(
        name,
        problem.scorer,
        problem.space,
        problem.objective,
        problem.scale,
        problem.known,
        lambda mixture: problem.value(problem.scorer.score([mixture])[0]),
        max(values),
        min(values),
    )


def claims_of(rows: Sequence[Row], n_domains: int, where: str) -> list[Claim]:
    """What the rows of one number of domains show.

    Args:
        rows: Of all methods and seeds.
        n_domains: N.
        where: What the problems are, in words.
    """
    passes = {name: _passes(rows, name) for name in dict.fromkeys(row.method for row in rows)}
    mine, at = passes["mixwise"], f"{where}, N={n_domains}"
    claims = [
        _claim(f"forward passes until within 1 %, {at}: {name}{_censored(rows, name)}", values)
        for name, values in passes.items()
    ]
    goal = {4: None, 5: 0.25, 8: None}.get(n_domains, 0.1)
    claims.append(_claim(f"passes ÷ MergeMix, {at}", mine / passes["mergemix"], at_most=goal))
    counted = (mine + n_domains) / (passes["mergemix"] + n_domains)
    claims.append(_claim(f"the same, experts' scores counted, {at}", counted))
    ahead = 1.0 if n_domains >= 8 else None
    claims.append(_claim(f"passes ÷ lattice, {at}", mine / passes["lattice"], at_most=ahead))
    return [*claims, *_answers(rows, at)]


def _answers(rows: Sequence[Row], at: str) -> list[Claim]:
    """How good the answers are, against every other method at its published budget."""
    mine = np.array([row.regret for row in rows if row.method == "mixwise"])
    others = [
        [row.first_regret for row in rows if row.method == name]
        for name in dict.fromkeys(row.method for row in rows)
        if name not in ("mixwise", "cma-es")  # which has no published budget
    ]
    excess = 100 * (mine - np.array(others).min(axis=0))
    n = len(mine)
    return [
        Claim(f"regret, % of R, largest, {at}", 100 * mine.max(), 0.0, 100 * mine.max(), n, 1.0),
        Claim(
            f"regret less the best other method's, % of R, largest, {at}",
            float(excess.max()),
            float(excess.min()),
            float(excess.max()),
            n,
            1.0,
        ),
    ]


def _passes(rows: Sequence[Row], method: str) -> Array:
    """Passes of each question, censored ones at the cap."""
    return np.array([_CAP if r.hit is None else r.hit for r in rows if r.method == method])


def _censored(rows: Sequence[Row], method: str) -> str:
    n = sum(row.hit is None for row in rows if row.method == method)
    return f" (never: {n})" if n else ""


def _claim(what: str, values: Array, *, at_most: float | None = None) -> Claim:
    """The median, with its 95 % bootstrap interval."""
    draws = values[np.random.default_rng(0).integers(len(values), size=(2000, len(values)))]
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return Claim(what, float(np.median(values)), float(low), float(high), len(values), at_most)


def main() -> None:
    """Compare on the synthetic family, or on the demo's model with ``--demo``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domains", type=int, nargs="+", default=[4, 5, 8, 16, 32])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--demo", type=Path, help="the demo's model; experts are kept here")
    parser.add_argument("--objective", default="domains", help="the demo's: domains or targets")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    rows: list[Row] = []
    claims: list[Claim] = []
    for n in options.domains:
        if options.demo is None:
            question_of = synthetic_question(lambda seed: KINDS[seed % len(KINDS)], n)
            found = compare(question_of, contenders(n), seeds)
        else:
            found = compare_on_demo(options.demo, n, options.objective, seeds)
        claims += claims_of(found, n, "synthetic" if options.demo is None else "demo")
        rows += found
        print(f"{n} domains: done", flush=True)
    name = "search" if options.demo is None else f"search_demo_{options.objective}"
    save_claims(name, claims, cap=_CAP, seeds=list(seeds), rows=[asdict(row) for row in rows])


def compare_on_demo(scratch: Path, n: int, objective: str, seeds: Sequence[int]) -> list[Row]:
    """Run every method on real merges of the demo's model, one question for all seeds."""
    from benchmarks.demo_problem import demo_problem

    with demo_problem(scratch, n, objective=objective) as (problem, _):
        question = measured_question(f"demo N={n} {objective}", problem)
        return compare(lambda seed: question, contenders(n), seeds)


if __name__ == "__main__":
    main()
