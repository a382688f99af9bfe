"""What the data are like, and rows with what is learned of them marked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table

from mixwise.console.text import print_table, print_text

if TYPE_CHECKING:
    from mixwise.records.record import Document
    from mixwise.study.data_review import DataReview

_LONGEST = 4000  # characters of a row that are printed
_MARKS = ("⟦", "⟧")


def print_review(review: DataReview) -> None:
    """Print the counts, what is shared, and the rows."""
    print_table(_tokens(review) if review.has_tokens else _images(review))
    for pair in review.shared:
        print_text(f"`{pair.first}` and `{pair.second}` share {pair.n_rows:,} row(s)")
    for row in review.rows:
        opening, closing = _MARKS
        if row.size is not None:
            width, height = row.size
            size = f"{width:,} × {height:,} pixels"
            print_text(f"`{row.name}`, {row.document.place}: {row.document.label}, {size}")
            continue
        print_text(f"\n`{row.name}`, {row.document.place}; {opening}learned{closing}:")
        print_text("".join(_marked(row.document)))


def _tokens(review: DataReview) -> Table:
    table = Table(
        "domain or set",
        "rows",
        "tokens",
        "learned",
        "median",
        "longest",
        f"over {review.sequence_length:,}",
        "duplicates",
        title="Rows",
        title_justify="left",
    )
    for each in review.counts:
        table.add_row(
            each.name,
            f"{each.n_rows:,}",
            f"{each.n_tokens:,}",
            f"{each.n_learned_tokens / each.n_tokens:.0%}",
            f"{each.median_tokens:,}",
            f"{each.longest_tokens:,}",
            f"{each.n_overlong:,}",
            f"{each.n_duplicates:,}",
        )
    return table


def _images(review: DataReview) -> Table:
    table = Table("domain or set", "images", "duplicates", title="Images", title_justify="left")
    for each in review.counts:
        table.add_row(each.name, f"{each.n_rows:,}", f"{each.n_duplicates:,}")
    return table


def _marked(document: Document) -> Iterator[str]:
    """The text with marks around what is learned, shortened."""
    text = document.text[:_LONGEST]
    spans = ((0, len(document.text)),) if document.supervised is None else document.supervised
    done = 0
    for start, end in spans:
        if start >= len(text):
            break
        yield f"{text[done:start]}{_MARKS[0]}{text[start:end]}"
        yield _MARKS[1] if end <= len(text) else ""
        done = end
    yield text[done:]
    if len(document.text) > _LONGEST:
        yield f"… ({len(document.text) - _LONGEST:,} more characters)"
