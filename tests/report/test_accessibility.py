"""What axe-core finds on the page, light and dark, wide and narrow: nothing."""

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tests.report.conftest import Parts
from tests.report.surfaces import add_surface, fit
from tests.report.test_front import with_front
from tests.report.visits import Visit

from mixwise.report.page import save_report
from mixwise.report.several import save_comparison

MakeStudy = Callable[..., Path]
DOMAINS = ("math", "code", "web")
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
RUN = """async () => {
    const found = await axe.run(document, { runOnly: [
        "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return found.violations.map(rule => `${rule.id}: ${rule.nodes.map(n => n.html).join(" | ")}`);
}"""


def violations(page: Page) -> Sequence[str]:
    page.evaluate(AXE)
    found: Sequence[str] = page.evaluate(RUN)
    return found


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (400, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
        pytest.param(400, "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing(
    browser: Browser, make_study: MakeStudy, width: int, scheme: str
) -> None:
    folder = with_front(make_study(), ("sums", "French"))
    add_surface(folder, Parts(DOMAINS, "lattice"), fit(DOMAINS, has_groups=True)[1])
    visit = Visit(browser, save_report(folder), width, scheme)
    visit.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert violations(visit.page) == []


def test_axe_finds_nothing_where_stages_are_missing(
    browser: Browser, make_study: MakeStudy
) -> None:
    assert violations(Visit(browser, save_report(make_study(stages=())), 1280).page) == []


def test_axe_finds_nothing_on_studies_side_by_side(
    browser: Browser, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = save_comparison([make_study(), make_study()], tmp_path / "two.html")
    assert violations(Visit(browser, path, 400, "dark").page) == []


def test_axe_does_find_what_is_wrong(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<html lang='en'><title>x</title><main><h1>x</h1><input></main>")
    assert [text.partition(":")[0] for text in violations(page)] == ["label"]
    page.close()
