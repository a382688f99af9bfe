from __future__ import annotations

from pathlib import Path

from tools.docs.blocks import ROOT
from tools.docs.links import anchors, broken_links, broken_names


def test_no_link_leads_nowhere() -> None:
    assert list(broken_links()) == []


def test_every_page_that_the_code_names_is_there() -> None:
    assert list(broken_names()) == []


def test_headings_in_code_are_no_anchors(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One, two\n\n```sh\n# three\n```\n")
    assert anchors(page) == {"one-two"}


def test_the_navigation_takes_up_every_how_to() -> None:
    assert "how-to/*" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
