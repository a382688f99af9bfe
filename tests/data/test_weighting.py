from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.data.rows import write_lines

from mixwise.data.corpus import find_corpus_key
from mixwise.data.sources import read_documents
from mixwise.data.weighting import interleave
from mixwise.errors import DataError
from mixwise.recipe import Domain
from mixwise.records.record import Document


def documents(name: str, *lengths: int) -> list[Document]:
    return [Document(name * n, name, k) for k, n in enumerate(lengths, 1)]


def test_any_beginning_has_about_the_weights_by_characters() -> None:
    a, b = documents("a", *[5, 40, 11] * 30), documents("b", *[20, 3] * 60)
    read = {"a": 0, "b": 0}
    for k, document in enumerate(interleave([iter(a), iter(b)], [0.75, 0.25])):
        read[document.file] += len(document.text)
        if k > 20:
            assert abs(read["a"] / sum(read.values()) - 0.75) < 0.1


def test_it_ends_where_the_turn_is_of_a_file_that_is_used_up() -> None:
    found = list(interleave([iter(documents("a", 4, 4)), iter(documents("b", *[4] * 9))], [1, 1]))
    assert [d.file for d in found] == ["a", "b", "a", "b"]


def test_empty_documents_do_not_stop_it() -> None:
    found = list(interleave([iter(documents("a", 0, 0, 3)), iter(documents("b", 3))], [1, 1]))
    assert sum(len(d.text) for d in found if d.file == "a") == 3


def weighted(folder: Path, **weights: float) -> Domain:
    for name in ("a", "b"):
        write_lines(folder / f"{name}.jsonl", *({"text": f"{name} {k:03}"} for k in range(40)))
    names = {f"{name}.jsonl": weight for name, weight in weights.items()}
    return Domain(files=("a.jsonl", "b.jsonl"), weights=names)


def test_a_domain_reads_its_files_by_their_weights(tmp_path: Path) -> None:
    found = list(read_documents(weighted(tmp_path, a=3, b=1), tmp_path, "domains.d"))
    counts = [sum(d.text.startswith(name) for d in found) for name in "ab"]
    assert counts == [40, 13] or counts == [40, 14]
    assert len({d.text for d in found}) == len(found)


class Plain:
    fingerprint = "plain"


def test_other_weights_are_another_corpus(tmp_path: Path) -> None:
    keys = {
        find_corpus_key(
            weighted(tmp_path, **weights),
            folder=tmp_path,
            key="domains.d",
            tokenizer=Plain(),  # type: ignore[arg-type]
            heldout_fraction=0.1,
        )
        for weights in ({"a": 3, "b": 1}, {"a": 1, "b": 3}, {"b": 1, "a": 3}, {})
    }
    assert len(keys) == 3  # the order in which weights are written tells nothing


def test_a_file_of_two_entries_is_refused(tmp_path: Path) -> None:
    weighted(tmp_path, a=1, b=1)
    twice = Domain(files=("*.jsonl", "a.jsonl"), weights={"*.jsonl": 1, "a.jsonl": 1})
    with pytest.raises(DataError, match=r"a\.jsonl is of two entries, `\*\.jsonl` and `a\.jsonl`"):
        list(read_documents(twice, tmp_path, "domains.d"))


@pytest.mark.parametrize("weights", [{"a.jsonl": 1}, {"a.jsonl": 1, "c.jsonl": 1}])
def test_weights_name_each_of_the_files(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="`weights` must name each entry of `files`"):
        Domain(files=("a.jsonl", "b.jsonl"), weights=weights)
