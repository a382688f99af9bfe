"""Init: a commented recipe, with the data files of a folder as its domains and sets."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mixwise.data.formats import known_format, name_parts
from mixwise.data.matching import is_data_name
from mixwise.data.recognition import Recognised, recognise
from mixwise.errors import (
    MixwiseError,
    RecipeError,
    ResourceError,
    holds_control_characters,
    printable,
)
from mixwise.records.formats import FORMATS
from mixwise.records.record import Document
from mixwise.stages.init_tasks import holds_labels, is_image_folder, task_of
from mixwise.stages.trainers.config import Taken, TakenDomain
from mixwise.stages.trainers.read import read_config
from mixwise.study.folder import RECIPE_FILE
from mixwise.tasks import CAUSAL_LM, TASKS

_PROSE = (".md", ".markdown", ".rst")
_IMAGES = "image"  # the record format
_HORIZON = "horizon_tokens: 10_000_000   # tokens of the final run"
_OF_EXAMPLES = "horizon_examples: 20_000     # examples of the final run"


@dataclass(frozen=True, slots=True)
class _Found:
    """A dataset that was found: its name, its files, what its rows are and where parts stand."""

    name: str
    files: tuple[str, ...]
    records: str = "text"
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def field(self) -> str:
        """The field of a text."""
        return self.fields.get("text", "text")

    @property
    def parts(self) -> str:
        """``fields`` of records of several parts; empty where they are the usual ones."""
        usual = FORMATS.find(self.records).fields().model_dump()
        if all(usual[part] == name for part, name in self.fields.items()):
            return ""
        return ", ".join(f"{part}: {_quote(name)}" for part, name in self.fields.items())


@dataclass(frozen=True, slots=True)
class _Folder:
    """What a folder holds: domains, choice sets, and data that has no way in, with the reason."""

    domains: tuple[_Found, ...]
    sets: tuple[_Found, ...]
    left_out: tuple[str, ...]
    task: str = CAUSAL_LM.name


_EXAMPLE = (
    _Found("math", ("data/math.jsonl",)),
    _Found("code", ("data/code/*.parquet",), fields={"text": "content"}),
    _Found("web", ("data/web.txt",)),
)

_TEMPLATE = """\
# A mixwise recipe. Paths are relative to this file; keys that are commented out show defaults.
#   mixwise check {recipe}                  what it will cost, and what is wrong, before training
#   mixwise run {recipe} --study study/     the whole job; run it again to resume

base: {base}          # folder of a Hugging Face model, or its name on the hub (name@revision)

domains:              # the datasets to mix, at least two
{domains}
  # A domain can also come from the hub, name its own held-out files, or bring its expert:
  # news:
  #   hub: {{dataset: org/name, config: null, split: train, revision: null}}   # or files: PATTERN
  #   weights: {{}}                  # of each entry of `files`, by characters: {{a.jsonl: 0.7, …}}
  #   where: {{}}                    # rows alone that have these values, such as {{source: wiki}}
  #   records: null                # told by the fields; or text, prompt-completion, chat, sharegpt,
  #                                # alpaca (conversations, by the tokenizer's chat template)
  #   field: text                  # the field that holds the text; dots lead into objects
  #   fields: null                 # of other rows: {{prompt: question, completion: answer}}
  #   learn: null                  # assistant (its turns), completion (the last), all; as usual
  #   format: auto                 # by the name; or jsonl, json, csv, tsv, parquet, arrow, text
  #   document_characters: 2000    # plain text is cut into documents of about so many
  #   heldout_files: []            # or a pattern, such as data/news-test.jsonl
  #   expert: null                 # or a Hugging Face folder trained from the same base

# domains_from: null         # or a source whose column names further domains, one a value:
#                            # {{files: data/all.jsonl, column: source, least_rows: 1}}

