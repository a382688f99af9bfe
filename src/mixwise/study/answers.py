"""What a study's proxy is put together from: merged models, averaged predictions, or both."""

from __future__ import annotations

from dataclasses import dataclass

from mixwise.errors import RecipeError
from mixwise.merging.rule_table import NamedRule
from mixwise.objective import Metric
from mixwise.recipe.sections import idle_rule
from mixwise.scorer import Request
from mixwise.scoring.gradient_steps import STEP_LENGTHS
from mixwise.scoring.weighing import Means
from mixwise.study.inputs import Inputs

CONTINUED_FROM = 2  # points at which every candidate is scored


@dataclass(frozen=True, slots=True)
class Answers:
    """Who answers for which metric, and where along the experts' runs.

    Args:
        means: Who answers at all.
        averaged: Who answers for likelihoods; several are averaged.
        likelihoods: Metrics that predictions have, and that change smoothly along a run, each in
            the direction of its measure.
        points: Steps of the experts' runs at which they answer for these, rising; for all other
            metrics a merge at the last one.
        step_lengths: How long the experts' steps are taken at each, at most so many lengths.
    """

    means: tuple[Means, ...]
    averaged: tuple[Means, ...]
    likelihoods: tuple[Metric, ...]
    points: tuple[int, ...]
    step_lengths: int = 1

    @property
    def merges(self) -> bool:
        """Whether a candidate takes a merge and its evaluation."""
        return "merged" in self.means

    def passes(self, request: Request) -> int:
        """Evaluations that scoring a candidate takes: those of its merges.

        Args:
            request: What a search asks for; slopes cost a backward pass, which is two forward ones.
        """
        if "merged" not in self.averaged:
            return int(self.merges)
        return min(len(self.points), CONTINUED_FROM) * (3 if request.order else 1)

    @property
    def readings(self) -> int:
        """How often the predictions of an expert are read, at most."""
        return len(self.points) * self.step_lengths if "predictions" in self.averaged else 0


def choose_answers(inputs: Inputs, rule: NamedRule) -> Answers:
    """Choose who answers.

    With short experts of language models predictions rank losses better (``docs/science.md`` §9);
    of classifiers merges do (§12). Predictions know likelihoods alone, belong to the plain merge,
    and are read from whole models; merges answer for metrics of the objective that are none, for
    sets that are given the model itself, and where domains have heads of their own, of which an
    expert has trained one. A merge rule that needs more than the experts has it at their end alone.

    Args:
        inputs: The recipe's inputs.
        rule: Merge rule of the proxy.

    Raises:
        RecipeError: If predictions alone are wanted of what has none, or beside a merge rule; if a
            rule is to merge experts by gradients.
    """
    recipe, suite, points = inputs.recipe, inputs.suite, inputs.horizons.points
    idle = idle_rule(recipe.proxy.answer, rule.name)
    if idle:
        raise RecipeError(*idle)
    if rule.needs or rule.extra_runs(recipe.domain_names):
        points = points[-1:]
    read = {chosen.name for chosen in suite.likelihood_sets}
    metrics = [m for m in recipe.metrics if m.is_differentiable and m.set_name in read]
    likelihoods = tuple(metrics)
    if inputs.horizons.expert_method == "gradients":  # of which the recipe allows nothing else
        if rule.name != "linear":
            raise RecipeError(
                f"the merge rule `{rule.name}` cannot merge experts by gradients, whose steps have "
                "no length of their own: set `experts.method: training` in a new study"
            )
        read_alone: tuple[Means, ...] = ("predictions",)
        return Answers(read_alone, read_alone, likelihoods, points, len(STEP_LENGTHS))
    wanted = recipe.proxy.answer
    if wanted == "auto":
        is_whole = recipe.evaluation.placement != "layers"
        is_short = points[-1] < recipe.n_steps
        is_plain = rule.name == "linear" and not recipe.task_facts.has_labels
        is_read = is_short and is_whole and is_plain
        wanted = "predictions" if is_read else "merged"
    if wanted != "predictions":
        means: tuple[Means, ...] = ("merged", "predictions") if wanted == "both" else ("merged",)
        return Answers(means, means, likelihoods, points)
    if suite.needs_whole_model and recipe.proxy.answer == "predictions":
        raise RecipeError(
            "`proxy.answer` is `predictions`, which know likelihoods alone, but some evaluation "
            "sets are given the model itself: use `both`, which merges for them"
        )
    objective = {metric.name for metric in recipe.objective_terms.metrics}
    is_known = objective <= {m.name for m in likelihoods} and not suite.needs_whole_model
    is_enough = is_known or recipe.proxy.answer == "predictions"
    means = ("predictions",) if is_enough else ("merged", "predictions")
    return Answers(means, ("predictions",), likelihoods, points)
