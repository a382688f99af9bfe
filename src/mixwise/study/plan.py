"""What a study will cost: runs, tokens, repetition, memory, disk, time.

Notation:
    P: parameters.  A run holds, in float32, parameters (4P bytes), gradients (4P) and Adam's two
    moments (8P); LoRA holds the last two for its adapters only.

Method:
    Activations are estimated from the model's shape: per layer and position some 16 values of the
    hidden width; three copies of the logits. Seconds come from a measured training step and from
    measured parts of an evaluation (`mixwise.stages.timing`). `diagnose` differentiates twice,
    without a fused attention: some 107 values of the width, 7 copies of the attention's weights, 8
    of the logits.

Source:
    The last three, and that the first two are within a quarter: peaks of Llamas of two widths, two
    depths, two vocabularies and two lengths in processes of their own, float32 on a CPU. What a
    worker's start and a run take beside their steps: the demo, CPU seconds (``benchmarks/LOG.md``).
"""

from __future__ import annotations

from dataclasses import dataclass

from mixwise.recipe import Recipe
from mixwise.recipe.sections import ExpertMethod
from mixwise.scoring.weighing import LONGER_STEPS
from mixwise.study.horizons import Horizons
from mixwise.tasks import Unit

_ACTIVATIONS_PER_LAYER = 16
_LOGIT_COPIES = 3
_TWICE_PER_LAYER = 107  # values of the width, per layer and position, differentiated twice
_TWICE_ATTENTION = 7  # copies of the attention's weights, the same
_TWICE_LOGITS = 8
_TWICE_COUNTED = 7  # copies of the activations that were counted, differentiated twice
_TWICE_SEQUENCES = 4  # that `diagnose` differentiates of each set
START_SECONDS = 7.0  # of the workers, side by side: Python, torch and transformers
RUN_SECONDS = 2.0  # of a run beside its steps: its trainer, loading, saving
_PROCESS_BYTES = 600 * 2**20  # Python, torch and transformers themselves


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What memory and disk depend on.

    Args:
        n_parameters: P.
        n_trainable: Parameters that are trained: P, or the adapters'.
        hidden: Width of the hidden state.
        n_layers: Number of layers.
        vocabulary: Rows of the output layer.
        n_heads: Heads of the attention of a layer; 0 where there is none.
        example_activations: Numbers that the modules put out for one example, where they were
            counted; None where they follow from width, layers and tokens.
    """

    n_parameters: int
    n_trainable: int
    hidden: int
    n_layers: int
    vocabulary: int
    n_heads: int = 0
    example_activations: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds that were measured on this machine, with one worker's threads.

    Args:
        step_seconds: An optimiser step.
        evaluation_seconds: An evaluation of all sets.
        reading_seconds: Reading the rows of all likelihood sets, every prompt with each choice.
        objective_seconds: The same of the sets that the objective reads.
    """

    step_seconds: float
    evaluation_seconds: float
    reading_seconds: float
    objective_seconds: float


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """One domain: what there is, and how often it would be read.

    Args:
        name: The domain.
        n_documents: Documents, both sides.
        train_tokens: Available tokens.
        heldout_tokens: Tokens held out.
        expert_repetition: Epochs of its own expert.
        max_share: Largest share that may be recommended.
        repetition_at_max: Epochs at that share, at most.
        repetition_when_even: Epochs of the final run at an even share, or at that if it is less.
    """

    name: str
    n_documents: int
    train_tokens: int
    heldout_tokens: int
    expert_repetition: float
    max_share: float
    repetition_at_max: float
    repetition_when_even: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All that can be known before training.

    Args:
        domains: One row per domain.
        n_experts: Runs of experts, and those that the merge rule needs besides.
        expert_tokens: Tokens of one of them.
        expert_points: Steps at which they are merged; the last is their end.
        n_candidates: Merged candidates to score, at most.
        candidate_passes: Evaluations that scoring one takes: more than one with slopes or at
            several points, none where it is arithmetic on the experts' predictions.
        readings: How often the predictions of each expert are read, at most.
        n_calibration: Runs that calibrate the proxy.
        n_references: Runs of reference mixtures that verify it.
        n_besides: Mixtures beside the candidates that the proxy scores: references and baselines.
        n_final: Runs of the recommendation and its baselines, at most.
        budget: Tokens that may be trained before the final run, in final runs.
        run_tokens: Tokens of every run but the experts'.
        run_steps: Optimiser steps of such a run.
        evaluation_tokens: Tokens of one evaluation.
        n_workers: Runs at once.
        run_memory_bytes: Peak memory of one run, or of one evaluation where that is more.
        memory_bytes: Peak memory of all processes together, the store of task vectors counted once.
        disk_bytes: Size of the finished study and of the snapshots beside it.
        diagnosis_bytes: Peak memory of `diagnose`, which runs in one process.
        seconds: Estimated time.
        unit: What is counted where tokens are named: examples, of a task with labels.
        expert_method: Whether experts are trained, or moved along gradients at the base.
        n_kept: Experts of another study that are gone on with.
    """

    domains: tuple[DomainPlan, ...]
    n_experts: int
    expert_tokens: int
    expert_points: tuple[int, ...]
    n_candidates: int
    candidate_passes: int
    readings: int
    n_calibration: int
    n_references: int
    n_besides: int
    n_final: int
    budget: float
    run_tokens: int
    run_steps: int
    evaluation_tokens: int
    n_workers: int
    run_memory_bytes: int
    memory_bytes: int
    disk_bytes: int
    diagnosis_bytes: int
    seconds: float = 0.0
    unit: Unit = "tokens"
    expert_method: ExpertMethod = "training"
    n_kept: int = 0

    @property
    def n_runs(self) -> int:
        """Training runs in all."""
        return self.n_experts + self.n_full_runs

    @property
    def n_full_runs(self) -> int:
        """Runs of the final horizon."""
        return self.n_calibration + self.n_references + self.n_final

    @property
    def expert_price(self) -> float:
        """Tokens of all experts over those of the final run."""
        return self.n_experts * self.expert_tokens / self.run_tokens

    @property
    def price(self) -> float:
        """Tokens that are trained for the answer, before the final run, over those of that run."""
        return self.expert_price + self.n_calibration

    @property
    def n_verification(self) -> int:
        """Runs that only check the answer: references, baselines, further seeds."""
        return self.n_references + max(self.n_final - 1, 0)

    def time(self, measured: Measured) -> float:
        """Estimated seconds: phases one after the other, runs side by side within each.

        Every evaluation is shared by all workers.
        """
        phases = (self.n_calibration, self.n_references, self.n_final)
        n_full = sum(-(-n // self.n_workers) for n in phases)
        n_short = -(-self.n_experts // self.n_workers)
        steps = n_full * self.run_steps + n_short * self.expert_points[-1]
        trained = steps * measured.step_seconds + (n_full + n_short) * RUN_SECONDS
        n_merges = (self.n_candidates + self.n_besides) * self.candidate_passes
        is_continued = self.readings > 1 and self.expert_method == "training"
        n_longer = len(LONGER_STEPS) if is_continued else 0
        shared = (1 + n_merges + self.n_full_runs) * measured.evaluation_seconds
        n_read = self.n_experts + self.n_kept
        shared += n_read * self.readings * measured.reading_seconds
        shared += n_read * n_longer * measured.objective_seconds
        return START_SECONDS + trained + shared / self.n_workers

    @property
    def trained_tokens(self) -> int:
        """Tokens trained in all."""
        return self.n_experts * self.expert_tokens + self.n_full_runs * self.run_tokens


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of what a recipe asks for.

    Args:
        horizons: Horizons, and the runs before the final one.
        n_candidates: Merged candidates to score.
        n_besides: Baselines that are none of them, which the proxy scores too.
        candidate_passes: Evaluations that scoring one takes; 0 where predictions answer.
        readings: How often the predictions of each expert are read, at most.
        n_baselines: Baselines to train.
    """

    horizons: Horizons
    n_candidates: int
    n_besides: int
    candidate_passes: int
    readings: int
    n_baselines: int


