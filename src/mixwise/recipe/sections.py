"""The sections of a recipe, each immutable; unknown keys are errors.

Paths are relative to the recipe's own folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mixwise.errors import holds_control_characters, nearest, printable, shown
from mixwise.objective import MEASURES, Aggregation, Direction, SetKind
from mixwise.registry import known


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _fits_file_system(path: str) -> str:
    """What Linux and macOS can hold: 255 bytes a name, 4,095 a path."""
    longest, whole = max(len(part.encode()) for part in path.split("/")), len(path.encode())
    if longest > 255 or whole > 4095:
        raise ValueError(
            "a path may have 255 bytes between slashes and 4,095 in all, but got "
            f"{longest:,} and {whole:,}: shorten `{printable(path, 40)}`"
        )
    return path


def _path_that_fits(path: Path) -> Path:
    return Path(_fits_file_system(str(path)))


PathText = Annotated[str, AfterValidator(_fits_file_system)]
Patterns = Annotated[tuple[PathText, ...], BeforeValidator(_as_tuple)]
Sequences = Annotated[int, Field(gt=0, le=2**16)]  # of one step: no accelerator holds more
Seats = Annotated[int, Field(gt=0, le=1024)]  # processes or threads: more abort the process
Points = Annotated[int, Field(ge=0, le=1000)]  # checkpoints of one run, each as large as a model
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

    @field_validator("*", mode="after")
    @classmethod
    def _no_control_characters(cls, value: object, info: ValidationInfo) -> object:
        """Names and paths end up in messages, file names and pages; a separator is neither."""
        texts = value if isinstance(value, tuple) else (value,)
        if info.field_name == "separator":
            return value
        for text in texts:
            if isinstance(text, str | Path) and holds_control_characters(str(text)):
                raise ValueError(
                    "must hold no control characters or line ends, but got "
                    f"{shown(str(text))}: rename what it names"
                )
        return value


class HubDataset(Section):
    """A dataset of the Hugging Face hub (needs the extra ``mixwise[hub]``)."""

    dataset: PathText
    config: str | None = None
    split: str = "train"
    revision: str | None = None


FormatChoice = Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "text"]


class TextSource(Section):
    """Where documents come from: files, globs, or a dataset of the hub.

    ``files``: paths, folders or globs. ``field``: the field or column that holds the text; dots
    lead into nested objects (``meta.body``). ``format``: by default told by the name
    (`mixwise.data.formats` has the table); ``text`` reads any file as plain text, such as source
    code. ``document_characters``: after about so many, plain text is cut into documents.
    """

    files: Patterns = ()
    hub: HubDataset | None = None
    field: str = "text"
    format: FormatChoice = "auto"
    document_characters: Annotated[int, Field(gt=0, le=10**6)] = 2000

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.files) == (self.hub is not None):
            raise ValueError("needs either `files` (paths or globs) or `hub`, and not both")
        return self


class Domain(TextSource):
    """One dataset of the mixture."""

    heldout_files: Patterns = ()
    expert: Annotated[Path, AfterValidator(_path_that_fits)] | None = None


class ChoiceFields(Section):
    """Where the parts of a multiple-choice row stand; dots lead into nested objects.

    ``prompt``: a text. ``choices``: a field with two or more texts, or a list of fields with one
    each (``[sol1, sol2]``). ``answer``: the index of the right choice, counted from 0, as a number
    or in digits; or, with ``labels``, one of the texts of that field, which stand in the order of
    the choices. ``separator`` is put between prompt and choice.

    Rows of ARC: ``{prompt: question, choices: choices.text, answer: answerKey, labels:
    choices.label, separator: " "}``; of HellaSwag: ``{prompt: ctx, choices: endings, answer: label,
    separator: " "}``.
    """

    prompt: str = "prompt"
    choices: str | tuple[str, ...] = "choices"
    answer: str = "answer"
    labels: str | None = None
    separator: Annotated[str, Field(max_length=100)] = ""

    @field_validator("choices")
    @classmethod
    def _two_choices(cls, choices: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(choices, tuple) and len(choices) < 2:
            raise ValueError(f"needs two or more fields, but got {shown(choices)}: add one")
        return choices


class EvaluationSource(TextSource):
    """A set that models are measured on but never trained on.

    ``fields`` belongs to sets of kind ``choice``, ``field`` to those of kind ``text``.
    """

    kind: SetKind = "text"
    fields: ChoiceFields = ChoiceFields()

    @model_validator(mode="after")
    def _keys_have_an_effect(self) -> Self:
        idle = ("fields",) if self.kind == "text" else ("field", "document_characters")
        for name in idle:
            if getattr(self, name) != type(self).model_fields[name].default:
                use = "`kind: choice`" if self.kind == "text" else "`fields`"
                raise ValueError(f"`{name}` has no effect on a {self.kind} set: use {use}")
        if self.kind == "choice" and self.format == "text":
            raise ValueError("a choice set has rows, so `format: text` cannot be: use `jsonl`")
        return self


class Heldout(Section):
    """The part of each domain, by document, that is kept for evaluation."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    overlap: Literal["refuse", "drop"] = "refuse"


