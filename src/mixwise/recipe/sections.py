"""The sections of a recipe, each immutable; unknown keys are errors.

Paths are relative to the recipe's own folder; `mixwise.recipe.domains` has what names data.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from mixwise.domain_groups import DomainGroup, group_domains
from mixwise.errors import RecipeError, nearest, printable, shown
from mixwise.objective import Aggregation, Direction, Floor, Metric, Objective, Term
from mixwise.recipe.domains import EvaluationSource
from mixwise.recipe.limits import PriorChoice, SpaceLimits
from mixwise.registry import known, own_names
from mixwise.section import Section

Sequences = Annotated[int, Field(gt=0, le=2**16)]  # of one step: no accelerator holds more
Seats = Annotated[int, Field(gt=0, le=1024)]  # processes or threads: more abort the process
Points = Annotated[int, Field(ge=0, le=1000)]  # checkpoints of one run, each as large as a model
Seed = Annotated[int, Field(ge=0, le=2**31 - 1001)]  # reference seeds are counted up from it
Schedule = Literal["constant", "cosine", "linear"]
ExpertMethod = Literal["training", "gradients"]
_LEAST_REFERENCES = 4
_WITHOUT_PRIOR = ("subsets-race", "demix")
_OF_SUBSETS = ("subsets", "subsets-fast", "subsets-race")
IN_LEVELS = ("top-down", "bottom-up", "mergemix-top-down", "mergemix-bottom-up")


class Heldout(Section):
    """The part of each domain, by document, that is kept for evaluation."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    overlap: Literal["refuse", "drop"] = "refuse"


class Contamination(Section):
    """What is done with rows of evaluation sets that stand in training data.

    A row counts from the share ``coverage`` of its words that lie in n-grams of ``ngram_words``
    words which one training document holds too. ``drop`` leaves it out of the evaluation.
    """

    action: Literal["warn", "drop", "refuse"] = "warn"
    ngram_words: Annotated[int, Field(gt=0, le=1000)] = 8
    coverage: Annotated[float, Field(gt=0, le=1)] = 0.5


class Evaluation(Section):
    """Extra evaluation sets, how much of each set is used, and where models are evaluated.

    ``placement``: the whole model on one ``device``; ``split`` over all GPUs; or ``layers``, one
    layer at a time, for a model that does not fit beside its experts, in ``memory_gb`` gigabytes.
    ``batch_norm_batches``: training batches of the mixture on which the running statistics of a
    merge are measured, where the base has batch norm.
    """

    sets: dict[str, EvaluationSource] = Field(default_factory=dict)
    max_sequences: Annotated[int, Field(gt=0, le=10**6)] = 64
    batch_sequences: Sequences = 16
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    placement: Literal["device", "split", "layers"] = "device"
    memory_gb: Annotated[float, Field(gt=0, le=10**6)] | None = None
    batch_norm_batches: Annotated[int, Field(gt=0, le=10**6)] = 32


class Lora(Section):
    """Shape of the adapters when ``training.method`` is ``lora``."""

    rank: Annotated[int, Field(gt=0, le=2**16)] = 16
    alpha: Annotated[float, Field(gt=0, le=10**6)] = 32.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"


class Training(Section):
    """How one run trains; the same for experts, references and the final model."""

    method: Literal["full", "lora"] = "full"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    batch_sequences: Sequences = 16
    gradient_accumulation_steps: Sequences = 1
    schedule: Schedule = "constant"
    warmup_steps: Annotated[int, Field(ge=0, le=10**9)] = 3
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 0.0
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    max_grad_norm: Annotated[float, Field(gt=0, le=10**12)] = 1.0
    seed: Seed = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    processes_per_run: Seats = 1
    gradient_checkpointing: bool = False
    trajectory_checkpoints: Points = 0
    snapshots: Points = 8
    lora: Lora = Lora()

    @property
    def n_passes(self) -> int:
        """Forward passes that a batch is cut into, over all processes."""
        return self.gradient_accumulation_steps * self.processes_per_run

    @model_validator(mode="after")
    def _batch_divides(self) -> Self:
        parts = self.n_passes
        if self.batch_sequences % parts:
            raise ValueError(
                "`batch_sequences` must be a multiple of gradient_accumulation_steps × "
                f"processes_per_run, but {self.batch_sequences} is not a multiple of {parts}: "
                f"use {-(-self.batch_sequences // parts) * parts}"
            )
        return self


