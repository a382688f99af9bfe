"""Labelled data that packages bring: drawings by several vendors, sentences from several sources.

    pip install pillow==13.0.0 resvg_py==0.5.0
    python -m benchmarks.truth.labelled [BED …] [--scratch .bench/labelled]

A bed is written as the folders and files that trainers read, `PART/DOMAIN/LABEL/NAME.png` or
`PART/DOMAIN.jsonl` with a text and a label in each line. The parts are *base*, what a base model is
trained on, *train* and *test*. They are cut by what is drawn or by the document, so that the same
emoji, review or editorial never stands in one domain's training and in another's test. Nothing of
the data is kept in the repository; how many rows of each label there are stands in
`tables/labelled-counts.csv`, and other data than that is refused.

    emoji      categories of emoji that all vendors draw, 32 × 32 pixels on white; flags left out.
               Parts: 2, 5 and 3 tenths of the emoji; the base reads its part of all vendors.
    sentiment  sentences that people rated below −0.5 or above 0.5 on average (of −4 to 4). Parts:
               seven tenths of the documents and three; the base reads VADER's lexicon, single words
               with the signs of their ratings, and no sentence.
    digits     scikit-learn's digits as four vendors might draw them, for development. Parts as of
               emoji.

Source:
    npm: emoji-datasource-google, emoji-datasource-twitter (MIT; drawings under the vendors' own
    licences), openmoji (CC BY-SA 4.0), fluentui-emoji (MIT). PyPI: vaderSentiment (MIT), with the
    sentences of Hutto and Gilbert 2014; scikit-learn's digits (Alpaydin and Kaynak 1998).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import subprocess
import sys
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

COUNTS = Path(__file__).parent / "tables" / "labelled-counts.csv"
PIXELS = 32
BASE = "base"
Part = Literal["base", "train", "test"]
Kind = Literal["images", "texts"]
Counts = Mapping[tuple[str, str, str], int]
_GOOGLE, _TWITTER = "emoji-datasource-google@16.0.0", "emoji-datasource-twitter@16.0.0"
_OPENMOJI, _FLUENT = "openmoji@17.0.0", "fluentui-emoji@1.3.0"
_VADER = "vaderSentiment==3.3.2"
_SHEET = 32  # pixels of a drawing on a sheet; a pixel of margin on each side
_LEFT_OUT = ("flags", "component")  # groups: not all vendors draw flags
_LEAST_RATING = 0.5
_SOURCES = {
    "tweets": "tweets",
    "amazon": "amazonReviewSnippets",
    "films": "movieReviewSnippets",
    "nyt": "nytEditorialSnippets",
}


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A row before it is written.

    Args:
        part: Where it belongs.
        domain: Whose it is.
        label: What is to be learned.
        name: Of its file, where it is a drawing.
        content: A drawing or a text.
    """

    part: Part
    domain: str
    label: str
    name: str
    content: Image | str


@dataclass(frozen=True, slots=True)
class LabelledBed:
    """What is mixed.

    Args:
        kind: Of its rows.
        vendors: Vendor of each domain: a target of one vendor is asked of the others' domains.
        rows: Makes its rows from a folder for what is fetched.
    """

    kind: Kind
    vendors: Mapping[str, str]
    rows: Callable[[Path], Iterator[LabelledRow]]

    @property
    def domains(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.vendors)


def _part(name: str, *, n_base: int) -> Part:
    """The part of what is drawn or of a document, by its name alone."""
    tenth = zlib.crc32(name.encode()) % 10
    return "base" if tenth < n_base else "train" if tenth < 7 else "test"


def _emoji_rows(folder: Path) -> Iterator[LabelledRow]:
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
        drawings = {name: sheet.cut(code) for name, sheet in sheets.items()}
        for name, path in {
            "openmoji": openmoji / "color" / "svg" / f"{code}.svg",
            "openmoji-black": openmoji / "black" / "svg" / f"{code}.svg",
            "fluent": fluent / "icons" / "flat" / f"{stem}.svg",
            "fluent-contrast": fluent / "icons" / "high-contrast" / f"{stem}.svg",
        }.items():
            drawings[name] = _rendered(path)
        for name, drawing in drawings.items():
            yield LabelledRow(_part(code, n_base=2), name, emoji["group"], code, drawing)


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

    def cut(self, code: str) -> Image:
        """Its drawing."""
        left, top = (1 + k * (_SHEET + 2) for k in self._places[_code(code)])
        return _on_white(self._picture.crop((left, top, left + _SHEET, top + _SHEET)))


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


def _rendered(path: Path) -> Image:
    import resvg_py
    from PIL import Image

    png = resvg_py.svg_to_bytes(svg_path=str(path), width=PIXELS, height=PIXELS)
    return _on_white(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))