class Evaluation(Section):
    """Extra evaluation sets, how much of each set is used, and where models are evaluated.

    ``placement``: the whole model on one ``device``; ``split`` over all GPUs; or ``layers``, one
    layer at a time, for a model that does not fit beside its experts, in ``memory_gb`` gigabytes.
    """

    sets: dict[str, EvaluationSource] = Field(default_factory=dict)
    max_sequences: Annotated[int, Field(gt=0, le=10**6)] = 64
    batch_sequences: Sequences = 16
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    placement: Literal["device", "split", "layers"] = "device"
    memory_gb: Annotated[float, Field(gt=0, le=10**6)] | None = None


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
    schedule: Literal["constant", "cosine", "linear"] = "constant"
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
    weight: Annotated[float, Field(gt=0, le=10**9)] = 1.0
    direction: Direction | None = None

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, measure: str) -> str:
        if measure not in MEASURES:
            raise ValueError(
                f"`{printable(measure, 80)}` is not a measure: {nearest(measure, MEASURES)}"
            )
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


class Merge(Section):
    """How experts are merged; some rules train further runs (``mixwise check`` counts them)."""

    rule: Annotated[str, AfterValidator(known("merge rule"))] = "auto"


class Search(Section):
    """How candidates are proposed, where, and what is simplest among those that are as good.

    ``prefer``: the uniform mixture, the shares of the available tokens, or nothing.
    """

    method: Annotated[str, AfterValidator(known("search method"))] = "auto"
    budget: Annotated[int, Field(gt=0, le=10**6)] | None = None
    bounds: dict[str, Bounds] = Field(default_factory=dict)
    max_repetition: Annotated[float, Field(gt=0, le=10**6)] = 4.0
    prefer: Literal["uniform", "available", "none"] = "uniform"
    seed: Seed = 0


class Calibration(Section):
    """Mixtures that are trained to learn what the proxy misses: the uniform one, then others."""

    mixtures: Annotated[int, Field(ge=0, le=1000)] = 2
    seeds: Annotated[int, Field(gt=0, le=1000)] = 2


class Validation(Section):
    """Reference mixtures that are trained to see how far the proxy may be trusted."""

    mixtures: Annotated[int, Field(ge=0, le=10_000)] = 12
    seeds: Annotated[int, Field(gt=0, le=1000)] = 2


Baseline = Literal["uniform", "available", "single"]


class Final(Section):
    """Real training of the recommendation and of what it must beat."""

    train: bool = True
    baselines: tuple[Baseline, ...] = get_args(Baseline)
    seeds: Annotated[int, Field(gt=0, le=1000)] = 2


class EngineSettings(Section):
    """Where work runs: worker processes of this machine, each with some threads.

    ``task_vectors`` is the precision in which the experts' differences from the base are kept.
    """

    workers: Seats | Literal["auto"] = "auto"
    threads: Seats | Literal["auto"] = "auto"
    task_vectors: Literal["float32", "bfloat16", "int8"] = "float32"
