"""Coverage against a slow reference, and what white space, case and punctuation hide: nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixwise.data.contamination import Passage, RowIndex, split_words

QUESTION = "Which of the following planets has the shortest year in the solar system?"


def passages(*texts: str) -> list[Passage]:
    return [Passage(text, f"file:{k + 1}") for k, text in enumerate(texts)]


def slow_coverage(row: str, document: str, n: int) -> float:
    words, other = split_words(row), split_words(document)
    length = min(n, len(words))
    if length < min(4, n):
        return 0.0
    held = {tuple(other[k : k + length]) for k in range(len(other) - length + 1)}
    covered: set[int] = set()
    for k in range(len(words) - length + 1):
        if tuple(words[k : k + length]) in held:
            covered |= set(range(k, k + length))
    return len(covered) / len(words)


def test_a_planted_row_is_found_through_white_space_case_and_punctuation() -> None:
    planted = (
        "x " * 40 + "\nWHICH of   the following\tplanets -- has the Shortest Year, in the solar"
    )
    [found] = RowIndex(passages("another row " * 9, QUESTION), 8).covered_by(
        passages("nothing of it", f"{planted} system and more")
    )
    assert (found.row, found.place, found.document) == (1, "file:2", "file:2")
    assert found.coverage == 1.0


def test_a_clean_set_is_silent() -> None:
    documents = passages("The planets of the solar system have years of many lengths. " * 20)
    assert RowIndex(passages(QUESTION), 8).covered_by(documents) == ()


def test_half_a_row() -> None:
    words = [f"w{k}" for k in range(16)]
    [found] = RowIndex(passages(" ".join(words)), 8).covered_by(passages(" ".join(words[:8])))
    assert found.coverage == 0.5


def test_the_document_that_covers_the_most_is_named_and_rows_come_by_coverage() -> None:
    words = [f"w{k}" for k in range(16)]
    rows = passages(" ".join(words), " ".join(words[:8]))
    documents = passages(" ".join(words[:8]), " ".join(words[:12]))
    found = RowIndex(rows, 8).covered_by(documents)
    assert [(each.row, each.coverage, each.document) for each in found] == [
        (1, 1.0, "file:1"),
        (0, 0.75, "file:2"),
    ]


def test_a_short_row_is_compared_whole_and_a_very_short_one_not_at_all() -> None:
    index = RowIndex(passages("the capital of France", "Yes, it is", "the capital of Spain"), 8)
    found = index.covered_by(passages("What is the capital of France? Yes, it is Paris."))
    assert [(each.row, each.coverage) for each in found] == [(0, 1.0)]
    assert index.short_rows == (1,)


def test_characters_of_a_script_without_spaces_are_words() -> None:
    assert split_words("太陽系で一番") == list("太陽系で一番")
    assert split_words("3つの惑星 NASAの星") == ["3", *"つの惑星", "nasa", *"の星"]
    row = "太陽系で一番短い年を持つ惑星はどれですか"
    [found] = RowIndex(passages(row), 8).covered_by(passages(f"問題:{row}。"))
    assert found.coverage == 1.0


def test_vowels_that_are_marks_belong_to_their_word() -> None:
    assert split_words("मराठी भाषा। की, का") == ["मराठी", "भाषा", "की", "का"]
    assert split_words("مُحَمَّد x\u0302y") == ["مُحَمَّد", "x\u0302y"]


@pytest.mark.parametrize("n", [1, 3, 8])
@given(data=st.data())
def test_coverage_equals_the_slow_one(n: int, data: st.DataObject) -> None:
    text = st.lists(st.sampled_from("abcd"), max_size=30).map(" ".join)
    rows: Sequence[str] = data.draw(st.lists(text, min_size=1, max_size=4))
    documents: Sequence[str] = data.draw(st.lists(text, max_size=4))
    found = {
        each.row: each for each in RowIndex(passages(*rows), n).covered_by(passages(*documents))
    }
    for number, row in enumerate(rows):
        expected = max((slow_coverage(row, document, n) for document in documents), default=0.0)
        assert (found[number].coverage if number in found else 0.0) == pytest.approx(expected)
