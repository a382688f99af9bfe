"""What the user gives of a network of his own: functions that build, train and evaluate it.

mixwise trains nothing here by itself and knows no data: it says on which mixture, how far and with
which seed, and merges the tensors of what comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

from mixwise.errors import RecipeError, nearest, printable, shown
from mixwise.objective import Metric
from mixwise.recipe.names import NAME

if TYPE_CHECKING:
    from torch import nn

_LEGAL = "at most 64 letters, digits, `_`, `-` and `.`, beginning with a letter or digit"


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A network, its data and its scores, as functions.

    Args:
        name: What the study calls it.
        domains: Training examples of each domain, in their order; one reading of all of a domain is
            so many examples of a run.
        metrics: What `evaluate` measures. One is differentiable where its values carry a graph, and
            change smoothly: a loss is, an accuracy is not.
        build: Makes the base: the same weights whenever it is called, on the device on which it is
            to be evaluated. It is called often, and so should be quick.
        train: Trains a fresh base on a mixture: ``train(module, mixture, horizon, seed)``, with the
            shares by domain (they sum to 1), the examples to train on in all, and the seed of
            all that is random. Returns the module, or None where it has changed the one it got. The
            global random numbers of torch, numpy and Python are seeded for it.
        evaluate: Values of every metric, by name, for each example: ``evaluate(module)`` returns
            one-dimensional tensors or arrays. The same module gives the same values; the module is
            in evaluation mode, and gradients are recorded where slopes are wanted.
        recalibrate: Estimates buffers anew that training moves and that must not be averaged, as
            the running statistics of batch norm: ``recalibrate(module)``, called after each merge
            of two experts or more, and tried on the base before anything is trained. The module's
            buffers are the base's then; they are changed in place, and no parameter is.
        log_likelihoods: Metrics that are −log p of the right answer in nats, an example each: of
            them the experts' *predictions* can be averaged; at most one of each set.
        version: Raise it when a change of the functions changes what they compute. Without one,
            their source tells.

    Raises:
        RecipeError: If a name is illegal or stands twice, or a part does not fit; all problems.
    """

    name: str
    domains: Mapping[str, int]
    metrics: Sequence[Metric]
    build: Callable[[], nn.Module]
    train: Callable[[Any, Mapping[str, float], int, int], nn.Module | None]
    evaluate: Callable[[Any], Mapping[str, Any]]
    recalibrate: Callable[[Any], object] | None = None
    log_likelihoods: Sequence[str] = ()
    version: str | None = None

    def __post_init__(self) -> None:
        kinds = self._kind_problems()
        problems = [
            *self._name_problems(),
            *kinds,
            *([] if kinds else self._domain_problems()),
            *([] if kinds else self._metric_problems()),
            *([] if kinds else self._likelihood_problems()),
            *(
                f"`{key}`: must be a function"
                for key, f in self.functions.items()
                if not callable(f)
            ),
        ]
        if problems:
            raise RecipeError(*(f"problem `{printable(str(self.name))}`: {p}" for p in problems))
        counts = {name: int(count) for name, count in self.domains.items()}  # numpy's are no JSON
        object.__setattr__(self, "domains", counts)

    @property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """The functions that are given, by their names here."""
        given: dict[str, Callable[..., Any]] = {
            "build": self.build,
            "train": self.train,
            "evaluate": self.evaluate,
        }
        if self.recalibrate is not None:
            given["recalibrate"] = self.recalibrate
        return given

    @property
    def set_names(self) -> tuple[str, ...]:
        """First parts of the metrics' names, each once."""
        return tuple(dict.fromkeys(metric.set_name for metric in self.metrics))

    def _name_problems(self) -> list[str]:
        if isinstance(self.name, str) and NAME.fullmatch(self.name):
            return []
        return [f"`name` must consist of {_LEGAL}, but got {shown(self.name)}: rename it"]

    def _kind_problems(self) -> list[str]:
        problems = []
        if not isinstance(self.domains, Mapping):
            problems.append(
                "`domains` must be numbers of training examples by name, but got "
                f"{shown(self.domains)}: write a dict"
            )
        is_listed = isinstance(self.metrics, Sequence)
        if not is_listed or not all(isinstance(metric, Metric) for metric in self.metrics):
            problems.append(
                f"`metrics` must be a tuple or list of `Metric`, but got {shown(self.metrics)}: "
                "write one"
            )
        return problems

    def _domain_problems(self) -> list[str]:
        names = list(self.domains)
        problems = [
            f"`domains.{printable(str(name), 80)}`: a name must consist of {_LEGAL}: rename it"
            for name in names
            if not isinstance(name, str) or not NAME.fullmatch(name)
        ]
        if len(names) < 2:
            problems.append(
                f"`domains`: a mixture needs at least 2 domains, but got {len(names)}: add another"
            )
        if len({str(name).lower() for name in names}) < len(names):
            problems.append("`domains`: names must differ in more than upper and lower case")
        return problems + [
            f"`domains.{name}` must be the number of its training examples, at least 1, but got "
            f"{shown(count)}: correct it"
            for name, count in self.domains.items()
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 1
        ]

    def _metric_problems(self) -> list[str]:
        if not self.metrics:
            return ["`metrics`: name at least one `Metric`"]
        problems = [
            f"`metrics`: `{printable(part, 80)}` of `{printable(metric.name, 80)}` must consist of "
            f"{_LEGAL}: rename it"
            for metric in self.metrics
            for part in (metric.set_name, metric.measure)
            if not NAME.fullmatch(part)
        ]
        names = [metric.name for metric in self.metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        return problems + [f"`metrics`: `{name}` stands twice: keep one" for name in twice]

    def _likelihood_problems(self) -> list[str]:
        known, problems = {metric.name: metric for metric in self.metrics}, []
        if isinstance(self.log_likelihoods, str):
            return ["`log_likelihoods` must be names of metrics: write a tuple or list"]
        for name in self.log_likelihoods:
            if name not in known:
                problems.append(f"`log_likelihoods`: `{name}` is no metric: {nearest(name, known)}")
            elif known[name].direction != "min":
                problems.append(
                    f"`log_likelihoods`: `{name}` is −log p, so its direction must be `min`"
                )
            elif not known[name].is_differentiable:
                problems.append(
                    f"`log_likelihoods`: `{name}` is smooth, so it must be differentiable: return "
                    "tensors with their graph"
                )
        sets = [known[name].set_name for name in self.log_likelihoods if name in known]
        twice = sorted({name for name in sets if sets.count(name) > 1})
        return problems + [
            f"`log_likelihoods`: set `{name}` has two of them: give one a set of its own"
            for name in twice
        ]
