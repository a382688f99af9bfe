"""A problem and what is asked of it, as one value that the stages read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import yaml

from mixwise.errors import RecipeError, nearest, printable
from mixwise.merging.rule_table import find_rule
from mixwise.mixture import MixtureSpace
from mixwise.objective import Metric, Objective
from mixwise.problem.problem import Problem
from mixwise.problem.settings import Seeds, Settings, Store
from mixwise.recipe import hash_section
from mixwise.recipe.sections import (
    Calibration,
    Final,
    MetricChoice,
    ObjectiveChoice,
    Search,
    Validation,
    idle_rule,
)
from mixwise.recipe.tracking import Tracking
from mixwise.share_units import ShareUnit
from mixwise.study.horizons import Horizons, spend_budget
from mixwise.tasks import Unit

_UNFIT_METHODS = ("subsets-race",)  # it measures models part by part
_UNFIT_NEEDS = ("trajectories", "second moments")
_WITHOUT_FLOORS = ("demix",)
_WITHOUT_FRONT = ("subsets-fast",)


@dataclass(frozen=True, eq=False)
class ProblemQuestion:
    """A problem and what is asked of it: a `mixwise.recipe.question.Question`.

    Args:
        problem: The problem.
        settings: The keys of its study.

    Raises:
        RecipeError: If they do not belong together; all problems, one a line.
    """

    problem: Problem
    settings: Settings

    def __post_init__(self) -> None:
        found = [*self._objective_problems(), *self._search_problems(), *self._size_problems()]
        if found:
            raise RecipeError(*(f"problem `{self.problem.name}`: {line}" for line in found))

    # --- what is asked ---------------------------------------------------------------------------

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, in their order."""
        return tuple(self.problem.domains)

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The same."""
        return self.domains

    @property
    def set_names(self) -> tuple[str, ...]:
        """First parts of the metrics' names."""
        return self.problem.set_names

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The problem's, the objective's directions applied."""
        turned = {(m.set, m.measure): m.direction for m in self.objective.metrics if m.direction}
        return tuple(
            Metric(
                metric.set_name,
                metric.measure,
                turned.get((metric.set_name, metric.measure), metric.direction),
                metric.unit,
                metric.is_differentiable,
            )
            for metric in self.problem.metrics
        )

    @property
    def objective(self) -> ObjectiveChoice:
        """What to maximise, as it was asked; the problem's only metric where nothing was."""
        chosen = self.settings.objective
        if chosen.metrics or len(self.problem.metrics) > 1:
            return chosen
        [only] = self.problem.metrics
        choice = MetricChoice(set=only.set_name, measure=only.measure)
        return chosen.model_copy(update={"metrics": (choice,)})

    @property
    def objective_terms(self) -> Objective:
        """The same as a value."""
        return self.objective.terms_of(self.metrics)

    @property
    def chosen_rule(self) -> str:
        """The merge rule; `auto` is the plain merge."""
        rule = self.settings.merge.rule
        return "linear" if rule == "auto" else rule

    @property
    def search(self) -> Search:
        """How candidates are proposed, and where."""
        return self.settings.search

    @property
    def calibration(self) -> Calibration:
        """Mixtures that are trained to learn what the proxy misses."""
        return self.settings.calibration

    @property
    def validation(self) -> Validation:
        """Mixtures that are trained to see how far the proxy may be trusted."""
        return self.settings.validation

    @property
    def final(self) -> Final:
        """Real training of the recommendation and of what it must beat."""
        return self.settings.final

    @property
    def training(self) -> Seeds:
        """The seed of the runs."""
        return self.settings.training

    @property
    def engine(self) -> Store:
        """How task vectors are kept."""
        return self.settings.engine

    # --- what runs count -------------------------------------------------------------------------

    @property
    def unit(self) -> Unit:
        """Runs, horizons and prices count examples."""
        return "examples"

    @property
    def shares_by(self) -> ShareUnit:
        """Shares are of the same unit as horizons, which is called tokens in results."""
        return "tokens"

    @property
    def sequence_length(self) -> int:
        """A row is one example."""
        return 1

    @property
    def batch_tokens(self) -> int:
        """A step is one example: how many a step of the user's takes is not known."""
        return 1

    @property
    def n_steps(self) -> int:
        """Examples of the final run."""
        return self.settings.horizon_examples

    @property
    def run_tokens(self) -> int:
        """The same."""
        return self.settings.horizon_examples

    @property
    def tracking(self) -> Tracking:
        """Which tracking tools are told of the study."""
        return self.settings.tracking

    @property
    def key(self) -> str:
        """Hash of what is asked, whatever the functions compute."""
        chosen = self.settings.model_dump_json(exclude={"engine", "tracking"})
        metrics = [repr(metric) for metric in self.problem.metrics]
        domains = [f"{name}={n}" for name, n in self.problem.domains.items()]
        return hash_section(
            self.problem.name, chosen, *domains, *metrics, *self.problem.log_likelihoods
        )

    @cached_property
    def horizons(self) -> Horizons:
        """How far experts and the final model are trained; experts are merged at their end.

        Raises:
            RecipeError: If the budget does not pay for the experts.
        """
        n_experts = len(self.domains)
        n_extras = len(find_rule(self.chosen_rule).extra_runs(self.domain_names))
        spent = spend_budget(
            self.settings.budget,
            self.n_steps,
            n_experts + n_extras,
            self.settings.experts.horizon_examples,
            self.calibration,
            key="experts.horizon_examples",
        )
        return Horizons(
            self.n_steps,
            (spent.expert_steps,),
            n_experts,
            n_extras,
            spent.n_calibration,
            self.calibration.seeds,
        )

    @cached_property
    def space(self) -> MixtureSpace:
        """The mixtures that may be recommended: the bounds, cut by repetition.

        Raises:
            RecipeError: If no mixture satisfies them.
        """
        available, most = self.problem.domains, self.search.max_repetition
        return self.search.space(
            {name: most * n / self.run_tokens for name, n in available.items()},
            run_tokens=self.run_tokens,
        )

    def to_yaml(self) -> str:
        """The settings and what they are asked of, as the study's folder keeps them to be read."""
        chosen = yaml.safe_dump(
            self.settings.model_dump(mode="json", exclude_unset=True), sort_keys=False
        )
        domains = ", ".join(f"{name} ({n:,} examples)" for name, n in self.problem.domains.items())
        metrics = ", ".join(metric.name for metric in self.problem.metrics)
        return (
            f"# problem {self.problem.name}, whose functions are Python's: open the study with\n"
            f"# mixwise.ProblemStudy.open(FOLDER, problem)\n"
            f"# domains: {domains}\n# metrics: {metrics}\n{chosen}"
        )

    # --- what cannot be asked --------------------------------------------------------------------

    def require_rule(self, rule: str) -> None:
        """Refuse a merge rule that needs more of the runs than `train` leaves.

        Raises:
            RecipeError: If it does, or there is no such rule.
        """
        found = _rule_problems(rule)
        if found:
            raise RecipeError(*(f"problem `{self.problem.name}`: {line}" for line in found))

    def _objective_problems(self) -> list[str]:
        objective, known_names = self.settings.objective, [m.name for m in self.problem.metrics]
        problems = []
        if not objective.metrics and len(known_names) > 1:
            problems.append(
                "`objective.metrics`: the problem has several metrics: name what is maximised "
                f"({', '.join(known_names)})"
            )
        for key, choices in (("metrics", objective.metrics), ("floors", objective.floors)):
            seen = set()
            for k, choice in enumerate(choices):
                name = f"{choice.set}/{choice.measure}"
                if name not in known_names:
                    problems.append(
                        f"`objective.{key}.{k}`: `{printable(name, 80)}` is no metric of the "
                        f"problem: {nearest(name, known_names)}"
                    )
                elif name in seen:
                    problems.append(f"`objective.{key}.{k}`: `{name}` stands twice: keep one")
                seen.add(name)
        method = self.search.method
        if objective.floors and method in _WITHOUT_FLOORS:
            problems.append(
                f"`objective.floors`: `search.method: {method}` ranks mixtures without them: use "
                "another, such as auto"
            )
        if objective.front and method in _WITHOUT_FRONT:
            problems.append(
                f"`objective.front`: `search.method: {method}` drops mixtures that are good for "
                "one group alone: use another, such as auto or subsets"
            )
        return problems

    def _search_problems(self) -> list[str]:
        problems = self.search.problems(self.domains)
        if self.search.method in _UNFIT_METHODS:
            problems.append(
                f"`search.method: {self.search.method}` measures models part by part, and "
                "`evaluate` gives all examples at once: use subsets or subsets-fast"
            )
        problems += self.search.group_problems(self.domains)
        problems += _rule_problems(self.chosen_rule)
        answers = self.settings.proxy.answer
        problems += idle_rule(answers, self.chosen_rule)
        if answers in ("predictions", "both") and not self.problem.log_likelihoods:
            problems.append(
                f"`proxy.answer: {answers}` needs `log_likelihoods` of the problem: name them, or "
                "use merged"
            )
        return problems

    def _size_problems(self) -> list[str]:
        problems = self.validation.problems
        wanted = self.settings.experts.horizon_examples
        if wanted is not None and wanted > self.n_steps:
            problems.append(
                "`experts.horizon_examples` must not exceed `horizon_examples` "
                f"({self.n_steps:,}), but got {wanted:,}: lower it"
            )
        return problems


def _rule_problems(rule: str) -> list[str]:
    """What a merge rule needs and `train` does not leave."""
    return [
        f"`merge.rule: {rule}` needs {need} of the runs, which `train` does not leave: use "
        "another, such as auto"
        for need in _UNFIT_NEEDS
        if need in find_rule(rule).needs
    ]