horizon_tokens: 10_000_000   # tokens of the final run
budget: 0.25                 # tokens that may be trained for the answer, in final runs
# shares_by: tokens          # what shares count; or supervised_tokens (that are learned), rows
# verify: false              # or true: references, baselines and second seeds too (`run --verify`)
# sequence_length: 1024
# task: causal-lm            # or text-classification, on rows of text and label, or
#                            # image-classification, on folders DIR/LABEL/*.png or rows of image
#                            # and label: horizon_examples stands for horizon_tokens then
# example_tokens: 128        # longer labelled texts are cut to so many tokens
# document_masking: false    # rows are packed: documents laid end to end; true: they do not see
#                            # each other, and positions begin anew at each
# bos: auto                  # rows begin with BOS as the tokenizer wants it; or always, never
# chat_template: null        # or a Jinja file for conversations, in place of the tokenizer's own

# heldout:
#   fraction: 0.1            # of each domain's documents
#   overlap: refuse          # or drop: held-out texts that also stand in training rows

# contamination:             # rows of evaluation sets that stand in training data
#   action: warn             # or drop (left out of the evaluation), refuse
#   ngram_words: 8           # compared as n-grams of words, whatever their case and white space
#   coverage: 0.5            # share of a row that one training document must hold

{evaluation}

training:
  # method: full             # or lora
  # optimizer: adamw         # or sgd, with momentum
  # learning_rate: 1.0e-4
  # batch_sequences: 16
  # gradient_accumulation_steps: 1
  # schedule: constant       # with warm-up; or cosine, linear
  # warmup_steps: 3
  # weight_decay: 0.0
  # adam_beta1: 0.9
  # adam_beta2: 0.999
  # momentum: 0.9            # of sgd
  # max_grad_norm: 1.0
  seed: 0
  # precision: float32       # or bfloat16: autocast, checkpoints stay in float32
  # device: auto             # or cpu, cuda, mps
  # processes_per_run: 1     # several GPUs for one run, through accelerate
  # gradient_checkpointing: false
  # trajectory_checkpoints: 0
  # snapshots: 8             # of one run, to resume from
  # lora: {{rank: 16, alpha: 32, target_modules: all-linear}}

# experts:
#   horizon_tokens: null     # of each; by default what the budget pays for
#   halvings: 2              # they are merged at so many halves of it too, to continue scores
#   schedule: constant       # of their learning rate, whatever the final run's is
#   match_repetition: true   # a scarce text is repeated as often as in the final run, a part of it

# proxy:
#   answer: auto             # merged models, the experts' averaged predictions, or both
#   continued: true          # to the final horizon

# objective:                 # by default: the mean held-out loss of all domains
#   metrics:                 # of texts: loss, bits_per_byte
#                            # of choices: accuracy, accuracy_norm, answer_bits_per_byte
#                            # of `kind: greedy`: greedy_match, token_accuracy
#                            # of `kind: generation`: those that its set names, tokens_written
#                            # of `kind: lm-eval`: the task's own, as its set names them
#     - {{set: {text_set}, measure: loss, weight: 2, direction: null}}
#     - {{set: {choice_set}, measure: answer_bits_per_byte}}
#   aggregation: mean        # or worst; metrics with the same `group: NAME` count as one
#   front: []                # two or three groups, whose trade-off is drawn: [code, french]
#   floors:                  # what must not get worse than the base, or than a value
#     - {{set: {text_set}, measure: bits_per_byte, value: null, margin: 0.0}}

search:
  method: auto               # slopes, bayes, newton, mirror, lattice, mergemix, demix, subsets, …
  # budget: null             # most candidates to score; by default as the method needs
  # bounds:
  #   {domain}: {{min_share: 0.1, max_share: 0.6}}
  max_repetition: 4          # most epochs of any domain
  # prefer: uniform          # among mixtures that are as good; or available (tokens), or none
  # seed: 0

# merge:
#   rule: auto               # the plain merge; or centre, pairs, optimiser-aware, blend, ties, …

# calibration:
#   mixtures: null           # trained to learn what the proxy misses; by default within the budget
#   seeds: 1                 # runs of each

