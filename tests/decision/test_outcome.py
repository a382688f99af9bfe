import pytest

from mixwise.decision.outcome import judge_outcome

GROUPS = [[1.0, 1.2], [0.5, 0.7]]  # standard deviation 0.1414


@pytest.mark.parametrize(
    ("rivals", "word"),
    [
        ({"uniform": 0.5, "only a": 0.9}, "won"),
        ({"uniform": 0.5, "only a": 1.0}, "tied"),
        ({"uniform": 0.5, "only a": 1.3}, "lost"),
        ({}, "unknown"),
    ],
)
def test_the_closest_baseline_decides(rivals: dict[str, float], word: str) -> None:
    outcome = judge_outcome(1.1, rivals, GROUPS)
    assert outcome.word == word
    assert [margin.baseline for margin in outcome.margins] == list(rivals)
    for margin in outcome.margins:
        assert margin.noise_widths == pytest.approx(margin.margin / 0.1414, rel=1e-3)


def test_without_a_second_seed_nothing_is_known() -> None:
    outcome = judge_outcome(1.1, {"uniform": 0.5}, [[1.1], [0.5]])
    assert (outcome.word, outcome.noise_width) == ("unknown", None)
    assert outcome.margins[0].noise_widths is None
