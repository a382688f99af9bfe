"""A network of the user's in memory, the experts it is merged from, and what `evaluate` says of it.

Method:
    The live model, the task vectors, the rules and their tangents are those of every study. Buffers
    are no weights: whole numbers are the base's in every merge, and so are floating-point buffers
    that training has moved, until `recalibrate` estimates them anew. What that does to a slope is
    not known, so that merges of such networks have none.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch

from mixwise.engine.protocol import OnStep
from mixwise.errors import CheckpointError, EvaluationError, MixwiseWarning, first_line
from mixwise.merging.pool import ExpertPool, write_checkpoint, write_scaled
from mixwise.merging.rule_table import find_rule
from mixwise.merging.rules.rule import LinearRule, MergeRule
from mixwise.merging.tangents import tangents_of
from mixwise.merging.task_vectors.task_vector import TaskVector
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel, Rounding
from mixwise.observation import Derivatives, Measurement
from mixwise.problem.measuring import ModuleSuite, as_array
from mixwise.problem.problem import Problem
from mixwise.problem.seeds import seeded
from mixwise.problem.slopes import differentiate
from mixwise.problem.states import buffer_names, build_module
from mixwise.recipe import hash_section
from mixwise.scoring.worker.evaluator import open_pool
from mixwise.scoring.worker.job import Evaluated, EvaluationJob, MergeSettings, ReadingJob

if TYPE_CHECKING:
    from mixwise.arrays import Array

_SLOPE_PASSES = 3  # a forward pass, and a backward pass that costs two
_HESSIAN_PASSES = 6  # more for each domain
_RECALIBRATION_SEED = 0


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """Opens the networks of a problem: a `mixwise.scoring.worker.job.ModelSource`.

    Args:
        problem: The problem.
        base: The base's tensors, kept on disk.
        build_key: Changes with what `build` computes.
    """

    problem: Problem
    base: Checkpoint
    build_key: str
    placement: Literal["device"] = "device"

    @property
    def provenance(self) -> dict[str, str]:
        """See `ModelSource.provenance`."""
        return {
            "base": self.base.fingerprint,
            "problem": self.problem.name,
            "built": self.build_key,
        }

    @property
    def measures_statistics(self) -> bool:
        """See `ModelSource.measures_statistics`: `recalibrate` knows no mixture."""
        return False

    def open(self, suite: ModuleSuite) -> ModuleEvaluator:
        """See `ModelSource.open`."""
        return ModuleEvaluator(self, suite)


class ModuleEvaluator:
    """A live network, and the experts of the last jobs: a `mixwise.scoring.worker.job.Evaluator`.

    Args:
        source: The problem and its base.
        suite: What is measured.
    """

    def __init__(self, source: ModuleSource, suite: ModuleSuite) -> None:
        problem = source.problem
        module = build_module(problem).eval()
        is_coarse = any(t.dtype == torch.bfloat16 for t in module.state_dict().values())
        rounding: Rounding = "stochastic" if is_coarse else "nearest"
        self._live = LiveModel(module, source.base, rounding=rounding)
        self._live.write_checkpoint(source.base)
        self._problem = problem
        self._suite = suite
        self._pools: dict[str, _Pool] = {}

    def evaluate(self, job: EvaluationJob, on_step: OnStep) -> tuple[Evaluated, ...]:
        """Measure the subjects of a job, one result each."""
        found = []
        for k, subject in enumerate(job.subjects):
            try:
                found.append(self._evaluate(subject, job))
            except EvaluationError as error:
                name = f"merge of `{subject}`" if isinstance(subject, Mixture) else subject.folder
                raise EvaluationError(f"{name}: {error}") from error.__cause__
            on_step(k + 1)
        return tuple(found)

    def read(self, job: ReadingJob, on_step: OnStep) -> dict[str, npt.NDArray[np.float32]]:
        """Log-likelihoods of a checkpoint's right answers, by set."""
        write_scaled(self._live, job.checkpoint, job.coefficient)
        values = self._suite.measure(self._live.module)
        read = {
            chosen.name: (-as_array(values[chosen.likelihood])).astype(np.float32)
            for chosen in self._suite.likelihood_sets
            if job.names is None or chosen.name in job.names
        }
        on_step(1)
        for name, nats in read.items():
            if not np.isfinite(nats).all():
                raise EvaluationError(
                    f"{job.checkpoint.folder}: the likelihoods of `{name}` must be finite, but "
                    "some are not: training has diverged, or an answer has no probability at all"
                )
        return read

    def _evaluate(self, subject: Mixture | Checkpoint, job: EvaluationJob) -> Evaluated:
        started = time.perf_counter()
        derivatives: Mapping[str, Derivatives] = {}
        if isinstance(subject, Checkpoint):
            write_checkpoint(self._live, subject)
            values = self._suite.measure(self._live.module)
        else:
            pool = self._open(job.merges)
            pool.write(subject)
            names = self._sloped(job, pool)
            if names:
                tangents = tangents_of(pool.rule, pool.vectors, pool.shares(subject))
                found = differentiate(self._live, tangents, self._suite, names, job.request)
                values, derivatives = found.values, found.derivatives
            else:
                values = self._suite.measure(self._live.module)
        measured = tuple(
            self._measurement(metric.name, as_array(values[metric.name]), derivatives, job)
            for metric in self._problem.metrics
        )
        n_sloped = sum(self._suite.lengths[n] for n in {d.rpartition("/")[0] for d in derivatives})
        n_tokens = self._n_read(job, n_sloped)
        return Evaluated(measured, time.perf_counter() - started, n_tokens)

    def _sloped(self, job: EvaluationJob, pool: _Pool) -> list[str]:
        """Metrics whose slopes are wanted, and can be had."""
        if not job.request.order or pool.moved_buffers:
            return []
        metrics = self._problem.metrics
        return [m.name for m in metrics if m.is_differentiable and m.set_name in job.slope_sets]

    def _measurement(
        self, name: str, values: Array, derivatives: Mapping[str, Derivatives], job: EvaluationJob
    ) -> Measurement:
        part = job.request.part
        chosen = values if part.is_whole else values[part.examples(len(values))]
        found = derivatives.get(name) if part.is_whole else None
        return Measurement(name, chosen, np.ones(len(chosen)), found)

    def _n_read(self, job: EvaluationJob, n_sloped: int) -> int:
        """Examples that were read, in forward passes."""
        order, n = job.request.order, self._suite.n_examples
        if not n_sloped:
            return n
        n_domains = len(job.merges.experts) if job.merges else 0
        passes = _SLOPE_PASSES + (n_domains * _HESSIAN_PASSES if order == 2 else 0)
        return n + n_sloped * (passes - 1)

    def _open(self, merges: MergeSettings | None) -> _Pool:
        assert merges is not None  # a mixture cannot be merged without experts
        key = hash_section(*merges.provenance.values(), str(merges.store))
        if key not in self._pools:
            self._pools = {key: _Pool(self._problem, self._live, merges)}
        return self._pools[key]


