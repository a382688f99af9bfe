"""What is to be measured, as a value that can go to a worker, and what comes back.

Source:
    The two answers of a study differ in nothing but their tensors: merges and trained checkpoints
    are written into the same live model and measured by the same suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mixwise.merging.kept_heads import KeptHeads
from mixwise.merging.rules.inputs import ExtraRun
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.observation import Measurement
from mixwise.scorer import VALUES, Request
from mixwise.scoring.worker.running_statistics import StatisticsData
from mixwise.tasks import CAUSAL_LM

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mixwise.engine.protocol import OnStep
    from mixwise.evaluation.likelihood.sets import PredictedSet
    from mixwise.evaluation.suite import EvaluationSuite
    from mixwise.merging.task_vectors.encoding import StorePrecision
    from mixwise.models.live_model import Precision

Placement = Literal["device", "split", "layers"]


class MeasuredSet(Protocol):
    """What is known of an evaluation set wherever its measurements are put together."""

    @property
    def name(self) -> str:
        """First part of its metrics' names."""
        ...

    @property
    def n_examples(self) -> int:
        """Number of examples, at least 1."""
        ...


class Suite(Protocol):
    """What models are measured on, as far as their scores are told apart by it."""

    @property
    def sets(self) -> Sequence[MeasuredSet]:
        """The evaluation sets."""
        ...

    @property
    def likelihood_sets(self) -> Sequence[PredictedSet]:
        """Those of which models have likelihoods, that can be averaged."""
        ...

    @property
    def adds_up(self) -> bool:
        """Whether all metrics are means over examples, which parts of a set make up."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of all that is measured and of how."""
        ...


class Evaluator(Protocol):
    """Measures the subjects of jobs that share a base, a precision and a suite."""

    def read(self, job: ReadingJob, on_step: OnStep) -> dict[str, npt.NDArray[np.float32]]:
        """Log-likelihoods of a checkpoint in nats, by likelihood set, row after row."""
        ...

    def evaluate(self, job: EvaluationJob, on_step: OnStep) -> tuple[Evaluated, ...]:
        """Measure the subjects of a job, one result each."""
        ...


class ModelSource(Protocol):
    """How models are opened and evaluated: a folder of transformers', or functions of the user."""

    @property
    def placement(self) -> Placement:
        """Where models are evaluated."""
        ...

    @property
    def provenance(self) -> dict[str, str]:
        """What a score depends on besides the tensors that are evaluated."""
        ...

    @property
    def process_key(self) -> str:
        """What tells it from another of the same provenance in one process."""
        ...

    @property
    def measures_statistics(self) -> bool:
        """Whether statistics of a changed model are measured on the data that it was trained on."""
        ...

    def open(self, suite: Any) -> Evaluator:
        """Load what a worker needs for all jobs with this model and suite, which is of its kind."""
        ...


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Where and in which precision models are evaluated.

    Args:
        base: The base that all of them share.
        device: Torch device.
        precision: dtype of the live model.
        placement: ``device``, the whole model on one device; ``split``, over all that the worker
            sees; ``layers``, one layer at a time, for models that do not fit beside their experts.
        memory_bytes: What one layer at a time may take; None for half of what is free.
        trust_remote_code: Whether code from the base's folder may run.
        auto_class: Class of transformers that opens the base.
        statistics: What batch norm's running statistics are measured on after a merge; None for a
            model that keeps none.
    """

    base: Checkpoint
    device: str = "cpu"
    precision: Precision = "float32"
    placement: Placement = "device"
    memory_bytes: int | None = None
    trust_remote_code: bool = False
    auto_class: str = CAUSAL_LM.auto_class
    statistics: StatisticsData | None = None

    @property
    def provenance(self) -> dict[str, str]:
        """What a score depends on besides the tensors that are evaluated."""
        statistics = self.statistics
        measured = {} if statistics is None else {"batch norm": statistics.fingerprint}
        return {
            "base": self.base.fingerprint,
            "precision": self.precision,
            "device": self.device.partition(":")[0],
            "placement": self.placement,
            **measured,
        }

    @property
    def process_key(self) -> str:
        """See `ModelSource.process_key`: the provenance tells all."""
        return ""

    @property
    def measures_statistics(self) -> bool:
        """See `ModelSource.measures_statistics`."""
        return self.statistics is not None

    def open(self, suite: EvaluationSuite) -> Evaluator:
        """See `ModelSource.open`."""
        from mixwise.scoring.worker.evaluator import open_evaluator  # which knows this module

        return open_evaluator(self, suite)


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """What mixtures are merged from, and how.

    Args:
        experts: Opened experts by domain.
        rule: Name of the merge rule.
        store: Folder of the task vectors; None to take them from the checkpoints each time.
        precision: In which they are stored.
        steps: Of the experts' runs at which they are merged; None for their end.
        extras: Runs that the rule needs besides the experts.
        second_moments: Hashes of the experts' second moments, where the rule needs them.
        heads: Rows that each domain keeps from its own expert; None where all is merged.
    """

    experts: Mapping[str, Checkpoint]
    rule: str
    store: Path | None
    precision: StorePrecision
    steps: int | None = None
    extras: tuple[ExtraRun, ...] = ()
    second_moments: tuple[str, ...] = ()
    heads: KeptHeads | None = None

    @property
    def provenance(self) -> dict[str, str]:
        """What a merge depends on besides the mixture and the base."""
        experts = {f"expert {name}": expert.fingerprint for name, expert in self.experts.items()}
        extras = {
            f"run {run.mixture} to {run.fraction:g}": run.checkpoint.fingerprint
            for run in self.extras
        }
        moments = {"second moments": " ".join(self.second_moments)} if self.second_moments else {}
        heads = {} if self.heads is None else {"heads kept": self.heads.provenance}
        point = {} if self.steps is None else {"experts' steps": str(self.steps)}
        return {
            "rule": self.rule,
            **point,
            "task vectors": self.precision,
            **experts,
            **extras,
            **moments,
            **heads,
        }


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """Models to measure.

    Args:
        model: The live model to write them into.
        suite: What they are measured on.
        subjects: Mixtures to merge, or checkpoints as they are.
        request: What is wanted of each.
        merges: How mixtures are merged; needed for them alone.
        slope_sets: Sets whose slopes are taken, when slopes are wanted.
    """

    model: ModelSource
    suite: Suite
    subjects: tuple[Mixture | Checkpoint, ...]
    request: Request = VALUES
    merges: MergeSettings | None = None
    slope_sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadingJob:
    """A model whose token likelihoods are wanted.

    Args:
        model: The live model to write it into.
        suite: The sets; only likelihood sets are read.
        checkpoint: The model.
        coefficient: What its difference to the base is multiplied by.
        mixture: What the model was trained on; asked for where batch norm is measured anew.
        names: Of the sets that are read; None for all.
    """

    model: ModelSource
    suite: Suite
    checkpoint: Checkpoint
    coefficient: float = 1.0
    mixture: Mixture | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What was measured of one model.

    Args:
        measurements: One per metric.
        seconds: Wall time of writing the model and measuring it.
        n_tokens: Tokens that were read, in forward passes.
    """

    measurements: tuple[Measurement, ...]
    seconds: float
    n_tokens: int