class Experts(Section):
    """How far the experts are trained, and where along their runs they are merged too.

    ``horizon_tokens``: tokens of each; by default what the recipe's ``budget`` pays for.
    ``halvings``: how often that horizon is halved: at each half the experts are merged as well, so
    that scores can be continued to the final horizon.
    ``schedule``: of the learning rate; a constant one makes every point of a run the end of a
    shorter one, which is what continuing rests on.
    ``match_repetition``: whether an expert repeats a scarce text as often as the final run will,
    which it does on a part of it.
    ``method``: whether experts are trained, or the base is moved once along each domain's mean
    gradient; by default the latter where many domains leave each a few steps.
    """

    horizon_tokens: Annotated[int, Field(gt=0, le=10**15)] | None = None
    halvings: Annotated[int, Field(ge=0, le=10)] = 2
    schedule: Schedule = "constant"
    match_repetition: bool = True
    method: ExpertMethod | Literal["auto"] = "auto"


class Proxy(Section):
    """What stands in for a trained model.

    ``answer``: models whose weights are ``merged``, the experts' averaged ``predictions``
    (likelihoods alone), the mean of ``both``, or what was found best.
    ``continued``: whether scores are continued to the final horizon.
    """

    answer: Literal["auto", "merged", "predictions", "both"] = "auto"
    continued: bool = True


def idle_rule(answer: str, rule: str) -> list[str]:
    """That a merge rule is chosen where nothing is merged, in a line; empty where it is of use."""
    if answer != "predictions" or rule == "linear":
        return []
    return [
        f"`proxy.answer: predictions` merges nothing, so the merge rule `{rule}` has no effect: "
        "leave the rule out, or use merged or both"
    ]


class MeasureChoice(Section):
    """A measure on a set."""

    set: str
    measure: str


class MetricChoice(MeasureChoice):
    """One metric of the objective.

    ``group``: a group of metrics, which are averaged first, so that a group of many counts as much
    as one of few; ``weight`` then counts within it. Groups of domains are others.
    """

    weight: Annotated[float, Field(gt=0, le=10**9)] = 1.0
    direction: Direction | None = None
    group: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class FloorChoice(MeasureChoice):
    """What a metric must not be worse than: the base's value, or ``value``, by at most ``margin``.

    Both are in the metric's unit.
    """

    value: float | None = None
    margin: Annotated[float, Field(ge=0, le=10**9)] = 0.0


class ObjectiveChoice(Section):
    """What to maximise; without metrics, the mean held-out loss of all domains.

    ``front``: two or three groups of metrics (their ``group``), whose Pareto front is traced: the
    mixtures of which none is better for one group of metrics and as good for the others.
    """

    metrics: tuple[MetricChoice, ...] = ()
    aggregation: Aggregation = "mean"
    floors: tuple[FloorChoice, ...] = ()
    front: tuple[str, ...] = ()

    def terms_of(
        self, metrics: Sequence[Metric], chosen: Sequence[MetricChoice] | None = None
    ) -> Objective:
        """The objective as a value.

        Args:
            metrics: All that are measured, the directions of this section applied.
            chosen: What is maximised; None for the section's own.
        """
        chosen = self.metrics if chosen is None else chosen
        by_name = {(metric.set_name, metric.measure): metric for metric in metrics}
        totals: dict[str | None, float] = {None: 1.0}
        for group in {choice.group for choice in chosen} - {None}:
            totals[group] = sum(choice.weight for choice in chosen if choice.group == group)
        terms = tuple(
            Term(
                by_name[choice.set, choice.measure],
                choice.weight / totals[choice.group],
                choice.group,
            )
            for choice in chosen
        )
        floors = tuple(
            Floor(by_name[floor.set, floor.measure], floor.value, floor.margin)
            for floor in self.floors
        )
        return Objective(terms, self.aggregation, floors)

    @model_validator(mode="after")
    def _front_is_of_groups(self) -> Self:
        groups = dict.fromkeys(choice.group for choice in self.metrics if choice.group)
        for name in self.front:
            if name not in groups:
                fix = nearest(name, groups) if groups else "give metrics a `group`"
                raise ValueError(f"`front`: `{printable(name, 80)}` is no group of metrics: {fix}")
        if self.front and (len(self.front) not in (2, 3) or len(set(self.front)) < len(self.front)):
            raise ValueError(
                "`front` must name two or three different groups, but got "
                f"{printable(', '.join(self.front), 200)}: change it, or leave it out"
            )
        return self


