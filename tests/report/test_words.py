from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixwise.decision.outcome import Margin, Outcome, OutcomeWord
from mixwise.report.contents import Contents
from mixwise.report.reading import load_contents
from mixwise.report.words import (
    calibrated_words,
    cost_words,
    equals_words,
    horizon_words,
    key_figures,
    outcome_words,
    prediction_rows,
    simplicity_words,
    validation_words,
    worse_words,
)
from mixwise.study.results import (
    FinalFound,
    Recommendation,
)

MakeStudy = Callable[..., Path]


def _final(word: OutcomeWord, *margins: float, noise: float | None = 0.5) -> FinalFound:
    rows = tuple(
        Margin(f"b{k}", m, m / noise if noise else None, "unknown") for k, m in enumerate(margins)
    )
    return FinalFound((1, 2), (), Outcome(word, noise, rows))


@pytest.mark.parametrize(
    ("final", "start", "part"),
    [
        (None, "Not trained yet", "`mixwise train STUDY`"),
        (_final("won", 2.0, 1.0), "Won", "all 2 baselines; the closest, b1, is 1.000 (2.0 noise"),
        (_final("won", 1.0), "Won", "beat the one baseline"),
        (_final("tied", -0.25, 1.0), "Tied", "b0, is 0.250 (0.5 noise widths) ahead"),
        (_final("tied", 0.25), "Tied", "behind"),
        (_final("lost", 3.0, -1.0), "Lost", "b1 is 1.000 (2.0 noise widths) ahead"),
        (_final("unknown", 1.0, noise=None), "Unknown", "is 1.000 behind, but with one seed"),
        (_final("unknown"), "Unknown", "no baseline"),
    ],
)
def test_the_outcome_is_one_plain_sentence(final: FinalFound | None, start: str, part: str) -> None:
    words = outcome_words(final)
    assert words.startswith(start + ":")
    assert part in words


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


def test_both_horizons_and_the_move_between_them_are_told(make_study: MakeStudy) -> None:
    found = load_contents(make_study()).recommendation
    words = horizon_words(found)
    assert "Experts read 100 tokens each, the final model 1,000" in words
    assert "The proxy is the experts merged and their predictions averaged." in words
    assert "continued to the final horizon from experts at 50, 100 tokens" in words
    assert "Left as they are at the experts' end: quiz/accuracy." in words
    assert "The best mixture has settled" in words
    assert found is not None
    far = replace(found.horizons.path[-1], behind=0.5)
    moving = replace(found, horizons=replace(found.horizons, path=(far,)))
    assert "The best mixture still moves with the horizon" in horizon_words(moving)
    longer = replace(found, horizons=replace(found.horizons, coefficients={"python/loss": 2.0}))
    assert "taken longer (2 times for python/loss)." in horizon_words(longer)
    assert horizon_words(None) == ""


def test_a_metric_that_gets_worse_is_named(make_study: MakeStudy) -> None:
    found = load_contents(make_study()).recommendation
    assert found is not None
    assert worse_words(found) == worse_words(None) == ""
    worse = replace(found, worse_than_base={"code/loss": (1.5, 1.625)})
    assert worse_words(worse) == (
        "Expected to get WORSE than the base, by the proxy: code/loss (1.500 of the base, 1.625 "
        "expected)."
    )


def test_equal_and_better_baselines_are_named(make_study: MakeStudy) -> None:
    predicted = load_contents(make_study(stages=("search", "calibration")))
    assert equals_words(predicted) == (
        "Cannot be told apart from the recommended mixture (by its prediction): uniform. "
        "Better than the recommended mixture (by its prediction): only code."
    )
    trained = load_contents(make_study())
    assert equals_words(trained) == ""  # trained for real, the one rival is behind
    assert trained.final is not None
    tied = replace(trained.final.outcome.margins[0], standing="equal")
    final = replace(trained.final, outcome=replace(trained.final.outcome, margins=(tied,)))
    assert equals_words(replace(trained, final=final)) == (
        "Cannot be told apart from the recommended mixture (trained for real, within one noise "
        "width): uniform."
    )


def test_calibrated_fidelity_stands_beside_the_proxys(make_study: MakeStudy) -> None:
    contents: Contents = load_contents(make_study())
    found = contents.validation
    assert found is not None
    error = found.fidelity["objective"].mean_absolute_error.value
    assert error == pytest.approx(0.1875)
    assert calibrated_words(contents).endswith("0.188 where the proxy alone errs by 0.188.")
    assert calibrated_words(replace(contents, validation=None)) == ""


def test_a_proxy_no_better_than_chance_is_called_so(make_study: MakeStudy) -> None:
    contents: Contents = load_contents(make_study())
    found = contents.validation
    assert found is not None
    assert "chance" not in validation_words(found)
    poor = replace(found.fidelity["objective"].spearman, value=0.1)
    fidelity = {"objective": replace(found.fidelity["objective"], spearman=poor)}
    words = validation_words(replace(found, fidelity=fidelity))
    assert "better than chance: shuffled scores reach ρ = 0." in words


def test_references_with_unequal_seeds_are_told_by_the_fewest(make_study: MakeStudy) -> None:
    found = load_contents(make_study()).validation
    assert found is not None
    assert "trained with 2 seeds each" in validation_words(found)
    more = {"objective": replace(found.fidelity["objective"], n_runs=99)}
    assert "trained with at least 2 seeds each" in validation_words(replace(found, fidelity=more))


def test_what_calibration_trained_is_a_part_of_the_search(make_study: MakeStudy) -> None:
    words = cost_words(load_contents(make_study()).recommendation)
    assert "trained 3 experts and 4 models for calibration on 7,000 tokens" in words
    assert "avoided 33 runs and 33,000 tokens" in words


def test_cost_says_what_was_avoided(make_study: MakeStudy) -> None:
    words = cost_words(load_contents(make_study(stages=["search"])).recommendation)
    assert "trained 3 experts on 3,000 tokens and scored 40 merged candidates" in words
    assert "avoided 37 runs and 37,000 tokens" in words
    assert "16 models and the final training 4, on 20,000 tokens" in words


def _with_cost(contents: Contents, **changes: int) -> Recommendation:
    assert contents.recommendation is not None
    cost = replace(contents.recommendation.cost, **changes)  # type: ignore[arg-type]
    return replace(contents.recommendation, cost=cost)


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


def test_cost_of_a_search_by_slopes_is_held_against_a_lattice(make_study: MakeStudy) -> None:
    words = cost_words(_with_cost(load_contents(make_study()), candidates_scored=3))
    assert "scored 3 merged candidates. Training, which has no slopes to read" in words
    assert "would have taken 40 runs" in words


def test_cost_does_not_boast_where_nothing_was_avoided(make_study: MakeStudy) -> None:
    found = _with_cost(load_contents(make_study()), search_tokens_avoided=-1000)
    assert "merging avoided no training" in cost_words(found)
    assert cost_words(None) == "No search has been paid for yet."
