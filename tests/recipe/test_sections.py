import re
from typing import Any

import pytest
from tests.recipe.minimal import MINIMAL, domains, dump, recipe, refuse

from mixwise.recipe import Domain, EvaluationSource, parse_recipe
from mixwise.records.prompt_completion import PromptCompletionFields


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001"])
def test_a_number_in_scientific_notation_is_a_number(text: str) -> None:
    source = dump(MINIMAL) + f"training: {{learning_rate: {text}}}\n"
    assert parse_recipe(source, "r.yaml").training.learning_rate == 0.001


def test_digits_may_be_grouped() -> None:
    text = dump(MINIMAL).replace("1000000", "10_000_000")
    assert parse_recipe(text, "r.yaml").horizon_tokens == 10_000_000


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        recipe().base = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["int", "str", "hub", "files"])
def test_a_domain_may_be_named_like_a_type_or_a_key(name: str) -> None:
    chosen = {name: {"filess": "x"}, "b": {"files": "b"}}
    refuse(f"^r.yaml: `domains.{name}.filess`: unknown key: did you mean `files`", domains=chosen)


@pytest.mark.parametrize(
    ("changes", "key", "rule", "value"),
    [
        ({"horizon_tokens": "many"}, "horizon_tokens", "valid integer", "'many'"),
        ({"horizon_tokens": 0}, "horizon_tokens", "greater than 0", "0"),
        ({"sequence_length": 1}, "sequence_length", "greater than 1", "1"),
        ({"base": 3}, "base", "valid string", "3"),
        ({"domains": ["a", "b"]}, "domains", "valid dictionary", r"\['a', 'b'\]"),
        ({"domains": domains(files=3)}, "domains.code.files", "valid tuple", "3"),
        ({"search": {"prefer": "equal"}}, "search.prefer", "'uniform', 'available'", "'equal'"),
        ({"search": {"budget": 1.5}}, "search.budget", "valid integer", "1.5"),
        ({"search": {"budget": 0}}, "search.budget", "greater than 0", "0"),
        ({"search": {"max_repetition": 0}}, "search.max_repetition", "greater than 0", "0"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate", "finite", "nan"),
        ({"training": {"learning_rate": -1}}, "training.learning_rate", "greater than 0", "-1"),
        ({"training": {"adam_beta1": 1}}, "training.adam_beta1", "less than 1", "1"),
        ({"training": {"device": "gpu"}}, "training.device", "'cuda'", "'gpu'"),
        ({"heldout": {"fraction": 0}}, "heldout.fraction", "greater than 0", "0"),
        ({"heldout": {"fraction": 1}}, "heldout.fraction", "less than 1", "1"),
        ({"final": {"baselines": ["unifrm"]}}, "final.baselines.0", "'uniform'", "'unifrm'"),
        ({"engine": {"workers": 0}}, "engine.workers", "greater than 0", "0"),
        ({"engine": {"workers": "all"}}, "engine.workers", "'auto'", "'all'"),
        ({"validation": {"seeds": 0}}, "validation.seeds", "greater than 0", "0"),
        (
            {"search": {"bounds": {"code": {"max_share": 1.2}}}},
            "search.bounds.code.max_share",
            "less than or equal to 1",
            "1.2",
        ),
        (
            {"training": {"lora": {"target_modules": "q_proj"}}},
            "training.lora.target_modules",
            "'all-linear'",
            "'q_proj'",
        ),
    ],
)
def test_a_wrong_value_names_origin_key_rule_value_and_fix(
    changes: dict[str, Any], key: str, rule: str, value: str
) -> None:
    line = rf"r\.yaml: `{re.escape(key)}`: .*{rule}.*, but got {value}: \w+"
    assert re.search(line, refuse("r.yaml", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"validation": {"mixtures": True}},
        {"training": {"seed": True}},
        {"horizon_tokens": True},
        {"search": {"max_repetition": True}},
    ],
)
def test_yes_is_not_a_number(changes: dict[str, Any]) -> None:
    refuse("valid (integer|number)", **changes)


@pytest.mark.parametrize("length", [64, 65, 244])
def test_a_name_has_at_most_64_characters(length: int) -> None:
    named = {"a" * length: {"files": "x"}, "b": {"files": "y"}}
    if length == 64:
        assert len(recipe(domains=named).domain_names[0]) == 64
    else:
        refuse(r"a name must consist of at most 64 letters, digits.*: rename it", domains=named)


@pytest.mark.parametrize("path", ["a" * 256, "ab/" * 1400, "é" * 128])
@pytest.mark.parametrize("key", ["base", "files", "heldout_files", "expert"])
def test_a_path_that_no_file_system_holds_is_told(key: str, path: str) -> None:
    rule = "a path may have 255 bytes between slashes and 4,095 in all"
    if key == "base":
        refuse(f"`base`: {rule}", base=path)
    else:
        refuse(
            rf"`domains\.code.{key}.*`: {rule}", domains=domains(**({"files": "x"} | {key: path}))
        )


