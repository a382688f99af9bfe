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


@pytest.mark.parametrize(
    ("domains", "width"),
    [
        (("math", "code", "web"), 1280),
        (("math", "code", "web"), 400),
        (LONG, 400),
        ((HOSTILE, "b"), 1280),
        pytest.param(LONG, 1280, marks=pytest.mark.slow),
        pytest.param((HOSTILE, "b"), 400, marks=pytest.mark.slow),
    ],
    ids=["three-1280", "three-400", "long-400", "hostile-1280", "long-1280", "hostile-400"],
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
    assert visit.page.text_content("#chart-agreement .xtitle") == "proxy, nats/token"
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
    assert visit.page.locator("#chart-front .mark").count() == 6
    visit.page.select_option('[data-chart="chart-front"]', label="sums and French")
    assert visit.page.text_content("#chart-front .ytitle") == "French (more is better)"
    assert visit.troubles == []
    assert visit.n_charts() == 5
    assert visit.overflow() <= 0


def test_a_mixture_of_the_front_is_read_under_the_pointer(
    browser: Browser, make_study: MakeStudy
) -> None:
    visit = Visit(browser, save_report(with_front(make_study(), ("sums", "French"))), 1280)
    assert visit.page.locator("#chart-front path.js-line").count() == 1
    chart = visit.page.locator("#chart-front")
    chart.scroll_into_view_if_needed()
    chart.locator(".mark").first.hover(force=True)
    said = visit.page.text_content("#chart-front .tip")
    assert said is not None
    assert "math" in said
    assert "sums +1.000 (0.750 to 1.250)" in said
    assert visit.troubles == []


def test_names_are_shown_and_not_obeyed_in_charts(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study(domains=("<b>bold</b>", "b"))), 1280)
    ticks = visit.page.locator("#chart-baselines .ytick").all_text_contents()
    assert ticks == ["recommended", "uniform"]
    visit.page.select_option(
        '[data-chart="chart-baselines"]', label="recommended and all baselines"
    )
    ticks = visit.page.locator("#chart-baselines .ytick").all_text_contents()
    assert ticks == ["recommended", "uniform", "only <b>bold</b>", "only b"]
    legend = visit.page.locator("#chart-profiles .legendtext").all_text_contents()
    assert legend == ["<b>bold</b>", "b"]


def test_charts_follow_a_narrower_window(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    visit.page.set_viewport_size({"width": 400, "height": 900})
    drawn = visit.page.locator("#chart-baselines .main-svg").first
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
    colour = visit.page.eval_on_selector("#chart-baselines .ytick", "e => getComputedStyle(e).fill")
    assert colour == "rgb(228, 232, 237)"


def test_the_file_of_a_trainer_is_chosen(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    shown = visit.page.locator('[data-panel="snippets"]:visible')
    assert shown.locator("pre").all_text_contents() == ["# the mixture of trl\n"]
    assert "--to trl writes this file with 1 more beside it" in (shown.text_content() or "")
    visit.page.select_option('[data-panels="snippets"]', label="megatron (for Megatron)")
    assert shown.all_text_contents() == ["a holds chat: use rows"]


def test_shares_are_copied_as_a_table(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.page.get_by_role("button", name="Copy the table").click()
    expect(visit.page.get_by_role("button", name=re.compile("Copied|Selected"))).to_be_visible()


def test_candidates_are_sorted_and_filtered(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    board = visit.page.locator("#leaderboard")
    board.get_by_role("button", name="Proxy").click()
    scores = [
        float(text.replace("−", "-"))
        for text in board.locator("td:nth-child(3)").all_text_contents()
    ]
    assert scores == sorted(scores)
    board.get_by_role("button", name="Proxy").click()
    again = [
        float(text.replace("−", "-"))
        for text in board.locator("td:nth-child(3)").all_text_contents()
    ]
    assert again == scores[::-1]
    assert board.locator("th[aria-sort=descending]").count() == 1
    visit.page.locator("#filter").fill("only")
    assert visit.page.text_content("#leaderboard-count") == "3 of 5"
    assert board.locator("tbody tr:visible").count() == 3


def test_no_script_but_the_pages_own_may_run(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    visit.page.evaluate(
        "() => { const one = document.createElement('script'); one.textContent = 'window.ran = 1';"
        " document.body.append(one); }"
    )
    assert visit.page.evaluate("window.ran") is None
    assert "violates the following Content Security Policy" in visit.troubles[0]


def test_a_page_is_printed_without_its_controls(browser: Browser, make_study: MakeStudy) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    visit.page.emulate_media(media="print")
    assert not visit.page.get_by_role("button", name="Copy the table").is_visible()
    assert visit.page.locator("#chart-agreement .main-svg").is_visible()


def test_nothing_of_a_printed_page_is_cut_off_and_ink_is_dark(
    browser: Browser, make_study: MakeStudy
) -> None:
    visit = Visit(browser, save_report(make_study()), 700, "dark")  # paper is 18 cm within margins
    visit.page.emulate_media(media="print", color_scheme="dark")
    assert visit.overflow() <= 0
    hidden = visit.page.evaluate(
        "[...document.querySelectorAll('.box, pre')].filter(e => !e.closest('details')).filter("
        "e => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight + 1)"
        ".map(e => e.getAttribute('aria-label'))"
    )
    assert hidden == []
    paper = "getComputedStyle(document.body)"
    assert visit.page.evaluate(f"{paper}.color") == "rgb(28, 35, 48)"
    assert visit.page.evaluate(f"{paper}.backgroundColor") == "rgb(255, 255, 255)"
