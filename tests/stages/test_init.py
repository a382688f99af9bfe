from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from mixwise.errors import RecipeError
from mixwise.kinds.generation import GenerationKeys
from mixwise.kinds.lm_eval import LmEvalKeys
from mixwise.recipe import Recipe, load_recipe, parse_recipe
from mixwise.records.chat import ChatFields
from mixwise.records.choice import ChoiceFields
from mixwise.records.prompt_completion import PromptCompletionFields
from mixwise.stages.init import write_recipe

ARC = {"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}


def write(path: Path, **row: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row) + "\n")


def uncomment(text: str) -> str:
    """The recipe with every key that is commented out."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if "# news:" in line)
    opened = [re.sub(r"^(\s*)# (?=[\w\s-])", r"\1", line) for line in lines[start:]]
    return "\n".join([*lines[:start], *opened])


def keys_of(section: type[BaseModel]) -> set[str]:
    """Names of all keys of a section and of the sections below it."""
    found = set(section.model_fields) - {"own"}  # whose keys stand beside the others
    for field in section.model_fields.values():
        found |= {key for model in models_in(field.annotation) for key in keys_of(model)}
    return found


def models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]


def test_the_recipe_that_init_writes_is_valid_and_holds_the_defaults(tmp_path: Path) -> None:
    written = load_recipe(write_recipe(tmp_path))
    assert written.domain_names == ("math", "code", "web")
    fresh = Recipe(base=written.base, domains=written.domains, horizon_tokens=10_000_000)
    assert written == fresh


def test_every_key_of_every_section_is_written(tmp_path: Path) -> None:
    text = write_recipe(tmp_path).read_text()
    keys = keys_of(Recipe)
    assert len(keys) > 60
    assert not [key for key in keys if not re.search(rf"(?<!\w){key}:", text)]


def test_every_commented_key_shows_its_default(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    written, full = load_recipe(path), parse_recipe(uncomment(path.read_text()), "r.yaml")
    assert full.evaluation.sets["quiz"].kind == "choice"
    assert full.search.bounds["math"].max_share == 0.6
    assert len(full.objective.metrics) == 2
    examples = {"evaluation": {"sets"}, "search": {"bounds"}, "objective": {"metrics", "floors"}}
    for name in set(Recipe.model_fields) - {"domains"}:
        part, default = getattr(full, name), getattr(written, name)
        if isinstance(part, BaseModel):
            part = part.model_dump(exclude=examples.get(name))
            default = default.model_dump(exclude=examples.get(name))
        assert part == default, name
    news = full.domains["news"].model_dump(exclude={"hub"})
    assert news == full.domains["math"].model_copy(update={"files": ()}).model_dump(exclude={"hub"})


def depth(line: str) -> int:
    """Columns before a line's key, as if it were not commented out."""
    return len(re.sub(r"^(\s*)# ", r"\1", line)) - len(re.sub(r"^(\s*)# ", r"\1", line).lstrip())


