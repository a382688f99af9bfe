"""Several sources of one domain: in proportions, of different formats, each named in errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.data.corpora import ByteTokenizer, CharacterTokenizer, documents, prepare, sides
from tests.data.rows import write_lines, write_parquet

from mixwise.data.corpus import find_corpus_key
from mixwise.data.mixing import order_by_weights, sizes_by_unit
from mixwise.data.pieces import document_sizes
from mixwise.data.sources import read_documents
from mixwise.errors import DataError
from mixwise.recipe import ColumnDomains, Domain, EvaluationSource
from mixwise.records.record import Document

KEY = "domains.math"


def test_any_beginning_has_about_the_weights() -> None:
    sizes = [[5, 40, 11] * 30, [20, 3] * 60]
    order = order_by_weights([iter(each) for each in sizes], [0.75, 0.25])
    left, read = [iter(each) for each in sizes], [0, 0]
    for n, k in enumerate(order.sources.tolist()):
        read[k] += next(left[k])
        if n > 20:
            assert abs(read[0] / sum(read) - 0.75) < 0.1


def test_it_ends_where_the_turn_is_of_a_source_that_is_used_up() -> None:
    order = order_by_weights([iter([4, 4]), iter([4] * 9)], [1, 1])
    assert order.sources.tolist() == [0, 1, 0, 1]
    assert order.n_by_source == (2, 2)


def test_empty_documents_do_not_stop_it_and_are_not_counted() -> None:
    order = order_by_weights([iter([0, 0, 3]), iter([3])], [1, 1])
    assert order.n_by_source == (1, 1)


def test_a_source_that_has_become_shorter_is_told() -> None:
    order = order_by_weights([iter([4, 4]), iter([4, 4])], [1, 1])
    short = [iter([Document("a", "a", 1)]), iter([Document("b", "b", 1)])]
    with pytest.raises(DataError, match="a source changed while it was read"):
        list(order.follow(short))


def test_sizes_are_those_that_the_stream_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixwise.data.pieces._PIECE", 50)
    found = [
        Document("é" * 120, "a", 1),
        Document(" ", "a", 2),
        Document("ask answer", "a", 3, ((3, 10),)),
        Document("<s>rendered", "a", 4, is_rendered=True),
    ]
    tokenizer = CharacterTokenizer()
    assert list(document_sizes(found, tokenizer, learned=False)) == [121, 0, 11, 11]
    assert list(document_sizes(found, tokenizer, learned=True)) == [121, 0, 8, 11]
    assert list(sizes_by_unit(found, tokenizer, "rows")) == [1, 0, 1, 1]


def weighted(folder: Path, **weights: float) -> Domain:
    for name in ("a", "b"):
        write_lines(folder / f"{name}.jsonl", *({"text": f"{name} {k:03}"} for k in range(40)))
    names = {f"{name}.jsonl": weight for name, weight in weights.items()}
    return Domain(files=("a.jsonl", "b.jsonl"), weights=names)


def several(*sources: dict[str, Any]) -> Domain:
    return Domain.model_validate({"sources": sources})


def test_a_domain_takes_its_files_by_their_weights(tmp_path: Path) -> None:
    corpus = prepare(tmp_path, source=weighted(tmp_path, a=3, b=1))
    found = [text for side in sides(corpus) for text in side]
    counts = [sum(text.startswith(name) for text in found) for name in "ab"]
    assert counts == [40, 13] or counts == [40, 14]
    assert corpus.facts.n_by_source == tuple(counts)
    assert len(set(found)) == len(found)
    again = prepare(tmp_path, source=weighted(tmp_path, a=3, b=1))
    assert again.facts == corpus.facts


def test_weights_of_files_are_short_for_sources(tmp_path: Path) -> None:
    files = prepare(tmp_path, source=weighted(tmp_path, a=3, b=1))
    apart = several({"files": "a.jsonl", "weight": 3}, {"files": "b.jsonl", "weight": 1})
    assert prepare(tmp_path, source=apart).key == files.key


def formats(folder: Path) -> Domain:
    """A text of 9 tokens, a pair of 21 of which 2 are learned, both with the end of the text."""
    write_parquet(folder / "a.parquet", body=[f"text {k:03}" for k in range(60)])
    pairs = ({"question": f"question   {k:03}? ", "answer": "y"} for k in range(60))
    write_lines(folder / "b.jsonl", *pairs)
    fields = {"prompt": "question", "completion": "answer"}
    return several(
        {"files": "a.parquet", "field": "body", "weight": 2},
        {"files": "b.jsonl", "records": "prompt-completion", "fields": fields, "weight": 1},
    )


@pytest.mark.parametrize("unit", ["tokens", "supervised_tokens", "rows"])
def test_sources_of_two_formats_have_their_weights_in_the_unit_of_the_shares(
    tmp_path: Path, unit: Any
) -> None:
    corpus = prepare(tmp_path, source=formats(tmp_path), unit=unit, heldout_fraction=1.0)
    n_text, n_pair = corpus.facts.n_by_source
    assert n_text == 60 or n_pair == 60
    size = {"tokens": (9, 18), "supervised_tokens": (9, 2), "rows": (1, 1)}[unit]
    assert n_text * size[0] / (n_pair * size[1]) == pytest.approx(2, rel=0.15)


def test_a_text_is_learned_whole_beside_pairs_that_are_not(tmp_path: Path) -> None:
    corpus = prepare(tmp_path, source=formats(tmp_path))
    assert corpus.is_partly_supervised
    mask = np.fromfile(corpus.folder / "train_mask.u8", dtype=np.uint8)
    learned = {}
    start = 0
    for text in documents(corpus.train.ids):
        learned[text] = mask[start : start + len(text) + 1].tolist()
        start += len(text) + 1
    assert {sum(each) for text, each in learned.items() if text.startswith("text")} == {9}
    assert {sum(each) for text, each in learned.items() if text.startswith("ques")} == {2}


def test_without_weights_all_sources_are_read_whole(tmp_path: Path) -> None:
    source = formats(tmp_path)
    bare = [each.model_dump(exclude={"weight"}, exclude_unset=True) for each in source.sources]
    corpus = prepare(tmp_path, source=several(*bare))
    assert corpus.facts.n_documents == 120
    assert corpus.facts.n_by_source == ()
    assert corpus.key != prepare(tmp_path, source=source).key


def test_other_weights_or_another_unit_are_another_corpus(tmp_path: Path) -> None:
    def key(unit: Any = "tokens", **weights: float) -> str:
        return find_corpus_key(
            weighted(tmp_path, **weights),
            folder=tmp_path,
            key=KEY,
            tokenizer=ByteTokenizer(),
            heldout_fraction=0.1,
            unit=unit,
        )

    asked = ({"a": 3, "b": 1}, {"a": 1, "b": 3}, {"b": 1, "a": 3}, {})
    assert len({key(**weights) for weights in asked}) == 3  # their order tells nothing
    assert key("rows", a=3, b=1) != key(a=3, b=1)
    assert key("rows") == key()


def test_what_is_read_twice_in_the_same_way_is_refused(tmp_path: Path) -> None:
    weighted(tmp_path, a=1, b=1)
    twice = Domain(files=("*.jsonl", "a.jsonl"), weights={"*.jsonl": 1, "a.jsonl": 1})
    with pytest.raises(DataError, match=r"a\.jsonl is read twice.*`\*\.jsonl` and `a\.jsonl`"):
        list(read_documents(twice, tmp_path, KEY))
    same = several({"files": "*.jsonl"}, {"files": "a.jsonl"})
    with pytest.raises(DataError, match=r"sources\.1`: .*by `sources\.0` and `sources\.1`"):
        list(read_documents(same, tmp_path, KEY))
    parts = several({"files": "a.jsonl"}, {"files": "a.jsonl", "where": {"text": "a 001"}})
    assert len(list(read_documents(parts, tmp_path, KEY))) == 41


def test_a_source_without_documents_is_named(tmp_path: Path) -> None:
    weighted(tmp_path, a=1, b=1)
    nothing = {"files": "b.jsonl", "where": {"text": "c"}}
    for weight in ({}, {"weight": 1}):
        source = several({"files": "a.jsonl"} | weight, nothing | weight)
        with pytest.raises(DataError, match=r"`domains\.math\.sources\.1\.where`: no row has text"):
            prepare(tmp_path, source=source)


def test_an_error_names_the_source(tmp_path: Path) -> None:
    weighted(tmp_path, a=1, b=1)
    source = several({"files": "a.jsonl"}, {"files": "c.jsonl"})
    with pytest.raises(DataError, match=r"`domains\.math\.sources\.1\.files`: `c\.jsonl` matches"):
        prepare(tmp_path, source=source)
    wrong = several({"files": "a.jsonl"}, {"files": "b.jsonl", "field": "body"})
    with pytest.raises(DataError, match=r"b\.jsonl:1: .*`domains\.math\.sources\.1\.field`"):
        prepare(tmp_path, source=wrong)


A, B = {"files": "a.jsonl"}, {"files": "b.jsonl"}
C = {"hub": {"dataset": "c/c", "stream_rows": 9}}
REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (Domain, {"files": ["a", "b"], "weights": {"a": 1}}, "must name each entry of `files`"),
    (Domain, {"files": ["a", "b"], "weights": {"a": 1, "c": 1}}, "must name each entry of `files`"),
    (Domain, {"files": ["a", "a"], "weights": {"a": 1}}, "two or more that all differ"),
    (Domain, {"sources": [A | {"weight": 1}, B]}, r"`sources\.1` has none: give it one"),
    (Domain, {"sources": [A, B | {"weight": 0}]}, "greater than 0"),
    (Domain, {"sources": [A, B], "files": "c"}, "`files` has no effect beside `sources`"),
    (Domain, {"sources": [A, B], "learn": "all"}, "`learn` has no effect beside `sources`"),
    (Domain, {"sources": [A, B], "weights": {"a": 1}}, "`weights` has no effect beside `sources`"),
    (Domain, {"sources": [A, B], "heldout_files": "c"}, "`heldout_files` cannot be beside"),
    (Domain, {"sources": [C, C | {"hub": {"dataset": "c/c"}}]}, "read the same dataset"),
    (Domain, C | {"format": "jsonl"}, "`format` has no effect on a dataset of the hub"),
    (Domain, {"sources": [A, {"sources": [B]}]}, "Extra inputs are not permitted"),
    (Domain, {"sources": [A, {"weight": 1}]}, "either `files` .* or `hub`"),
    (ColumnDomains, {"sources": [A, B], "column": "c"}, "`sources` cannot be here"),
    (EvaluationSource, {"sources": [A, B], "kind": "choice"}, "for records that are documents"),
]


def test_heldout_files_beside_a_dataset_of_the_hub_may_have_a_format() -> None:
    assert Domain.model_validate(C | {"format": "jsonl", "heldout_files": "h"}).format == "jsonl"


@pytest.mark.parametrize(("kind", "values", "rule"), REFUSED)
def test_keys_that_have_no_effect_are_refused(
    kind: type[Domain], values: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ValidationError, match=rule):
        kind.model_validate(values)
