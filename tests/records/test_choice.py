from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.rows import write_lines, write_parquet

from mixwise.data.sources import read_records
from mixwise.errors import DataError
from mixwise.recipe import EvaluationSource
from mixwise.records.choice import ChoiceFields


def choose(folder: Path, *rows: object) -> Any:
    write_lines(folder / "q.jsonl", *rows)
    return list(
        read_records(
            EvaluationSource(files=("q.jsonl",), kind="choice"), folder, "evaluation.sets.quiz"
        )
    )


def question(**changes: Any) -> dict[str, Any]:
    return {"prompt": "2+2=", "choices": ["3", "4"], "answer": 1} | changes


def test_choice_rows_come_with_their_place(tmp_path: Path) -> None:
    (row,) = choose(tmp_path, question(source="book"))
    assert (row.prompt, row.choices, row.answer) == ("2+2=", ("3", "4"), 1)
    assert row.place == f"{tmp_path / 'q.jsonl'}:1"


@pytest.mark.parametrize("name", ["q.parquet", "q.data"])
def test_choice_rows_of_parquet(tmp_path: Path, name: str) -> None:
    write_parquet(tmp_path / name, prompt=["p"], choices=[["a", "b", "c"]], answer=[2])
    source = EvaluationSource(files=(name,), format="parquet", kind="choice")
    (row,) = read_records(source, tmp_path, "k")
    assert (row.choices, row.answer) == (("a", "b", "c"), 2)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"prompt": ""}, "`prompt` must be a non-empty text, but got ''"),
        ({"prompt": 3}, "`prompt` must be a non-empty text, but got 3"),
        ({"choices": ["4"]}, "`choices` must be two or more non-empty texts, but got"),
        ({"choices": ["4", ""]}, "`choices` must be two or more"),
        ({"choices": ["4", 3]}, "`choices` must be two or more"),
        ({"choices": "34"}, "`choices` must be two or more non-empty texts, but got '34'"),
        ({"choices": 34}, "`choices` must be two or more non-empty texts, but got 34"),
        ({"choices": None}, "`choices` must be two or more non-empty texts, but got None"),
        ({"choices": {"text": ["3", "4"], "label": ["A", "B"]}}, "`choices` must be two or more"),
        ({"answer": 2}, "`answer` must be the index of a choice, from 0 to 1, but got 2"),
        ({"answer": -1}, "`answer` must be the index of a choice"),
        ({"answer": True}, "`answer` must be the index of a choice, .* but got True"),
        ({"answer": "B"}, "`answer` must be the index of a choice, .* but got 'B'"),
        ({"answer": 1.0}, "`answer` must be the index of a choice"),
    ],
)
def test_a_choice_row_that_breaks_a_rule_names_its_line(
    tmp_path: Path, change: dict[str, Any], rule: str
) -> None:
    with pytest.raises(DataError, match=rf"q\.jsonl:2: {rule}"):
        choose(tmp_path, question(), question(**change))


@pytest.mark.parametrize("name", ["prompt", "choices", "answer"])
def test_a_choice_row_needs_all_its_fields(tmp_path: Path, name: str) -> None:
    row = question()
    row[f"{name}s"] = row.pop(name)
    with pytest.raises(DataError, match=rf"q\.jsonl:1: the field `{name}` is missing .*`{name}s`"):
        choose(tmp_path, row)


ARC = {
    "id": "7",
    "question": "Which is hot?",
    "choices": {"text": ["ice", "fire", "snow"], "label": ["1", "2", "3"]},
    "answerKey": "2",
}


ARC_FIELDS = {
    "prompt": "question",
    "choices": "choices.text",
    "answer": "answerKey",
    "labels": "choices.label",
    "separator": " ",
}


HELLASWAG = {"ctx": "A man", "endings": ["sits.", "runs.", "eats.", "sings."], "label": "3"}


HELLASWAG_FIELDS = {"prompt": "ctx", "choices": "endings", "answer": "label", "separator": " "}


def choices_of(folder: Path, name: str, fields: dict[str, Any], **more: Any) -> Any:
    source = EvaluationSource(files=(name,), kind="choice", fields=ChoiceFields(**fields), **more)
    return list(read_records(source, folder, "evaluation.sets.quiz"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_rows_of_arc_and_hellaswag_are_read_as_they_lie_on_the_hub(
    tmp_path: Path, kind: str
) -> None:
    for name, row in (("arc", ARC), ("hellaswag", HELLASWAG)):
        path = tmp_path / f"{name}.{kind}"
        if kind == "jsonl":
            write_lines(path, row)
        else:
            pq.write_table(pa.Table.from_pylist([row]), path)
    (arc,) = choices_of(tmp_path, f"arc.{kind}", ARC_FIELDS)
    assert (arc.prompt, arc.choices, arc.answer) == ("Which is hot?", (" ice", " fire", " snow"), 1)
    (row,) = choices_of(tmp_path, f"hellaswag.{kind}", HELLASWAG_FIELDS)
    assert (row.prompt, row.choices[3], row.answer) == ("A man", " sings.", 3)


def test_choices_may_stand_in_a_field_each_or_in_a_list_of_objects(tmp_path: Path) -> None:
    write_lines(tmp_path / "piqa.jsonl", {"goal": "g", "sol1": "a", "sol2": "b", "label": 1})
    fields = {"prompt": "goal", "choices": ("sol1", "sol2"), "answer": "label"}
    (row,) = choices_of(tmp_path, "piqa.jsonl", fields)
    assert (row.choices, row.answer) == (("a", "b"), 1)
    nested = [{"label": "A", "text": "a"}, {"label": "B", "text": "b"}]
    write_lines(tmp_path / "csqa.jsonl", {"q": {"stem": "s", "choices": nested}, "key": "B"})
    fields = {"prompt": "q.stem", "choices": "q.choices.text", "answer": "key"}
    (row,) = choices_of(tmp_path, "csqa.jsonl", fields | {"labels": "q.choices.label"})
    assert (row.prompt, row.choices, row.answer) == ("s", ("a", "b"), 1)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"answerKey": "4"}, "`answerKey` must be one of the 3 labels in `choices.label`, but got"),
        ({"answerKey": None}, "`answerKey` must be one of the 3 labels"),
        ({"choices": {"text": ["a", "b"], "label": ["1", "1"]}}, "must be one of the 2 labels"),
        ({"choices": {"label": ["1"]}}, r"`choices.text` is missing \(`.*\.fields\.choices`\)"),
    ],
)
def test_answers_by_label_are_looked_up_exactly(
    tmp_path: Path, change: dict[str, Any], rule: str
) -> None:
    write_lines(tmp_path / "arc.jsonl", ARC | change)
    with pytest.raises(DataError, match=rf"arc\.jsonl:1: .*{rule}"):
        choices_of(tmp_path, "arc.jsonl", ARC_FIELDS)


@pytest.mark.parametrize("label", ["", "-1", "4", "1.0", "²", "99999"])
def test_an_answer_in_digits_is_the_index_of_a_choice(tmp_path: Path, label: str) -> None:
    write_lines(tmp_path / "h.jsonl", HELLASWAG | {"label": label})
    with pytest.raises(DataError, match=r"h\.jsonl:1: `label` must be the index of a choice"):
        choices_of(tmp_path, "h.jsonl", HELLASWAG_FIELDS)


def test_a_prompt_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`prompt` has 1,000,001 characters, .*: shorten it"):
        choose(tmp_path, question(prompt="a" * 1_000_001))
