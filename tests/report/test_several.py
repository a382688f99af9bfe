from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.report.visits import Visit

from mixwise.errors import ResourceError
from mixwise.report.several import save_comparison

MakeStudy = Callable[..., Path]
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.mark.parametrize("width", [1280, 400])
def test_studies_stand_side_by_side(
    browser: Browser, make_study: MakeStudy, tmp_path: Path, width: int
) -> None:
    folders = [make_study(), make_study(domains=("math", HOSTILE)), make_study(stages=())]
    path = save_comparison(folders, tmp_path / "comparison.html")
    visit = Visit(browser, path, width)
    assert visit.troubles == []
    assert visit.overflow() <= 0
    rows = visit.page.locator('table[aria-label="Answers"] tbody tr')
    answers = rows.first.locator("td").all_text_contents()
    assert answers == ["Train on 50 % math, 33 % code and 17 % web."] * 2 + ["—"]
    price = rows.filter(has_text="Price").locator("td").all_text_contents()
    assert price == [
        "0.300 of a final run (7,000 tokens)",
        "0.200 of a final run (6,000 tokens)",
        "—",
    ]
    shares = visit.page.locator('table[aria-label="Shares by domain"] tbody tr')
    assert shares.locator("th").all_text_contents() == ["math", "code", "web", HOSTILE]
    assert shares.nth(1).locator("td").all_text_contents() == ["33.3 %", "—", "—"]


def test_a_page_that_cannot_be_written_is_said(make_study: MakeStudy, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="name another file with `--output`"):
        save_comparison([make_study(), make_study()], tmp_path / "none" / "comparison.html")
