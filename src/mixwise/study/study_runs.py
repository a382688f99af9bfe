"""The training runs of a study, whatever its models are: which are trained, and opened again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from mixwise.engine.protocol import Engine
from mixwise.errors import StudyError
from mixwise.files import HashFile
from mixwise.ledger import Ledger
from mixwise.merging.rule_table import NamedRule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.progress import OnProgress
from mixwise.scoring.reference import Trainer, open_trained, train_jobs
from mixwise.study.folder import StudyFolder
from mixwise.training.job import Run, load_record

OfKind = TypeVar("OfKind", bound=Run)


class StudyRuns(ABC, Generic[OfKind]):
    """Every run that a study may train: experts, runs that its merge rule needs, references.

    Args:
        study: The study's folder.
        rule: Merge rule of the proxy.
        ledger: Forgets what was scored on a run that is found damaged.
        hash_file: Hashes files, and remembers unchanged ones.
        on_progress: Told how far training has come.
        seed: The experts'.

    Attributes:
        made_with: What decides how a run ends, in words.
        trainer: Trains one run.
    """

    made_with: ClassVar[str]
    trainer: Trainer

    def __init__(
        self,
        study: StudyFolder,
        rule: NamedRule,
        ledger: Ledger,
        hash_file: HashFile,
        on_progress: OnProgress,
        *,
        seed: int,
    ) -> None:
        self._study = study
        self._rule = rule
        self._ledger = ledger
        self._hash_file = hash_file
        self._on_progress = on_progress
        self._seed = seed

    # --- what the kinds of studies differ in -----------------------------------------------------

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """Where training runs."""

    @property
    @abstractmethod
    def how_to_train(self) -> str:
        """What the user does to train the experts."""

    @property
    def how_to_keep(self) -> str:
        """What the user does to let the study as it is."""
        return "use a new study folder"

    @property
    @abstractmethod
    def how_to_begin_anew(self) -> str:
        """What the user deletes where an expert was made with something else than is asked for."""

    @abstractmethod
    def expert_jobs(self) -> Sequence[OfKind]:
        """The runs of the experts that the user does not bring."""

    @abstractmethod
    def extra_jobs(self) -> Sequence[OfKind]:
        """Runs that correct the merge; they share the experts' seed, as no reference does."""

    @abstractmethod
    def job(self, mixture: Mixture, seed: int) -> OfKind:
        """The run of the final horizon that trains on a mixture with a seed."""

    @abstractmethod
    def expert(self, domain: str) -> Checkpoint:
        """The opened expert of a domain.

        Raises:
            StudyError: If it is not trained yet.
        """

    @abstractmethod
    def expert_at(self, domain: str, steps: int) -> Checkpoint:
        """The expert of a domain as it was after some steps, kept where it is merged.

        Raises:
            StudyError: If it is not trained yet, or was not kept there.
            DamagedError: If a file of it is not what was written.
        """

    def close(self) -> None:  # most kinds have nothing to stop
        """Stop what works elsewhere."""

    # --- what they share -------------------------------------------------------------------------

    def reference_seeds(self, n: int) -> tuple[int, ...]:
        """Seeds of references; never the experts', whose data order a reference must not share."""
        first = self._seed + 1
        return tuple(range(first, first + n))

    def require_own_experts(self) -> None:
        """Refuse a study whose experts were made with something else than is asked for.

        Raises:
            StudyError: Names the first such expert.
        """
        for job in self.expert_jobs():
            record = load_record(job.output)
            if record is not None and record.fingerprint != job.fingerprint:
                raise StudyError(
                    f"{job.output}: this expert was trained with other {self.made_with} than are "
                    f"asked for: {self.how_to_keep}, or delete {self.how_to_begin_anew}"
                )

    def train_experts(self) -> None:
        """Train every expert that the user does not bring, and every run that the rule needs.

        Raises:
            StudyError: If the folder of an expert holds a run with other settings.
        """
        self.require_own_experts()
        self._train([*self.expert_jobs(), *self.extra_jobs()])

    def train_extra_runs(self) -> None:
        """Train what the rule needs besides the experts."""
        self._train(self.extra_jobs())

    def trained(self, job: OfKind, what: str) -> Checkpoint:
        """The opened checkpoint of a finished run.

        Raises:
            StudyError: If it is not trained yet.
            FileNotFoundError: If the study's folder is not there any more.
            DamagedError: If a file of it is not what was written.
        """
        checkpoint = open_trained(job, self._ledger, self._hash_file)
        if checkpoint is None:
            self._study.require_there()
            raise StudyError(
                f"{job.output}: {what} is not trained yet with these {self.made_with}: run "
                f"`{self.how_to_train}` first"
            )
        return checkpoint

    def _train(self, jobs: Sequence[OfKind]) -> None:
        for _ in train_jobs(
            jobs,
            self.engine,
            self._on_progress,
            ledger=self._ledger,
            hash_file=self._hash_file,
            trainer=self.trainer,
        ):
            pass
