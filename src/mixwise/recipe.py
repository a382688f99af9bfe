"""The recipe: what the user asks for, read from YAML and refused early when it makes no sense.

Every section is frozen and forbids unknown keys. Paths are relative to the recipe's own folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mixwise.errors import RecipeError, nearest
from mixwise.mixture import MixtureSpace
from mixwise.objective import MEASURES, Aggregation, Direction, Metric, Objective, SetKind, Term

_LEAST_REFERENCES = 4
_UNIONS = (
    ("engine", "workers"),
    ("engine", "threads"),
    ("training", "lora", "target_modules"),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1001)]  # reference seeds are counted up from it
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the recipe: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: object, info: ValidationInfo) -> object:
        """YAML reads `yes` and `on` as true, and pydantic would read that as 1."""
        if (
            isinstance(value, bool)
            and cls.model_fields[str(info.field_name)].annotation is not bool
        ):
            raise ValueError(f"input should be a valid number or text, but got {value}: change it")
        return value


class HubDataset(Section):
    """A dataset of the Hugging Face hub (needs the extra ``mixwise[hub]``)."""

    dataset: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None


class TextSource(Section):
    """Where documents come from: files, globs, or a dataset of the hub."""

    files: Patterns = ()
    hub: HubDataset | None = None
    field: str = "text"
    format: Literal["auto", "jsonl", "parquet", "text"] = "auto"
    document_characters: Positive = 2000

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.files) == (self.hub is not None):
            raise ValueError("needs either `files` (paths or globs) or `hub`, and not both")
        return self


class Domain(TextSource):
    """One dataset of the mixture."""

    heldout_files: Patterns = ()
    expert: Path | None = None


class EvaluationSet(TextSource):
    """A set that models are measured on but never trained on."""

    kind: SetKind = "text"


class Heldout(Section):
    """The part of each domain, by document, that is kept for evaluation."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    overlap: Literal["refuse", "drop"] = "refuse"


class Evaluation(Section):
    """Extra evaluation sets, and how much of each set is used."""

    sets: dict[str, EvaluationSet] = Field(default_factory=dict)
    max_sequences: Positive = 64
    batch_sequences: Positive = 16


class Lora(Section):
    """Shape of the adapters when ``training.method`` is ``lora``."""

    rank: Positive = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"


class Training(Section):
    """How one run trains; the same for experts, references and the final model."""

    method: Literal["full", "lora"] = "full"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    batch_sequences: Positive = 16
    gradient_accumulation_steps: Positive = 1
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    seed: Seed = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    processes_per_run: Positive = 1
    gradient_checkpointing: bool = False
    trajectory_checkpoints: Annotated[int, Field(ge=0)] = 0
    snapshots: Annotated[int, Field(ge=0)] = 8
    lora: Lora = Lora()

    @model_validator(mode="after")
    def _batch_divides(self) -> Self:
        parts = self.gradient_accumulation_steps * self.processes_per_run
        if self.batch_sequences % parts:
            raise ValueError(
                "`batch_sequences` must be a multiple of gradient_accumulation_steps × "
                f"processes_per_run, but {self.batch_sequences} is not a multiple of {parts}: "
                f"use {-(-self.batch_sequences // parts) * parts}"
            )
        return self


class MetricChoice(Section):
    """One metric of the objective."""

    set: str
    measure: str
    weight: Annotated[float, Field(gt=0)] = 1.0
    direction: Direction | None = None

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, measure: str) -> str:
        if measure not in MEASURES:
            raise ValueError(f"`{measure}` is not a measure: {nearest(measure, MEASURES)}")
        return measure


class ObjectiveChoice(Section):
    """What to maximise; without metrics, the mean held-out loss of all domains."""

    metrics: tuple[MetricChoice, ...] = ()
    aggregation: Aggregation = "mean"


class Bounds(Section):
    """Smallest and largest share of one domain."""

    min_share: Share = 0.0
    max_share: Share = 1.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_share > self.max_share:
            raise ValueError(
                f"`min_share` ({self.min_share:g}) must not exceed `max_share` "
                f"({self.max_share:g}): change one"
            )
        return self


class Search(Section):
    """How candidates are proposed, and where."""

    method: Literal["lattice", "mergemix", "subsets"] = "lattice"
    budget: Positive | None = None
    bounds: dict[str, Bounds] = Field(default_factory=dict)
    max_repetition: Annotated[float, Field(gt=0)] = 4.0
    seed: Seed = 0


class Validation(Section):
    """Reference mixtures that are trained to see how far the proxy may be trusted."""

    mixtures: Annotated[int, Field(ge=0)] = 12
    seeds: Annotated[int, Field(gt=0, le=1000)] = 2


Baseline = Literal["uniform", "available", "single"]


