"""The training runs of a study: which there are, where they lie, and how they are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

from mixwise.engine.nothing import NoEngine
from mixwise.engine.protocol import Engine
from mixwise.engine.shared_folder import SharedFolder
from mixwise.engine.storage.engine import StoredEngine, Traffic
from mixwise.errors import StudyError
from mixwise.files import HashMemo
from mixwise.ledger import Ledger
from mixwise.merging.rule_table import NamedRule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.progress import OnProgress
from mixwise.recipe import Recipe, Training, hash_section
from mixwise.study.folder import StudyFolder
from mixwise.study.gradient_runs import measure_gradients, remove_gradients
from mixwise.study.horizons import Horizons
from mixwise.study.inputs import Inputs
from mixwise.study.repetition import short_run_rows, short_run_rows_of_all
from mixwise.study.run_fingerprint import expert_fingerprint, run_fingerprint
from mixwise.study.study_runs import StudyRuns
from mixwise.study.workers import choose_seats, cluster_of
from mixwise.tracking.run import RunKind
from mixwise.tracking.study import TrackedStudy
from mixwise.training.job import TrainingJob
from mixwise.training.launch import train
from mixwise.training.travel import output_of, written_in

_KEY = 16  # characters of a run's fingerprint that tell it apart


class Runs(StudyRuns[TrainingJob]):
    """The runs of a recipe.

    Args:
        study: The study's folder.
        inputs: The recipe's inputs.
        tracker: Says what tracking tools are told of each run.
        rule: Merge rule of the proxy.
        ledger: Forgets what was scored on a run that is found damaged.
        hash_file: Hashes files, and remembers unchanged ones.
        on_progress: Told how far training has come.
        read_only: Whether nothing may be trained.
        most_at_once: Runs that there are at most, so that each may take more threads.
    """

    made_with = "data or settings"
    trainer = staticmethod(train)

    def __init__(
        self,
        study: StudyFolder,
        inputs: Inputs,
        tracker: TrackedStudy,
        rule: NamedRule,
        ledger: Ledger,
        hash_file: HashMemo,
        on_progress: OnProgress,
        *,
        read_only: bool = False,
        most_at_once: int | None = None,
    ) -> None:
        self.recipe = inputs.recipe
        seed = self.recipe.training.seed
        super().__init__(study, rule, ledger, hash_file, on_progress, seed=seed)
        self._inputs = inputs
        self._tracker = tracker
        self._is_read_only = read_only
        self._most_at_once = most_at_once
        self._expert_jobs: dict[str, TrainingJob] = {}  # each names the data of all domains

    def close(self) -> None:
        """See `StudyRuns.close`."""
        if "engine" in self.__dict__:
            self.engine.close()

    @cached_property
    def engine(self) -> Engine:
        """See `StudyRuns.engine`."""
        if self._is_read_only:
            return NoEngine()
        seats = choose_seats(self.recipe, self._most_at_once)
        cluster = cluster_of(self.recipe)
        engine = cluster.open(seats.n_workers, seats.n_threads, seats.n_devices)
        if not cluster.is_elsewhere:
            return engine
        inputs, url = self._inputs, self.recipe.engine.storage
        if url is not None:
            scratch = (self._study.store_folder,)
            traffic = Traffic(url, self._study.folder, output_of, written_in, scratch)
            return StoredEngine(engine, traffic)
        return SharedFolder(engine, self._study.folder, (inputs.base_folder, inputs.settings.cache))

    @property
    def how_to_train(self) -> str:
        """See `StudyRuns.how_to_train`."""
        return f"mixwise experts {self._study.folder}"

    @property
    def how_to_keep(self) -> str:
        """See `StudyRuns.how_to_keep`."""
        again = f"run the recipe with `--reuse {self._study.folder}`"
        return f"use a new study folder ({again} to keep what is still valid)"

    @property
    def how_to_begin_anew(self) -> str:
        """See `StudyRuns.how_to_begin_anew`."""
        if not self._is_by_gradients:
            return "the expert's"
        return f"{self._study.experts_folder}, whose experts by gradients rest on all domains"

    def train_experts(self) -> None:
        """Make every expert that the user does not bring; see `StudyRuns.train_experts`.

        By gradients that takes all domains' first.
        """
        self.require_own_experts()
        if self._is_by_gradients:
            measure_gradients(self.expert_jobs(), self.engine, self._on_progress)
        super().train_experts()
        remove_gradients(self._study.gradients_folder)  # also those of another method's, killed

    def train_experts_of(self, domains: Sequence[str]) -> None:
        """Train the experts of some domains, while other processes may train those of others.

        Args:
            domains: Names; an expert that is trained already, or brought, is left as it is.

        Raises:
            StudyError: If all experts are made together, of all domains' gradients.
            BusyError: If another process is training one of them.
        """
        if self._is_by_gradients:
            raise StudyError(
                f"{self._study.folder}: its experts are not trained but moved along gradients of "
                "all domains, which are made together: run `mixwise experts` without `--only`, or "
                "set `experts.method: training`"
            )
        self.require_own_experts()
        own = {name for name, domain in self.recipe.domains.items() if domain.expert is None}
        self._train([self.expert_job(name) for name in domains if name in own])

    @property
    def _is_by_gradients(self) -> bool:
        return self._inputs.horizons.expert_method == "gradients"

    def expert_jobs(self) -> list[TrainingJob]:
        """See `StudyRuns.expert_jobs`."""
        domains = self.recipe.domains.items()
        return [self.expert_job(name) for name, domain in domains if domain.expert is None]

    def extra_jobs(self) -> list[TrainingJob]:
        """See `StudyRuns.extra_jobs`."""
        mixtures = self._rule.extra_runs(self.recipe.domain_names)
        return [self.tracked(self._short_job(mixture), "correction") for mixture in mixtures]

    def expert(self, domain: str) -> Checkpoint:
        """See `StudyRuns.expert`."""
        brought = self._inputs.expert_checkpoint(domain)
        if brought is not None:
            return brought
        return self.trained(self.expert_job(domain), f"the expert of `{domain}`")

    def expert_at(self, domain: str, steps: int) -> Checkpoint:
        """See `StudyRuns.expert_at`."""
        folder = self.expert(domain).folder / "trajectory" / str(steps)
        return open_checkpoint(folder, hash_file=self._hash_file)

    def expert_job(self, domain: str) -> TrainingJob:
        """The run that trains the expert of a domain."""
        if domain not in self._expert_jobs:
            self._expert_jobs[domain] = self._make_expert_job(domain)
        return self._expert_jobs[domain]

    def _make_expert_job(self, domain: str) -> TrainingJob:
        job = self._short_job(Mixture.single(self.recipe.domain_names, domain))
        if self._is_by_gradients:
            return self._moved(job, domain)
        trajectory = expert_trajectory(self.recipe, self._inputs.horizons)
        job = job.model_copy(
            update={
                "output": self._study.expert_folder(domain),
                "trajectory": trajectory,
                "fingerprint": expert_fingerprint(job.fingerprint, trajectory),
            }
        )
        return self.tracked(job, "expert")

    def tracked(self, job: TrainingJob, kind: RunKind) -> TrainingJob:
        """A run of which tracking tools are told what it is for.

        Args:
            job: The run, which stays the same.
            kind: What it is for.
        """
        told = self._tracker.run_of(kind, job.fingerprint[:_KEY], job.mixture, job.seed)
        return job if told is None else job.model_copy(update={"tracking": told})

    def _moved(self, job: TrainingJob, domain: str) -> TrainingJob:
        """The run that moves the base along a domain's gradient, divided as all domains ask."""
        inputs, names = self._inputs, self.recipe.domain_names
        rows = short_run_rows_of_all(inputs)
        return job.model_copy(
            update={
                "output": self._study.expert_folder(domain),
                "gradients": self._study.gradients_folder,
                "fingerprint": hash_section(
                    job.fingerprint,
                    "a step along the gradient, beside those of",
                    *(inputs.corpus(name).key for name in names),
                    *(f"{n} rows of {name}" for name, n in rows.items()),
                ),
            }
        )

    def _short_job(self, mixture: Mixture) -> TrainingJob:
        """A run of the experts' horizon, with their seed, which no reference has."""
        recipe = self.recipe
        settings = recipe.training.model_copy(update={"schedule": recipe.experts.schedule})
        steps = self._inputs.horizons.expert_steps
        rows = short_run_rows(self._inputs, self._inputs.token_mixture(mixture))
        kept = self._inputs.settings.kept
        if kept is not None and len(mixture.support) == 1 and mixture.support[0] in kept.experts:
            read = kept.experts[mixture.support[0]]
            rows = {} if read is None else {mixture.support[0]: read}
        return self._job(mixture, recipe.training.seed, settings, steps, rows)

    def job(self, mixture: Mixture, seed: int) -> TrainingJob:
        """See `StudyRuns.job`."""
        job = self._job(mixture, seed, self.recipe.training, self.recipe.n_steps)
        return self.tracked(job, "reference")

    def job_from(self, start: Checkpoint, mixture: Mixture, seed: int) -> TrainingJob:
        """The run of the final horizon that begins at another model than the base.

        Args:
            start: A full model, as the module keeps it.
            mixture: What is trained on.
            seed: Of the run.
        """
        job = self.job(mixture, seed)
        fingerprint = hash_section(job.fingerprint, "from", start.fingerprint)
        job = job.model_copy(
            update={
                "base": start.folder,
                "base_name": str(start.folder),
                "base_fingerprint": start.fingerprint,
                "output": self._study.reference_folder(fingerprint),
                "fingerprint": fingerprint,
            }
        )
        return self.tracked(job, "reference")

    def _job(
        self,
        mixture: Mixture,
        seed: int,
        settings: Training,
        n_steps: int,
        most_rows: Mapping[str, int] = MappingProxyType({}),
    ) -> TrainingJob:
        recipe, inputs = self.recipe, self._inputs
        n_sequences = n_steps * settings.batch_sequences
        by_tokens = inputs.token_mixture(mixture)
        fingerprint = run_fingerprint(
            inputs,
            by_tokens,
            seed=seed,
            settings=settings,
            n_sequences=n_sequences,
            most_rows=most_rows,
        )
        return TrainingJob(
            base=inputs.base.folder,
            base_name=str(inputs.base.folder),
            base_fingerprint=inputs.base.fingerprint,
            output=self._study.reference_folder(fingerprint),
            streams={name: inputs.corpus(name).train for name in recipe.domains},
            shares=mixture.shares,
            token_shares=None if by_tokens == mixture else by_tokens.shares,
            n_sequences=n_sequences,
            sequence_length=recipe.sequence_length,
            seed=seed,
            settings=settings,
            most_rows=dict(most_rows),
            fingerprint=fingerprint,
            trust_remote_code=inputs.settings.trust_remote_code,
            start_of_text=inputs.start_of_text,
            chat_template=None if recipe.chat_template is None else inputs.chat_template.given,
            auto_class=recipe.task_facts.auto_class,
            labels=inputs.labels,
            head_sizes=inputs.heads.sizes,
        )


def expert_trajectory(recipe: Recipe, horizons: Horizons) -> tuple[int, ...]:
    """Steps of an expert that are kept: where it is merged, and evenly spaced ones.

    Args:
        recipe: The recipe.
        horizons: Where its experts end, and where along their runs they are merged.
    """
    n, steps = recipe.training.trajectory_checkpoints, horizons.expert_steps
    even = {round(steps * (k + 1) / (n + 1)) for k in range(n)}
    return tuple(sorted(even.union(horizons.points) - {0, steps}))
