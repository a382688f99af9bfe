import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixwise.recipe.strict_yaml import parse_yaml


def test_plain_yaml_is_read() -> None:
    assert parse_yaml("a: [1, x]\nb: &k {c: 2}\nd: *k") == {
        "a": [1, "x"],
        "b": {"c": 2},
        "d": {"c": 2},
    }


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: 1\na: 2", "the key `a` stands twice"),
        ("\n".join(f"k{k}: 1" for k in range(25_001)), "holds more than 50,000 values: shorten"),
        ("a: &a [*a]", "aliases unfold to more than 50,000 values"),
        ("a: !!int x", "line 1: 'x' is no int"),
        ("[" * 5000, "recursion"),
        ("a: \x00", "not allowed"),
    ],
)
def test_what_is_none_is_refused_in_one_line(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        parse_yaml(text)
    assert str(caught.value).isprintable()


@given(st.text(alphabet="ab:- &*!?{}[],'\"\n|>#%@`\x00é1.", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    said = ""
    try:
        parse_yaml(text)
    except ValueError as error:
        said = str(error)
    assert said.isprintable()
