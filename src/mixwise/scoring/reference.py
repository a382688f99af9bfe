"""The reference: a mixture's score is the score of a model that was really trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mixwise.engine.queue import Engine
from mixwise.engine.resident import release_resident
from mixwise.ledger import Ledger
from mixwise.merging.checkpoint import Checkpoint, open_checkpoint
from mixwise.mixture import Mixture
from mixwise.observation import Observation, average_over_seeds
from mixwise.progress import OnProgress, Progress, silent
from mixwise.recipe import hash_section
from mixwise.scorer import VALUES, Request
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.job import Evaluated
from mixwise.training.job import RunRecord, TrainingJob, load_record
from mixwise.training.launch import train

MakeJob = Callable[[Mixture, int], TrainingJob]


class ReferenceScorer:
    """Trains on mixtures and evaluates what comes out.

    Args:
        make_job: The training run of a mixture and a seed.
        engine: Where runs are trained.
        evaluations: Where the trained models are evaluated.
        ledger: Where observations are found and kept.
        seeds: Every mixture is trained once with each.
        on_progress: Told after each training step and each evaluation.
    """

    def __init__(
        self,
        make_job: MakeJob,
        engine: Engine,
        evaluations: Evaluations,
        ledger: Ledger,
        *,
        seeds: Sequence[int],
        on_progress: OnProgress = silent,
    ) -> None:
        self._make_job = make_job
        self._engine = engine
        self._evaluations = evaluations
        self._ledger = ledger
        self._seeds = tuple(seeds)
        self._on_progress = on_progress

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Train and score mixtures; one observation each, averaged over the seeds.

        A trained model has no slopes in the shares, and once it is trained it is measured whole:
        whatever is requested, the answer is the values of all examples.
        """
        runs, n = self.runs(mixtures), len(self._seeds)
        return tuple(average_over_seeds(runs[k * n : (k + 1) * n]) for k in range(len(mixtures)))

    def runs(self, mixtures: Sequence[Mixture]) -> tuple[Observation, ...]:
        """Train and score mixtures; one observation per mixture and seed, mixture by mixture.

        Raises:
            TrainingError: If a run diverges; runs that have finished are kept.
        """
        jobs = [self._make_job(mixture, seed) for mixture in mixtures for seed in self._seeds]
        for _ in train_jobs(jobs, self._engine, self._on_progress):
            pass
        trained = [_Trained.open(job, self._ledger) for job in jobs]
        found = {k: self._ledger.find(self._fingerprint(run)) for k, run in enumerate(trained)}
        known = {k: observation for k, observation in found.items() if observation is not None}
        missing = [k for k in range(len(jobs)) if k not in known]
        subjects = [trained[k].checkpoint for k in missing]
        for index, evaluated in self._evaluations.run(subjects, VALUES):
            known[missing[index]] = self._record(trained[missing[index]], evaluated)
            self._on_progress(Progress("evaluating trained models", len(known), len(jobs), "runs"))
        return tuple(known[k] for k in range(len(jobs)))

    def _record(self, run: _Trained, evaluated: Evaluated) -> Observation:
        observation = Observation(
            mixture=run.job.mixture,
            answer="reference",
            rule="",
            seeds=(run.job.seed,),
            measurements=evaluated.measurements,
            seconds=run.record.seconds + evaluated.seconds,
            tokens_trained=run.record.n_tokens,
            tokens_evaluated=evaluated.n_tokens,
            fingerprint=self._fingerprint(run),
            provenance=self._provenance(run),
        )
        self._ledger.add(observation)
        return observation

    def _fingerprint(self, run: _Trained) -> str:
        return hash_section("reference", *(f"{k}={v}" for k, v in self._provenance(run).items()))

    def _provenance(self, run: _Trained) -> dict[str, str]:
        return {
            "mixture": str(run.job.mixture),
            "seed": str(run.job.seed),
            "run": run.job.fingerprint,
            "checkpoint": run.checkpoint.fingerprint,
            **self._evaluations.provenance,
        }


@dataclass(frozen=True, slots=True)
class _Trained:
    """A finished run: what was asked for, what it cost, and what came out."""

    job: TrainingJob
    record: RunRecord
    checkpoint: Checkpoint

    @classmethod
    def open(cls, job: TrainingJob, ledger: Ledger) -> _Trained:
        record = load_record(job.output)
        if record is None:  # train_jobs yields a job only when its record is on disk
            raise RuntimeError(f"{job.output} has no record")
        return cls(job, record, open_checkpoint(job.output, hash_file=ledger.hash_file))


def train_jobs(
    jobs: Sequence[TrainingJob], engine: Engine, on_progress: OnProgress
) -> Iterator[int]:
    """Train what is not trained yet.

    Args:
        jobs: The runs.
        engine: Where they are trained.
        on_progress: Told after each optimiser step of any run.

    Yields:
        Index of each job whose checkpoint is on disk: finished ones first, then as they finish.
    """
    waiting = []
    for index, job in enumerate(jobs):
        record = load_record(job.output)
        if record is not None and record.fingerprint == job.fingerprint:
            yield index
        else:
            waiting.append(index)
    if not waiting:
        return
    release_resident()  # a model that was evaluated in this process: training needs the memory
    steps = dict.fromkeys(range(len(waiting)), 0)
    total = sum(jobs[index].n_steps for index in waiting)
    n_done = len(jobs) - len(waiting)

    def tell(k: int) -> None:
        note = f"{n_done} of {len(jobs)} runs done"
        if engine.n_workers == 1:
            note += f", now {_name_of(jobs[waiting[k]])}"
        on_progress(Progress("training", sum(steps.values()), total, "steps", note))

    def on_step(k: int, step: int) -> None:
        steps[k] = step
        tell(k)

    tell(0)
    for finished in engine.run(train, [jobs[index] for index in waiting], on_step):
        steps[finished.index] = jobs[waiting[finished.index]].n_steps
        n_done += 1
        tell(finished.index)
        yield waiting[finished.index]


def _name_of(job: TrainingJob) -> str:
    """A run in the user's words: an expert by its domain, any other by its mixture and seed."""
    if len(job.mixture.support) == 1:
        return f"{job.mixture.support[0]} (seed {job.seed})"
    return f"{job.mixture} (seed {job.seed})"
