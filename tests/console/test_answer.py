from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.report.conftest import Parts

from mixwise.console import print_fidelity, print_final, print_outcome, print_recommendation
from mixwise.decision.outcome import Margin, Outcome
from mixwise.decision.trust import Trust
from mixwise.study.results import (
    ObjectiveFacts,
    ObjectiveTerm,
    Recommendation,
    ReferenceForecast,
)

Capture = pytest.CaptureFixture[str]


def _figure(value: float | None, half: float = 0.25) -> Any:
    low, high = (None, None) if value is None else (value - half, value + half)
    return SimpleNamespace(value=value, low=low, high=high)


def _fidelity(rho: float | None = 0.75, top: float | None = 0.5, error: float = 0.5) -> Any:
    return SimpleNamespace(
        n_mixtures=12,
        n_seeds=2,
        spearman=_figure(rho),
        top_quarter=_figure(top),
        regret=_figure(0.125),
        mean_absolute_error=_figure(error),
        chance=SimpleNamespace(
            spearman=_figure(0.0, 0.5), regret=_figure(1.0), top_quarter=_figure(0.0)
        ),
        seed_spearman=0.875,
        ceiling=1.0,
    )


def _recommendation() -> Recommendation:
    found = Parts(("math", "code"), "slopes").calibrated_recommendation()
    first, second, _ = found.baselines
    return replace(
        found,
        answer="Train on 67 % math and 33 % code.",
        proxy=replace(found.proxy, objective=1.5, interval_95=(1.0, 2.0)),
        reference=ReferenceForecast(1.8125, (1.5, 2.125), "", 3),
        near_optimal_shares={"math": (0.5, 0.875), "code": (0.25, 0.25)},
        baselines=(replace(first, expected=1.75), replace(second, expected=0.5)),
        fidelity=_fidelity(),
        fidelity_calibrated=_fidelity(rho=1.0, error=0.25),
        trust=Trust(
            "trust the ranking only",
            "measured",
            False,
            ("ρ is high", "the error is large"),
            ("train more", "train longer"),
        ),
    )


def test_the_recommendation_says_what_to_expect_and_how_far_to_trust(capsys: Capture) -> None:
    print_recommendation(_recommendation())
    out = capsys.readouterr().out
    assert out.startswith("\nTrain on 67 % math and 33 % code.\n")
    for line in (
        "The highest score (math 66.7 %, code 33.3 %) is expected to be ahead of uniform by 0.50 ± "
        "0.12 (standard deviation), more than one deviation: the two do not count as equal; among "
        "equals the mixture nearest to uniform is recommended.",
        "A model trained on it should reach an objective of 1.81 (95 % 1.50 to 2.12), learned from "
        "3 trained references.",
        "The objective, larger is better, is the gain over the base in standard deviations between "
        "the experts: math/loss 3.500 of the base, 2.333 by the proxy.",
        "Objective by the proxy 1.500 (95 % 1.000 to 2.000 over evaluation examples only: what "
        "the proxy misses is not in it).",
        "Baselines should reach: uniform 1.750 (cannot be told apart), only math 0.500.",
        "1 scored mixture cannot be told from the recommended one.",
        "Predicted mixtures that cannot be either have: math 0.50 to 0.88.",
        "Calibrated by the other references: Spearman ρ 1.00 (95 % 0.75 to 1.25); mean absolute "
        "error 0.25, of the proxy alone 0.50.",
        "Trust: TRUST THE RANKING ONLY (measured, not certain): ρ is high.",
        "  What helps: train more.",
    ):
        assert line in out
    assert "train longer" not in out


