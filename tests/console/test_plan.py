from dataclasses import replace

import pytest
from tests.study.test_plan import counted, plan, recipe

from mixwise.console.plan import print_plan, summarise_plan
from mixwise.recipe.sections import ExpertMethod


def test_the_plan_names_runs_tokens_memory_disk_and_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_plan(plan(recipe()), ("be warned",), ("taken as asked",))
    out = capsys.readouterr().out
    assert "2 of 1,000 tokens (25 steps): 2.00 final runs" in out
    assert "2.00 final runs before the final one (`budget` 0.25)" in out
    assert "none (`--verify`)" not in out
    assert "at most 10, each merged and evaluated on 500 tokens" in out
    for word in ("peak memory", "disk", "estimated time"):
        assert word in out
    assert out.index("note: taken as asked") < out.index("warning: be warned")
    assert out.rstrip().endswith("The recipe is fine.")


def test_the_summary_is_one_line() -> None:
    text = summarise_plan(plan(recipe()))
    assert text.startswith("2 experts of 1 final runs each, at most 10 candidates, 0 references")
    assert "\n" not in text


def test_an_answer_that_nothing_verifies_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = recipe(experts={"horizon_tokens": 400}, final={"baselines": ()})
    counts = counted(chosen, n_candidates=10, candidate_passes=0)
    print_plan(plan(chosen, counts=counts), ())
    out = capsys.readouterr().out
    assert "0.80 final runs before the final one" in out
    assert "by the experts' predictions of 500 tokens, after 4, 6, 10 steps" in out
    assert "none (`--verify`): what the answer should reach is predicted, not checked" in out


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("training", "(here 1, whose experts are not as long)"),
        (
            "gradients",
            "lost 4% to 42% with 16 domains, 58% to 131% with 12 domains of what a random",
        ),
    ],
)
def test_what_a_price_buys_is_told_from_beds_of_such_experts(
    method: ExpertMethod, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = recipe(experts={"horizon_tokens": 200}, final={"baselines": ()})
    print_plan(replace(plan(chosen), expert_method=method), ())
    assert words in " ".join(capsys.readouterr().out.split())