class Final(Section):
    """Real training of the recommendation and of what it must beat."""

    train: bool = True
    baselines: tuple[Baseline, ...] = get_args(Baseline)
    seeds: Annotated[int, Field(gt=0, le=1000)] = 2


class Engine(Section):
    """Where work runs: worker processes of this machine, each with some threads."""

    workers: Positive | Literal["auto"] = "auto"
    threads: Positive | Literal["auto"] = "auto"


class Recipe(Section):
    """All that a study is made from.

    Raises:
        RecipeError: From `load_recipe` and `parse_recipe`, with file, key, rule, value and fix.
    """

    base: str
    domains: dict[str, Domain]
    horizon_tokens: Annotated[int, Field(gt=0, le=10**15)]
    sequence_length: Annotated[int, Field(gt=1)] = 1024
    heldout: Heldout = Heldout()
    evaluation: Evaluation = Evaluation()
    training: Training = Training()
    objective: ObjectiveChoice = ObjectiveChoice()
    search: Search = Search()
    validation: Validation = Validation()
    final: Final = Final()
    engine: Engine = Engine()

    @property
    def domain_names(self) -> tuple[str, ...]:
        """Names of the domains, in the recipe's order."""
        return tuple(self.domains)

    @property
    def batch_tokens(self) -> int:
        """Tokens of one optimiser step."""
        return self.training.batch_sequences * self.sequence_length

    @property
    def n_steps(self) -> int:
        """Optimiser steps of one run: the whole batches that fit into the horizon."""
        return self.horizon_tokens // self.batch_tokens

    @property
    def run_tokens(self) -> int:
        """Tokens of one run: the horizon, cut to whole batches."""
        return self.n_steps * self.batch_tokens

    @property
    def set_kinds(self) -> dict[str, SetKind]:
        """Kind of every evaluation set: the domains' held-out parts, then the extra sets."""
        kinds: dict[str, SetKind] = dict.fromkeys(self.domains, "text")
        return kinds | {name: chosen.kind for name, chosen in self.evaluation.sets.items()}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every measurement of every evaluation set, the objective's directions applied."""
        turned = {(m.set, m.measure): m.direction for m in self.objective.metrics if m.direction}
        return tuple(
            Metric(name, measure.name, turned.get((name, measure.name), measure.direction))
            for name, kind in self.set_kinds.items()
            for measure in MEASURES.values()
            if measure.kind == kind
        )

    @property
    def objective_terms(self) -> Objective:
        """The objective as a value; by default the mean held-out loss of all domains."""
        chosen = self.objective.metrics or tuple(
            MetricChoice(set=name, measure="loss") for name in self.domains
        )
        by_name = {(metric.set_name, metric.measure): metric for metric in self.metrics}
        terms = tuple(Term(by_name[choice.set, choice.measure], choice.weight) for choice in chosen)
        return Objective(terms, self.objective.aggregation)

    def space(self, available_tokens: Mapping[str, int]) -> MixtureSpace:
        """The mixtures that may be recommended: the bounds, cut by tokens and repetition.

        Args:
            available_tokens: Training tokens of each domain.

        Returns:
            The space in which max_shareᵢ ≤ max_repetition · availableᵢ / run_tokens.

        Raises:
            RecipeError: If no mixture satisfies the bounds.
        """
        bounds = {name: self.search.bounds.get(name, Bounds()) for name in self.domains}
        caps = {
            name: self.search.max_repetition * available_tokens[name] / self.run_tokens
            for name in self.domains
        }
        return MixtureSpace(
            self.domain_names,
            tuple(bounds[name].min_share for name in self.domains),
            tuple(min(bounds[name].max_share, caps[name]) for name in self.domains),
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._name_problems(), *self._reference_problems(), *self._size_problems()]
        if problems:
            raise ValueError("\n".join(problems))
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
                f"`{key}.{name}`: a name must consist of letters, digits, `_`, `-` and `.` and "
                "begin with a letter or digit: rename it"
                for name in names
                if not _NAME.fullmatch(name)
            ]
        lowered: dict[str, str] = {}
        for name in (*self.domains, *self.evaluation.sets):
            if name.lower() in lowered:
                problems.append(
                    f"`{name}`: domains and evaluation sets need different names, but "
                    f"`{lowered[name.lower()]}` exists already: rename one"
                )
            lowered.setdefault(name.lower(), name)
        return problems

    def _reference_problems(self) -> list[str]:
        problems = [
            f"`search.bounds.{name}`: not a domain: {nearest(name, self.domains)}"
            for name in self.search.bounds
            if name not in self.domains
        ]
        seen = set()
        for i, metric in enumerate(self.objective.metrics):
            key = f"`objective.metrics.{i}`"
            kind = self.set_kinds.get(metric.set)
            if kind is None:
                problems.append(
                    f"{key}: `{metric.set}` is neither a domain nor an evaluation set: "
                    f"{nearest(metric.set, self.set_kinds)}"
                )
            elif MEASURES[metric.measure].kind != kind:
                fitting = [m.name for m in MEASURES.values() if m.kind == kind]
                problems.append(
                    f"{key}: `{metric.measure}` cannot be measured on the {kind} set "
                    f"`{metric.set}`: use one of {', '.join(fitting)}"
                )
            if (metric.set, metric.measure) in seen:
                problems.append(f"{key}: `{metric.set}/{metric.measure}` stands twice: keep one")
            seen.add((metric.set, metric.measure))
        return problems

    def _size_problems(self) -> list[str]:
        problems = []
        if 0 < self.validation.mixtures < _LEAST_REFERENCES:
            problems.append(
                f"`validation.mixtures` must be 0 or at least {_LEAST_REFERENCES}, because fewer "
                f"say nothing about ranks, but got {self.validation.mixtures}: change it"
            )
        if self.horizon_tokens < self.batch_tokens:
            problems.append(
                f"`horizon_tokens` must hold at least one batch of {self.batch_tokens} tokens "
                f"(batch_sequences × sequence_length), but got {self.horizon_tokens}: raise it"
            )
        return problems


