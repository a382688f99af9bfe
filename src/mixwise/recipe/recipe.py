"""The whole recipe: its sections, what follows from them, and what must hold between them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from mixwise.errors import nearest, printable
from mixwise.kinds import KINDS
from mixwise.mixture import MixtureSpace
from mixwise.objective import Measure, Metric, Objective
from mixwise.recipe.domains import ColumnDomains, Domain, SplitSource
from mixwise.recipe.gradient_rules import gradient_problems
from mixwise.recipe.head_rules import head_problems
from mixwise.recipe.names import NAME
from mixwise.recipe.sections import (
    Calibration,
    Contamination,
    EngineSettings,
    Evaluation,
    Experts,
    Final,
    Heldout,
    MeasureChoice,
    Merge,
    MetricChoice,
    ObjectiveChoice,
    Proxy,
    Search,
    Training,
    Validation,
    fill_verified,
)
from mixwise.recipe.sources import PathText
from mixwise.recipe.storage_rules import storage_problems
from mixwise.recipe.task_rules import count_examples, task_problems
from mixwise.recipe.tracking import Tracking
from mixwise.section import Section
from mixwise.share_units import ShareUnit, safe_caps
from mixwise.tasks import CAUSAL_LM, TASKS, Task, Unit

Labels = Literal["shared", "per-domain"]
_WITHOUT_FLOORS = ("subsets-race", "demix")
_OF_PARTS = ("subsets-race",)
_WITHOUT_FRONT = ("subsets-race", "subsets-fast")


class Recipe(Section):
    """All that a study is made from.

    ``task``: what models do (`mixwise.tasks` has the table). One with labels counts examples
    wherever others count tokens: its recipes say ``horizon_examples``, and ``sequence_length``,
    the units of a row, is 1; ``example_tokens``: longest text that is read whole. ``labels``:
    whether all domains share their labels, or each has its own, and a head of its own for them.
    ``domains_from``: a source whose column names further domains; `add_domains` puts them in its
    place, and until then nothing is asked of the domains' names.
    ``horizon_tokens``: of the final run. ``budget``: tokens that may be trained before it, as a
    share of these. ``shares_by``: what the shares of a mixture count: all tokens, those that are
    learned, or rows of data; horizons and prices are in tokens whatever it is. ``verify``: whether
    references, baselines and second seeds are trained too, which tell how far the answer may be
    trusted, and are beyond the budget. ``document_masking``: whether the documents that are packed
    into one training row do not see each other; they are packed whatever it is. ``chat_template``:
    a file with the Jinja template that conversations are rendered by, where the tokenizer's own is
    not meant.

    Raises:
        RecipeError: From `load_recipe` and `parse_recipe`, with file, key, rule, value and fix.
    """

    base: PathText
    task: Annotated[str, AfterValidator(TASKS.known)] = CAUSAL_LM.name
    labels: Labels = "shared"
    domains: dict[str, Domain]
    domains_from: ColumnDomains | None = None
    horizon_tokens: Annotated[int, Field(gt=0, le=10**15)]
    budget: Annotated[float, Field(gt=0, le=10**4)] = 0.25
    shares_by: ShareUnit = "tokens"
    verify: Annotated[bool, Field(strict=True)] = False
    sequence_length: Annotated[int, Field(gt=0, le=2**24)] = 1024
    example_tokens: Annotated[int, Field(gt=2, le=2**20)] = 128
    document_masking: Annotated[bool, Field(strict=True)] = False
    bos: Literal["auto", "always", "never"] = "auto"
    chat_template: PathText | None = None
    heldout: Heldout = Heldout()
    contamination: Contamination = Contamination()
    evaluation: Evaluation = Evaluation()
    training: Training = Training()
    experts: Experts = Experts()
    proxy: Proxy = Proxy()
    objective: ObjectiveChoice = ObjectiveChoice()
    merge: Merge = Merge()
    search: Search = Search()
    calibration: Calibration = Calibration()
    validation: Validation = Validation()
    final: Final = Final()
    engine: EngineSettings = EngineSettings()
    tracking: Tracking = Tracking()

    @property
    def domain_names(self) -> tuple[str, ...]:
        """Names of the domains, in the recipe's order."""
        return tuple(self.domains)

    @property
    def key(self) -> str:
        """Hash of the recipe by itself, whatever its files hold."""
        return hash_section(self.model_dump_json(exclude={"engine", "tracking"}))

    @property
    def chosen_rule(self) -> str:
        """The merge rule; `auto` is the plain merge, whose scores are then calibrated."""
        return "linear" if self.merge.rule == "auto" else self.merge.rule

    @property
    def task_facts(self) -> Task:
        """The task's row of the table."""
        return TASKS.find(self.task)

    @property
    def unit(self) -> Unit:
        """What runs, horizons and prices count."""
        return self.task_facts.unit

    @property
    def set_names(self) -> tuple[str, ...]:
        """Every evaluation set: the domains' held-out parts, then the extra sets."""
        return tuple(self.set_kinds)

    @property
    def row_tokens(self) -> int:
        """Tokens that a model reads of one row at most; an image counts as one."""
        if self.task_facts.has_images:
            return 1
        return self.example_tokens if self.task_facts.has_labels else self.sequence_length

    @property
    def batch_tokens(self) -> int:
        """Tokens of one optimiser step."""
        return self.training.batch_sequences * self.sequence_length

    @property
    def n_steps(self) -> int:
        """Optimiser steps of the final run: the whole batches that fit into the horizon."""
        return self.horizon_tokens // self.batch_tokens

    @property
    def run_tokens(self) -> int:
        """Tokens of the final run: the horizon, cut to whole batches."""
        return self.n_steps * self.batch_tokens

    def source(self, name: str) -> SplitSource:
        """A domain or an extra evaluation set."""
        return self.domains.get(name) or self.evaluation.sets[name]

    @property
    def set_kinds(self) -> dict[str, str]:
        """Kind of every evaluation set: the domains' held-out parts, then the extra sets."""
        kinds = dict.fromkeys(self.domains, self.task_facts.set_kind)
        return kinds | {name: chosen.kind for name, chosen in self.evaluation.sets.items()}

    @property
    def tokenised_sets(self) -> tuple[str, ...]:
        """The evaluation sets whose records are documents: the domains, then extra text sets."""
        kinds = self.set_kinds.items()
        return tuple(name for name, kind in kinds if KINDS.find(kind).is_tokenised)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every measurement of every evaluation set, the objective's directions applied."""
        turned = {(m.set, m.measure): m.direction for m in self.objective.metrics if m.direction}
        return tuple(
            Metric.of(name, measure, turned.get((name, measure.name)))
            for name, measures in self.measures.items()
            for measure in measures
        )

    @property
    def measures(self) -> dict[str, tuple[Measure, ...]]:
        """What is measured on each evaluation set."""
        of_domains = dict.fromkeys(
            self.domains, KINDS.find(self.task_facts.set_kind).measures_of(Section())
        )
        return of_domains | {name: each.measures for name, each in self.evaluation.sets.items()}

    @property
    def objective_terms(self) -> Objective:
        """The objective as a value; by default the mean held-out loss of all domains."""
        chosen = self.objective.metrics or tuple(
            MetricChoice(set=name, measure="loss") for name in self.domains
        )
        return self.objective.terms_of(self.metrics, chosen)

    def space(
        self, available_tokens: Mapping[str, int], available: Mapping[str, int] | None = None
    ) -> MixtureSpace:
        """The mixtures that may be recommended: the bounds, cut by tokens and repetition.

        Args:
            available_tokens: Training tokens of each domain.
            available: The same in the unit of the shares; None where that is tokens.

        Returns:
            The space in which max_shareᵢ ≤ max_repetition · availableᵢ / run_tokens; by another
            unit, in which no mixture has more tokens of a domain than that.

        Raises:
            RecipeError: If no mixture satisfies the bounds.
        """
        caps = {
            name: self.search.max_repetition * available_tokens[name] / self.run_tokens
            for name in self.domains
        }
        by_unit = available or available_tokens
        tokens = None
        if by_unit != available_tokens:
            tokens = {name: available_tokens[name] / by_unit[name] for name in self.domains}
        return self.search.space(
            safe_caps(caps, by_unit, available_tokens), run_tokens=self.run_tokens, tokens=tokens
        )

    @model_serializer(mode="wrap")
    def _without_shared_labels(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without ``labels`` where they are shared: hashes are what they were without the key."""
        written: dict[str, Any] = handler(self)
        return {k: v for k, v in written.items() if (k, v) != ("labels", "shared")}

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        """With ``domains_from``, no domains need be named besides."""
        if not isinstance(values, Mapping) or values.get("domains_from") is None:
            return values
        return {"domains": {}, **values}

    @model_validator(mode="before")
    @classmethod
    def _count_examples(cls, values: Any) -> Any:
        """A task with labels counts examples; each is one unit of a run."""
        return count_examples(values) if isinstance(values, Mapping) else values

    @model_validator(mode="before")
    @classmethod
    def _verified(cls, values: Any) -> Any:
        """Fill in what ``verify`` asks for, wherever the recipe says nothing itself."""
        if not isinstance(values, Mapping) or values.get("verify") is not True:
            return values
        return fill_verified(values)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*task_problems(self), *head_problems(self), *self._size_problems()]
        if self.domains_from is None:  # which names domains, and with them sets, later
            problems = [*self._name_problems(), *self._reference_problems(), *problems]
            if not problems and self.experts.method == "gradients":
                problems = gradient_problems(self)
            if not problems and self.engine.storage is not None:
                problems = storage_problems(self)
        if problems:
            raise ValueError(*problems)
        return self

    def _name_problems(self) -> list[str]:
        problems = []
        if len(self.domains) < 2:
            problems.append(
                f"`domains`: a mixture needs at least 2 domains, but got "
                f"{len(self.domains)}: add another"
            )
        for key, names in (("domains", self.domains), ("evaluation.sets", self.evaluation.sets)):
            problems += [
                f"`{key}.{printable(name, 80)}`: a name must consist of at most 64 letters, "
                "digits, `_`, `-` and `.` and begin with a letter or digit: rename it"
                for name in names
                if not NAME.fullmatch(name)
            ]
        lowered: dict[str, str] = {}
        for name in (*self.domains, *self.evaluation.sets):
            if name.lower() in lowered:
                problems.append(
                    f"`{printable(name, 80)}`: domains and evaluation sets need different names, "
                    f"but `{printable(lowered[name.lower()], 80)}` exists already: rename one"
                )
            lowered.setdefault(name.lower(), name)
        return problems

    def _reference_problems(self) -> list[str]:
        problems = self.search.problems(self.domains)
        seen = set()
        chosen: dict[str, MeasureChoice] = {
            f"{key}.{i}": choice
            for key, choices in (
                ("metrics", self.objective.metrics),
                ("floors", self.objective.floors),
            )
            for i, choice in enumerate(choices)
        }
        for place, metric in chosen.items():
            key = f"`objective.{place}`"
            kind = self.set_kinds.get(metric.set)
            if kind is None:
                problems.append(
                    f"{key}: `{printable(metric.set, 80)}` is neither a domain nor an evaluation "
                    "set: "
                    f"{nearest(metric.set, self.set_kinds)}"
                )
            elif metric.measure not in (m := [row.name for row in self.measures[metric.set]]):
                problems.append(
                    f"{key}: `{printable(metric.measure, 80)}` cannot be measured on the {kind} "
                    f"set `{metric.set}`: {nearest(metric.measure, m)}"
                )
            name = (place.partition(".")[0], metric.set, metric.measure)
            if name in seen:
                problems.append(f"{key}: `{metric.set}/{metric.measure}` stands twice: keep one")
            seen.add(name)
        problems += self.search.group_problems(self.domain_names)
        if self.objective.floors and self.search.method in _WITHOUT_FLOORS:
            problems.append(
                f"`objective.floors`: `search.method: {self.search.method}` ranks mixtures without "
                "them: use another, such as auto"
            )
        if self.search.method in _OF_PARTS:
            problems += [
                f"`objective.{place}`: `{choice.measure}` is no mean over examples, but "
                f"`search.method: {self.search.method}` compares mixtures on parts of them: use "
                "another method, such as auto or subsets, or another measure"
                for place, choice in chosen.items()
                for measure in self.measures.get(choice.set, ())
                if measure.name == choice.measure and not measure.is_mean
            ]
        if self.objective.front and self.search.method in _WITHOUT_FRONT:
            problems.append(
                f"`objective.front`: `search.method: {self.search.method}` drops mixtures that are "
                "good for one group alone: use another, such as auto or subsets"
            )
        return problems

    def _size_problems(self) -> list[str]:
        problems = []
        if self.evaluation.placement == "layers":
            problems += [
                f"`evaluation.sets.{name}`: a {kind} set is given the whole model, so "
                "`evaluation.placement: layers` cannot be: use device or split, or leave it out"
                for name, kind in self.set_kinds.items()
                if KINDS.find(kind).needs_whole_model
            ]
        problems += self.validation.problems
        if self.final.start == "merged" and self.training.method == "lora":
            problems.append(
                "`final.start`: an adapter belongs to the base, so that merged cannot be with "
                "`training.method: lora`: leave it out"
            )
        horizons = {
            "horizon_tokens": self.horizon_tokens,
            "experts.horizon_tokens": self.experts.horizon_tokens,
        }
        for key, tokens in horizons.items():
            if tokens is not None and tokens < self.batch_tokens:
                problems.append(
                    f"`{key}` must hold at least one batch of {self.batch_tokens} "
                    f"{self.task_facts.unit} (batch_sequences × sequence_length), but got "
                    f"{tokens}: raise it"
                )
        return problems


def hash_section(*sections: BaseModel | str | int) -> str:
    """Hash parts of a recipe, so that results can be tied to the settings that made them."""
    digest = hashlib.blake2b(digest_size=16)
    for section in sections:
        text = section.model_dump_json() if isinstance(section, BaseModel) else str(section)
        digest.update(text.encode(errors="backslashreplace") + b"\0")  # names of files may need it
    return digest.hexdigest()
