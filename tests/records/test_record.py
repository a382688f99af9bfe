import pytest

from mixwise.records.record import Document


@pytest.mark.parametrize(
    ("text", "supervised", "is_empty"),
    [
        ("a", None, False),
        (" \n", None, True),
        ("", None, True),
        ("a b", ((1, 2),), True),
        ("a b", ((0, 1),), False),
        ("a b", ((1, 2), (2, 3)), False),
        ("a", (), True),
    ],
)
def test_a_document_is_empty_when_nothing_that_is_learned_is_text(
    text: str, supervised: tuple[tuple[int, int], ...] | None, is_empty: bool
) -> None:
    assert Document(text, "d.jsonl", 1, supervised).is_empty is is_empty