def _on_white(drawing: Image) -> Image:
    from PIL import Image

    page = Image.new("RGBA", (PIXELS, PIXELS), "white")
    page.alpha_composite(drawing, tuple((PIXELS - n) // 2 for n in drawing.size))  # not all square
    return page.convert("RGB")


def _sentiment_rows(folder: Path) -> Iterator[LabelledRow]:
    root = _vader(folder)
    for line in (root / "vaderSentiment" / "vader_lexicon.txt").read_text("utf-8").splitlines():
        word, rating, *_ = line.split("\t")
        yield from _rated(BASE, "lexicon", word, float(rating))
    seen: set[str] = set()
    for domain, file in _SOURCES.items():
        archive = root / "additional_resources" / "hutto_ICWSM_2014"
        path = archive / f"{file}_GroundTruth.txt"
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, rating, text = line.split("\t", 2)
            if text in seen:  # the same sentence on both sides would be remembered
                continue
            seen.add(text)
            document = f"{domain} {name.partition('_')[0]}"
            yield from _rated(_part(document, n_base=0), domain, text, float(rating))


def _rated(part: Part, domain: str, text: str, rating: float) -> Iterator[LabelledRow]:
    if abs(rating) > _LEAST_RATING:
        label = "positive" if rating > 0 else "negative"
        yield LabelledRow(part, domain, label, "", text.strip())


def _digit_rows(folder: Path) -> Iterator[LabelledRow]:
    from PIL import Image, ImageFilter
    from sklearn.datasets import load_digits

    digits = load_digits()
    for k, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        ink = Image.fromarray((255 - pixels * 15).astype(np.uint8))
        plain = ink.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
        drawings = {
            "plain": plain,
            "inverted": plain.point(lambda value: 255 - value),
            "turned": plain.rotate(35, fillcolor=255),
            "outlined": plain.filter(ImageFilter.FIND_EDGES),
        }
        for name, drawing in drawings.items():
            part = _part(f"digit {k}", n_base=2)
            yield LabelledRow(part, name, str(label), str(k), drawing.convert("RGB"))


LABELLED_BEDS: Mapping[str, LabelledBed] = {
    "digits": LabelledBed(
        "images",
        {name: name for name in ("plain", "inverted", "turned", "outlined")},
        _digit_rows,
    ),
    "emoji": LabelledBed(
        "images",
        {
            "google": "google",
            "twitter": "twitter",
            "openmoji": "openmoji",
            "openmoji-black": "openmoji",
            "fluent": "fluent",
            "fluent-contrast": "fluent",
        },
        _emoji_rows,
    ),
    "sentiment": LabelledBed("texts", {name: name for name in _SOURCES}, _sentiment_rows),
}


def write_labelled(name: str, scratch: Path) -> Path:
    """Write a bed's parts, where they are not there yet.

    Args:
        name: One of `LABELLED_BEDS`.
        scratch: Where packages and beds go.

    Returns:
        The bed's folder.
    """
    bed, folder = LABELLED_BEDS[name], scratch / name
    if not folder.is_dir():
        partial = scratch / f".{name}"
        counts: Counter[tuple[str, str, str]] = Counter()
        for row in bed.rows(scratch / "packages"):
            _write(row, partial)
            counts[row.part, row.domain, row.label] += 1
        _note_counts(name, counts)
        partial.rename(folder)
    return folder


def _write(row: LabelledRow, folder: Path) -> None:
    place = folder / row.part / row.domain
    if isinstance(row.content, str):
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"text": row.content, "label": row.label}) + "\n")
        return
    place = place / row.label
    place.mkdir(parents=True, exist_ok=True)
    row.content.save(place / f"{row.name}.png")


def load_counts(name: str) -> Counts:
    """Rows of a bed by part, domain and label; none before it is written for the first time."""
    if not COUNTS.is_file():
        return {}
    with COUNTS.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["bed"] == name]
    return {(row["part"], row["domain"], row["label"]): int(row["rows"]) for row in rows}


def _note_counts(name: str, counts: Counts) -> None:
    known = load_counts(name)
    if known and known != dict(counts):
        raise SystemExit(
            f"the tables of `{name}` are of other data than the packages bring now: remove its "
            f"lines of {COUNTS.name} and its table to make them anew"
        )
    if known:
        return
    is_new = not COUNTS.is_file()
    with COUNTS.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(["bed", "part", "domain", "label", "rows"])
        writer.writerows([name, *key, n] for key, n in sorted(counts.items()))


def _npm(package: str, folder: Path) -> Path:
    """An npm package's files; downloaded from the registry where they are not there."""
    command = ["npm", "pack", package, "--silent", "--pack-destination"]
    return _unpacked(folder / package, command) / "package"


def _vader(folder: Path) -> Path:
    """The source distribution, and the archive of sentences inside it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", ":all:", _VADER, "--dest"]
    [root] = _unpacked(folder / _VADER, command).iterdir()
    resources = root / "additional_resources"
    for archive in resources.glob("*.tar.gz"):
        _extract(archive, resources)
    return root


def _unpacked(root: Path, command: Iterable[str]) -> Path:
    if not root.is_dir():
        partial = root.with_name(f".{root.name}")
        partial.mkdir(parents=True, exist_ok=True)
        subprocess.run([*command, str(partial)], check=True, stdout=subprocess.DEVNULL)
        [archive] = [*partial.glob("*.tgz"), *partial.glob("*.tar.gz")]
        _extract(archive, partial)
        archive.unlink()
        partial.rename(root)
    return root


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"of {', '.join(LABELLED_BEDS)}")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/labelled"))
    options = parser.parse_args()
    for name in options.beds or LABELLED_BEDS:
        print(f"{name}: {write_labelled(name, options.scratch)}")
        for (part, domain, label), n in sorted(load_counts(name).items()):
            print(f"  {part} {domain} {label}: {n}")


if __name__ == "__main__":
    main()
