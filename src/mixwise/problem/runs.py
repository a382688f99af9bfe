"""The training runs of a problem's study: which there are, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence

from mixwise.engine.nothing import NoEngine
from mixwise.engine.protocol import Engine
from mixwise.engine.serial import HereEngine
from mixwise.errors import StudyError
from mixwise.files import HashFile
from mixwise.ledger import Ledger
from mixwise.merging.rule_table import NamedRule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.problem.inputs import ProblemInputs
from mixwise.problem.training import ModuleRun, train_module
from mixwise.progress import OnProgress
from mixwise.recipe import hash_section
from mixwise.scoring.reference import open_trained, train_jobs
from mixwise.study.folder import StudyFolder
from mixwise.training.job import load_record


class ProblemRuns:
    """Every run that the study may train: a `mixwise.study.protocols.StudyRuns`.

    Functions of the user cannot be sent to other processes, so all of them run in this one.

    Args:
        study: The study's folder.
        inputs: What it is about.
        rule: Merge rule of the proxy.
        ledger: Forgets what was scored on a run that is found damaged.
        hash_file: Hashes files, and remembers unchanged ones.
        on_progress: Told how far training has come.
        read_only: Whether nothing may be trained.
    """

    def __init__(
        self,
        study: StudyFolder,
        inputs: ProblemInputs,
        rule: NamedRule,
        ledger: Ledger,
        hash_file: HashFile,
        on_progress: OnProgress,
        *,
        read_only: bool,
    ) -> None:
        self._study = study
        self._inputs = inputs
        self._rule = rule
        self._ledger = ledger
        self._hash_file = hash_file
        self._on_progress = on_progress
        self.engine: Engine = NoEngine() if read_only else HereEngine()

    def reference_seeds(self, n: int) -> tuple[int, ...]:
        """Seeds of references; never the experts'."""
        first = self._inputs.recipe.training.seed + 1
        return tuple(range(first, first + n))

    def require_own_experts(self) -> None:
        """Refuse a study whose experts were trained with other functions or settings.

        Raises:
            StudyError: Names the first such expert.
        """
        for run in self.expert_jobs():
            record = load_record(run.output)
            if record is not None and record.fingerprint != run.fingerprint:
                raise StudyError(
                    f"{run.output}: this expert was trained with other functions or settings than "
                    "are asked for: use a new study folder, or delete the expert's"
                )

    def train_experts(self) -> None:
        """Train every expert that is missing, and every run that the merge rule needs."""
        self.require_own_experts()
        self._train([*self.expert_jobs(), *self.extra_jobs()])

    def train_extra_runs(self) -> None:
        """Train what the rule needs besides the experts."""
        self._train(self.extra_jobs())

    def _train(self, runs: Sequence[ModuleRun]) -> None:
        for _ in train_jobs(
            runs,
            self.engine,
            self._on_progress,
            ledger=self._ledger,
            hash_file=self._hash_file,
            trainer=train_module,
        ):
            pass

    def expert_jobs(self) -> list[ModuleRun]:
        """The run of each domain's expert."""
        return [self._expert_job(name) for name in self._inputs.recipe.domains]

    def extra_jobs(self) -> list[ModuleRun]:
        """Runs that correct the merge; they share the experts' seed and horizon."""
        recipe = self._inputs.recipe
        steps, seed = self._inputs.horizons.expert_steps, recipe.training.seed
        mixtures = self._rule.extra_runs(recipe.domain_names)
        return [self._run(mixture, seed, steps) for mixture in mixtures]

    def expert(self, domain: str) -> Checkpoint:
        """The opened expert of a domain.

        Raises:
            StudyError: If it is not trained yet.
        """
        return self.trained(self._expert_job(domain), f"the expert of `{domain}`")

    def expert_at(self, domain: str, steps: int) -> Checkpoint:
        """Nothing: `train` leaves no checkpoints on its way; experts are merged at their end."""
        raise StudyError(f"the expert of `{domain}` was not kept after {steps:,} examples")

    def trained(self, job: ModuleRun, what: str) -> Checkpoint:
        """The opened checkpoint of a finished run.

        Raises:
            StudyError: If it is not trained yet.
            DamagedError: If a file of it is not what was written.
        """
        checkpoint = open_trained(job, self._ledger, self._hash_file)
        if checkpoint is None:
            raise StudyError(
                f"{job.output}: {what} is not trained yet with these functions and settings: run "
                "`study.train_experts()` first"
            )
        return checkpoint

    def job(self, mixture: Mixture, seed: int) -> ModuleRun:
        """The run of the final horizon that trains on a mixture with a seed."""
        return self._run(mixture, seed, self._inputs.recipe.n_steps)

    def _expert_job(self, domain: str) -> ModuleRun:
        recipe = self._inputs.recipe
        single = Mixture.single(recipe.domain_names, domain)
        steps = self._inputs.horizons.expert_steps
        return self._run(single, recipe.training.seed, steps, domain)

    def _run(self, mixture: Mixture, seed: int, n_steps: int, expert: str = "") -> ModuleRun:
        inputs = self._inputs
        fingerprint = hash_section(
            inputs.base.fingerprint,
            *(inputs.data_key(name) for name in inputs.recipe.domains),
            str(mixture),
            ",".join(mixture.domains),
            n_steps,
            seed,
        )
        folder = self._study.expert_folder(expert) if expert else None
        return ModuleRun(
            inputs.suite,
            inputs.base.fingerprint,
            folder or self._study.reference_folder(fingerprint),
            mixture,
            n_steps,
            seed,
            fingerprint,
        )