# validation:                # beyond the budget; {{mixtures: 12, seeds: 2}} with `verify: true`
#   mixtures: 0              # reference mixtures to train
#   seeds: 2                 # runs of each

final:
  train: true                # the recommendation, for real
  # baselines: []            # trained beside it; [uniform, available, single] with `verify: true`
  # seeds: 1                 # 2 with `verify: true`

# engine:
#   cluster: local           # this machine, or an engine of yours
#   workers: auto            # runs at once
#   threads: auto            # of each
#   task_vectors: float32    # how experts are stored for merging; or bfloat16, int8
"""

_SET_EXAMPLE = """\
#   sets:                    # sets outside the domains that the model should be good at
#     manual: {files: eval/manual.jsonl, field: text, kind: text}
#     quiz:                  # rows of multiple choice, and where their parts stand
#       files: eval/quiz.jsonl
#       kind: choice
#       fields: {prompt: prompt, choices: choices, answer: answer, labels: null, separator: ""}
#     sums:                  # questions whose answers the model writes
#       files: eval/sums.jsonl
#       kind: generation
#       fields: {prompt: question, answer: answer, separator: "\\nAnswer:"}
#       measures: [exact_match]   # or normalised_match, contains, number, f1, pattern_found,
#                            # function
#       function: null       # of the measure of that name: "my_module:grade", given text, answers
#       pattern: null        # regular expression that takes the answer out of what is written
#       max_new_tokens: 64
#       stop: []
#       temperature: 0.0     # greedy; else sampled
#       top_p: 1.0
#       seed: 0
#       apply_chat_template: false   # whether the question is asked as a user's turn
#     arc:                   # a task of the lm-evaluation-harness, or of your own YAML files
#       kind: lm-eval
#       task: arc_easy
#       measures: [acc_norm, answer_bits_per_byte]
#       include_path: null   # folder of your own tasks
#       documents: search    # half of them; the other half by `report`, or all
#       num_fewshot: null
#       limit: null
#       filter: null
#       apply_chat_template: false
#     mine: {kind: command, command: [python, score.py, "{model}"], measures: {score: max}}
#     ours: {kind: function, function: "my_module:score", measures: {score: max}}"""

_EVALUATION = """\
#   max_sequences: 64        # per set
#   batch_sequences: 16
#   precision: float32       # of the model that is evaluated; or bfloat16, float16
#   placement: device        # or split (over all GPUs), layers (one at a time, for large models)
#   memory_gb: null          # what placement `layers` may take; by default half of what is free
#   batch_norm_batches: 32   # that the statistics of a merge are measured on, with batch norm"""


def write_recipe(folder: Path, config: Path | None = None) -> Path:
    """Write a recipe into a folder.

    Args:
        folder: The folder; made when missing. Without a ``config``, data files, and folders of
            them, in it and in its ``data/`` become domains, or evaluation sets where they hold
            multiple-choice rows; what has no way in is named with the reason; a folder with a
            model's ``config.json`` becomes the base.
        config: Configuration of a trainer, whose datasets become domains instead.

    Returns:
        Path of the recipe.

    Raises:
        RecipeError: If there is one already, or the configuration cannot be taken over.
        ResourceError: If it cannot be written.
    """
    path = folder / RECIPE_FILE
    if path.exists():
        raise RecipeError(f"{path}: exists already: edit it, or remove it first")
    text = _of_folder(folder) if config is None else _of_config(read_config(config, folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error}): choose another folder") from None
    return path


