"""The reference: a mixture's score is the score of a model that was really trained on it.

A trained checkpoint is written into the same live model and measured by the same suite as a merge,
so that proxy and reference differ in nothing but their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mixwise.engine.local import LocalEngine
from mixwise.errors import EvaluationError
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.ledger import Ledger
from mixwise.merging.checkpoint import open_checkpoint
from mixwise.merging.experts import write_checkpoint
from mixwise.merging.live_model import LiveModel
from mixwise.mixture import Mixture
from mixwise.observation import Observation, average_over_seeds
from mixwise.recipe import hash_section
from mixwise.scorer import OnProgress, Progress, silent
from mixwise.scoring.proxy import Clock, model_provenance
from mixwise.training.job import TrainingJob, load_record
from mixwise.training.launch import train

MakeJob = Callable[[Mixture, int], TrainingJob]


class ReferenceScorer:
    """Trains on mixtures and evaluates what comes out.

    Args:
        make_job: The training run of a mixture and a seed.
        engine: Where runs are trained.
        live: The live model of the base.
        suite: What the trained models are measured on.
        ledger: Where observations are found and kept.
        seeds: Every mixture is trained once with each.
        clock: Seconds, for the cost of evaluation.
        on_progress: Told after each training step and each evaluation.
    """

    def __init__(
        self,
        make_job: MakeJob,
        engine: LocalEngine,
        live: LiveModel,
        suite: EvaluationSuite,
        ledger: Ledger,
        *,
        seeds: Sequence[int],
        clock: Clock,
        on_progress: OnProgress = silent,
    ) -> None:
        self._make_job = make_job
        self._engine = engine
        self._live = live
        self._suite = suite
        self._ledger = ledger
        self._seeds = tuple(seeds)
        self._clock = clock
        self._on_progress = on_progress

    def score(self, mixtures: Sequence[Mixture]) -> tuple[Observation, ...]:
        """Train and score mixtures; one observation each, averaged over the seeds."""
        runs, n = self.runs(mixtures), len(self._seeds)
        return tuple(average_over_seeds(runs[k * n : (k + 1) * n]) for k in range(len(mixtures)))

    def runs(self, mixtures: Sequence[Mixture]) -> tuple[Observation, ...]:
        """Train and score mixtures; one observation per mixture and seed, mixture by mixture.

        Raises:
            TrainingError: If a run diverges; runs that have finished are kept.
        """
        jobs = [self._make_job(mixture, seed) for mixture in mixtures for seed in self._seeds]
        observed: dict[int, Observation] = {}
        for index in train_jobs(jobs, self._engine, self._on_progress):
            observed[index] = self._observe(jobs[index])
            self._on_progress(Progress("evaluating trained models", len(observed), len(jobs)))
        return tuple(observed[index] for index in range(len(jobs)))

    def _observe(self, job: TrainingJob) -> Observation:
        record = load_record(job.output)
        if record is None:  # train_jobs yields a job only when its record is on disk
            raise RuntimeError(f"{job.output} has no record")
        checkpoint = open_checkpoint(job.output, hash_file=self._ledger.hash_file)
        provenance = {
            "mixture": str(job.mixture),
            "seed": str(job.seed),
            "run": job.fingerprint,
            "checkpoint": checkpoint.fingerprint,
            **model_provenance(self._live),
            "evaluation": self._suite.fingerprint,
        }
        fingerprint = hash_section("reference", *(f"{k}={v}" for k, v in provenance.items()))
        found = self._ledger.find(fingerprint)
        if found is not None:
            return found
        started = self._clock()
        write_checkpoint(self._live, checkpoint)
        try:
            measurements = self._suite.evaluate(self._live.module)
        except EvaluationError as error:
            raise EvaluationError(f"{job.output}, trained on `{job.mixture}`: {error}") from None
        observation = Observation(
            mixture=job.mixture,
            answer="reference",
            rule="",
            seeds=(job.seed,),
            measurements=measurements,
            seconds=record.seconds + self._clock() - started,
            tokens_trained=record.n_tokens,
            tokens_evaluated=self._suite.n_tokens,
            fingerprint=fingerprint,
            provenance=provenance,
        )
        self._ledger.add(observation)
        return observation


def train_jobs(
    jobs: Sequence[TrainingJob], engine: LocalEngine, on_progress: OnProgress
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
    steps = dict.fromkeys(range(len(waiting)), 0)
    total = sum(jobs[index].n_steps for index in waiting)

    def on_step(k: int, step: int) -> None:
        steps[k] = step
        on_progress(Progress("training", sum(steps.values()), total))

    on_progress(Progress("training", 0, total))
    for finished in engine.run(train, [jobs[index] for index in waiting], on_step):
        steps[finished.index] = jobs[waiting[finished.index]].n_steps
        on_progress(Progress("training", sum(steps.values()), total))
        yield waiting[finished.index]
