"""Emoji as several vendors draw them: fetched from npm, cut out of sheets or rendered.

    pip install pillow==13.0.0 resvg_py==0.5.0

Taken are the emoji that all of them draw, of the skin that is drawn by default, and no flags.

Source:
    npm: emoji-datasource-google, emoji-datasource-twitter (MIT; drawings under the vendors' own
    licences), openmoji (CC BY-SA 4.0), fluentui-emoji (MIT).
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_GOOGLE, _TWITTER = "emoji-datasource-google@16.0.0", "emoji-datasource-twitter@16.0.0"
_OPENMOJI, _FLUENT = "openmoji@17.0.0", "fluentui-emoji@1.3.0"
_SHEET = 32  # pixels of a drawing on a sheet; a pixel of margin on each side
_LEFT_OUT = ("flags", "component")  # groups: not all vendors draw flags


@dataclass(frozen=True, slots=True)
class Emoji:
    """One emoji.

    Args:
        code: Its code points.
        group: Its category.
        drawings: By style, on white.
    """

    code: str
    group: str
    drawings: Mapping[str, Image]


def draw_emoji(folder: Path, pixels: int) -> Iterator[Emoji]:
    """The emoji that all vendors draw.

    Args:
        folder: Where packages go.
        pixels: Width and height of a drawing, no less than those of the sheets.
    """
    google, twitter, openmoji, fluent = (
        _npm(package, folder) for package in (_GOOGLE, _TWITTER, _OPENMOJI, _FLUENT)
    )
    sheets = {"google": _Sheet(google, "google"), "twitter": _Sheet(twitter, "twitter")}
    for emoji in json.loads((openmoji / "data" / "openmoji.json").read_text()):
        code = emoji["hexcode"]
        stem = _fluent_stem(fluent / "icons", emoji["annotation"])
        is_drawn = stem is not None and all(sheet.has(code) for sheet in sheets.values())
        if emoji["group"] in _LEFT_OUT or emoji["skintone"] or not is_drawn:
            continue
        files = {
            "openmoji": openmoji / "color" / "svg" / f"{code}.svg",
            "openmoji-black": openmoji / "black" / "svg" / f"{code}.svg",
            "fluent": fluent / "icons" / "flat" / f"{stem}.svg",
            "fluent-contrast": fluent / "icons" / "high-contrast" / f"{stem}.svg",
        }
        drawings = {name: sheet.cut(code, pixels) for name, sheet in sheets.items()}
        drawings |= {name: _rendered(file, pixels) for name, file in files.items()}
        yield Emoji(code, emoji["group"], drawings)


class _Sheet:
    """All drawings of a vendor on one picture.

    Args:
        folder: The unpacked package.
        vendor: Its name in the package's data.
    """

    def __init__(self, folder: Path, vendor: str) -> None:
        from PIL import Image

        rows = json.loads((folder / "emoji.json").read_text())
        self._places = {
            _code(row["unified"]): (row["sheet_x"], row["sheet_y"])
            for row in rows
            if row[f"has_img_{vendor}"]
        }
        sheet = folder / "img" / vendor / "sheets-clean" / f"{_SHEET}.png"
        self._picture = Image.open(sheet).convert("RGBA")

    def has(self, code: str) -> bool:
        """Whether an emoji is drawn."""
        return _code(code) in self._places

    def cut(self, code: str, pixels: int) -> Image:
        """Its drawing."""
        left, top = (1 + k * (_SHEET + 2) for k in self._places[_code(code)])
        drawing = self._picture.crop((left, top, left + _SHEET, top + _SHEET))
        return _on_white(drawing, pixels)


def _code(unified: str) -> str:
    """Code points without the mark that asks for a coloured drawing, which lists differ in."""
    return unified.upper().replace("-FE0F", "")


def _fluent_stem(icons: Path, annotation: str) -> str | None:
    """What the drawing of an emoji is called, of the skin that is drawn by default."""
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"['’]", "", annotation.lower())).strip("-")
    styles = [icons / style for style in ("flat", "high-contrast")]
    for stem in (plain, f"{plain}-default"):
        if all((style / f"{stem}.svg").is_file() for style in styles):
            return stem
    return None


def _rendered(path: Path, pixels: int) -> Image:
    import resvg_py
    from PIL import Image

    png = resvg_py.svg_to_bytes(svg_path=str(path), width=pixels, height=pixels)
    return _on_white(Image.open(io.BytesIO(bytes(png))).convert("RGBA"), pixels)


def _on_white(drawing: Image, pixels: int) -> Image:
    from PIL import Image

    page = Image.new("RGBA", (pixels, pixels), "white")
    page.alpha_composite(drawing, tuple((pixels - n) // 2 for n in drawing.size))  # not all square
    return page.convert("RGB")


def _npm(package: str, folder: Path) -> Path:
    """A package's files; downloaded from the registry where they are not there."""
    root = folder / package
    if not root.is_dir():
        partial = root.with_name(f".{root.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        command = ["npm", "pack", package, "--silent", "--pack-destination", str(partial)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        [archive] = partial.glob("*.tgz")
        with tarfile.open(archive) as opened:
            opened.extractall(partial, filter="data")
        archive.unlink()
        partial.rename(root)
    return root / "package"
