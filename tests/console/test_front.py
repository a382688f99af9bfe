import pytest
from tests.report.conftest import Parts

from mixwise.console.front import print_front

Capture = pytest.CaptureFixture[str]


def test_a_front_is_a_table_with_the_recommended_mixture_marked(capsys: Capture) -> None:
    print_front(Parts(("math", "code"), "slopes").front(("sums", "programs")))
    lines = capsys.readouterr().out.splitlines()
    assert "Pareto front" in lines[0]
    [first] = [line for line in lines if "math 1 " in line]
    assert "1.00 (0.75 to 1.25)" in first
    assert "0.00 (-0.25 to 0.25)" in first
    [marked] = [line for line in lines if "(recommended)" in line]
    assert "math 0.667, code 0.333" in marked
    assert "No scored mixture is better than the recommended one" in "".join(lines)


def test_a_recommendation_off_the_front_stands_at_its_end(capsys: Capture) -> None:
    print_front(Parts(("math", "code"), "slopes").front(("sums", "programs"), behind=0.125))
    text = capsys.readouterr().out
    assert text.index("code 1 ") < text.index("(recommended)")
    assert "is ahead of the recommended one by 0.125 in every group of metrics" in " ".join(
        text.split()
    )


def test_names_of_groups_bring_no_control_characters(capsys: Capture) -> None:
    print_front(Parts(("math", "code"), "slopes").front(("\x1b[2J", "[b]x[/b]")))
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "[b]x[/b]" in text
