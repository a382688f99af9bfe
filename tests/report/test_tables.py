from collections.abc import Callable
from pathlib import Path

from mixwise.decision.outcome import Margin
from mixwise.decision.score import Score
from mixwise.mixture import Mixture
from mixwise.report.contents import ComparedRow, Placed
from mixwise.report.reading import load_contents
from mixwise.report.tables import (
    comparison_table,
    cost_table,
    leaderboard,
    metric_table,
    mixture_bar,
)
from mixwise.study.results import (
    BothAnswers,
    Candidate,
    SeedScore,
)

MakeStudy = Callable[..., Path]


def _candidate(objective: float, mixture: dict[str, float], standing: str = "") -> Placed:
    score = Score(Mixture(tuple(mixture), tuple(mixture.values())), objective, {})
    return Placed(Candidate("", score, within_bounds=True), standing)


def test_the_parts_of_a_bar_are_the_shares() -> None:
    bar = mixture_bar({"a": 0.75, "b": 0.25, "c": 0.0}, ["a", "b", "c"])
    assert bar.count("<i ") == 2
    assert "width:75.00%" in bar
    assert 'title="a 75 %, b 25 %"' in bar


def test_the_leaderboard_keeps_the_order_and_says_what_it_leaves_out() -> None:
    rows = [_candidate(-k, {"a": 0.5, "b": 0.5}) for k in range(302)]
    text = leaderboard(rows, ["a", "b"])
    assert text.count("<tr>") == 301
    assert text.index("−1.000") < text.index("−2.000")
    assert "2 more are in search.json" in text


def test_the_recommended_candidate_is_marked_and_never_cut_away() -> None:
    rows = [_candidate(-k, {"a": 0.5, "b": 0.5}) for k in range(310)]
    rows[1] = _candidate(-1, {"a": 0.25, "b": 0.75}, "equal")
    rows[305] = _candidate(-305, {"a": 0.75, "b": 0.25}, "recommended")
    text = leaderboard(rows, ["a", "b"])
    [marked] = [row for row in text.split("<tr") if row.startswith(' class="marked"')]
    assert ">306<" in marked
    assert "<span>recommended</span>" in marked
    assert text.count("cannot be told apart") == 1
    assert "9 more are in search.json" in text


def test_a_mixture_of_very_many_domains_is_cut_short() -> None:
    shares = {f"d{k}": 2 * (k + 1) / (12 * 13) for k in range(12)}
    text = leaderboard([_candidate(0.0, shares)], list(shares))
    assert "and 6 more</span>" in text
    assert "d0 1.3 %" in text  # in the title, which holds the whole mixture


def test_the_plain_average_of_many_domains_is_not_spelt_out() -> None:
    shares = {f"d{k}": 1 / 8 for k in range(8)}
    assert ">all 8 domains alike<" in leaderboard([_candidate(0.0, shares)], list(shares))


def test_a_baseline_shows_its_margin() -> None:
    score, runs = Score(Mixture(("a",), (1.0,)), 0.5, {}), (SeedScore(1, 0.5, {}),)
    rows = [
        ComparedRow(BothAnswers("recommended", score, runs), None, ""),
        ComparedRow(BothAnswers("only b", score, ()), None, ""),
    ]
    text = comparison_table(rows, ["a"], {"only b": Margin("only b", -0.25, -1.5, "ahead")})
    assert "−0.250 (−1.5 noise widths)" in text
    assert "+0.500" in text


def test_baselines_that_cannot_be_told_apart_are_marked() -> None:
    score, runs = Score(Mixture(("a",), (1.0,)), 0.5, {}), (SeedScore(1, 0.5, {}),)
    rows = [
        ComparedRow(BothAnswers("recommended", score, ()), 0.75, "recommended"),
        ComparedRow(BothAnswers("only b", score, runs), 0.625, "equal"),
        ComparedRow(BothAnswers("only c", score, runs), 0.25, "behind"),
    ]
    margins = {
        "only b": Margin("only b", 0.125, 0.5, "equal"),
        "only c": Margin("only c", 1.0, 4.0, "behind"),
    }
    _, marked, equal, behind = comparison_table(rows, ["a"], margins).split("<tr")[1:]
    assert ">recommended<" in marked
    assert "+0.625" in equal
    assert equal.count("cannot be told apart") == 2  # as predicted, and when trained
    assert "+0.5 noise widths; cannot be told apart" in equal
    assert "cannot be told apart" not in behind
    assert ">behind<" in behind


def test_metrics_of_base_prediction_and_trained_model(make_study: MakeStudy) -> None:
    contents = load_contents(make_study(domains=("a", "b")))
    assert contents.search is not None
    assert contents.recommended is not None
    text = metric_table(contents.search.base, contents.recommended.answers, contents.metrics)
    row = next(row for row in text.split("<tr>") if "a/loss" in row)
    assert [x for x in ("3.500", "2.333", "2.083") if x in row] == ["3.500", "2.333", "2.083"]
    assert "nats/token · lower is better" in row


def test_cost_counts_runs_tokens_and_time(make_study: MakeStudy) -> None:
    text = cost_table(load_contents(make_study()).spent)
    assert text.count("<tr>") == 3
    assert "3.0 s" in text
    assert "1,000" in text