@pytest.mark.parametrize(
    "key",
    [
        "sequence_length",
        "horizon_tokens",
        "training.batch_sequences",
        "training.gradient_accumulation_steps",
        "training.warmup_steps",
        "training.processes_per_run",
        "training.trajectory_checkpoints",
        "training.snapshots",
        "training.seed",
        "training.lora.rank",
        "training.lora.alpha",
        "evaluation.max_sequences",
        "evaluation.batch_sequences",
        "evaluation.memory_gb",
        "search.budget",
        "search.max_repetition",
        "calibration.mixtures",
        "calibration.seeds",
        "validation.mixtures",
        "validation.seeds",
        "final.seeds",
        "engine.workers",
        "engine.threads",
    ],
)
def test_absurd_numbers_are_refused(key: str) -> None:
    value: Any = 10**17
    for part in reversed(key.split(".")):
        value = {part: value}
    refuse(rf"`{re.escape(key)}`: input should be less than or equal to", **value)


def test_a_choice_set_takes_no_keys_without_effect() -> None:
    def sets(**keys: Any) -> dict[str, Any]:
        return {"sets": {"quiz": {"files": "q.jsonl", **keys}}}

    rule = "`field` has no effect on choice records: use `fields`"
    refuse(rule, evaluation=sets(kind="choice", field="question"))
    rule = "`fields` has no effect on text records: use `field`"
    refuse(rule, evaluation=sets(fields={"prompt": "question"}))
    refuse("choice records are rows", evaluation=sets(kind="choice", format="text"))
    rule = r"`evaluation\.sets\.quiz\.fields\.promt`: unknown key: did you mean `prompt`"
    refuse(rule, evaluation=sets(kind="choice", fields={"promt": "question"}))


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        (
            {"files": "a", "records": "choice"},
            "`records: choice` cannot be here: use one of text, prompt-completion, chat, share",
        ),
        ({"files": "a", "records": "pairs"}, "`pairs` is not a record format"),
        ({"files": "a", "fields": {"text": "body"}}, "`fields` has no effect on text records: use"),
        (
            {"files": "a", "records": "prompt-completion", "field": "body"},
            "`field` has no effect on prompt-completion records: use `fields`",
        ),
        (
            {"files": "a", "records": "prompt-completion", "format": "text"},
            "prompt-completion records are rows, so `format: text` cannot be",
        ),
        (
            {"files": "a", "records": "prompt-completion", "fields": {"answer": "a"}},
            r"`domains\.code\.fields\.answer`: unknown key",
        ),
        (
            {"files": "a", "records": "prompt-completion", "learn": "assistant"},
            "`learn: assistant` cannot be on prompt-completion records: use completion or all",
        ),
        (
            {"files": "a", "field": "body", "learn": "completion"},
            "`learn: completion` cannot be on text records: use all",
        ),
        ({"files": "a", "records": ["text"], "fields": {"text": "a"}}, "`domains.code.records`"),
    ],
)
def test_records_and_their_fields_belong_together(code: dict[str, Any], rule: str) -> None:
    refuse(rule, domains=domains(**code))


def test_what_is_learned_is_the_formats_usual_part_or_as_asked() -> None:
    chat = {"files": "a", "records": "chat"}
    for code, learned in (
        ({"files": "a"}, "all"),
        (chat, "assistant"),
        (chat | {"learn": "all"}, "all"),
        ({"files": "a", "records": "prompt-completion"}, "completion"),
    ):
        assert recipe(domains=domains(**code)).domains["code"].learned == learned
    quiz = EvaluationSource.model_validate({"files": "q", "kind": "choice"})
    assert quiz.learned == "all"
    with pytest.raises(ValueError, match="`learn: all` cannot be on choice records: leave it out"):
        EvaluationSource.model_validate({"files": "q", "kind": "choice", "learn": "all"})


def test_a_source_is_read_as_another_format_as_if_the_recipe_named_it() -> None:
    named = Domain.model_validate(
        {"files": "a", "records": "chat", "fields": {"messages": "chosen"}, "learn": "all"}
    )
    found = Domain.model_validate({"files": "a", "learn": "all"})
    assert not found.names_records
    assert found.read_as("chat", {"messages": "chosen"}) == named
    assert found.read_as("text", {"text": "body"}).field == "body"


def test_fields_are_read_by_the_format_that_they_belong_to() -> None:
    code = {"files": "a", "records": "prompt-completion", "fields": {"prompt": "q"}}
    domain = recipe(domains=domains(**code)).domains["code"]
    assert domain.parts == PromptCompletionFields(prompt="q")
    again = Domain.model_validate(domain.model_dump())
    assert again.parts == domain.parts
    assert recipe(domains=domains(**code)).key != recipe().key
