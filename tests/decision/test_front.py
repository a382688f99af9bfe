from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.decision.tables import DOMAINS, SPACE, Formulas, distance_to, named_problem

from mixwise.decision.front import Front, trace_front
from mixwise.decision.recommend import Decision, recommend
from mixwise.mixture import Mixture
from mixwise.objective import Floor, Metric, Objective, Scale, Term
from mixwise.scoring.table import TableRow, TableScorer

P, Q = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.1, 0.8])
PROBLEM = named_problem({"p": distance_to(P), "q": distance_to(Q)}, SPACE)


def decided(objective: Objective = PROBLEM.objective, **options: object) -> Decision:
    scorer = Formulas({"p": distance_to(P), "q": distance_to(Q)})
    return recommend(scorer, SPACE, objective, PROBLEM.scale, **options)  # type: ignore[arg-type]


def gains(front: Front) -> np.ndarray:
    return np.array([point.gains for point in front.points])


def test_the_recommendation_of_the_mean_lies_on_the_front() -> None:
    decision = decided(prefer="none")
    front = trace_front(decision, ("p", "q"), None)
    assert front.groups == ("p", "q")
    assert front.recommended.score.mixture == decision.mixture
    assert np.allclose(decision.mixture.array, (P + Q) / 2, atol=1e-2)
    assert front.behind == pytest.approx(0, abs=1e-5)
    assert front.n_scored > 0
    assert [point.gains[0] for point in front.points] == sorted(gains(front)[:, 0], reverse=True)


def test_a_simpler_recommendation_may_lie_off_the_front() -> None:
    decision = decided(prefer="none")
    [uniform] = decision.calibrated.problem.scorer.score([Mixture.uniform(DOMAINS)])
    front = trace_front(replace(decision, best=uniform), ("p", "q"), None)
    assert front.recommended.score.mixture == Mixture.uniform(DOMAINS)
    assert Mixture.uniform(DOMAINS) not in [point.score.mixture for point in front.points]
    assert front.behind > 0.05  # the line between the peaks passes the centre by


def test_a_point_is_worth_what_the_proxy_gives_it() -> None:
    front = trace_front(decided(prefer="none"), ("q", "p"), None)
    for point in front.points:
        assert point.score.mixture is not None
        shares = point.score.mixture.array
        assert point.gains == pytest.approx([distance_to(Q)(shares), distance_to(P)(shares)])
        low, high = np.array(point.intervals_95).T
        assert low.tolist() == high.tolist() == pytest.approx(point.gains)  # one example
        assert point.score.objective == pytest.approx(np.mean(point.gains))


@pytest.mark.slow
def test_floors_are_held_on_the_front_and_no_gain_is_lessened_by_them() -> None:
    floor = Floor(Metric("q", "loss", "min"), 0.2)
    front = trace_front(
        decided(replace(PROBLEM.objective, floors=(floor,)), prefer="none"), ("p", "q"), None
    )
    assert gains(front)[:, 1].min() == pytest.approx(-0.2, abs=2e-3)
    assert gains(front)[:, 0].min() == pytest.approx(-((P - Q) ** 2).sum(), abs=2e-3)


def test_a_table_of_runs_has_a_front_of_its_own_mixtures() -> None:
    values = {"a": (1.0, 0.0), "b": (0.0, 1.0), "c": (0.0, 0.0)}
    rows = [
        TableRow(Mixture.single(DOMAINS, name), {"p/loss": -p, "q/loss": -q})
        for name, (p, q) in values.items()
    ]
    table = TableScorer(rows)
    decision = recommend(
        table, SPACE, PROBLEM.objective, PROBLEM.scale, candidates=table.mixtures, prefer="none"
    )
    front = trace_front(decision, ("p", "q"), None)
    assert [str(point.score.mixture) for point in front.points] == ["a=1", "b=1"]
    assert front.n_scored == 0


def test_groups_count_their_metrics_by_weight() -> None:
    terms = (
        Term(Metric("p", "loss", "min"), 3.0, "texts"),
        Term(Metric("q", "loss", "min"), 1.0, "texts"),
    )
    values = np.array([-1.0, 3.0])
    scale = Scale({"p/loss": 0.0, "q/loss": 0.0}, {"p/loss": 1.0, "q/loss": 1.0})
    assert Objective(terms).of_group("texts").aggregate(values, scale) == 0