def _of_folder(folder: Path) -> str:
    """The recipe over the data files that a folder holds."""
    bases = sorted(p.parent for p in folder.glob("*/config.json")) if folder.is_dir() else []
    found = _look_at(folder, bases[0] if bases else None)
    domain = found.domains[0].name if len(found.domains) >= 2 else _EXAMPLE[0].name
    text = _TEMPLATE.format(
        recipe=RECIPE_FILE,
        domain=_quote(domain),
        text_set=_quote(domain) if found.sets else "manual",
        choice_set=_quote(found.sets[0].name) if found.sets else "quiz",
        domains="\n".join(_domain_lines(found)),
        evaluation="\n".join(_evaluation_lines(found.sets)),
        base=_quote(bases[0].relative_to(folder).as_posix()) if bases else "path/to/base-model",
    )
    if found.task == CAUSAL_LM.name:
        return text
    return _set(text.replace(_HORIZON, _OF_EXAMPLES), "task", found.task)


def _of_config(taken: Taken) -> str:
    """The recipe over the datasets of a trainer's configuration, and what it does not take over."""
    keys = dict(taken.keys)
    text = _TEMPLATE.format(
        recipe=RECIPE_FILE,
        domain=_quote(taken.domains[0].name),
        text_set="manual",
        choice_set="quiz",
        domains="\n".join(_taken_lines(taken.domains)),
        evaluation="\n".join(_evaluation_lines(())),
        base=_value(keys.pop("base", "path/to/base-model")),
    )
    for key, value in keys.items():
        text = _set(text, key, value)
    said = [f"# The domains and keys below are those of a configuration of {taken.trainer}."]
    if taken.left_out:
        said += [
            "# It says besides, which is not taken over:",
            *(f"#   {s}" for s in taken.left_out),
        ]
    return "\n".join([*said, "", text])


def _taken_lines(domains: tuple[TakenDomain, ...]) -> Iterator[str]:
    for domain in domains:
        yield f"  {_quote(domain.name)}:"
        for key, value in domain.keys.items():
            yield f"    {key}: {_value(value)}"
    if len(domains) == 1:
        yield "  # A mixture needs a second one: add it, or split this one by `domains_from`."


def _set(text: str, key: str, value: object) -> str:
    """Set a key of the template, which stands there once, commented out or not."""
    section, _, name = key.rpartition(".")
    indent = "  " if section else ""
    start = text.index(f"\n{section}:\n") if section else 0
    line = re.compile(rf"(?m)^{indent}(# )?{name}: .*?(?=  +#|$)")
    return text[:start] + line.sub(
        lambda _: f"{indent}{name}: {_value(value)}", text[start:], count=1
    )


def _value(value: object) -> str:
    """A value as YAML on one line."""
    if isinstance(value, str):
        return _quote(value)
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return str(dumped).removesuffix("...\n").strip()


def _look_at(folder: Path, base: Path | None) -> _Folder:
    """Each data file, and each folder of data or of images, of the folder and its ``data/``."""
    domains: list[_Found] = []
    sets: list[_Found] = []
    left_out: list[str] = []
    names: set[str] = set()
    labelled: dict[str, bool] = {}
    for place in _places(folder):
        files = _data_files(place)
        has_images = is_image_folder(place)
        if not files and not has_images:
            continue
        shown_place = printable(place.relative_to(folder).as_posix())
        kinds = sorted({str(known_format(path.name)) for path in files})
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", place.name.split(".")[0]).strip("-_")[:64] or "d"
        if len(kinds) > 1:
            problem = f"holds files of several formats ({', '.join(kinds)}): name those meant"
        elif holds_control_characters(place.name):
            problem = "its name holds control characters: rename it"
        elif name.lower() in names:
            problem = f"another dataset is named `{name}`: give this one a name of its own"
        else:
            what = Recognised("image") if has_images else _recognise(files)
            problem = what.problem
            if not problem:
                names.add(name.lower())
                patterns = (
                    (place.relative_to(folder).as_posix(),)
                    if has_images
                    else tuple(_patterns(place, files, folder))
                )
                is_document = FORMATS.find(what.records).gives is Document
                chosen = domains if is_document else sets
                chosen.append(_Found(name, patterns, what.records, what.fields))
                if is_document and not has_images:
                    labelled[name] = holds_labels(files[0])
        if problem:
            left_out.append(f"{shown_place}: {problem}")
    images = [domain for domain in domains if domain.records == _IMAGES]
    task = task_of(base, len(images), labelled.values())
    return _fitting(task, domains, sets, left_out)


