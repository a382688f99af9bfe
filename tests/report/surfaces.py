"""Surrogates that are really fitted, to functions of the shares that are known."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from tests.report.conftest import Parts, save

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Aggregation, Floor, Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.search.problem import SearchProblem
from mixwise.search.surrogates.objective_model import Surface, fit_surface
from mixwise.stages.surface import describe_surface
from mixwise.study.surface import SurfaceFound


class NoScorer:
    """Scores nothing: all is known."""

    def score(self, mixtures: Sequence[Mixture], request: object = None) -> tuple[Observation, ...]:
        raise AssertionError("nothing is scored")


def curve(shares: np.ndarray, k: int) -> tuple[float, np.ndarray]:
    """A loss that falls with the share of domain k, and its slopes."""
    rate = 1.0 + 0.5 * k
    others = shares.copy()
    others[k] = 0.0
    value = 2.0 + np.exp(-rate * shares[k]) + 0.2 * float(others @ others)
    slopes = 0.4 * others
    slopes[k] = -rate * np.exp(-rate * shares[k])
    return float(value), slopes


def observe(mixture: Mixture, *, has_slopes: bool) -> Observation:
    """A loss for each domain, and a share of right answers that jumps."""
    shares = mixture.array
    rows = []
    for k, name in enumerate(mixture.domains):
        value, slopes = curve(shares, k)
        derivatives = Derivatives(slopes) if has_slopes else None
        examples = np.full(4, value)
        rows.append(Measurement(f"{name}/loss", examples, np.ones(4), derivatives=derivatives))
    loss, slopes = curve(shares, 0)
    derivatives = Derivatives(slopes / 2) if has_slopes else None
    rows.append(Measurement("quiz/bits", np.full(4, loss / 2), np.ones(4), derivatives=derivatives))
    right = np.array([0.2, 0.4, 0.6, 0.8]) < 0.9 - 0.2 * loss + 0.3 * shares[-1]
    rows.append(Measurement("quiz/accuracy", right.astype(float), np.ones(4)))
    return Observation(
        mixture=mixture,
        answer="proxy",
        rule="linear",
        seeds=(),
        measurements=tuple(rows),
        seconds=1.0,
        tokens_trained=0,
        tokens_evaluated=10,
        fingerprint=str(mixture),
    )


@cache
def fit(
    domains: tuple[str, ...],
    *,
    aggregation: Aggregation = "mean",
    has_floors: bool = False,
    has_groups: bool = False,
    has_slopes: bool = True,
    n_points: int = 6,
    upper: float = 1.0,
) -> tuple[Surface, SurfaceFound]:
    """A surface of the losses, of bits and of the share of right answers, and its numbers.

    Each is fitted once: nothing of it can be changed.
    """
    names = tuple(domains)
    losses = [Metric(name, "loss", "min", "nats/token") for name in names]
    bits = Metric("quiz", "bits", "min", "bits", True)
    quiz = Metric("quiz", "accuracy", "max", "share", False)
    groups = ["first" if k % 2 else "second" for k in range(len(names))]
    terms = [
        Term(metric, 1.0 + k, groups[k] if has_groups else None)
        for k, metric in enumerate(losses[:-1])
    ]
    terms.append(Term(quiz, 2.0, "second" if has_groups else None))
    floors = (Floor(losses[-1], margin=0.05), Floor(losses[0], margin=-0.1)) if has_floors else ()
    objective = Objective(tuple(terms), aggregation, floors)
    rng = np.random.default_rng(0)
    rows = [Mixture.single(names, name) for name in names]
    rows.append(Mixture.uniform(names))
    for row in rng.dirichlet(np.ones(len(names)), n_points):
        rows.append(Mixture(names, tuple(row / row.sum())))
    data = [observe(mixture, has_slopes=has_slopes) for mixture in rows]
    corners = [o.values for o in data[: len(names)]]
    base = {name: value + 0.3 * (1 if "loss" in name else -1) for name, value in corners[0].items()}
    scale = Scale.measure(base, corners)
    every = Objective(tuple(Term(metric, 1.0) for metric in (*losses, bits, quiz)))
    space = MixtureSpace(names, (0.0,) * len(names), (upper,) * len(names))
    problem = SearchProblem(NoScorer(), space, every, scale, None, 0)  # type: ignore[arg-type]
    surface = fit_surface(problem, data)
    return surface, describe_surface(surface, data, objective, final_seeds=2)


def add_surface(folder: Path, parts: Parts, found: SurfaceFound, *, upper: float = 1.0) -> None:
    """Write a surface into a study, and the bounds that go with it."""
    save(folder, replace(parts.search(), bounds=dict.fromkeys(parts.domains, (0.0, upper))))
    save(folder, found)
