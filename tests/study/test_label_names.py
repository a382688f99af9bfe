from __future__ import annotations

import pytest

from mixwise.errors import RecipeError
from mixwise.study.label_names import name_labels


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
