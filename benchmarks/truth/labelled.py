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
import json
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from benchmarks.truth.emoji import draw_emoji
from examples.sentiment.make_data import SOURCES, fetch, read_ratings, read_words, sign_of

if TYPE_CHECKING:
    from PIL.Image import Image

COUNTS = Path(__file__).parent / "tables" / "labelled-counts.csv"
PIXELS = 32
BASE = "base"
Part = Literal["base", "train", "test"]
Kind = Literal["images", "texts"]
Counts = Mapping[tuple[str, str, str], int]
_SOURCES = {"tweets": "tweets", "amazon": "amazon", "films": "films", "nyt": "newspaper"}


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
    for emoji in draw_emoji(folder, PIXELS):
        part = _part(emoji.code, n_base=2)
        for style, drawing in emoji.drawings.items():
            yield LabelledRow(part, style, emoji.group, emoji.code, drawing)


def _sentiment_rows(folder: Path) -> Iterator[LabelledRow]:
    root = fetch(folder)
    for row in read_words(root):
        yield LabelledRow(BASE, "lexicon", row["label"], "", row["text"])
    seen: set[str] = set()
    for domain, source in _SOURCES.items():
        for name, rating, text in read_ratings(root, SOURCES[source]):
            label = sign_of(rating)
            if label is not None and text not in seen:
                document = f"{domain} {name.partition('_')[0]}"
                yield LabelledRow(_part(document, n_base=0), domain, label, "", text)
            seen.add(text)  # the same sentence on both sides would be remembered


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
        shutil.rmtree(partial, ignore_errors=True)  # of a killed script, which would be added to
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