def training_bytes(shape: ModelShape, recipe: Recipe) -> int:
    """Peak memory of one training run in bytes, an estimate."""
    settings = recipe.training
    micro = settings.batch_sequences // settings.n_passes
    layers = 2 if settings.gradient_checkpointing else shape.n_layers
    state = 4 * shape.n_parameters + 12 * shape.n_trainable
    return _PROCESS_BYTES + state + 4 * _kept_numbers(shape, recipe, micro, layers)


def evaluation_bytes(shape: ModelShape, recipe: Recipe) -> int:
    """Peak memory of a worker that evaluates, in bytes: the model and a batch's logits.

    Slopes keep the activations of a batch too, and gradients. A model that is read layer by layer
    takes what it is given, or else half of what is free.
    """
    if recipe.evaluation.placement == "layers":
        return _PROCESS_BYTES + int((recipe.evaluation.memory_gb or 0) * 1e9)
    kept = _kept_numbers(shape, recipe, recipe.evaluation.batch_sequences, shape.n_layers)
    return _PROCESS_BYTES + 4 * (2 * shape.n_parameters + kept)


def _kept_numbers(shape: ModelShape, recipe: Recipe, n_rows: int, n_layers: int) -> int:
    """Activations and logits of a batch."""
    if shape.example_activations is not None:
        return n_rows * shape.example_activations
    positions = n_rows * recipe.row_tokens
    activations = positions * shape.hidden * _ACTIVATIONS_PER_LAYER * n_layers
    return activations + positions * shape.vocabulary * _LOGIT_COPIES


