from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.swarm.test_fit import BEST, DOMAINS, make

from mixwise.errors import DataError, EvaluationError
from mixwise.mixture import Limit, Mixture, MixtureSpace
from mixwise.objective import Direction
from mixwise.prior import Prior
from mixwise.swarm import Swarm, SwarmTable

METRICS: dict[str, Direction] = {"loss": "min"}


def loss_of(mixture: Mixture) -> float:
    return 2 + float(((np.sqrt(mixture.array) - np.sqrt(BEST)) ** 2).sum())


def test_what_is_asked_for_leads_to_the_known_optimum() -> None:
    swarm = Swarm(DOMAINS, METRICS)
    for _ in range(11):
        mixture = swarm.ask()
        swarm.tell(mixture, {"loss": loss_of(mixture)})
    found = swarm.fit()
    assert loss_of(found.mixture) - 2 < 0.01
    assert found.n_runs == 11


def test_first_come_uniform_and_mixtures_apart() -> None:
    swarm = Swarm(DOMAINS, METRICS)
    asked = [swarm.ask() for _ in range(8)]
    assert asked[0] == Mixture.uniform(DOMAINS)
    assert len(set(asked)) == 8
    assert min(a.distance(b) for k, a in enumerate(asked) for b in asked[:k]) > 0.1


def test_several_trainings_at_once_are_given_different_mixtures() -> None:
    swarm = Swarm(DOMAINS, METRICS)
    for mixture in [swarm.ask() for _ in range(8)]:
        swarm.tell(mixture, {"loss": loss_of(mixture)})
    first, second = swarm.ask(), swarm.ask()
    assert first != second


def test_the_answer_stays_close_to_a_prior() -> None:
    near = Mixture(DOMAINS, (0.1, 0.3, 0.6))
    swarm = Swarm(DOMAINS, METRICS, prior=Prior(near, 1000.0), known=known(20))
    assert swarm.fit().mixture.distance(near) < 0.01
    with pytest.raises(EvaluationError, match="the prior is of a, b, but the swarm of math"):
        Swarm(DOMAINS, METRICS, prior=Prior(Mixture.uniform(("a", "b")), 1.0))


def known(n: int) -> SwarmTable:
    table = make(n, metrics=1)
    return replace(table, metrics=dict(METRICS))


def test_known_runs_are_where_it_starts() -> None:
    table = make(20, metrics=1)
    swarm = Swarm(DOMAINS, table.metrics, known=table)
    assert len(swarm.table.shares) == 20
    swarm.tell(Mixture.uniform(DOMAINS), {"m0/loss": 2.1})
    assert swarm.table.places[-1] == "run 21"


@pytest.mark.parametrize(
    ("mixture", "metrics", "match"),
    [
        (Mixture.uniform(("a", "b")), {"loss": 1.0}, "the mixture's domains are a, b, but"),
        (Mixture.uniform(DOMAINS), {"los": 1.0}, "`los` is no metric of the swarm: did you mean"),
        (Mixture.uniform(DOMAINS), {}, "the score `loss` of .* is missing"),
        (Mixture.uniform(DOMAINS), {"loss": float("nan")}, "the score `loss` of .* is nan"),
        (Mixture.uniform(DOMAINS), {"loss": None}, "the score `loss` of .* is None: tell a finite"),
        (Mixture.uniform(DOMAINS), {"loss": "OOM"}, "the score `loss` of .* is OOM: tell a finite"),
    ],
)
def test_what_cannot_be_told_is_refused(
    mixture: Mixture, metrics: dict[str, float], match: str
) -> None:
    with pytest.raises(EvaluationError, match=match):
        Swarm(DOMAINS, METRICS).tell(mixture, metrics)


def test_known_runs_of_others_are_refused_and_nothing_is_no_table() -> None:
    with pytest.raises(EvaluationError, match="other domains or metrics"):
        Swarm(DOMAINS, METRICS, known=make(10))
    with pytest.raises(EvaluationError, match="no run was told yet"):
        Swarm(DOMAINS, METRICS).fit()


def test_a_space_of_other_domains_and_a_direction_that_is_none_are_refused() -> None:
    with pytest.raises(EvaluationError, match="the space is of web, code, math, but the swarm"):
        Swarm(DOMAINS, METRICS, space=MixtureSpace.whole(DOMAINS[::-1]))
    with pytest.raises(DataError, match="improves by `less`, which is no direction"):
        Swarm(DOMAINS, {"loss": "less"})  # type: ignore[dict-item]  # as no type checker reads it


def test_bounds_limits_and_steps_are_held_by_all_that_is_asked_for() -> None:
    joint = Limit("code + web", (0.0, 1.0, 1.0), 0.3, 0.6)
    space = MixtureSpace(DOMAINS, (0.1, 0.0, 0.0), (1.0, 0.5, 1.0), (joint,), 0.05)
    swarm = Swarm(DOMAINS, METRICS, space=space)
    for _ in range(9):
        mixture = swarm.ask()
        assert space.contains(mixture)
        assert space.is_on_grid(mixture)
        swarm.tell(mixture, {"loss": loss_of(mixture)})
    found = swarm.fit()
    assert space.contains(found.mixture)
    assert space.is_on_grid(found.mixture)
    assert space.is_on_grid(found.next_run.mixture)
    assert loss_of(found.mixture) - 2 < 0.02
