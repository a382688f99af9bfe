"""The demo's search by each method on the same experts: what it finds, in which tokens and time.

Method:
    Every method starts from an empty ledger, with the experts' own scores given. The interval of
    the reference method's best mixture resamples evaluation examples, as the recommendation's does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.claims import Claim, save_claims
from benchmarks.demo_problem import demo_problem

from mixwise.decision.bootstrap import bootstrap_objective, interval
from mixwise.ledger import Ledger
from mixwise.scoring.merged import MergedScorer
from mixwise.search.method_table import METHODS
from mixwise.search.problem import SearchProblem, SearchResult
from mixwise.study.session import Workspace

METHOD_NAMES = ("lattice", "mergemix", "slopes")


@dataclass(frozen=True, slots=True)
class Search:
    """One search: what it found, in which time."""

    result: SearchResult
    seconds: float

    @property
    def n_tokens(self) -> int:
        """Forward tokens of all that was scored."""
        return sum(o.tokens_evaluated for o in self.result.scored)


def run_search(workspace: Workspace, problem: SearchProblem, method: str, folder: Path) -> Search:
    """Search with nothing but the experts' scores in the ledger."""
    ledger = Ledger(folder / f"{method}.sqlite")
    try:
        terms = problem.objective.metrics
        evaluations = replace(
            workspace.evaluations,
            merges=workspace.merges,
            slope_sets=tuple(dict.fromkeys(metric.set_name for metric in terms)),
        )
        scorer = MergedScorer(evaluations, workspace.rule.name, ledger)
        started = time.perf_counter()
        result = METHODS[method].search(replace(problem, scorer=scorer))
        return Search(result, time.perf_counter() - started)
    finally:
        ledger.close()


def main() -> None:
    """Search by each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", type=Path, help="keeps the experts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = given.scratch or Path(temporary)
        opened = demo_problem(scratch, 5, objective="targets", max_sequences=32)
        with opened as (problem, workspace):
            workspace.proxy.score([problem.space.mixture(problem.space.upper)])  # warms workers up
            found = {
                name: run_search(workspace, problem, name, Path(temporary)) for name in METHOD_NAMES
            }
            peer = found["lattice"]
            scored = [o for o in peer.result.scored if o.mixture is not None]
            draws = bootstrap_objective(
                scored, workspace.base_observation, problem.objective, problem.scale, seed=0
            )
            low, high = interval(
                draws[:, [str(o.mixture) for o in scored].index(str(peer.result.best.mixture))]
            )
    claims = []
    for name, search in found.items():
        height = problem.value(search.result.best)
        print(f"{name}: {search.result.best.mixture}, objective {height:.4f}")
        claims += [
            _claim(f"objective found, {name}", height, low, high),
            _claim(f"forward tokens, {name}", search.n_tokens),
            _claim(f"seconds, {name}", search.seconds),
        ]
    ours = found["slopes"]
    claims += [
        _claim("tokens of slopes ÷ lattice", ours.n_tokens / peer.n_tokens),
        _claim("seconds of slopes ÷ lattice", ours.seconds / peer.seconds),
    ]
    save_claims("demo_search", claims)


def _claim(what: str, value: float, low: float | None = None, high: float | None = None) -> Claim:
    bounds = (value if low is None else low, value if high is None else high)
    return Claim(what, value, *bounds, n=1)


if __name__ == "__main__":
    main()
