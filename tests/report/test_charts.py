import json
import re

from mixwise.report.canvas import empty_figure
from mixwise.report.charts import Choice, chart, chart_with_choices


def test_a_chart_brings_no_plotly_of_its_own() -> None:
    html = str(chart("one", "What it shows", empty_figure(100)))
    assert 'id="one"' in html
    assert 'data-label="What it shows"' in html
    assert len(html) < 1000


def test_one_figure_has_no_list() -> None:
    html = str(chart_with_choices("c", "Which?", [Choice("a", "about a", empty_figure(100))]))
    assert "about a" in html
    assert "<select" not in html


def test_of_several_the_first_is_drawn_and_all_are_there() -> None:
    names = ["<i>a", "b"]
    choices = [Choice(name, f"about {name}", empty_figure(100)) for name in names]
    html = str(chart_with_choices("c", "Which?", choices))
    assert "<i>a" not in html
    assert html.count("<option") == 2
    data = re.search(r'id="c-figures"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert data is not None
    assert [row["caption"] for row in json.loads(data[1])] == ["about <i>a", "about b"]
