from __future__ import annotations

import pytest

from mixwise.errors import RecipeError
from mixwise.label_heads import LabelHeads
from mixwise.study.label_names import choose_head, name_heads, name_labels

DATA = {"films": ("good", "bad"), "news": ("10", "9")}
UNNUMBERED = {"films": ((),), "news": ((),)}


def test_names_of_the_base_stand_in_the_order_of_its_outputs() -> None:
    assert name_labels({1: "bad", 0: "good"}, ("never", "asked")) == ("good", "bad")


def test_made_up_names_are_those_of_the_data_in_the_order_of_the_alphabet() -> None:
    made_up = {0: "LABEL_0", 1: "LABEL_1"}
    assert name_labels(made_up, ("pos", "neg", "pos")) == ("neg", "pos")


def test_labels_that_are_numbers_stand_in_the_order_of_numbers() -> None:
    made_up = {k: f"LABEL_{k}" for k in range(12)}
    numbers = tuple(str(k) for k in range(12))
    assert name_labels(made_up, reversed(numbers)) == numbers
    assert name_labels(made_up, ("LABEL_10", "LABEL_2")) == tuple(made_up.values())


def test_labels_stand_as_a_dataset_numbers_them() -> None:
    made_up, order = {k: f"LABEL_{k}" for k in range(3)}, ("world", "arts", "none")
    assert name_labels(made_up, ("arts", "world"), [(), order, order]) == order
    for labels, orders in (
        (("arts", "other"), [order]),
        (("arts",), [order, tuple(sorted(order))]),
    ):
        with pytest.raises(
            RecipeError, match=r"numbers them as `.*others have other labels, or an"
        ):
            name_labels(made_up, labels, orders)


def test_as_many_labels_as_outputs_are_asked_for() -> None:
    with pytest.raises(
        RecipeError, match=r"has 1 outputs, but the data have 2 labels \(`a`, `b`\)"
    ):
        name_labels({0: "LABEL_0"}, ("b", "a"))


def made_up(n: int) -> dict[int, str]:
    return {k: f"LABEL_{k}" for k in range(n)}


def test_heads_of_made_up_names_are_the_labels_of_each_domain() -> None:
    found = name_heads(made_up(4), DATA, UNNUMBERED)
    assert found == LabelHeads.per_domain({"films": ("bad", "good"), "news": ("9", "10")})
    as_numbered = name_heads(made_up(4), DATA, {**UNNUMBERED, "films": (("good", "bad"),)})
    assert as_numbered.of("films").labels == ("good", "bad")


def test_heads_that_the_base_names_stand_in_the_order_of_its_outputs() -> None:
    named = dict(enumerate(("news/9", "news/8", "films/a/b")))
    found = name_heads(named, {"films": ("never",), "news": ("asked",)}, UNNUMBERED)
    assert found.of("news").outputs == range(2)
    assert found.of("films").labels == ("a/b",)


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        (("films/good", "news"), "output 1 is `news`"),
        (("films/good", "news/"), "output 1 is `news/`"),
        (("films/good", "film/bad"), r"of the domains `films`, `news`, but output 1 is `film/bad`"),
        (("films/good", "news/9", "films/bad"), "output 2, `films/bad`, stands apart"),
        (("films/good", "films/bad"), "names none of `news`"),
    ],
)
def test_outputs_that_are_no_heads_are_refused(named: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        name_heads(dict(enumerate(named)), DATA, UNNUMBERED)


def test_as_many_outputs_as_labels_of_all_domains_are_asked_for() -> None:
    with pytest.raises(
        RecipeError,
        match=r"has 2 outputs, .* 4 labels \(2 of `films`, 2 of `news`\): .* as `films/bad`, ",
    ):
        name_heads(made_up(2), DATA, UNNUMBERED)


def test_a_set_is_read_with_the_only_head_that_has_its_labels() -> None:
    heads = LabelHeads.per_domain({"films": ("bad", "good"), "news": ("bad", "war"), "a": ("bad",)})
    assert choose_head(heads, ("war", "bad", "war"), "evaluation.sets.q").domain == "news"
    with pytest.raises(RecipeError, match=r"q\.head`: .*several heads: .*: `films`, `news`, `a`"):
        choose_head(heads, ("bad",), "evaluation.sets.q")
    with pytest.raises(RecipeError, match=r"no domain has all labels of this set \(`good`, `war`"):
        choose_head(heads, ("good", "war"), "evaluation.sets.q")
