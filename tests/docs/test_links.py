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


def test_the_file_map_has_everything() -> None:
    """Each module and package right below `mixwise`, so that nobody has to look for a place."""
    page = (ROOT / "docs" / "contributing" / "architecture.md").read_text(encoding="utf-8")
    there = (path for path in (ROOT / "src" / "mixwise").iterdir() if path.name != "__pycache__")
    names = [f"{path.name}/" if path.is_dir() else path.name for path in there]
    assert not [name for name in names if f"`{name}`" not in page]
