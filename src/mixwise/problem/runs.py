"""The training runs of a problem's study: which there are, and where they lie."""

from __future__ import annotations

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
from mixwise.study.folder import StudyFolder
from mixwise.study.study_runs import StudyRuns


class ProblemRuns(StudyRuns[ModuleRun]):
    """The runs of a problem.

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

    made_with = "functions or settings"
    how_to_train = "study.train_experts()"
    how_to_begin_anew = "the expert's"
    trainer = staticmethod(train_module)

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
        seed = inputs.recipe.training.seed
        super().__init__(study, rule, ledger, hash_file, on_progress, seed=seed)
        self._inputs = inputs
        self._engine: Engine = NoEngine() if read_only else HereEngine()

    @property
    def engine(self) -> Engine:
        """See `StudyRuns.engine`."""
        return self._engine

    def expert_jobs(self) -> list[ModuleRun]:
        """See `StudyRuns.expert_jobs`."""
        return [self._expert_job(name) for name in self._inputs.recipe.domains]

    def extra_jobs(self) -> list[ModuleRun]:
        """See `StudyRuns.extra_jobs`."""
        recipe = self._inputs.recipe
        steps, seed = self._inputs.horizons.expert_steps, recipe.training.seed
        mixtures = self._rule.extra_runs(recipe.domain_names)
        return [self._run(mixture, seed, steps) for mixture in mixtures]

    def expert(self, domain: str) -> Checkpoint:
        """See `StudyRuns.expert`."""
        return self.trained(self._expert_job(domain), f"the expert of `{domain}`")

    def expert_at(self, domain: str, steps: int) -> Checkpoint:
        """Nothing: `train` leaves no checkpoints on its way; experts are merged at their end."""
        raise StudyError(f"the expert of `{domain}` was not kept after {steps:,} examples")

    def job(self, mixture: Mixture, seed: int) -> ModuleRun:
        """See `StudyRuns.job`."""
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