def _fitting(task: str, domains: list[_Found], sets: list[_Found], left_out: list[str]) -> _Folder:
    """What fits a task; the rest is left out, and that is said."""
    facts = TASKS.find(task)
    chosen = [each for each in domains if (each.records == _IMAGES) == facts.has_images]
    others = [each for each in domains if each not in chosen]
    others += sets if facts.has_labels else []
    said = [f"{printable(each.files[0])}: cannot be with `task: {task}`" for each in others]
    if facts.has_labels:  # the format of the task's records need not be named
        chosen = [_Found(each.name, each.files) for each in chosen]
        sets = []
    return _Folder(tuple(chosen), tuple(sets), (*left_out, *said), task)


def _places(folder: Path) -> Iterator[Path]:
    for parent in (folder, folder / "data"):
        for path in sorted(parent.glob("*")) if parent.is_dir() else []:
            is_model = (path / "config.json").is_file()
            if path not in (folder / "data", folder / RECIPE_FILE) and not is_model:
                yield path


def _data_files(place: Path) -> list[Path]:
    """The data files of a folder, or the file itself; prose is more often about data than data."""
    paths = [place] if place.is_file() else sorted(p for p in place.glob("*") if p.is_file())
    return [
        path
        for path in paths
        if known_format(path.name)
        and is_data_name(path.name)
        and name_parts(path.name)[0] not in _PROSE
    ]


def _recognise(files: list[Path]) -> Recognised:
    try:
        return recognise(files[0])
    except MixwiseError as error:
        if known_format(files[0].name) == "json":  # any program's own file may end in `.json`
            return Recognised(problem=str(error).splitlines()[0])
        return Recognised("text")  # `check` will say what is wrong with the file


def _patterns(place: Path, files: list[Path], folder: Path) -> Iterator[str]:
    path = place.relative_to(folder).as_posix()
    if place.is_file():
        yield path
        return
    for suffix in sorted({"".join(name_parts(file.name)) for file in files}):
        yield f"{glob.escape(path)}/*{suffix}"


def _domain_lines(found: _Folder) -> Iterator[str]:
    for domain in found.domains if len(found.domains) >= 2 else _EXAMPLE:
        yield f"  {_quote(domain.name)}:"
        yield f"    files: {_listed(domain.files)}"
        if domain.records != "text":
            yield f"    records: {domain.records}"
            if domain.parts:
                yield f"    fields: {{{domain.parts}}}"
        elif domain.field != "text":
            yield f"    field: {_quote(domain.field)}"
    if len(found.domains) == 1:
        (only,) = found.domains
        yield f"  # The domains above are examples: {_listed(only.files)} alone was found here."
    for line in found.left_out:
        yield f"  # Left out: {line}"


def _evaluation_lines(sets: tuple[_Found, ...]) -> Iterator[str]:
    if not sets:
        yield "# evaluation:"
        yield _SET_EXAMPLE
        yield _EVALUATION
        return
    yield "evaluation:"
    yield "  sets:                    # outside the domains"
    for found in sets:
        yield f"    {_quote(found.name)}:"
        yield f"      files: {_listed(found.files)}"
        yield "      kind: choice         # multiple choice by log-likelihood"
        if found.parts:
            yield f"      fields: {{{found.parts}}}"
    yield _EVALUATION.replace("#   ", "  # ")


def _listed(files: tuple[str, ...]) -> str:
    quoted = [_quote(file) for file in files]
    return quoted[0] if len(quoted) == 1 else f"[{', '.join(quoted)}]"


def _quote(text: str) -> str:
    is_plain = re.fullmatch(r"[\w./-]+", text) and yaml.safe_load(text) == text
    if is_plain:
        return text
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**6)).strip()