def test_trained_baselines_within_one_noise_width_are_marked(capsys: Capture) -> None:
    margins = (
        Margin("uniform", 0.1, 0.5, "equal"),
        Margin("only a", 0.4, 2.0, "behind"),
        Margin("only b", -0.4, -2.0, "ahead"),
    )
    print_outcome(Outcome("lost", 0.2, margins))
    _, equal, behind, ahead = capsys.readouterr().out.splitlines()
    assert equal.endswith("+0.5 widths (cannot be told apart)")
    assert behind.endswith("+2.0 widths")
    assert ahead.endswith("-2.0 widths (better than the recommended one)")


def test_what_was_reached_is_printed_with_or_without_baselines(capsys: Capture) -> None:
    final = Parts(("math", "code"), "slopes").final()
    print_final(final)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert (
        first == "Trained, the recommended mixture reached an objective of 1.250 (mean of 2 seeds)."
    )
    assert second.startswith("The recommendation WON in real training; margins")
    row = replace(final.rows[0], runs=final.rows[0].runs[:1])
    objective = ObjectiveFacts("mean", (ObjectiveTerm("math/loss", "min", 1.0, 3.5, 0.5),))
    print_final(replace(final, start="merged"))
    warm = capsys.readouterr().out
    assert warm.startswith("Trained on from the merged experts, the recommended mixture reached")
    assert " What was predicted is for a run from the base." in " ".join(warm.split())
    print_final(replace(final, rows=(row,), outcome=Outcome("unknown", None, ())), objective)
    assert capsys.readouterr().out == (
        "Trained, the recommended mixture reached an objective of 1.125 (one seed): math/loss "
        "2.208.\n"
        "No baseline was trained to compare it with: `--verify` trains them.\n"
    )


def test_what_nothing_tells_is_left_out(capsys: Capture) -> None:
    found = _recommendation()
    print_recommendation(
        replace(
            found,
            simplicity=None,
            near_optimal_shares={},
            baselines=tuple(replace(row, expected=None) for row in found.baselines),
            fidelity=None,
            fidelity_calibrated=None,
            reference=replace(found.reference, n_references=0),
        )
    )
    out = capsys.readouterr().out
    assert "Objective by the proxy 1.500 (95 %" in out
    assert "not in it, and no model was trained to learn it from)." in out
    assert "Baselines by the proxy: uniform 0.667 (cannot be told apart), only math 0.333." in out
    assert "predicted: no model was trained to learn it from." in out
    for word in ("Predicted mixtures", "Fidelity", "Calibrated"):
        assert word not in out


def test_fidelity_stands_between_noise_and_chance(capsys: Capture) -> None:
    print_fidelity(_fidelity())
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        "Fidelity of the objective on 12 references × 2 seeds: Spearman ρ 0.75 (95 % 0.50 to "
        "1.00); one seed against another 0.88; the noise allows 1.00; chance gives 0.00 (95 % "
        "-0.50 to 0.50)."
    )
    assert second == (
        "  Regret of its pick 0.12 (95 % -0.12 to 0.38), by chance 1.00 (95 % 0.75 to 1.25); ρ "
        "among the best quarter 0.50 (95 % 0.25 to 0.75), by chance 0.00 (95 % -0.25 to 0.25)."
    )


def test_figures_that_few_references_do_not_define(capsys: Capture) -> None:
    print_fidelity(_fidelity(top=None))
    assert "best quarter undefined for so few references." in capsys.readouterr().out
    print_fidelity(_fidelity(rho=None))
    assert capsys.readouterr().out == "Fidelity: undefined, the references do not differ.\n"


def test_of_many_domains_a_sentence_names_the_largest_shares(capsys: Capture) -> None:
    names = tuple(f"d{k}" for k in range(9))
    found = Parts(names, "slopes").calibrated_recommendation()
    print_recommendation(found)
    out = capsys.readouterr().out
    largest = "d0 20 %, d1 17.8 %, d2 15.6 %, d3 13.3 %, d4 11.1 %, d5 8.9 %, and 3 more"
    assert f"The highest score ({largest}) is expected" in out
    assert all(f"\n  {name} " in out for name in names)  # the table has them all
