from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from benchmarks.synthetic import Instance, instance

from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.scorer import VALUES, Part, Request
from mixwise.search.method_table import METHODS
from mixwise.search.methods.boundary import RaceEvidence
from mixwise.search.methods.racing import look_schedule, race, survivors
from mixwise.search.methods.subsets import subsets
from mixwise.search.problem import SearchProblem
from mixwise.search.space.designs import lattice


@dataclass
class Shuffled:
    """A scorer whose examples stand in another order; counts what it is asked for."""

    made: Instance
    seed: int
    n_examples: int = 0
    parts: list[Part] = field(default_factory=list)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        whole = self.made.scorer.score(mixtures)
        self.parts += [request.part] * len(mixtures)
        answers = []
        for observation in whole:
            rows = []
            for m, row in enumerate(observation.measurements):
                n = len(row.examples)
                order = np.random.default_rng([self.seed, m]).permutation(n)
                seen = request.part.examples(n)
                self.n_examples += len(seen)
                rows.append(
                    replace(
                        row,
                        examples=row.examples[order][seen],
                        example_weights=row.example_weights[order][seen],
                    )
                )
            answers.append(replace(observation, measurements=tuple(rows)))
        return tuple(answers)


def problem(made: Instance, seed: int = 0, *, n_known: int | None = None) -> SearchProblem:
    scorer = Shuffled(made, seed)
    corners = [Mixture.single(made.space.domains, name) for name in made.space.domains]
    known = scorer.score(corners[:n_known])
    scorer.n_examples, scorer.parts = 0, []
    return SearchProblem(scorer, made.space, made.objective, made.scale, None, 0, known)


def truly_best(made: Instance, candidates: Sequence[Mixture]) -> Mixture:
    values = made.truth(np.array([mixture.shares for mixture in candidates]))
    return candidates[int(values.argmax())]


@pytest.mark.parametrize("aggregation", ["mean", "worst"])
def test_the_best_wins_at_a_fraction_of_the_examples(aggregation: str) -> None:
    made = instance("interior", 5, 0, n_examples=512)
    made = replace(made, objective=replace(made.objective, aggregation=aggregation))
    asked = problem(made)
    candidates = lattice(made.space)
    found = race(asked, candidates)
    assert found.winner == truly_best(made, candidates)
    assert isinstance(asked.scorer, Shuffled)
    assert asked.scorer.n_examples == pytest.approx(found.seen * len(candidates) * 5 * 512)
    assert found.seen < (0.3 if aggregation == "mean" else 0.9)


def test_the_best_is_dropped_no_oftener_than_stated() -> None:
    made = instance("face", 4, 3, n_examples=64)
    rng = np.random.default_rng(0)
    middle = rng.dirichlet(np.ones(4))
    close = [made.space.mixture(middle + rng.normal(0, 0.02, 4)) for _ in range(5)]
    best, n = truly_best(made, close), 40
    n_wrong = sum(race(problem(made, seed), close).winner != best for seed in range(n))
    assert n_wrong / n <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / n)


def test_the_control_variate_saves_examples_and_changes_no_winner() -> None:
    made = instance("interior", 5, 1, n_examples=512)
    candidates = lattice(made.space)
    with_all, with_one = (race(problem(made, n_known=n), candidates) for n in (None, 1))
    assert with_all.winner == with_one.winner
    assert with_all.seen < with_one.seen


def test_without_anything_known_the_first_candidate_is_scored_in_full() -> None:
    made = instance("interior", 4, 0, n_examples=64)
    asked = replace(problem(made), known=())
    candidates = lattice(made.space)
    assert race(asked, candidates).winner == truly_best(made, candidates)
    assert isinstance(asked.scorer, Shuffled)
    assert asked.scorer.parts[0].is_whole


def test_equal_candidates_run_to_the_end_and_one_wins() -> None:
    made = instance("interior", 4, 0, n_examples=64)
    middle = made.space.mixture(np.full(4, 0.25))
    near = made.space.mixture(np.array([0.25 + 1e-7, 0.25 - 1e-7, 0.25, 0.25]))
    found = race(problem(made), [middle, near])
    assert found.winner in (middle, near)


def test_one_candidate_wins_at_once() -> None:
    made = instance("interior", 4, 0, n_examples=64)
    only = Mixture.uniform(made.space.domains)
    found = race(problem(made), [only])
    assert found.winner == only
    assert found.seen == pytest.approx(1 / 64)


@pytest.mark.parametrize("n", [1, 2, 7, 64, 1000])
def test_looks_grow_to_the_end(n: int) -> None:
    looks = look_schedule(n)
    assert looks[0] == 1
    assert looks[-1] == min(n, 64)
    assert list(looks) == sorted(set(looks))


def test_survivors_of_all_examples_are_the_best_alone() -> None:
    rows = np.array([[1.0, 2.0], [2.0, 2.0], [0.0, 0.0]])
    lane = RaceEvidence(1.0, np.zeros(3), rows, np.ones(2), 2)
    assert survivors([lane], 0.01, is_worst=False) == [1]


def test_the_worst_gain_decides_where_it_is_asked_for() -> None:
    one = RaceEvidence(0.5, np.zeros(2), np.array([[3.0], [1.0]]), np.ones(1), 1)
    two = RaceEvidence(0.5, np.zeros(2), np.array([[0.0], [1.0]]), np.ones(1), 1)
    assert survivors([one, two], 0.01, is_worst=False) == [0]
    assert survivors([one, two], 0.01, is_worst=True) == [1]


def test_raced_subsets_end_where_all_of_them_do() -> None:
    made = instance("face", 5, 2, n_examples=256)
    raced = METHODS["subsets-race"].search(problem(made))
    assert raced.best.mixture == truly_best(made, subsets(made.space.domains))
    assert len(raced.best.measurements[0].examples) == 256
