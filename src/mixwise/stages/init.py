"""Init: a commented recipe, with the data files of a folder as its domains."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from mixwise.data.sources import guess_field
from mixwise.errors import MixwiseError, RecipeError, ResourceError
from mixwise.study import RECIPE_FILE

_SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".parquet", ".txt", ".txt.gz")


@dataclass(frozen=True, slots=True)
class _Found:
    """A domain that was found: its name, its files, the field of its text."""

    name: str
    files: str
    field: str = "text"


_EXAMPLE = (
    _Found("math", "data/math.jsonl"),
    _Found("code", "data/code/*.parquet", "content"),
    _Found("web", "data/web.txt"),
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
  #   hub: {{dataset: org/name, config: null, split: train}}
  #   field: text                        # the field that holds the text
  #   heldout_files: data/news-test.jsonl
  #   expert: checkpoints/news           # a Hugging Face folder trained from the same base

horizon_tokens: 10_000_000   # tokens of every run: experts, references, the final model
sequence_length: 1024

# heldout:
#   fraction: 0.1            # of each domain's documents
#   overlap: refuse          # or drop: held-out texts that also stand in training rows

# evaluation:
#   sets:                    # sets outside the domains that the model should be good at
#     manual: {{files: eval/manual.jsonl, field: text}}
#     quiz: {{files: eval/quiz.jsonl, kind: choice}}   # rows of prompt, choices, answer (index)
#   max_sequences: 64        # per set
#   batch_sequences: 16
#   precision: float32       # of the model that is evaluated; or bfloat16, float16
#   placement: device        # or split (over all GPUs), layers (one at a time, for large models)
#   memory_gb: 8             # what placement `layers` may take; by default half of what is free

training:
  # method: full             # or lora
  # learning_rate: 1.0e-4
  # batch_sequences: 16
  # gradient_accumulation_steps: 1
  # schedule: constant       # with warm-up; or cosine, linear
  # warmup_steps: 3
  # weight_decay: 0.0
  # max_grad_norm: 1.0
  # precision: float32       # or bfloat16: autocast, checkpoints stay in float32
  # device: auto             # or cpu, cuda, mps
  # processes_per_run: 1     # several GPUs for one run, through accelerate
  # optimizer: adamw         # or sgd, with momentum: 0.9
  # trajectory_checkpoints: 0
  seed: 0
  # lora: {{rank: 16, alpha: 32, target_modules: all-linear}}

# objective:                 # by default: the mean held-out loss of all domains
#   metrics:                 # of texts: loss, bits_per_byte
#                            # of choices: accuracy, accuracy_norm, answer_bits_per_byte
#     - {{set: manual, measure: loss, weight: 2}}
#     - {{set: quiz, measure: answer_bits_per_byte}}
#   aggregation: mean        # or worst

search:
  method: auto               # slopes, bayes, newton, mirror, lattice, mergemix, demix, subsets, …
  # budget: 40               # most candidates to score
  max_repetition: 4          # most epochs of any domain
  # bounds:
  #   math: {{min_share: 0.1, max_share: 0.6}}
  # seed: 0

# merge:
#   rule: auto               # the plain merge; or centre, pairs, optimiser-aware, blend, ties, …

calibration:
  mixtures: 2                # trained to learn what merging misses, the uniform one first; 0: none
  seeds: 2                   # runs of each

validation:
  mixtures: 12               # reference mixtures to train; 0 for none
  seeds: 2                   # runs of each

final:
  train: true                # the recommendation and its baselines, for real
  baselines: [uniform, available, single]
  seeds: 2

# engine:
#   workers: auto            # runs at once
#   threads: auto            # of each
#   task_vectors: float32    # how experts are stored for merging; or bfloat16, int8
"""


def write_recipe(folder: Path) -> Path:
    """Write a recipe into a folder.

    Args:
        folder: The folder; made when missing. Data files, and folders of them, in it and in its
            ``data/`` become domains, a folder with a model's ``config.json`` becomes the base.

    Returns:
        Path of the recipe.

    Raises:
        RecipeError: If there is one already.
        ResourceError: If it cannot be written.
    """
    path = folder / RECIPE_FILE
    if path.exists():
        raise RecipeError(f"{path}: exists already: edit it, or remove it first")
    bases = sorted(p.parent for p in folder.glob("*/config.json")) if folder.is_dir() else []
    found = _find_domains(folder)
    domains = found if len(found) >= 2 else _EXAMPLE
    text = _TEMPLATE.format(
        recipe=RECIPE_FILE,
        domains="\n".join(_lines(domain) for domain in domains),
        base=_quote(bases[0].relative_to(folder).as_posix()) if bases else "path/to/base-model",
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error}): choose another folder") from None
    return path


def _find_domains(folder: Path) -> tuple[_Found, ...]:
    """Each data file, and each folder of data files, of the folder and of its ``data/``."""
    found: dict[str, _Found] = {}
    for place in (folder, folder / "data"):
        for path in sorted(place.glob("*")) if place.is_dir() else []:
            files = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.is_file())
            files = [p for p in files if p.name.lower().endswith(_SUFFIXES)]
            if not files or path == folder / "data":
                continue
            name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.name.split(".")[0]).strip("-_") or "d"
            pattern = path.relative_to(folder).as_posix() + ("" if path.is_file() else "/*")
            found.setdefault(name, _Found(name, pattern, _field_of(files[0])))
    return tuple(found.values())


def _field_of(path: Path) -> str:
    try:
        return guess_field(path)
    except MixwiseError:
        return "text"  # `check` will say what is wrong with the file


def _lines(domain: _Found) -> str:
    lines = [f"  {_quote(domain.name)}:", f"    files: {_quote(domain.files)}"]
    if domain.field != "text":
        lines.append(f"    field: {_quote(domain.field)}")
    return "\n".join(lines)


def _quote(text: str) -> str:
    is_plain = re.fullmatch(r"[\w./-]+", text) and yaml.safe_load(text) == text
    return text if is_plain else '"' + text.replace('"', '\\"') + '"'
