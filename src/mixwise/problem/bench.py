"""The study of a problem at work."""

from __future__ import annotations

from functools import cached_property

from mixwise import __version__
from mixwise.problem.evaluator import ModuleSource
from mixwise.problem.inputs import ProblemInputs
from mixwise.problem.measuring import ModuleSuite
from mixwise.problem.question import ProblemQuestion
from mixwise.problem.record import BASE_FOLDER, ProblemRecord
from mixwise.problem.runs import ProblemRuns
from mixwise.progress import OnProgress
from mixwise.recipe import hash_section
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.weighing import Means
from mixwise.study.answers import Answers
from mixwise.study.folder import StudyFolder
from mixwise.study.workbench import Workbench
from mixwise.tracking.study import TrackedStudy

_RESULTS = "problem results 2"  # form of the result files; one of another form is made anew


class ProblemBench(Workbench):
    """Everything that the stages of one study share.

    Args:
        study: The study's folder, whose base has been tried out.
        question: The problem and what is asked of it.
        record: What was found of the base.
        rule: Merge rule of the proxy; None for the settings'.
        on_progress: Told how far each stage has come.
        read_only: Whether nothing is measured and nothing written.
    """

    recipe: ProblemQuestion
    inputs: ProblemInputs
    runs: ProblemRuns

    def __init__(
        self,
        study: StudyFolder,
        question: ProblemQuestion,
        record: ProblemRecord,
        rule: str | None,
        on_progress: OnProgress,
        *,
        read_only: bool,
    ) -> None:
        super().__init__(study, rule or question.chosen_rule, on_progress, read_only=read_only)
        self.recipe = question
        if not read_only:
            self.tracker = _tracker(study, question)
        suite = ModuleSuite(question.problem, record.lengths, record.evaluation_key)
        folder = study.folder / BASE_FOLDER
        self.inputs = ProblemInputs(question, record.keys, suite, folder, self.hash_file)
        self.runs = ProblemRuns(
            study,
            self.inputs,
            self.rule,
            self.ledger,
            self.hash_file,
            on_progress,
            read_only=read_only,
        )

    @cached_property
    def evaluations(self) -> Evaluations:
        """Where networks are evaluated: in this process."""
        inputs = self.inputs
        source = ModuleSource(self.recipe.problem, inputs.base, inputs.keys["build"])
        engine = self.runs.engine
        return Evaluations(engine, source, inputs.suite, on_progress=self.on_progress)

    @cached_property
    def answers(self) -> Answers:
        """Who answers: merges by default (``docs/science.md`` §12), predictions where asked.

        Predictions know −log p alone: where some metric is another, merges answer for that.
        """
        recipe, inputs = self.recipe, self.inputs
        points, wanted = inputs.horizons.points, recipe.settings.proxy.answer
        likelihoods = set(recipe.problem.log_likelihoods)
        smooth = tuple(m for m in recipe.metrics if m.is_differentiable)
        if wanted in ("auto", "merged"):
            return Answers(("merged",), ("merged",), smooth, points)
        read = tuple(m for m in recipe.metrics if m.name in likelihoods)
        if wanted == "both":
            return Answers(("merged", "predictions"), ("merged", "predictions"), read, points)
        is_enough = len(read) == len(recipe.metrics)
        means: tuple[Means, ...] = ("predictions",) if is_enough else ("merged", "predictions")
        return Answers(means, ("predictions",), read, points)

    @cached_property
    def result_key(self) -> str:
        """See `Workbench.result_key`."""
        inputs = self.inputs
        return hash_section(
            _RESULTS,
            self.recipe.key,
            self.recipe.engine.task_vectors,
            inputs.base.fingerprint,
            inputs.suite.fingerprint,
            self.rule.name,
            *(inputs.data_key(name) for name in self.recipe.domains),
            *(self.runs.expert(name).fingerprint for name in self.recipe.domains),
        )

    def save_heldout(self) -> dict[str, str]:
        """Nothing: what `evaluate` reads is its own affair."""
        return {}


def _tracker(study: StudyFolder, question: ProblemQuestion) -> TrackedStudy:
    facts = {
        "problem": question.problem.name,
        "domains": ", ".join(question.domain_names),
        "horizon": f"{question.run_tokens} {question.unit}",
        "budget": f"{question.settings.budget:g}",
        "mixwise": __version__,
    }
    return TrackedStudy(question.tracking, study.folder, study.recipe_folder, facts)
