"""What `evaluate` returns, checked; and the evaluation sets that it makes up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mixwise.arrays import Array
from mixwise.errors import EvaluationError, MixwiseError, first_line, nearest, shown
from mixwise.evaluation.likelihood.rows import Indices
from mixwise.evaluation.likelihood.sets import Differentiable, DifferentiableMetric
from mixwise.observation import Measurement
from mixwise.problem.problem import Problem
from mixwise.problem.seeds import seeded
from mixwise.problem.states import first_moved, places_of
from mixwise.recipe import hash_section

Values = Mapping[str, Tensor]  # of each metric, one an example


def evaluate_module(
    problem: Problem,
    module: nn.Module,
    *,
    has_graph: bool = False,
    seed: int = 0,
    may_move: bool = False,
) -> Values:
    """Values of every metric of a module, in the order of the problem's metrics.

    Args:
        problem: The problem.
        module: A module of its kind; it is put into evaluation mode.
        has_graph: Whether gradients are recorded.
        seed: Of the global random numbers, which `evaluate` must not depend on.
        may_move: Whether its tensors may be moved to another device: nothing is written into them.

    Raises:
        EvaluationError: If `evaluate` fails, or returns anything but a value for each example of
            each metric; names the metric.
    """
    module.train().eval()  # some modules keep what follows from their weights until they train
    places = places_of(module)
    try:
        with torch.set_grad_enabled(has_graph), seeded(seed):
            found = problem.evaluate(module)
    except MixwiseError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise EvaluationError(
            f"`evaluate` of `{problem.name}` failed ({type(error).__name__}: {first_line(error)}): "
            "mend it"
        ) from error
    moved = None if may_move else first_moved(module, places)
    if moved is not None:
        raise EvaluationError(
            f"`evaluate` of `{problem.name}` moves or replaces tensor `{moved}` of the module, so "
            "that a merge could not be written into it: build the module on the device on which "
            "it is evaluated, and leave its tensors where they are"
        )
    if not isinstance(found, Mapping):
        raise EvaluationError(
            f"`evaluate` of `{problem.name}` must return values by metric, but returned "
            f"{type(found).__name__}"
        )
    names = [metric.name for metric in problem.metrics]
    for name in found:
        if name not in names:
            raise EvaluationError(
                f"`evaluate` of `{problem.name}` returned `{name}`, which is no metric of the "
                f"problem: {nearest(str(name), names)}"
            )
    for name in names:
        if name not in found:
            raise EvaluationError(
                f"`evaluate` of `{problem.name}` returned no values of `{name}`: return one for "
                "each example"
            )
    return {name: _as_values(name, found[name]) for name in names}


def _as_values(name: str, found: Any) -> Tensor:
    try:
        if isinstance(found, list | tuple) and found and all(isinstance(v, Tensor) for v in found):
            found = torch.stack(list(found))
        # a copy: `evaluate` may write into the same memory when it is called again
        values = found.clone() if isinstance(found, Tensor) else torch.as_tensor(np.array(found))
    except (TypeError, ValueError, RuntimeError):
        raise EvaluationError(f"`{name}` must be numbers, but is {shown(found)}") from None
    if values.ndim != 1 or not values.numel():
        raise EvaluationError(
            f"`{name}` must have one value for each example, at least one, but has shape "
            f"{tuple(values.shape)}: average nothing, and return a vector"
        )
    if values.is_complex():
        raise EvaluationError(f"`{name}` must be real numbers, but is of {values.dtype}")
    return values


def as_array(values: Tensor) -> Array:
    """Values as float64, without their graph."""
    return values.detach().to("cpu", torch.float64).numpy()


def lengths_of(problem: Problem, values: Values) -> dict[str, int]:
    """Examples of each set; those of one set are the same for all its metrics.

    Raises:
        EvaluationError: If two metrics of a set have different numbers of examples.
    """
    first: dict[str, tuple[str, int]] = {}
    for metric in problem.metrics:
        n = len(values[metric.name])
        name, before = first.setdefault(metric.set_name, (metric.name, n))
        if n != before:
            raise EvaluationError(
                f"`{name}` and `{metric.name}` are of one set and must have the same examples, but "
                f"have {before:,} and {n:,}: rename one set"
            )
    return {name: n for name, (_, n) in first.items()}


@dataclass(frozen=True, slots=True)
class OnePrediction:
    """A row of one prediction."""

    n_scored: int = 1


@dataclass(frozen=True, slots=True)
class ModuleSet:
    """One evaluation set of a problem.

    Args:
        name: First part of its metrics' names.
        metrics: Their names, in order.
        n_examples: Number of examples.
        likelihood: The metric that is −log p of the right answer; empty where there is none.
    """

    name: str
    metrics: tuple[str, ...]
    n_examples: int
    likelihood: str = ""

    def rows(self) -> Sequence[OnePrediction]:
        """Each example is one prediction."""
        return (OnePrediction(),) * self.n_examples

    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """What likelihoods give: the metric that they are."""
        return (Measurement(self.likelihood, nats, np.ones(len(nats))),)

    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """The same metric, as a sum over rows."""
        n = self.n_examples if examples is None else len(examples)
        metric = DifferentiableMetric(self.likelihood, np.ones(n), 1 / n)
        return Differentiable(np.ones(n, dtype=bool), np.arange(n), (metric,))


@dataclass(frozen=True)
class ModuleSuite:
    """All that `evaluate` measures.

    Args:
        problem: The problem.
        lengths: Examples of each set, those of the base.
        evaluation_key: Changes with what `evaluate` and `recalibrate` compute.
    """

    problem: Problem
    lengths: Mapping[str, int]
    evaluation_key: str

    @property
    def adds_up(self) -> bool:
        """Values of examples are what a problem gives; no other metrics are known of it."""
        return True

    @cached_property
    def sets(self) -> tuple[ModuleSet, ...]:
        """The sets, in the order of the metrics."""
        likelihoods = set(self.problem.log_likelihoods)
        names = {
            chosen: tuple(m.name for m in self.problem.metrics if m.set_name == chosen)
            for chosen in self.problem.set_names
        }
        return tuple(
            ModuleSet(
                chosen,
                metrics,
                self.lengths[chosen],
                next((name for name in metrics if name in likelihoods), ""),
            )
            for chosen, metrics in names.items()
        )

    @property
    def likelihood_sets(self) -> tuple[ModuleSet, ...]:
        """Sets of which predictions can be averaged."""
        return tuple(chosen for chosen in self.sets if chosen.likelihood)

    @property
    def n_examples(self) -> int:
        """Examples of all sets."""
        return sum(self.lengths.values())

    @cached_property
    def fingerprint(self) -> str:
        """See `mixwise.scoring.worker.job.Suite.fingerprint`."""
        metrics = [repr(metric) for metric in self.problem.metrics]
        lengths = [f"{name}={n}" for name, n in self.lengths.items()]
        likelihoods = sorted(self.problem.log_likelihoods)
        return hash_section("module 1", self.evaluation_key, *metrics, *lengths, *likelihoods)

    def measure(
        self, module: nn.Module, *, has_graph: bool = False, may_move: bool = False
    ) -> Values:
        """Values of every metric of a module, of as many examples as the base has.

        Args:
            module: A module of the problem's kind.
            has_graph: Whether gradients are recorded.
            may_move: See `evaluate_module`.

        Raises:
            EvaluationError: See `evaluate_module`; or if the numbers of examples differ.
        """
        values = evaluate_module(self.problem, module, has_graph=has_graph, may_move=may_move)
        for metric in self.problem.metrics:
            n, expected = len(values[metric.name]), self.lengths[metric.set_name]
            if n != expected:
                raise EvaluationError(
                    f"`{metric.name}` must have a value for each of the {expected:,} examples that "
                    f"the base was measured on, but has {n:,}: measure every model on the same"
                )
        return values
