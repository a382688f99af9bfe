from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from benchmarks.synthetic import KINDS, Instance, Kind, extremes, instance

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Floor
from mixwise.observation import Observation
from mixwise.scorer import VALUES, Request, Scorer
from mixwise.search.methods.slopes import search_slopes
from mixwise.search.problem import SearchProblem
from mixwise.search.space.simplex import sample


def regret(made: Instance, mixture: Mixture | None) -> float:
    assert mixture is not None
    best, worst = extremes(made)
    return (best - float(made.truth(mixture.array[None])[0])) / (best - worst)


def problem(made: Instance, scorer: Scorer | None = None) -> SearchProblem:
    corners = [Mixture.single(made.space.domains, name) for name in made.space.domains]
    known = made.scorer.score(corners)
    return SearchProblem(
        scorer or made.scorer, made.space, made.objective, made.scale, None, 0, known
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_domains", [4, 12])
def test_a_few_mixtures_reach_the_optimum_wherever_it_lies(kind: Kind, n_domains: int) -> None:
    made = instance(kind, n_domains, 7)
    found = search_slopes(problem(made))
    assert regret(made, found.best.mixture) < 0.01
    assert len(found.scored) <= 6


def test_bounds_that_cut_the_optimum_off_are_kept() -> None:
    made = instance("corner", 4, 7)
    space = MixtureSpace(made.space.domains, (0.0,) * 4, (0.4,) * 4)
    made = replace(made, space=space)
    found = search_slopes(problem(made))
    assert found.best.mixture is not None
    assert all(space.contains(o.mixture) for o in found.scored if o.mixture is not None)
    assert regret(made, found.best.mixture) < 0.01


def test_the_worst_gain_is_searched_too() -> None:
    made = instance("interior", 4, 8)
    made = replace(made, objective=replace(made.objective, aggregation="worst"))
    assert regret(made, search_slopes(problem(made)).best.mixture) < 0.01


@dataclass
class Misleading:
    """Answers with the slopes of other domains, or with none."""

    made: Instance
    gives_slopes: bool = True

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        if not self.gives_slopes:
            return self.made.scorer.score(mixtures)
        return tuple(
            replace(
                o,
                measurements=tuple(
                    replace(
                        m, derivatives=replace(m.derivatives, slopes=-m.derivatives.slopes[::-1])
                    )
                    if m.derivatives is not None
                    else m
                    for m in o.measurements
                ),
            )
            for o in self.made.scorer.score(mixtures, request)
        )


def test_wrong_slopes_take_longer_or_end_lower() -> None:
    made = instance("face", 4, 7)
    right, wrong = (search_slopes(problem(made, s)) for s in (made.scorer, Misleading(made)))
    assert regret(made, right.best.mixture) < 0.01
    assert len(wrong.scored) > 2 * len(right.scored) or regret(made, wrong.best.mixture) > 0.03


def test_a_scorer_without_slopes_is_searched_by_values() -> None:
    made = instance("interior", 4, 7)
    found = search_slopes(problem(made, Misleading(made, gives_slopes=False)))
    assert found.method == "bayes"
    assert regret(made, found.best.mixture) < 0.02


def test_a_known_mixture_is_never_better_than_the_answer() -> None:
    made = instance("interior", 4, 7)
    asked = problem(made)
    tops = [search_slopes(asked).best, *asked.known]
    again = replace(asked, known=tuple(tops), budget=3)
    assert again.value(search_slopes(again).best) >= max(again.value(o) for o in tops)


def test_more_domains_do_not_need_more_mixtures() -> None:
    counts = [len(search_slopes(problem(instance("face", n, 5))).scored) for n in (4, 24)]
    assert counts[1] <= counts[0] + 3
    assert np.max(counts) <= 6


@pytest.mark.parametrize(
    "seed", [2, pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow)]
)
def test_floors_are_held_at_little_cost(seed: int) -> None:
    made = instance("interior", 4, seed)
    points = sample(made.space, 4000, seed=9)
    values = made.scorer.truth(points)
    metric, free = made.objective.metrics[0], made.objective.aggregate(values, made.scale)
    gains = made.objective.gains(values, made.scale)[:, 0]
    wanted = (gains.max() + gains[free.argmax()]) / 2  # halfway to the best that there is
    limit = made.scale.base[metric.name] + metric.sign * wanted * made.scale.spread[metric.name]
    objective = replace(made.objective, floors=(Floor(metric, float(limit)),))
    best = search_slopes(problem(replace(made, objective=objective))).best.mixture
    assert best is not None
    found = made.scorer.truth(best.array[None])
    gain = float(made.objective.gains(found, made.scale)[0, 0])
    held = free[gains >= wanted].max()
    assert gain >= wanted - 0.02
    assert float(made.objective.aggregate(found, made.scale)[0]) >= held - 0.05
