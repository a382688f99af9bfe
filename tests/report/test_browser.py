"""The page in a real browser, offline, as a reader opens it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.report.test_front import with_front
from tests.report.visits import Visit

from mixwise.report.page import save_report

MakeStudy = Callable[..., Path]

HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(1)</script>"
LONG = [f"a-very-long-name-of-a-dataset.with_parts-{k:02}" for k in range(32)]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize(
    "domains", [("math", "code", "web"), LONG, (HOSTILE, "b")], ids=["three", "long", "hostile"]
)
def test_the_page_is_drawn_without_trouble(
    browser: Browser, make_study: MakeStudy, width: int, domains: Sequence[str]
) -> None:
    report = save_report(make_study(domains=domains, recipe=f"# {HOSTILE}"))
    visit = Visit(browser, report, width)
    assert visit.troubles == []
    assert visit.requests == [report.as_uri()]
    assert visit.n_charts() == 4
    assert visit.overflow() <= 0


@pytest.mark.parametrize("stages", [(), ("search",)])
def test_a_page_with_missing_stages_is_drawn_too(
    browser: Browser, make_study: MakeStudy, stages: Sequence[str]
) -> None:
    visit = Visit(browser, save_report(make_study(stages=stages)), 400)
    assert visit.troubles == []
    assert visit.overflow() <= 0


def test_the_reader_chooses_a_metric(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    title = "#chart-profiles .ytitle"
    assert visit.page.text_content(title) == "math/loss, nats/token"
    visit.page.select_option('[data-chart="chart-profiles"]', label="web/loss")
    assert visit.page.text_content(title) == "web/loss, nats/token"
    visit.page.select_option('[data-chart="chart-agreement"]', label="code/loss")
    assert visit.page.text_content("#chart-agreement .xtitle") == "proxy (merged), nats/token"
    caption = visit.page.text_content("#chart-agreement-caption")
    assert caption is not None
    assert caption.startswith("ρ = 1.000")
    assert visit.troubles == []


@pytest.mark.parametrize("width", [1280, 400])
def test_a_front_is_drawn_for_each_two_groups(
    browser: Browser, make_study: MakeStudy, width: int
) -> None:
    folder = with_front(make_study(), ("sums", HOSTILE, "French"))
    visit = Visit(browser, save_report(folder), width)
    assert visit.page.text_content("#chart-front .xtitle") == "sums (more is better)"
    assert visit.page.locator("#chart-front .scatterlayer path.point").count() == 6
    visit.page.select_option('[data-chart="chart-front"]', label="sums and French")
    assert visit.page.text_content("#chart-front .ytitle") == "French (more is better)"
    assert visit.troubles == []
    assert visit.n_charts() == 5
    assert visit.overflow() <= 0


def test_a_mixture_of_the_front_is_read_under_the_pointer(
    browser: Browser, make_study: MakeStudy
) -> None:
    visit = Visit(browser, save_report(with_front(make_study(), ("sums", "French"))), 1280)
    assert visit.page.locator("#chart-front .scatterlayer path.js-line").count() == 1
    chart = visit.page.locator("#chart-front")
    chart.scroll_into_view_if_needed()
    chart.locator(".scatterlayer path.point").first.hover(force=True)
    said = visit.page.text_content("#chart-front .hoverlayer")
    assert said is not None
    assert "math" in said
    assert "sums +1.000 (0.750 to 1.250)" in said
    assert visit.troubles == []


def test_names_are_shown_and_not_obeyed_in_charts(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study(domains=("<b>bold</b>", "b"))), 1280)
    ticks = visit.page.locator("#chart-mixture .ytick").all_text_contents()
    assert ticks == ["<b>bold</b>  66.7 %", "b  33.3 %"]
    legend = visit.page.locator("#chart-profiles .legendtext").all_text_contents()
    assert legend == ["<b>bold</b>", "b"]


def test_charts_follow_a_narrower_window(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    visit.page.set_viewport_size({"width": 400, "height": 900})
    drawn = visit.page.locator("#chart-mixture .main-svg").first
    expect(drawn).to_have_attribute("width", re.compile("^3[0-9][0-9]"))
    assert visit.overflow() <= 0


def test_fidelity_is_read_on_a_phone_without_scrolling_sideways(
    browser: Browser, make_study: MakeStudy
) -> None:
    visit = Visit(browser, save_report(make_study()), 400)
    box = visit.page.locator('[role="region"][aria-label="Fidelity of the objective"]')
    assert box.locator("tbody tr").count() == 7
    assert box.evaluate("box => box.scrollWidth - box.clientWidth") <= 0


def test_ranges_of_shares_are_read_on_a_phone_without_scrolling_sideways(
    browser: Browser, make_study: MakeStudy
) -> None:
    visit = Visit(browser, save_report(make_study()), 400)
    box = visit.page.locator('[role="region"][aria-label="Ranges of shares"]')
    assert box.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    inside = """box => [...box.querySelectorAll('.range')].every(line => {
        const [i, b, all] = [...line.children, line].map(e => e.getBoundingClientRect());
        return all.left <= i.left && i.right <= all.right + 1 && i.left <= b.left
            && b.left <= i.right && all.width > 90; })"""
    assert box.evaluate(inside)


def test_text_of_charts_is_light_on_dark(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280, "dark")
    colour = visit.page.eval_on_selector(
        "#chart-mixture .ytick text", "e => getComputedStyle(e).fill"
    )
    assert colour == "rgb(228, 232, 237)"
