"""Models in, measurements out, on however many devices there are.

Method:
    Every evaluation is cut into as many parts as there are workers, so that even one model at a
    time, as a search by slopes asks for, keeps all devices busy; a worker that has the next part of
    the same model merges again, which is a hundredth of a forward pass. The cut depends on nothing
    but the number of workers: the same model gives the same digits, however often the work was
    interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mixwise.engine.protocol import Engine
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.progress import OnProgress, Progress, silent
from mixwise.scorer import Part, Request
from mixwise.scoring.parts import join, split
from mixwise.scoring.worker.evaluator import evaluate
from mixwise.scoring.worker.job import (
    Evaluated,
    EvaluationJob,
    MergeSettings,
    ModelSource,
    Suite,
)

_TASK = "evaluating"
_TOGETHER = 8  # mixtures of LoRA experts, or of a model that is read layer by layer


@dataclass(frozen=True, slots=True)
class Evaluations:
    """Measures merges and checkpoints on an engine.

    Args:
        engine: Where models are evaluated.
        model: The live model of each worker.
        suite: What is measured.
        merges: How mixtures are merged; without it only checkpoints can be measured.
        slope_sets: Sets whose slopes are taken when slopes are wanted.
        on_progress: Told of the batches of an evaluation, which can last for minutes.
    """

    engine: Engine
    model: ModelSource
    suite: Suite
    merges: MergeSettings | None = None
    slope_sets: tuple[str, ...] = ()
    on_progress: OnProgress = silent
    _passes: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def provenance(self) -> dict[str, str]:
        """What a score depends on besides the mixture or checkpoint itself."""
        merges = self.merges.provenance if self.merges else {}
        return {**self.model.provenance, **merges, "evaluation": self.suite.fingerprint}

    def run(
        self, subjects: Sequence[Mixture | Checkpoint], request: Request
    ) -> Iterator[tuple[int, Evaluated]]:
        """Measure models.

        Args:
            subjects: Mixtures to merge, or checkpoints as they are.
            request: What is wanted of each.

        Yields:
            Index of a subject and what came out, as they finish.

        Raises:
            EvaluationError: If a value is not finite; names the metric and the model.
        """
        parts = split(request.part, self._n_pieces(request.part))
        size = self.group_size(request)
        groups = [range(k, min(k + size, len(subjects))) for k in range(0, len(subjects), size)]
        jobs = [
            EvaluationJob(
                self.model,
                self.suite,
                tuple(subjects[index] for index in group),
                replace(request, part=part),
                self.merges,
                self.slope_sets,
            )
            for group in groups
            for part in parts
        ]
        waiting: list[dict[Part, tuple[Evaluated, ...]]] = [{} for _ in groups]
        batches = _Batches(len(jobs), self.on_progress, self._passes, f"{request} {len(parts)}")
        for finished in self.engine.run(evaluate, jobs, batches.count):
            batches.finish(finished.index)
            group, piece = divmod(finished.index, len(parts))
            waiting[group][parts[piece]] = finished.result
            if len(waiting[group]) == len(parts):
                for k, index in enumerate(groups[group]):
                    pieces = {part: waiting[group][part][k] for part in parts}
                    yield index, self._join(request.part, pieces)

    def group_size(self, request: Request) -> int:
        """Mixtures that one job measures together: where one pass may serve them all."""
        experts = self.merges.experts.values() if self.merges else ()
        has_adapters = any(expert.is_adapter for expert in experts)
        is_served_together = has_adapters or (experts and self.model.placement == "layers")
        return _TOGETHER if is_served_together and request.order == 0 else 1

    def _n_pieces(self, part: Part) -> int:
        """Parts of one evaluation: no more than the smallest set has examples for."""
        smallest = min(chosen.n_examples for chosen in self.suite.sets)
        return max(1, min(self.engine.n_workers, smallest // part.of))

    def _join(self, part: Part, pieces: dict[Part, Evaluated]) -> Evaluated:
        n_examples = {chosen.name: chosen.n_examples for chosen in self.suite.sets}
        measured = {piece: result.measurements for piece, result in pieces.items()}
        return Evaluated(
            join(part, measured, n_examples),
            seconds=sum(result.seconds for result in pieces.values()),
            n_tokens=sum(result.n_tokens for result in pieces.values()),
        )


class _Batches:
    """Counts the forward passes of jobs; how many one takes is known when the first has ended.

    Args:
        n_jobs: Jobs in all.
        on_progress: Told of every batch.
        passes: Forward passes of one job by kind of job; what is found here is noted there.
        kind: What these jobs ask for.
    """

    def __init__(
        self, n_jobs: int, on_progress: OnProgress, passes: dict[str, int], kind: str
    ) -> None:
        self._n_left = n_jobs
        self._on_progress = on_progress
        self._passes = passes
        self._kind = kind
        self._done: dict[int, int] = {}
        self._n_finished = 0

    def count(self, index: int, n_passes: int) -> None:
        """Take the number of forward passes that a job has done."""
        self._done[index] = n_passes
        per_job = self._passes.get(self._kind, 0)
        left = sum(max(per_job - done, 0) for done in self._done.values())
        left += per_job * (self._n_left - len(self._done))
        done = self._n_finished + sum(self._done.values())
        total = done + max(left, 1) if per_job else 0
        self._on_progress(Progress(_TASK, done, total, "batches"))

    def finish(self, index: int) -> None:
        """Take the word that a job has ended."""
        n_passes = self._done.pop(index, 0)
        self._passes[self._kind] = max(self._passes.get(self._kind, 0), n_passes)
        self._n_finished += n_passes
        self._n_left -= 1
        if not self._n_left:
            n = max(self._n_finished, 1)
            self._on_progress(Progress(_TASK, n, n, "batches"))