def test_each_commented_key_may_be_opened_alone(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    lines, written = path.read_text().splitlines(), load_recipe(path)
    start = next(i for i, line in enumerate(lines) if line.startswith("horizon_tokens"))
    examples = {"manual", "files", "kind", "fields", "math", "mine", "ours"}
    examples |= {*GenerationKeys.model_fields, *LmEvalKeys.model_fields}
    n_opened = 0
    for i in range(start, len(lines)):
        key = re.match(r"\s*# +(\w+): +[^\s#]", lines[i])
        if key is None or key[1] in examples:
            continue
        opened, inner = list(lines), depth(lines[i]) + 1
        for k in range(i, start, -1):  # the key, and the sections that it stands in
            if lines[k].strip() and depth(lines[k]) < inner:
                inner = depth(lines[k])
                opened[k] = re.sub(r"^(\s*)# ", r"\1", lines[k])
            if inner == 0:
                break
        assert parse_recipe("\n".join(opened), f"line {i + 1}") == written
        n_opened += 1
    assert n_opened > 25


def test_init_takes_the_data_files_it_finds(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("my math.jsonl", "code.parquet", "notes.md"):
        (tmp_path / "data" / name).touch()
    (tmp_path / "web.txt.gz").touch()
    found = load_recipe(write_recipe(tmp_path)).domains
    assert {name: domain.files for name, domain in found.items()} == {
        "web": ("web.txt.gz",),
        "code": ("data/code.parquet",),
        "my-math": ("data/my math.jsonl",),
    }


def test_a_folder_becomes_a_pattern_of_its_data_files(tmp_path: Path) -> None:
    write(tmp_path / "data" / "py" / "a.jsonl", id="1", content="x")
    (tmp_path / "data" / "py" / "README.md").write_text("about")
    (tmp_path / "data" / "b[1]").mkdir()
    (tmp_path / "data" / "b[1]" / "b.txt").write_text("b")
    (tmp_path / "base").mkdir()
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / "base" / name).write_text("{}")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    written = load_recipe(write_recipe(tmp_path))
    assert written.base == "base"
    assert {n: (d.files, d.field) for n, d in written.domains.items()} == {
        "b-1": (("data/b[[]1]/*.txt",), "text"),
        "py": (("data/py/*.jsonl",), "content"),
    }


def test_multiple_choice_becomes_an_evaluation_set(tmp_path: Path) -> None:
    write(tmp_path / "arc.jsonl", **ARC)
    write(tmp_path / "quiz.jsonl", prompt="p", choices=["a", "b"], answer=0)
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", text=name)
    path = write_recipe(tmp_path)
    written = load_recipe(path)
    assert written.domain_names == ("a", "b")
    arc, quiz = written.evaluation.sets["arc"], written.evaluation.sets["quiz"]
    assert isinstance(arc.parts, ChoiceFields)
    assert (arc.kind, arc.parts.labels, arc.parts.separator) == ("choice", "choices.label", " ")
    assert (quiz.kind, quiz.parts) == ("choice", ChoiceFields())
    assert len(parse_recipe(uncomment(path.read_text()), "r.yaml").objective.metrics) == 2


def test_prompts_with_completions_become_domains(tmp_path: Path) -> None:
    write(tmp_path / "pairs.jsonl", prompt="p", completion="c")
    write(tmp_path / "faq.jsonl", question="q", answer="a")
    domains = load_recipe(write_recipe(tmp_path)).domains
    assert {domain.record_format.name for domain in domains.values()} == {"prompt-completion"}
    assert domains["pairs"].parts == PromptCompletionFields()
    faq = PromptCompletionFields(prompt="question", completion="answer", separator="\n")
    assert domains["faq"].parts == faq


def test_conversations_become_domains(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    write(tmp_path / "chat.jsonl", id="1", messages=talk)
    write(tmp_path / "calls.jsonl", messages=talk, tools=[{"name": "f"}])
    write(tmp_path / "pairs.jsonl", prompt="a", chosen=talk, rejected=talk)
    write(tmp_path / "share.jsonl", conversations=[{"from": "human", "value": "a"}])
    write(tmp_path / "alpaca.jsonl", instruction="i", input="", output="o")
    path = write_recipe(tmp_path)
    domains = load_recipe(path).domains
    assert {name: domain.record_format.name for name, domain in domains.items()} == {
        "alpaca": "alpaca",
        "calls": "chat",
        "chat": "chat",
        "pairs": "chat",
        "share": "sharegpt",
    }
    assert "    records: chat\n" in path.read_text()
    assert domains["chat"].fields is None
    assert domains["calls"].parts == ChatFields(tools="tools")
    assert domains["pairs"].parts == ChatFields(messages="chosen")


def test_what_has_no_way_in_is_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path / "two.jsonl", text="a", messages=[{"role": "user", "content": "hi"}])
    write(tmp_path / "A.jsonl", text="a")
    write(tmp_path / "a.csv", text="a")
    write(tmp_path / "b.jsonl", text="a")
    path = write_recipe(tmp_path)
    assert load_recipe(path).domain_names == ("A", "b")
    text = path.read_text()
    assert "# Left out: two.jsonl: the rows may be chat (`messages`) or text (`text`)" in text
    assert "# Left out: a.csv: another dataset is named `a`" in text


def test_one_dataset_alone_is_said_beside_the_example(tmp_path: Path) -> None:
    write(tmp_path / "only.jsonl", text="a")
    path = write_recipe(tmp_path)
    assert "# The domains above are examples: only.jsonl alone was found here." in path.read_text()
    assert load_recipe(path).domain_names == ("math", "code", "web")


@pytest.mark.parametrize("name", ["ünï.txt", "a: b #c.txt", 'it\'s "x".txt', "yes.txt", "a\\b.txt"])
def test_odd_file_names_are_quoted(tmp_path: Path, name: str) -> None:
    for each in (name, "other.txt"):
        (tmp_path / each).write_text("text")
    written = load_recipe(write_recipe(tmp_path))
    assert {domain.files for domain in written.domains.values()} == {(name,), ("other.txt",)}


def test_a_name_with_control_characters_is_left_out(tmp_path: Path) -> None:
    for name in ("a\x1b[2J\n.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("text")
    path = write_recipe(tmp_path)
    assert load_recipe(path).domain_names == ("b", "c")
    assert r"# Left out: a\x1b[2J\n.txt: its name holds control characters" in path.read_text()


def test_init_never_overwrites_a_recipe(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    with pytest.raises(RecipeError, match="exists already: edit it, or remove it first"):
        write_recipe(tmp_path)


def test_the_examples_of_the_template_are_yaml(tmp_path: Path) -> None:
    assert isinstance(yaml.safe_load(uncomment(write_recipe(tmp_path).read_text())), dict)


def test_image_folders_are_domains_of_image_classification(tmp_path: Path) -> None:
    for name in ("photos", "drawings"):
        for label in ("cat", "dog"):
            (tmp_path / name / label).mkdir(parents=True)
            (tmp_path / name / label / "1.png").write_bytes(b"never opened")
    (tmp_path / "notes.jsonl").write_text('{"text": "a note"}\n')
    recipe = load_recipe(write_recipe(tmp_path))
    assert recipe.task == "image-classification"
    assert {n: d.files for n, d in recipe.domains.items()} == {
        "drawings": ("drawings",),
        "photos": ("photos",),
    }
    assert "Left out: notes.jsonl: cannot be with" in (tmp_path / "recipe.yaml").read_text()


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        (None, "text-classification"),
        ("BertForSequenceClassification", "text-classification"),
        ("LlamaForCausalLM", "causal-lm"),
    ],
)
def test_labelled_texts_are_told_by_their_columns_and_the_base(
    tmp_path: Path, architecture: str | None, task: str
) -> None:
    for name in ("films", "books"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "dull", "label": 0}\n')
    if architecture:
        (tmp_path / "base").mkdir()
        (tmp_path / "base" / "config.json").write_text(f'{{"architectures": ["{architecture}"]}}')
    recipe = load_recipe(write_recipe(tmp_path))
    assert recipe.task == task
    assert recipe.horizon_tokens == (20_000 if task != "causal-lm" else 10_000_000)
