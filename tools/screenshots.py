"""Pictures of a study's page for the documentation: wide and narrow, light and dark.

    python -m tools.screenshots STUDY [--to docs]

Writes ``report.png`` (wide, light), ``report-dark.png``, ``report-phone.png``,
``report-phone-dark.png`` and ``report-explore.png``, and prints the size of each and of the page.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from mixwise.report.page import save_report

MOST_BYTES = 150_000  # of a picture
_N_COLOURS = 256
_SNIPPET = "snippet-shares"  # it names no path of the machine that the study was made on
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Args:
        name: Of its file.
        width: Of the window, in pixels.
        height: The same.
        scheme: Light or dark.
        part: Id of the part of the page; empty for its first screen.
    """

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    part: str = ""


SHOTS = (
    Shot("report.png", 1280, 940, "light"),
    Shot("report-dark.png", 1280, 940, "dark"),
    Shot("report-phone.png", 400, 900, "light"),
    Shot("report-phone-dark.png", 400, 900, "dark"),
    Shot("report-explore.png", 1280, 940, "light", "explore"),
)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser of this system.

    Raises:
        SystemExit: If none is installed.
    """
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        sys.exit(f"none of {', '.join(_BROWSERS)} is installed: run `make browser`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def take(browser: Browser, page: Path, shot: Shot, folder: Path) -> Path:
    """Take one picture of a page; its path."""
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.scheme
    )
    context.set_offline(True)
    opened = context.new_page()
    opened.goto(page.as_uri())
    opened.wait_for_load_state("networkidle")
    opened.select_option('[data-panels="snippets"]', _SNIPPET)
    path = folder / shot.name
    if shot.part:
        opened.locator(f"#{shot.part}").screenshot(path=path)
    else:
        opened.screenshot(path=path)
    context.close()
    Image.open(path).convert("RGB").quantize(_N_COLOURS).save(path, optimize=True)
    return path


def main() -> None:
    """Write the pictures, and say how large each is."""
    parser = argparse.ArgumentParser(description="Take pictures of a study's page.")
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--to", type=Path, default=Path("docs"), help="folder of the pictures")
    asked = parser.parse_args()
    page = save_report(asked.study).resolve()
    print(f"{page.name}: {page.stat().st_size:,} bytes")
    with open_browser() as browser:
        paths = [take(browser, page, shot, asked.to) for shot in SHOTS]
    for path in paths:
        print(f"{path}: {path.stat().st_size:,} bytes")
    large = [path.name for path in paths if path.stat().st_size > MOST_BYTES]
    if large:
        sys.exit(f"{', '.join(large)}: larger than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()