class _Pool:
    """The experts of a problem, merged into its live network.

    Args:
        problem: The problem.
        live: The live network.
        merges: What is merged, and how.

    Raises:
        CheckpointError: If buffers differ between the models and there is no `recalibrate`.
    """

    def __init__(self, problem: Problem, live: LiveModel, merges: MergeSettings) -> None:
        self._problem = problem
        self._live = live
        self._pool: ExpertPool = open_pool(live, merges)
        self.rule: MergeRule = find_rule(merges.rule).bind(self._pool)
        models = [*merges.experts.values(), *(run.checkpoint for run in merges.extras)]
        self._tell_counters(models)
        moved = {model.folder: self._moved(model, is_floating=True) for model in models}
        self.moved_buffers = tuple(
            dict.fromkeys(name for names in moved.values() for name in names)
        )
        if self.moved_buffers and problem.recalibrate is None:
            folder, names = next((f, names) for f, names in moved.items() if names)
            raise CheckpointError(f"{folder}: {why_not_averaged(names[0])}")

    @property
    def vectors(self) -> tuple[TaskVector, ...]:
        """All that the rule merges."""
        return self._pool.vectors

    def shares(self, mixture: Mixture) -> list[float]:
        """Shares in the order of the experts."""
        return self._pool.shares(mixture).tolist()

    def write(self, mixture: Mixture) -> None:
        """Write the merge of a mixture into the live network, its buffers estimated anew.

        One expert alone is written as it was saved, with its own buffers.
        """
        self._pool.merge(mixture, self.rule)
        recalibrate = self._problem.recalibrate
        if not self.moved_buffers or recalibrate is None or self._is_an_expert(mixture):
            return
        for name in self.moved_buffers:
            self._live.write(name, self._live.base_tensor(name))
        versions = {n: p._version for n, p in self._live.module.named_parameters()}
        try:
            with torch.enable_grad(), seeded(_RECALIBRATION_SEED):
                recalibrate(self._live.module)
        except Exception as error:  # whatever the user's code raises
            raise EvaluationError(
                f"`recalibrate` of `{self._problem.name}` failed ({type(error).__name__}: "
                f"{first_line(error)}): mend it"
            ) from error
        for name, parameter in self._live.module.named_parameters():
            if parameter._version != versions.get(name):
                raise EvaluationError(
                    f"`recalibrate` of `{self._problem.name}` has changed parameter `{name}`: it "
                    "must change buffers alone"
                )

    def _is_an_expert(self, mixture: Mixture) -> bool:
        """Whether the pool writes one expert as it was saved."""
        if not isinstance(self.rule, LinearRule):
            return False
        weights = self.rule.coefficients(self._pool.shares(mixture)).tolist()
        used = {k: weight for k, weight in enumerate(weights) if weight}
        return list(used.values()) == [1.0] and next(iter(used)) < len(self._pool.domains)

    def _tell_counters(self, models: Sequence[Checkpoint]) -> None:
        """Say which whole numbers the models do not agree on."""
        counters = {name for model in models for name in self._moved(model, is_floating=False)}
        if counters:
            more = f" and {len(counters) - 1} more" if len(counters) > 1 else ""
            warnings.warn(
                f"problem `{self._problem.name}`: training changes `{min(counters)}`{more}, whole "
                "numbers that are not averaged: merges have the base's",
                MixwiseWarning,
                stacklevel=2,
            )

    def _moved(self, model: Checkpoint, *, is_floating: bool) -> list[str]:
        """Buffers that training has moved: floating-point ones, or the others."""
        stored = self._live.match(model)
        return [
            name
            for name in buffer_names(self._live.module)
            if self._live.tensors[name].is_floating_point() == is_floating
            and not torch.equal(model.load_tensor(stored[name]), self._live.base_tensor(name))
        ]


def why_not_averaged(buffer: str) -> str:
    """Why a network whose buffer was moved by training cannot be merged."""
    return (
        f"training has moved buffer `{buffer}`, and the mean of running statistics is not that of "
        "the merged network: give `recalibrate`, which estimates it anew after each merge, or keep "
        "it as the base's in training"
    )
