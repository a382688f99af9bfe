"""The reference: a mixture's score is the score of a model that was really trained on it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mixwise.engine.protocol import Engine
from mixwise.engine.worker_cache import release_resident
from mixwise.errors import DamagedError, MixwiseWarning
from mixwise.files import HashFile, hash_file
from mixwise.ledger import Ledger
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.observation import Observation, average_over_seeds
from mixwise.progress import OnProgress, Progress, silent
from mixwise.recipe import hash_section
from mixwise.scorer import VALUES, Request
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.worker.job import Evaluated
from mixwise.training.job import RUN_FILE, OnStep, Run, RunRecord, load_record
from mixwise.training.launch import train
from mixwise.training.run_files import open_run
from mixwise.training.run_folder import WORK

MakeJob = Callable[[Mixture, int], Run]
Trainer = Callable[[Any, OnStep], RunRecord]


class ReferenceScorer:
    """Trains on mixtures and evaluates what comes out.

    Args:
        make_job: The training run of a mixture and a seed.
        engine: Where runs are trained.
        evaluations: Where the trained models are evaluated.
        ledger: Where observations are found and kept.
        seeds: Every mixture is trained once with each.
        trainer: Trains one run; the function that the engine runs.
        hash_file: Hashes a file; a study passes one that remembers unchanged files.
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
        trainer: Trainer = train,
        hash_file: HashFile = hash_file,
        on_progress: OnProgress = silent,
    ) -> None:
        self._make_job = make_job
        self._trainer = trainer
        self._engine = engine
        self._evaluations = evaluations
        self._ledger = ledger
        self._seeds = tuple(seeds)
        self._hash_file = hash_file
        self._on_progress = on_progress

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Train and score mixtures; one observation each, averaged over the seeds.

        A trained model has no slopes in the shares, and once it is trained it is measured whole:
        whatever is requested, the answer is the values of all examples.
        """
        return tuple(average_over_seeds(runs) for runs in self.runs(mixtures))

    def runs(self, mixtures: Sequence[Mixture]) -> tuple[tuple[Observation, ...], ...]:
        """Train and score mixtures; a group of observations per mixture, one for each seed.

        Raises:
            TrainingError: If a run diverges; runs that have finished are kept.
        """
        jobs = [self._make_job(mixture, seed) for mixture in mixtures for seed in self._seeds]
        for _ in train_jobs(
            jobs,
            self._engine,
            self._on_progress,
            ledger=self._ledger,
            hash_file=self._hash_file,
            trainer=self._trainer,
        ):
            pass
        trained = [_Trained.open(job, self._ledger, self._hash_file) for job in jobs]
        found = {k: self._ledger.find(self._fingerprint(run)) for k, run in enumerate(trained)}
        known = {k: observation for k, observation in found.items() if observation is not None}
        missing = [k for k in range(len(jobs)) if k not in known]
        subjects = [trained[k].checkpoint for k in missing]
        for index, evaluated in self._evaluations.run(subjects, VALUES):
            known[missing[index]] = self._record(trained[missing[index]], evaluated)
            self._on_progress(Progress("evaluating trained models", len(known), len(jobs), "runs"))
        n = len(self._seeds)
        runs = tuple(known[k] for k in range(len(jobs)))
        return tuple(runs[k : k + n] for k in range(0, len(runs), n))

    def _record(self, run: _Trained, evaluated: Evaluated) -> Observation:
        is_own = not run.record.taken_from  # a run of another study was paid there
        observation = Observation(
            mixture=run.job.mixture,
            answer="reference",
            rule="",
            seeds=(run.job.seed,),
            measurements=evaluated.measurements,
            seconds=evaluated.seconds + (run.record.seconds if is_own else 0.0),
            tokens_trained=run.record.n_tokens if is_own else 0,
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

    job: Run
    record: RunRecord
    checkpoint: Checkpoint

    @classmethod
    def open(cls, job: Run, ledger: Ledger, hash_file: HashFile) -> _Trained:
        checkpoint = open_trained(job, ledger, hash_file)
        record = load_record(job.output)
        if record is None or checkpoint is None:  # train_jobs yields a job with a record on disk
            raise RuntimeError(f"{job.output} has no record")
        return cls(job, record, checkpoint)


def open_trained(job: Run, ledger: Ledger, hash_file: HashFile) -> Checkpoint | None:
    """Open the checkpoint of a finished run; no score outlives a run that is found damaged.

    Returns:
        The checkpoint; None when there is no finished run with these settings.

    Raises:
        DamagedError: If a file of the run is not what was written.
    """
    try:
        return open_run(job, hash_file)
    except DamagedError:
        ledger.forget(run=job.fingerprint)
        raise


def train_jobs(
    jobs: Sequence[Run],
    engine: Engine,
    on_progress: OnProgress,
    *,
    ledger: Ledger,
    hash_file: HashFile,
    trainer: Trainer = train,
) -> Iterator[int]:
    """Train what is not trained yet.

    Args:
        jobs: The runs.
        engine: Where they are trained.
        on_progress: Told after each optimiser step of any run.
        ledger: Forgets the scores of a run that is found damaged.
        hash_file: Hashes a file; a study passes one that remembers unchanged files.
        trainer: Trains one run.

    Yields:
        Index of each job whose checkpoint is on disk: finished ones first, then as they finish.

    Raises:
        DamagedError: If a finished run is damaged, before anything is trained.
    """
    waiting = []
    for index, job in enumerate(jobs):
        if open_trained(job, ledger, hash_file) is None:
            waiting.append(index)
    yield from (index for index in range(len(jobs)) if index not in waiting)
    if not waiting:
        return
    for index in waiting:
        _tell_lost_record(jobs[index])
    release_resident()  # a model that was evaluated in this process: training needs the memory
    steps = [0 if index in waiting else job.n_steps for index, job in enumerate(jobs)]
    total = sum(job.n_steps for job in jobs)
    n_done = len(jobs) - len(waiting)

    def tell(index: int) -> None:
        note = f"{n_done} of {len(jobs)} runs done"
        if engine.n_workers == 1:
            note += f", now {_name_of(jobs[index])}"
        on_progress(Progress("training", sum(steps), total, "steps", note))

    def on_step(k: int, step: int) -> None:
        steps[waiting[k]] = step
        tell(waiting[k])

    tell(waiting[0])
    for finished in engine.run(trainer, [jobs[index] for index in waiting], on_step):
        index = waiting[finished.index]
        steps[index] = jobs[index].n_steps
        n_done += 1
        tell(index)
        yield index


def _tell_lost_record(job: Run) -> None:
    """Say why a run is trained again whose weights are there."""
    is_under_way = (job.output / WORK).is_dir()
    if (
        not is_under_way
        and load_record(job.output) is None
        and any(job.output.glob("*.safetensors"))
    ):
        warnings.warn(
            f"{job.output}: holds tensors but no {RUN_FILE}, so nothing vouches for them: the run "
            "is trained again",
            MixwiseWarning,
            stacklevel=2,
        )


def _name_of(job: Run) -> str:
    """A run in the user's words: an expert by its domain, any other by its mixture and seed."""
    if len(job.mixture.support) == 1:
        return f"{job.mixture.support[0]} (seed {job.seed})"
    return f"{job.mixture} (seed {job.seed})"
