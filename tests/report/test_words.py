from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.report.conftest import Parts

from mixwise.report.reading import load_contents
from mixwise.report.words import (
    key_figures,
    objective_words,
    prediction_rows,
    simplicity_words,
    worse_words,
)
from mixwise.study.results import ObjectiveFacts, ObjectiveTerm

MakeStudy = Callable[..., Path]


def test_the_first_figure_is_the_calibrated_prediction_alone(make_study: MakeStudy) -> None:
    rows = key_figures(load_contents(make_study()))
    figures = {row.name: row for row in rows}
    assert rows[0].name == "A trained model should reach"
    assert rows[0].value == "+1.062"
    assert rows[0].note == "95 % 0.750 to 1.375, learned from 10 trained references"
    assert figures["Reached when trained"].value == "+1.250"
    assert "mean of 2 seeds; noise width 0.200" in figures["Reached when trained"].note
    assert figures["Fidelity, Spearman ρ"].value == "1.000"
    assert "noise ceiling 1.000" in figures["Fidelity, Spearman ρ"].note
    assert not [row for row in rows if "0.875" in row.value + row.note]  # of the proxy alone


def test_key_figures_before_validation_and_training(make_study: MakeStudy) -> None:
    rows = key_figures(load_contents(make_study(stages=["search"])))
    assert [row.note for row in rows].count("not validated yet") == 1
    assert rows[0].value == "+1.000"
    assert (rows[1].value, rows[1].note) == ("Trust the ranking only", "as predicted; why: below")
    assert (rows[2].value, rows[2].note) == ("0.300", "of a final run: 3,000 tokens")
    assert rows[3].note == "not trained yet"
    assert rows[3].value == rows[4].value == "—"


def test_without_a_trained_model_the_interval_says_what_it_leaves_out(
    make_study: MakeStudy,
) -> None:
    contents = load_contents(make_study(stages=["search"]))
    first = key_figures(contents)[0]
    assert (first.name, first.value) == ("A trained model should reach", "+1.000")
    assert first.note.startswith("95 % 0.500 to 1.500, predicted from what is usual, as no model")


def test_each_prediction_says_what_its_interval_covers(make_study: MakeStudy) -> None:
    contents = load_contents(make_study())
    calibrated, proxy, reached = prediction_rows(contents)
    assert calibrated[1:3] == ["+1.062", "0.750 to 1.375"]
    assert "what the proxy misses, learned from 10 trained references" in calibrated[3]
    assert proxy[1:3] == ["+1.000", "0.875 to 1.125"]
    assert "neither what the proxy misses nor the noise of training" in proxy[3]
    assert reached[1:3] == ["+1.250", "—"]
    bare = load_contents(make_study(stages=["search"]))
    assert [row[0].partition(":")[0] for row in prediction_rows(bare)] == ["Predicted", "Proxy"]
    assert prediction_rows(load_contents(make_study(stages=()))) == []


def test_a_metric_that_gets_worse_is_named(make_study: MakeStudy) -> None:
    found = load_contents(make_study()).recommendation
    assert found is not None
    assert worse_words(found) == worse_words(None) == ""
    worse = replace(found, worse_than_base={"code/loss": (1.5, 1.625)})
    assert worse_words(worse) == (
        "Expected to get WORSE than the base, by the proxy: code/loss (1.500 of the base, 1.625 "
        "expected)."
    )


def test_the_simplest_mixture_is_held_against_the_highest(make_study: MakeStudy) -> None:
    found = load_contents(make_study()).recommendation
    assert found is not None
    assert found.simplicity is not None
    words = simplicity_words(found)
    assert "expected to be ahead of uniform by 0.500 ± 0.125" in words
    equal = replace(found, simplicity=replace(found.simplicity, holds_anchor=True))
    assert "too little to tell them apart: among equals the simplest" in simplicity_words(equal)
    moved = replace(found, mixture=found.simplicity.anchor)
    assert "the recommended one is the nearest to it" in simplicity_words(moved)
    assert simplicity_words(replace(found, simplicity=None)) == simplicity_words(None) == ""


def test_the_objective_is_told_by_the_values_of_its_heaviest_metrics() -> None:
    parts = Parts(("math", "code"), "slopes")
    found, final = parts.recommendation(), parts.final()
    terms = tuple(
        ObjectiveTerm(f"{name}/loss", "min", weight, 3.5, 0.5)
        for name, weight in (("math", 1.0), ("code", 2.0))
    )
    both = replace(found, objective=ObjectiveFacts("worst", terms))
    assert objective_words(both, final.rows[0].runs) == (
        "The objective, larger is better, is the smallest gain over the base in standard "
        "deviations between the experts: code/loss 3.500 of the base, 2.667 by the proxy, 2.417 "
        "when trained; math/loss 3.500 of the base, 2.333 by the proxy, 2.083 when trained."
    )
    many = tuple(replace(terms[0], weight=k) for k in range(8))
    of_many = objective_words(replace(found, objective=ObjectiveFacts("mean", many)))
    assert of_many.endswith("by the proxy; and 2 more.")
    assert objective_words(replace(found, objective=None)) == ""