class Merge(Section):
    """How experts are merged; some rules train further runs (``mixwise check`` counts them)."""

    rule: Annotated[str, AfterValidator(known("merge rule"))] = "auto"


class Search(SpaceLimits):
    """How candidates are proposed, where, and what is simplest among those that are as good.

    ``prefer``: the uniform mixture, the shares of the available tokens, or nothing. ``prior``: a
    mixture that leaving costs. ``hierarchy``: groups of domains, for the methods that search in
    levels: members by group, each a domain or a pattern such as ``web-*``. A domain that no group
    names is one by itself.
    """

    method: Annotated[str, AfterValidator(known("search method"))] = "auto"
    budget: Annotated[int, Field(gt=0, le=10**6)] | None = None
    hierarchy: dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[tuple[str, ...], Field(min_length=1)],
    ] = Field(default_factory=dict)
    max_repetition: Annotated[float, Field(gt=0, le=10**6)] = 4.0
    prefer: Literal["uniform", "available", "none"] = "uniform"
    prior: PriorChoice | None = None
    seed: Seed = 0

    def problems(self, domains: Collection[str]) -> list[str]:
        """What does not fit the domains, or the method, a line each.

        Args:
            domains: Their names.
        """
        found = self.limit_problems(domains)
        if self.prior is not None:
            found += self.prior.problems(domains)
        if self.prior is not None and self.method in _WITHOUT_PRIOR:
            found.append(
                f"`search.prior`: `search.method: {self.method}` ranks mixtures without it: use "
                "another, such as auto"
            )
        if self.grid is not None and self.method in _OF_SUBSETS:
            found.append(
                f"`search.grid`: `search.method: {self.method}` answers with plain averages, which "
                "are on no grid: leave it out, or use another method, such as auto"
            )
        return found

    def domain_groups(self, domains: Sequence[str]) -> tuple[DomainGroup, ...]:
        """Groups of the domains; none without a hierarchy.

        Args:
            domains: All domains, in their order.

        Raises:
            RecipeError: If the hierarchy does not fit them.
        """
        return group_domains(domains, self.hierarchy) if self.hierarchy else ()

    def group_problems(self, domains: Sequence[str]) -> list[str]:
        """What is wrong with the hierarchy, a line each.

        Args:
            domains: All domains, in their order.
        """
        if self.method in IN_LEVELS and not self.hierarchy:
            return [
                f"`search.method: {self.method}` needs groups of domains, but there are none: name "
                "them in `search.hierarchy`, such as `{maths: [gsm, proofs]}`"
            ]
        if self.hierarchy and self.method in set(own_names("search method")) - set(IN_LEVELS):
            return [
                f"`search.hierarchy` has no effect with `search.method: {self.method}`: use "
                f"{', '.join(IN_LEVELS[:2])} or another of {len(IN_LEVELS)} methods that search in "
                "levels, or leave it out"
            ]
        try:
            self.domain_groups(domains)
        except RecipeError as error:
            return list(error.problems)
        return []


