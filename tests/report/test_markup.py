import json

from mixwise.report.markup import Html, data_script, join, label, prose, tag

HOSTILE = "</script><script>alert(1)</script>\"'&"


def test_plain_text_is_escaped_in_content_and_in_attributes() -> None:
    element = tag("p", HOSTILE, title=HOSTILE)
    assert "<script" not in element
    assert element.count("<") == 2
    assert "\"'&" not in element


def test_markup_is_not_escaped_twice() -> None:
    assert tag("p", tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"
    assert join([Html("<br>"), "<br>"]) == "<br>&lt;br&gt;"


def test_an_attribute_that_is_none_is_left_out() -> None:
    assert tag("p", class_=None, data_chart="x") == '<p data-chart="x"></p>'


def test_data_cannot_end_its_script_and_reads_back_the_same() -> None:
    element = data_script("d", {"text": HOSTILE + "\u2028<!--"})
    inside = element.split(">", 1)[1].removesuffix("</script>")
    assert "<" not in inside
    assert "\u2028" not in inside
    assert json.loads(inside) == {"text": HOSTILE + "\u2028<!--"}


def test_a_label_shows_markup_instead_of_obeying_it() -> None:
    assert label("<a href='x'>b</a>") == "&lt;a href='x'&gt;b&lt;/a&gt;"


def test_code_between_backticks_is_set_as_code_and_escaped() -> None:
    assert prose("a < `b < c`, `d`") == "a &lt; <code>b &lt; c</code>, <code>d</code>"
    assert prose("one ` alone, ``, and none") == "one ` alone, ``, and none"
    assert prose("<script>`") == "&lt;script&gt;`"
