"""A study of a problem, whose networks are built, trained and evaluated by functions of the user.

from mixwise import Metric, Problem, ProblemStudy

problem = Problem("digits", domains, metrics, build, train, evaluate)
with ProblemStudy.create("study", problem, {"horizon_examples": 20_000}) as study:
    print(study.run().answer)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwise.api.opened import OpenedStudy
from mixwise.console.notices import keeping_warnings
from mixwise.errors import MixwiseWarning
from mixwise.files import hash_file
from mixwise.problem.problem import Problem
from mixwise.problem.question import ProblemQuestion
from mixwise.problem.settings import parse_settings, read_settings
from mixwise.study.folder import RECIPE_FILE, StudyFolder
from mixwise.study.leftovers import remove_leftovers

if TYPE_CHECKING:
    from mixwise.problem.bench import ProblemBench


@dataclass(frozen=True, slots=True)
class CheckedProblem:
    """What is known before anything is trained.

    Args:
        n_examples: Examples of each evaluation set.
        base: Metrics of the base.
        expert_examples: Examples that each expert is trained on.
        run_examples: Examples of the final run.
        n_experts: Runs of experts, and those that the merge rule needs besides.
        n_full_runs: Runs of the final horizon, at most: calibration, references, final training.
        price: Examples that are trained on for the answer, before the final run, over those of it.
    """

    n_examples: Mapping[str, int]
    base: Mapping[str, float]
    expert_examples: int
    run_examples: int
    n_experts: int
    n_full_runs: int
    price: float


class ProblemStudy(OpenedStudy["ProblemBench"]):
    """A study of a problem at work; a context manager, which holds the study alone.

    When it is opened for writing, the base is built and measured, and compared with what the
    folder holds. All runs and evaluations are made in this process.

    Args:
        folder: Its folder.
        question: The problem and what is asked of it.
        options: ``rule``, ``read_only``, ``progress``, ``on_progress`` and ``on_stage``, as of
            `mixwise.api.opened.OpenedStudy`.
    """

    def __init__(self, folder: StudyFolder, question: ProblemQuestion, **options: Any) -> None:
        super().__init__(folder, **options)
        self._question = question

    @classmethod
    def create(
        cls,
        folder: str | Path,
        problem: Problem,
        settings: Mapping[str, Any],
        **options: Any,
    ) -> ProblemStudy:
        """Make a study of a problem, or go on with the one that is there.

        Args:
            folder: Its folder; made when missing.
            problem: The problem.
            settings: What is asked, nested as in a recipe (`mixwise.problem.settings.Settings`);
                ``horizon_examples`` is needed.
            options: As of `ProblemStudy`.

        Raises:
            RecipeError: If the settings cannot be; all problems.
            StudyError: If the folder holds something else.
        """
        question = ProblemQuestion(problem, parse_settings(settings, "settings"))
        place = Path(folder)
        return cls(StudyFolder.create(place, place / RECIPE_FILE), question, **options)

    @classmethod
    def open(cls, folder: str | Path, problem: Problem, **options: Any) -> ProblemStudy:
        """Open a study that is there, with the problem that it was made with.

        Args:
            folder: Its folder.
            problem: The problem: the same functions, or of the same version.
            options: As of `ProblemStudy`.

        Raises:
            StudyError: If there is none, or it is of something else.
        """
        from mixwise.problem.record import load_record

        opened = StudyFolder.open(Path(folder))
        load_record(opened)  # refuses a study of a recipe, before its keys are
        file = opened.folder / RECIPE_FILE
        settings = read_settings(file)
        if opened.recipe_hash != hash_file(file):
            warnings.warn(
                f"{file}: is not what the study was made with: it is taken as it is now",
                MixwiseWarning,
                stacklevel=2,
            )
        return cls(opened, ProblemQuestion(problem, settings), **options)

    def _open(self, held: ExitStack) -> ProblemBench:
        if not self._is_read_only:
            held.enter_context(self._folder.lock())
            held.enter_context(keeping_warnings(self._folder))
            remove_leftovers(self._folder)
        from mixwise.problem.bench import ProblemBench  # torch: not before the study is held
        from mixwise.problem.record import open_record, save_record
        from mixwise.stages.validate import choose_references
        from mixwise.tracking.tools import require_tools

        question = self._question
        _ = question.space, question.horizons  # refused before anything is built
        if not self._is_read_only:
            require_tools(question.tracking.to)
        if self._rule is not None:
            question.require_rule(self._rule)
        record = open_record(self._folder, question, read_only=self._is_read_only)
        opened = ProblemBench(
            self._folder,
            question,
            record,
            self._rule,
            self._on_progress,
            read_only=self._is_read_only,
        )
        held.callback(opened.close)
        if not self._is_read_only:
            opened.runs.require_own_experts()
            if question.validation.mixtures:
                choose_references(opened.inputs)  # refuses more than there is room for
            save_record(self._folder, question, record)
        return opened

    def _prepare(self) -> Sequence[str]:
        return ()

    @property
    def recipe(self) -> ProblemQuestion:
        """What the study asks for."""
        return self._question

    def check(self) -> CheckedProblem:
        """Everything that is known before training; problems were refused at the opening."""
        from mixwise.decision.baselines import baselines

        bench, question = self.workspace, self._question
        horizons = question.horizons
        n_rivals = len(baselines(question.final.baselines, bench.inputs.available))
        n_final = (1 + n_rivals) * question.final.seeds if question.final.train else 0
        n_calibration = horizons.n_calibration * horizons.calibration_seeds
        return CheckedProblem(
            n_examples=dict(bench.inputs.suite.lengths),
            base=bench.base_observation.values,
            expert_examples=horizons.expert_steps,
            run_examples=question.run_tokens,
            n_experts=horizons.n_experts + horizons.n_extras,
            n_full_runs=n_calibration
            + question.validation.mixtures * question.validation.seeds
            + n_final,
            price=horizons.price,
        )
