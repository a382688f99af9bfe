"""A network of the user's in memory, the experts it is merged from, and what `evaluate` says of it.

Method:
    The live model, the task vectors, the rules and their tangents are those of every study. What
    estimating buffers anew does to a slope is not known, so that merges of networks whose buffers
    training has moved have none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch

from mixwise.engine.protocol import OnStep
from mixwise.errors import EvaluationError
from mixwise.merging.pool import ExpertPool, write_checkpoint, write_scaled
from mixwise.merging.rule_table import find_rule
from mixwise.merging.rules.rule import MergeRule
from mixwise.merging.tangents import tangents_of
from mixwise.merging.task_vectors.task_vector import TaskVector
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel, Rounding
from mixwise.observation import Derivatives, Measurement
from mixwise.problem.buffers import Buffers
from mixwise.problem.measuring import ModuleSuite, as_array
from mixwise.problem.problem import Problem
from mixwise.problem.slopes import differentiate
from mixwise.problem.states import build_module
from mixwise.recipe import hash_section
from mixwise.scoring.worker.evaluator import open_pool, require_finite
from mixwise.scoring.worker.job import Evaluated, EvaluationJob, MergeSettings, ReadingJob

if TYPE_CHECKING:
    from mixwise.arrays import Array

_SLOPE_PASSES = 3  # a forward pass, and a backward pass that costs two
_HESSIAN_PASSES = 6  # more for each domain


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
    def process_key(self) -> str:
        """See `ModelSource.process_key`: functions of one source may read other data."""
        return str(id(self.problem))  # of no other while an evaluator that holds it is kept

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
        self._buffers = Buffers(problem, self._live)
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
        if job.coefficient != 1:
            self._buffers.estimate(self._buffers.moved([job.checkpoint]))
        values = self._suite.measure(self._live.module)
        read = {
            chosen.name: (-as_array(values[chosen.likelihood])).astype(np.float32)
            for chosen in self._suite.likelihood_sets
            if job.names is None or chosen.name in job.names
        }
        on_step(1)
        require_finite(read, job.checkpoint, "an answer has no probability at all")
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
        self._pool: ExpertPool = open_pool(live, merges, compares_buffers=False)
        self._buffers = Buffers(problem, live)
        self.rule: MergeRule = find_rule(merges.rule).bind(self._pool)
        models = [*merges.experts.values(), *(run.checkpoint for run in merges.extras)]
        self._buffers.tell_counters(models)
        self.moved_buffers = self._buffers.moved(models)

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
        is_as_saved = self._pool.merge(mixture, self.rule)
        if not is_as_saved:
            self._buffers.estimate(self.moved_buffers)
