"""A model in a worker, the experts it can be merged from, and the sets that it is measured on.

Method:
    A live model takes what is to be measured one after the other; LoRA candidates that share a job
    are served unmerged, in one pass, where that is cheaper. A model that does not fit beside its
    experts is read layer by layer, all candidates of the job together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from mixwise.engine.protocol import OnStep
from mixwise.engine.worker_cache import resident
from mixwise.errors import EvaluationError
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite
from mixwise.merging.fit.buffers import require_same_buffers
from mixwise.merging.fit.movement import require_moved
from mixwise.merging.multi_lora import can_serve
from mixwise.merging.pool import ExpertPool, write_checkpoint, write_scaled
from mixwise.merging.rule_table import find_rule
from mixwise.merging.rules.rule import LINEAR, LinearRule, MergeRule
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.models.skeleton import Skeleton
from mixwise.observation import Measurement
from mixwise.recipe import hash_section
from mixwise.scoring.derivatives.measured import measure_derivatives
from mixwise.scoring.worker.adapter_batch import candidate_cost, measure_unmerged
from mixwise.scoring.worker.job import (
    Evaluated,
    EvaluationJob,
    Evaluator,
    MergeSettings,
    ModelSettings,
    ReadingJob,
)
from mixwise.scoring.worker.running_statistics import measure_statistics, write_merge
from mixwise.scoring.worker.streaming import evaluate_streamed

_TELL_SECONDS = 0.5
_MOST_POOLS = 4  # points of the experts' runs that are kept open
_SLOPE_PASSES = 3  # a forward pass, and a backward pass that costs two
_HESSIAN_PASSES = 6  # more for each domain: forward and backward through the gradient's graph


def evaluate(job: EvaluationJob, on_step: OnStep) -> tuple[Evaluated, ...]:
    """Measure models in this process; the function that engines run.

    Args:
        job: The models, and what is wanted of them.
        on_step: Called with the number of forward passes so far, now and then.

    Returns:
        One result for each subject of the job.

    Raises:
        EvaluationError: If a value is not finite; names the metric and the model.
    """
    return _opened(job).evaluate(job, on_step)


def read_likelihoods(job: ReadingJob, on_step: OnStep) -> dict[str, npt.NDArray[np.float32]]:
    """Read a model's token likelihoods in this process; the function that engines run.

    Args:
        job: The model, and the sets.
        on_step: Called with the number of forward passes so far, now and then.

    Returns:
        Log-likelihoods of the scored tokens in nats, by likelihood set, row after row.

    Raises:
        EvaluationError: If one is not finite, or the model is read layer by layer.
    """
    return _opened(job).read(job, on_step)


def _opened(job: EvaluationJob | ReadingJob) -> Evaluator:
    """What this process keeps for jobs with this model and suite."""
    key = hash_section(*job.model.provenance.values(), job.model.process_key, job.suite.fingerprint)
    return resident(key, lambda: job.model.open(job.suite))


def open_evaluator(model: ModelSettings, suite: EvaluationSuite) -> Evaluator:
    """Load what a worker needs for all jobs with this model and suite."""
    if model.placement == "layers":
        return LayerEvaluator(model, suite)
    return LiveEvaluator(model, suite)


class LiveEvaluator:
    """A whole model in memory, on one device or split over several.

    A merge whose batch norm is measured anew has values and no slopes: its statistics move with the
    shares too, and the rows that they are measured on jump.

    Args:
        model: The live model.
        suite: What is measured.
    """

    def __init__(self, model: ModelSettings, suite: EvaluationSuite) -> None:
        self._live = LiveModel.load(
            model.base,
            precision=model.precision,
            rounding="stochastic" if model.precision == "bfloat16" else "nearest",
            device=model.device,
            device_map="auto" if model.placement == "split" else None,
            trust_remote_code=model.trust_remote_code,
            auto_class=model.auto_class,
        )
        self._suite = PreparedSuite.of(suite, self._live.module)
        self._pools = _Pools(self._live)
        self._statistics = model.statistics

    def evaluate(self, job: EvaluationJob, on_step: OnStep) -> tuple[Evaluated, ...]:
        """Measure the subjects of a job, one result each."""
        with _counting_passes(self._live.module, on_step):
            self._forget()
            unmerged = self._evaluate_unmerged(job)
            if unmerged is not None:
                return unmerged
            return tuple(self._evaluate(subject, job) for subject in job.subjects)

    def read(self, job: ReadingJob, on_step: OnStep) -> dict[str, npt.NDArray[np.float32]]:
        """Token likelihoods of a checkpoint."""
        with _counting_passes(self._live.module, on_step):
            self._forget()
            write_scaled(self._live, job.checkpoint, job.coefficient)
            if self._statistics is not None and job.coefficient != 1:
                assert job.mixture is not None  # whoever scales an expert names its domain
                measure_statistics(self._live, job.mixture, self._statistics)
            found = self._suite.token_log_likelihoods(self._live.module, job.names)
        require_finite(found, job.checkpoint, "a file of the model is damaged")
        return found

    def _forget(self) -> None:
        """Let modules drop what follows from their last weights: LeViT keeps it until it trains."""
        self._live.module.train().eval()

    def _evaluate(self, subject: Mixture | Checkpoint, job: EvaluationJob) -> Evaluated:
        started = time.perf_counter()
        self._forget()
        try:
            if isinstance(subject, Checkpoint):
                write_checkpoint(self._live, subject)
                measurements = self._suite.evaluate(self._live.module, job.request.part)
            else:
                measurements = self._evaluate_merge(subject, job)
        except EvaluationError as error:
            raise EvaluationError(f"{_name(subject)}: {error}") from None
        n_tokens = self._n_tokens(subject, job, measurements)
        return Evaluated(measurements, time.perf_counter() - started, n_tokens)

    def _evaluate_merge(self, mixture: Mixture, job: EvaluationJob) -> tuple[Measurement, ...]:
        pool, rule = self._pools.open(job.merges)
        if job.request.order and self._statistics is None:
            return measure_derivatives(
                pool, mixture, rule, self._suite, request=job.request, sets=job.slope_sets
            )
        write_merge(pool, mixture, rule, self._statistics)
        return self._suite.evaluate(self._live.module, job.request.part)

    def _evaluate_unmerged(self, job: EvaluationJob) -> tuple[Evaluated, ...] | None:
        """All subjects in one pass, or None where that is not possible or not cheaper."""
        mixtures = [subject for subject in job.subjects if isinstance(subject, Mixture)]
        if len(mixtures) < 2 or len(mixtures) < len(job.subjects) or job.request.order:
            return None
        if self._suite.suite.needs_whole_model:
            return None
        pool, rule = self._pools.open(job.merges)
        experts = [v for v in pool.vectors if isinstance(v, LoraExpert)]
        if not isinstance(rule, LinearRule) or not experts or not can_serve(self._live, experts):
            return None
        part = job.request.part
        batches = self._suite.all_batches(part)
        cost = candidate_cost(
            self._live,
            experts,
            n_candidates=len(mixtures),
            n_batches=len(batches),
            batch_tokens=sum(batch.n_tokens for batch in batches) // len(batches),
        )
        if cost.merged <= cost.unmerged:
            return None
        merge_weights = np.array([rule.coefficients(pool.shares(m)).tolist() for m in mixtures])
        started = time.perf_counter()
        measured = measure_unmerged(
            self._live,
            experts,
            merge_weights,
            self._suite,
            part=part,
            names=[_name(mixture) for mixture in mixtures],
        )
        n_tokens = sum(batch.n_tokens for batch in batches)
        return _shared(measured, time.perf_counter() - started, n_tokens)

    def _n_tokens(
        self, subject: Mixture | Checkpoint, job: EvaluationJob, measured: Sequence[Measurement]
    ) -> int:
        """Tokens read and written for one subject: one with slopes counts as several passes."""
        part, order = job.request.part, job.request.order
        if self._statistics is not None:
            n_measured = self._statistics.n_examples if isinstance(subject, Mixture) else 0
            return self._suite.n_tokens(part, measured) + n_measured
        if order == 0 or job.merges is None:
            return self._suite.n_tokens(part, measured)
        passes = _SLOPE_PASSES + (len(job.merges.experts) * _HESSIAN_PASSES if order == 2 else 0)
        return sum(
            self._suite.n_tokens_of(chosen, part, measured)
            * (passes if chosen.name in job.slope_sets else 1)
            for chosen in self._suite.suite.sets
        )


class LayerEvaluator:
    """A model of which one layer at a time is in memory; it gives values and no slopes.

    Args:
        model: The model.
        suite: What is measured.
    """

    def __init__(self, model: ModelSettings, suite: EvaluationSuite) -> None:
        self._skeleton = Skeleton(
            model.base,
            precision=model.precision,
            device=model.device,
            trust_remote_code=model.trust_remote_code,
        )
        self._suite = PreparedSuite(suite, model.device)
        self._pools = _Pools(self._skeleton.live)
        self._budget_bytes = model.memory_bytes or _free_bytes(model.device) // 2

    def evaluate(self, job: EvaluationJob, on_step: OnStep) -> tuple[Evaluated, ...]:
        """Measure the subjects of a job, all mixtures of it together."""
        mixtures = [subject for subject in job.subjects if isinstance(subject, Mixture)]
        if mixtures:
            return self._evaluate(*self._pools.open(job.merges), mixtures, job)
        found: list[Evaluated] = []
        for subject in job.subjects:
            if isinstance(subject, Checkpoint):  # an expert of its own, all of which is taken
                pool = ExpertPool(self._skeleton.live, {"only": subject})
                only = Mixture.single(["only"], "only")
                found += self._evaluate(pool, LINEAR, [only], job)
        return tuple(found)

    def read(self, job: ReadingJob, on_step: OnStep) -> dict[str, npt.NDArray[np.float32]]:
        """Nothing: token likelihoods are read from whole models alone."""
        raise EvaluationError(
            f"{job.checkpoint.folder}: predictions are read from whole models, and this one is "
            "read layer by layer: set `proxy.answer: merged`, or another `evaluation.placement`"
        )

    def _evaluate(
        self, pool: ExpertPool, rule: MergeRule, mixtures: Sequence[Mixture], job: EvaluationJob
    ) -> tuple[Evaluated, ...]:
        started = time.perf_counter()
        measured = evaluate_streamed(
            self._skeleton,
            pool,
            rule,
            mixtures,
            self._suite,
            budget_bytes=self._budget_bytes,
            part=job.request.part,
        )
        seconds = time.perf_counter() - started
        return _shared(measured, seconds, self._suite.n_tokens(job.request.part))


@contextmanager
def _counting_passes(module: torch.nn.Module, on_step: OnStep) -> Iterator[None]:
    """Tell how many forward passes a model has done, a few times a second."""
    n_passes, told = 0, time.monotonic()

    def count(*_: object) -> None:
        nonlocal n_passes, told
        n_passes += 1
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            on_step(n_passes)

    handle = module.register_forward_hook(count)
    try:
        yield
        on_step(n_passes)
    finally:
        handle.remove()


class _Pools:
    """The experts of the last jobs, kept open for the next: points of their runs take turns.

    Args:
        live: The live model that they are merged into.
    """

    def __init__(self, live: LiveModel) -> None:
        self._live = live
        self._opened: dict[str, tuple[ExpertPool, MergeRule]] = {}

    def open(self, merges: MergeSettings | None) -> tuple[ExpertPool, MergeRule]:
        """The experts, and the rule by which they are merged."""
        if merges is None:
            raise RuntimeError("a mixture cannot be merged without experts")
        key = hash_section(*merges.provenance.values(), str(merges.store))
        if key not in self._opened:
            while len(self._opened) >= _MOST_POOLS:
                del self._opened[next(iter(self._opened))]
            pool = open_pool(self._live, merges)
            self._opened[key] = pool, find_rule(merges.rule).bind(pool)
            devices = {tensor.device for tensor in self._live.tensors.values()}
            pool.place({d: _free_bytes(str(d)) // 2 for d in devices if d.type == "cuda"})
        return self._opened[key]


def require_finite(
    likelihoods: Mapping[str, npt.NDArray[np.float32]], model: Checkpoint, or_else: str
) -> None:
    """Refuse likelihoods of a model that are not finite.

    Args:
        likelihoods: By set.
        model: Whose they are.
        or_else: Why that may be, besides training that has diverged.

    Raises:
        EvaluationError: Names the first such set.
    """
    for name, values in likelihoods.items():
        if not np.isfinite(values).all():
            raise EvaluationError(
                f"{model.folder}: the likelihoods of `{name}` must be finite, but some are not: "
                f"training has diverged, or {or_else}"
            )


def open_pool(
    live: LiveModel, merges: MergeSettings, *, compares_buffers: bool = True
) -> ExpertPool:
    """All that a rule merges, beside a live model; an expert that is the base is refused.

    Args:
        live: The live model.
        merges: What is merged, and how.
        compares_buffers: Whether an expert whose buffers are not the base's is refused.
    """
    pool = ExpertPool(
        live,
        merges.experts,
        extras=merges.extras,
        with_second_moments=bool(merges.second_moments),
        folder=merges.store,
        precision=merges.precision,
        heads=merges.heads,
    )
    for expert in merges.experts.values():
        require_moved(live, expert)
        if compares_buffers:
            require_same_buffers(live, expert)
    return pool


def _free_bytes(device: str) -> int:
    """Memory that is free on a device."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _shared(
    measured: Sequence[tuple[Measurement, ...]], seconds: float, n_tokens: int
) -> tuple[Evaluated, ...]:
    """Results of candidates that were measured together: each took its share of the time."""
    return tuple(Evaluated(m, seconds / len(measured), n_tokens) for m in measured)


def _name(subject: Mixture | Checkpoint) -> str:
    return f"merge of `{subject}`" if isinstance(subject, Mixture) else str(subject.folder)