class Calibration(Section):
    """Mixtures that are trained to learn what the proxy misses: the uniform one, then others.

    ``mixtures``: by default as many as the ``budget`` pays for once the experts are long enough.
    """

    mixtures: Annotated[int, Field(ge=0, le=1000)] | None = None
    seeds: Annotated[int, Field(gt=0, le=1000)] = 1


class Validation(Section):
    """Reference mixtures that are trained to see how far the proxy may be trusted.

    By default none, or twelve with two seeds where the recipe says ``verify: true``.
    """

    mixtures: Annotated[int, Field(ge=0, le=10_000)] = 0
    seeds: Annotated[int, Field(gt=0, le=1000)] = 2

    @property
    def problems(self) -> list[str]:
        """What is wrong with it, a line each."""
        if not 0 < self.mixtures < _LEAST_REFERENCES:
            return []
        return [
            f"`validation.mixtures` must be 0 or at least {_LEAST_REFERENCES}, because fewer say "
            f"nothing about ranks, but got {self.mixtures}: change it"
        ]


Baseline = Literal["uniform", "available", "single"]


class Final(Section):
    """Real training of the recommendation and of what it must beat.

    By default one run of the recommendation; all baselines and two seeds with ``verify: true``.

    ``start``: what is trained: the ``base``, or the ``merged`` experts, in the mixture's shares;
    baselines begin alike. What the study predicts is for a run from the base.
    """

    train: bool = True
    start: Literal["base", "merged"] = "base"
    baselines: tuple[Baseline, ...] = ()
    seeds: Annotated[int, Field(gt=0, le=1000)] = 1


VERIFIED: Mapping[str, Mapping[str, Any]] = {
    "validation": {"mixtures": 12, "seeds": 2},
    "final": {"baselines": get_args(Baseline), "seeds": 2},
}  # what ``verify: true`` sets where the recipe is silent


def fill_verified(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a recipe with what ``verify: true`` asks for, wherever they say nothing."""
    filled = dict(values)
    for name, defaults in VERIFIED.items():
        given = filled.get(name, {})
        if isinstance(given, Mapping):  # anything else is refused by itself
            filled[name] = {**defaults, **given}
    return filled


_STORAGE = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s\x00-\x1f?#]{1,500}")


def check_storage(address: str) -> str:
    """Refuse what is no address of a store, holds a password, or is of one process alone.

    Args:
        address: Such as ``s3://bucket/prefix``.

    Raises:
        ValueError: Says which rule it breaks.
    """
    place = address.partition("://")[2].partition("/")[0]
    if ":" in place.rpartition("@")[0]:
        raise ValueError(
            "an address with a password in it is kept with the study, and so is the password: "
            "leave it out, and give every host its credentials"
        )
    if not _STORAGE.fullmatch(address) or "::" in address or address.startswith("memory:"):
        raise ValueError(
            f"must be an address that several hosts reach, such as s3://BUCKET/PREFIX, but got "
            f"{shown(address)}: change it"
        )
    return address


class EngineSettings(Section):
    """Where work runs: by default in worker processes of this machine, each with some threads.

    ``cluster`` names the engine, ``workers`` how many jobs it runs at once.
    ``address`` of a cluster of Ray: ``auto``, the one that this host belongs to; ``local``, one of
    this machine for this study alone; or ``host:port``, ``ray://host:port``.
    ``memory_gb``: what a cluster keeps free for each job.
    ``storage``: where the files of a study travel through, for hosts of a cluster that share no
    disk: an address that fsspec knows, such as ``s3://bucket/prefix``. Credentials are those that
    each host has; the address must hold none.
    ``task_vectors`` is the precision in which the experts' differences from the base are kept.
    """

    cluster: Annotated[str, AfterValidator(known("engine"))] = "local"
    address: Annotated[str, Field(min_length=1, max_length=256)] = "auto"
    workers: Seats | Literal["auto"] = "auto"
    threads: Seats | Literal["auto"] = "auto"
    memory_gb: Annotated[float, Field(gt=0, le=10**6)] | None = None
    storage: Annotated[str, AfterValidator(check_storage)] | None = None
    task_vectors: Literal["float32", "bfloat16", "int8"] = "float32"
