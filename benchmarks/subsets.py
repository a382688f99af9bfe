"""What share of the exhaustive table is needed to reach its answer, and to stop there.

Notation:
    table: all 2ᴺ − 1 subsets, each scored once: the answer of Merge to Mix.

Method:
    The table is scored, then `subsets-fast` runs on the same problem, given the experts' scores and
    given none. Passes with slopes count three. Under noise the best score of a table is the
    luckiest one, so that an answer counts as reached when its true objective is no more than 1 % of
    the table's range below.

Source:
    Tao et al. 2025 (arXiv 2505.16066) for the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from benchmarks.claims import Claim, save_claims
from benchmarks.search import Meter, Question, measured_question, synthetic_question
from benchmarks.synthetic import KINDS

from mixwise.search.methods.subsets import subsets
from mixwise.search.methods.subsets_fast import search_subsets_fast
from mixwise.search.problem import SearchProblem

_NEAR = 0.01  # of the table's range


@dataclass(frozen=True, slots=True)
class Row:
    """One problem.

    Args:
        question: Name.
        is_given_experts: Whether the single domains' scores were given, which the table counts too.
        passes: Forward passes until the search stopped.
        share: Of the table.
        is_same: Whether the answer is the table's, or as good.
        loss: True objective below the table's best, in shares of the table's range.
    """

    question: str
    is_given_experts: bool
    passes: float
    share: float
    is_same: bool
    loss: float


def compare(question_of: Callable[[int], Question], seeds: Sequence[int]) -> list[Row]:
    """Search each question with and without the experts' scores.

    Args:
        question_of: Seed → question; its best and worst are not used.
        seeds: Of questions and searches.
    """
    rows = []
    for seed in seeds:
        question = question_of(seed)
        table = np.array([question.true_value(m) for m in subsets(question.space.domains)])
        rows += [_measure(question, table, seed, is_given=is_given) for is_given in (True, False)]
    return rows


def _measure(question: Question, table: np.ndarray, seed: int, *, is_given: bool) -> Row:
    known = question.experts if is_given else ()
    meter = Meter(question, {str(o.mixture) for o in known})
    problem = SearchProblem(
        meter, question.space, question.objective, question.scale, None, seed, known
    )
    found = search_subsets_fast(problem).best.mixture
    assert found is not None
    loss = float((table.max() - question.true_value(found)) / np.ptp(table))
    return Row(
        question.name, is_given, meter.cost, meter.cost / len(table), loss <= _NEAR, max(0.0, loss)
    )


def claims_of(rows: Sequence[Row], where: str) -> list[Claim]:
    """Share of the table, and how often its answer was reached."""
    claims = []
    for is_given in (True, False):
        mine = [row for row in rows if row.is_given_experts is is_given]
        given = "experts' scores given" if is_given else "nothing given"
        shares = np.array([row.share for row in mine])
        low, high = float(shares.min()), float(shares.max())
        what = f"share of the table until it stops, largest, {where}, {given}"
        claims.append(Claim(what, high, low, high, len(mine), at_most=0.2))
        reached = float(np.mean([row.is_same for row in mine]))
        worst = 1 - max(row.loss for row in mine)
        what = f"answers as good as the table's, {where}, {given}"
        claims.append(Claim(what, reached, worst, 1.0, len(mine), at_least=1.0))
    return claims


def main() -> None:
    """Compare on the synthetic family, or on the demo's model with ``--demo``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domains", type=int, help="10, or 8 of the demo's", default=None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=2000)
    parser.add_argument("--demo", type=Path, help="the demo's model; experts are kept here")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.demo is None:
        n = options.domains or 10
        question_of = synthetic_question(lambda seed: KINDS[seed % len(KINDS)], n)
        rows, name, where = compare(question_of, seeds), "subsets", f"synthetic, N={n}"
    else:
        n = options.domains or 8
        rows = compare_on_demo(options.demo, n)
        name, where = "subsets_demo", f"demo, N={n}"
    claims = claims_of(rows, where)
    save_claims(name, claims, seeds=list(seeds), rows=[asdict(row) for row in rows])


def compare_on_demo(scratch: Path, n_domains: int) -> list[Row]:
    """Search the subsets of the demo's domains on real merges."""
    from benchmarks.demo_problem import demo_problem

    with demo_problem(scratch, n_domains) as (problem, _):
        question = measured_question(f"demo N={n_domains}", problem)
        return compare(lambda seed: question, [0])


if __name__ == "__main__":
    main()