def diagnosis_bytes(shape: ModelShape, recipe: Recipe) -> int:
    """Peak memory of `diagnose` in bytes, an estimate: second derivatives of a few sequences.

    It holds the model, its gradients and what they are differentiated along.
    """
    rows = min(recipe.evaluation.batch_sequences, recipe.evaluation.max_sequences, _TWICE_SEQUENCES)
    if shape.example_activations is not None:
        kept = _TWICE_COUNTED * rows * shape.example_activations
        return _PROCESS_BYTES + 4 * (3 * shape.n_parameters + kept)
    positions = rows * recipe.row_tokens
    activations = positions * shape.hidden * _TWICE_PER_LAYER * shape.n_layers
    attended = positions * recipe.row_tokens * shape.n_heads * shape.n_layers
    logits = positions * shape.vocabulary * _TWICE_LOGITS
    state = 3 * shape.n_parameters
    return _PROCESS_BYTES + 4 * (state + activations + _TWICE_ATTENTION * attended + logits)


def _store_bytes(shape: ModelShape, recipe: Recipe) -> int:
    """Size of the store of task vectors in bytes; int8 has a float32 scale per 128 numbers."""
    per_number = {"float32": 4.0, "bfloat16": 2.0, "int8": 1 + 4 / 128}
    return int(len(recipe.domains) * shape.n_parameters * per_number[recipe.engine.task_vectors])


def make_plan(
    recipe: Recipe,
    domains: tuple[DomainPlan, ...],
    counts: Counts,
    shape: ModelShape,
    *,
    evaluation_tokens: int,
    n_workers: int,
) -> Plan:
    """Work out the cost of a recipe.

    Args:
        recipe: The recipe.
        domains: What each domain offers.
        counts: Runs and candidates.
        shape: The model's.
        evaluation_tokens: Tokens of one evaluation.
        n_workers: Runs at once.
    """
    horizons, validated = counts.horizons, recipe.validation
    n_experts = horizons.n_experts + horizons.n_extras
    n_calibration = horizons.n_calibration * horizons.calibration_seeds
    n_references = validated.mixtures * validated.seeds
    n_final = (1 + counts.n_baselines) * recipe.final.seeds if recipe.final.train else 0
    n_runs = n_experts + n_calibration + n_references + n_final
    checkpoint = 4 * (shape.n_trainable if recipe.training.method == "lora" else shape.n_parameters)
    n_trajectory = recipe.training.trajectory_checkpoints + len(horizons.points) - 1
    is_moved = horizons.expert_method == "gradients"
    n_gradients = 2 * n_experts + 1 if is_moved else 0  # with their squares, until all have moved
    snapshots = 2 * n_workers * 3 * checkpoint if recipe.training.snapshots else 0
    store = 0 if recipe.training.method == "lora" else _store_bytes(shape, recipe)
    store *= len(horizons.points)
    moved_diagnosis = _PROCESS_BYTES + 4 * shape.n_parameters  # which differentiates nothing
    run_memory = max(training_bytes(shape, recipe), evaluation_bytes(shape, recipe))
    return Plan(
        domains=domains,
        n_experts=n_experts,
        expert_tokens=horizons.expert_steps * recipe.batch_tokens,
        expert_points=horizons.points,
        n_candidates=counts.n_candidates,
        candidate_passes=counts.candidate_passes,
        readings=counts.readings,
        n_calibration=n_calibration,
        n_references=n_references,
        n_besides=validated.mixtures + counts.n_besides,
        n_final=n_final,
        budget=recipe.budget,
        run_tokens=recipe.run_tokens,
        run_steps=recipe.n_steps,
        evaluation_tokens=evaluation_tokens,
        n_workers=n_workers,
        run_memory_bytes=run_memory,
        memory_bytes=n_workers * run_memory + _PROCESS_BYTES + store,
        disk_bytes=2 * checkpoint * (n_runs + horizons.n_kept)
        + n_trajectory * (n_experts + horizons.n_kept) * checkpoint
        + n_gradients * checkpoint
        + snapshots
        + store,
        diagnosis_bytes=store + (moved_diagnosis if is_moved else diagnosis_bytes(shape, recipe)),
        unit=recipe.task_facts.unit,
        expert_method=horizons.expert_method,
        n_kept=horizons.n_kept,
    )
