from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.report.conftest import Parts, save

from mixwise.report.front import front, front_figure
from mixwise.report.page import figure_of, render_page
from mixwise.report.reading import load_contents

MakeStudy = Callable[..., Path]
TWO, THREE = ("sums", "programs"), ("sums", "programs", "French")


def with_front(folder: Path, groups: tuple[str, ...], behind: float = 0.0) -> Path:
    """A study whose recommendation has a front."""
    parts = Parts(("math", "code", "web"), "lattice")
    save(folder, replace(parts.calibrated_recommendation(), front=parts.front(groups, behind)))
    return folder


def test_two_groups_are_a_line_with_the_recommended_mixture_on_it() -> None:
    parts = Parts(("math", "code", "web"), "lattice")
    line, points, star = front_figure(parts.front(TWO), (0, 1)).data
    assert list(line.x) == list(points.x) == sorted(points.x, reverse=True)
    assert list(points.y) == sorted(points.y)
    assert "math" in points.hovertext[0]
    assert "sums +1.000 (0.750 to 1.250)" in points.hovertext[0]
    assert star.name == "recommended"
    assert (star.x[0], star.y[0]) in set(zip(points.x, points.y, strict=True))


def test_of_three_groups_the_third_is_a_colour() -> None:
    found = Parts(("math", "code", "web"), "lattice").front(THREE)
    points, _ = front_figure(found, (0, 2)).data
    assert list(points.marker.color) == [point.gains[1] for point in found.points]
    assert points.marker.colorbar.title.text == "programs"


def test_the_page_has_a_front_where_the_study_has_one(make_study: MakeStudy) -> None:
    folder = make_study()
    assert 'id="front"' not in render_page(load_contents(folder))
    page = render_page(load_contents(with_front(folder, THREE)))
    assert 'id="front"' in page
    assert "sums and programs" in page
    assert "programs and French" in page
    assert figure_of(folder, "front", "objective").data


def test_a_recommendation_off_the_front_is_a_row_of_its_own(make_study: MakeStudy) -> None:
    on = front(load_contents(with_front(make_study(), TWO)))
    off = front(load_contents(with_front(make_study(), TWO, 0.125)))
    assert on.count("<tr") + 1 == off.count("<tr")
    assert on.count('class="marked"') == off.count('class="marked"') == 1
    assert "ahead of the recommended one by 0.125" in off


def test_a_study_without_a_front_says_how_to_get_one(make_study: MakeStudy) -> None:
    assert "mixwise search STUDY" in front(load_contents(make_study()))
