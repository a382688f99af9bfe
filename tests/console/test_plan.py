import pytest
from tests.study.test_plan import plan, recipe

from mixwise.console.plan import print_plan, summarise_plan


def test_the_plan_names_runs_tokens_memory_disk_and_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_plan(plan(recipe()), ("be warned",), ("taken as asked",))
    out = capsys.readouterr().out
    assert "2 experts" in out
    assert "merged candidates  at most 10, each evaluated on 500 tokens" in out
    for word in ("peak memory", "disk", "estimated time"):
        assert word in out
    assert out.index("note: taken as asked") < out.index("warning: be warned")
    assert out.rstrip().endswith("The recipe is fine.")


def test_the_summary_is_one_line() -> None:
    text = summarise_plan(plan(recipe()))
    assert text.startswith("2 experts, at most 10 candidates, ")
    assert "\n" not in text
