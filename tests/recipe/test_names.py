import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixwise.recipe.names import NAME, legal_name


@given(st.text(max_size=100))
def test_what_is_left_of_a_text_is_a_name(text: str) -> None:
    name = legal_name(text)
    assert not name or NAME.fullmatch(name)
    assert legal_name(name) == name or len(name) == 64


@pytest.mark.parametrize("name", ["wiki", "A.b_c-9", "x" * 64])
def test_names_are_left_as_they_are(name: str) -> None:
    assert legal_name(name) == name
