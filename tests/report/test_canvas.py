from mixwise.report.canvas import add_points, empty_figure, name_rows, shorten, with_unit


def test_rows_are_numbers_with_escaped_names_the_first_on_top() -> None:
    figure = empty_figure(200)
    name_rows(figure, ["<b>a", "a"])
    axis = figure.layout.yaxis
    assert list(axis.tickvals) == [0, 1]
    assert axis.ticktext[0].startswith("&lt;b&gt;")
    assert axis.range[0] > axis.range[1]
    assert figure.layout.height == 200


def test_a_long_name_loses_its_middle() -> None:
    assert shorten("short") == "short"
    found = shorten("a-dataset-of-many-words-part-2")
    assert found.startswith("a-dataset")
    assert found.endswith("-part-2")
    assert len(found) <= 20


def test_an_axis_says_its_unit_if_there_is_one() -> None:
    assert (with_unit("nats/token"), with_unit("")) == (", nats/token", "")


def test_points_carry_their_texts() -> None:
    figure = empty_figure(100)
    add_points(figure, {"name": "trained"}, [(1.0, 2.0), (None, 3.0)], ["a", "b"])
    [points] = figure.data
    assert (list(points.x), list(points.y)) == ([1.0, None], [2.0, 3.0])
    assert list(points.hovertext) == ["a", "b"]