def hash_section(*sections: BaseModel | str | int) -> str:
    """Hash parts of a recipe, so that results can be tied to the settings that made them."""
    digest = hashlib.blake2b(digest_size=16)
    for section in sections:
        text = section.model_dump_json() if isinstance(section, BaseModel) else str(section)
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        RecipeError: If the file is missing or breaks a rule; all problems, one a line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path}: the recipe cannot be read ({error}): give the path of a YAML "
            "file, or write one with `mixwise init`"
        ) from None
    return parse_recipe(text, str(path))


def parse_recipe(text: str, origin: str) -> Recipe:
    """Turn YAML text into a recipe.

    Args:
        text: The YAML.
        origin: What error texts call the recipe, such as its path.

    Raises:
        RecipeError: If the text is not YAML, a key is unknown, doubled or missing, or a value
            breaks a rule; all problems, one a line.
    """
    try:
        raw = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{origin}: not valid YAML: {reason}") from None
    if not isinstance(raw, dict):
        raise RecipeError(
            f"{origin}: a recipe must be a mapping of keys, but got "
            f"{type(raw).__name__}: start from `mixwise init`"
        )
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        items = [dict(item) for item in error.errors()]
        lines = [line for item in _join_branches(items) for line in _explain(item)]
        raise RecipeError("\n".join(f"{origin}: {line}" for line in lines)) from None


def _join_branches(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the errors of a union's branches, which stand at one key, into one."""
    joined: dict[object, dict[str, Any]] = {}
    for item in items:
        place = _place(item["loc"])
        if place in joined and place != item["loc"]:
            item = item | {"msg": f"{joined[place]['msg']}, or {item['msg'].lower()}"}
        joined[place if place != item["loc"] else (place, item["type"])] = item
    return list(joined.values())


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not a silent replacement."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.YAMLError(
                    f"the key `{key}` stands twice (line {key_node.start_mark.line + 1}): "
                    "rename or remove one"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _explain(item: dict[str, Any]) -> list[str]:
    """Turn one pydantic error into lines of `key`: rule, what came, what to do."""
    place = _place(item["loc"])
    key = ".".join(str(part) for part in place)
    if item["type"] == "value_error":
        lines = str(item["ctx"]["error"]).splitlines()
        return [f"`{key}`: {line}" if key else line for line in lines]
    if item["type"] == "extra_forbidden":
        return [f"`{key}`: unknown key: {nearest(str(place[-1]), _valid_keys(place[:-1]))}"]
    if item["type"] == "missing":
        return [f"`{key}`: this key is required: add it (see `mixwise init` for an example)"]
    rule = item["msg"][0].lower() + item["msg"][1:]
    return [f"`{key}`: {rule}, but got {item['input']!r}: change it"]


def _place(location: tuple[object, ...]) -> tuple[object, ...]:
    """Cut from a pydantic location what names a branch of a union and not a key."""
    union = next((key for key in _UNIONS if location[: len(key)] == key), None)
    return location if union is None else union


def _valid_keys(place: tuple[object, ...]) -> list[str]:
    """The keys that are valid in the section at a place of the recipe."""
    section: type[BaseModel] = Recipe
    parts = list(place)
    while parts:
        annotation = section.model_fields[str(parts.pop(0))].annotation
        models = [m for m in (annotation, *get_args(annotation)) if _is_model(m)]
        if not _is_model(annotation) and parts and models and models[0] is not HubDataset:
            parts.pop(0)  # the name of an entry, or its number
        section = models[0]
    return list(section.model_fields)


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
