"""How many forward tokens each search needs to come within 1 % of the best proxy score.

Notation:
    R: range of the objective, best less worst over a dense sample and the extreme points.
    hit: first mixture whose score is within 0.01 R of the best.

Method:
    Every method runs on the same problems through a meter. One evaluation is one forward pass over
    all examples; a mixture with slopes costs three, a mixture that was scored before costs nothing,
    and neither do the experts' own scores, which every method is given because the objective's
    scale is made of them (`--count-experts` counts them). A method whose budget is fixed
    beforehand runs with growing budgets until one hits, and only the run that hits is counted.
    What does not hit within the cap is censored: it counts as the cap, and is reported.

Source:
    Wang et al. 2026 (arXiv 2601.17858), Li et al. 2026 (arXiv 2602.00747); Hansen 2016 (arXiv
    1604.00772) for CMA-ES, over shares divided by their sum from σ = 1/6, as mergekit-evolve runs
    it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cma
import numpy as np
import numpy.typing as npt
from benchmarks.synthetic import KINDS, Instance, instance

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation
from mixwise.scorer import VALUES, Request, Scorer
from mixwise.search.methods import METHODS
from mixwise.search.problem import SearchProblem, mixture_of
from mixwise.search.simplex import climb, extreme_points, sample
from mixwise.search.surfaces import smooth_objective

Array = npt.NDArray[np.float64]
_NEAR = 0.01  # of R
_CAP = 1000  # forward passes
_TOKENS_OF_SLOPES = 3
RESULTS = Path(__file__).parent / "results"


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
        Contender("mergemix", METHODS["mergemix"].search, (40, 80, 160, 320, 640, _CAP)),
        Contender("demix", METHODS["demix"].search, (112, 224, 448, _CAP)),
        Contender("cma-es", run_cma, (_CAP,)),
        Contender("lattice", METHODS["lattice"].search, (None, n_lattice + 20)),
        Contender("random", METHODS["random"].search, (40, _CAP)),
    )


def compare(
    question_of: Callable[[int], Question],
    methods: Sequence[Contender],
    seeds: Sequence[int],
    *,
    counts_experts: bool = False,
) -> list[Row]:
    """Run every method on the question of every seed.

    Args:
        question_of: Seed → question.
        methods: To compare.
        seeds: Of questions and methods.
        counts_experts: Whether the single domains' scores cost a forward pass each.
    """
    return [
        measure(question, method, seed, counts_experts=counts_experts)
        for seed in seeds
        for question in (question_of(seed),)
        for method in methods
    ]


def measure(question: Question, method: Contender, seed: int, *, counts_experts: bool) -> Row:
    """Run one method on one question, with growing budgets until it hits."""
    keys = {str(o.mixture) for o in question.experts}
    regrets = []
    for budget in method.budgets:
        meter = Meter(question, set(keys), cost=len(keys) if counts_experts else 0.0)
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


def synthetic_question(kind_of: Callable[[int], str], n_domains: int) -> Callable[[int], Question]:
    """Questions of the synthetic family, seed by seed."""

    def question(seed: int) -> Question:
        made = instance(kind_of(seed), n_domains, seed)  # type: ignore[arg-type]  # a Kind
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


def extremes(made: Instance) -> tuple[float, float]:
    """Best value, by climbing the truth from many starts, and worst of a dense sample."""
    problem = SearchProblem(made.scorer, made.space, made.objective, made.scale, None, 0)

    def ascent(points: Array) -> tuple[Array, Array]:
        slopes = np.array(
            [[s.slopes(p).mean(axis=0) for s in made.scorer.surfaces] for p in points]
        )
        return smooth_objective(problem, made.scorer.truth(points), slopes)

    n = len(made.space.domains)
    points = np.concatenate(
        [
            extreme_points(made.space, 256, seed=0),
            np.full((1, n), 1 / n),
            sample(made.space, 1000, seed=0),
        ]
    )
    values = made.truth(points)
    starts = points[np.argsort(-values)[:8]]
    tops = climb(ascent, made.space, starts)
    return float(max(values.max(), made.truth(tops).max())), float(values.min())


@dataclass(frozen=True, slots=True)
class Summary:
    """A method over all seeds.

    Args:
        n_domains: N.
        method: Name.
        median: Forward passes to come within 1 %, censored ones at the cap.
        low: 2.5 % quantile of the median's bootstrap.
        high: 97.5 % quantile.
        n_censored: Runs that never came near.
        n_runs: All.
        ratio: Median over runs of this method's passes ÷ MergeMix's on the same problem.
        worst_regret: Largest regret, per cent of R.
        median_spent: Median of all that was spent until the method stopped.
    """

    n_domains: int
    method: str
    median: float
    low: float
    high: float
    n_censored: int
    n_runs: int
    ratio: float
    worst_regret: float
    median_spent: float


def summarise(rows: Sequence[Row], n_domains: int) -> list[Summary]:
    """Medians with bootstrap intervals, and ratios to MergeMix problem by problem."""
    rng = np.random.default_rng(0)
    passes = {
        name: np.array([_CAP if r.hit is None else r.hit for r in rows if r.method == name])
        for name in dict.fromkeys(row.method for row in rows)
    }
    summaries = []
    for name, values in passes.items():
        draws = np.median(values[rng.integers(len(values), size=(2000, len(values)))], axis=1)
        mine = [row for row in rows if row.method == name]
        low, high = np.quantile(draws, [0.025, 0.975])
        ratio = float(np.median(values / passes["mergemix"])) if "mergemix" in passes else np.nan
        summaries.append(
            Summary(
                n_domains,
                name,
                float(np.median(values)),
                float(low),
                float(high),
                sum(row.hit is None for row in mine),
                len(mine),
                ratio,
                100 * max(row.regret for row in mine),
                float(np.median([row.spent for row in mine])),
            )
        )
    return summaries


def show(summaries: Sequence[Summary]) -> None:
    """Print a table."""
    for s in summaries:
        print(
            f"N={s.n_domains:<3} {s.method:9} {s.median:7.0f} [{s.low:.0f}, {s.high:.0f}]"
            f"  ÷ mergemix {s.ratio:6.3f}  censored {s.n_censored}/{s.n_runs}"
            f"  worst regret {s.worst_regret:.2f} %  spent {s.median_spent:.0f}",
            flush=True,
        )


def main() -> None:
    """Run the comparison on the synthetic family and save it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domains", type=int, nargs="+", default=[4, 5, 8, 16, 32])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--count-experts", action="store_true")
    parser.add_argument("--output", default=str(RESULTS / "search.json"))
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    rows, summaries = [], []
    for n in options.domains:
        question_of = synthetic_question(lambda seed: KINDS[seed % len(KINDS)], n)
        found = compare(question_of, contenders(n), seeds, counts_experts=options.count_experts)
        rows += found
        summaries += summarise(found, n)
        show(summaries[-len(contenders(n)) :])
    content = {
        "settings": vars(options),
        "cap": _CAP,
        "summary": [asdict(summary) for summary in summaries],
        "rows": [asdict(row) for row in rows],
    }
    Path(options.output).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
