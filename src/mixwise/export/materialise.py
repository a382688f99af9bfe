"""The blended rows of the run as a file, and the hand-over that names it in place of the domains.

Method:
    Rows are those of the training side: held-out ones are left out by the hash of their text, as
    the study itself does, and each row has the tokens that the study counted (`chosen_rows`). The
    file's hand-over has one domain, so that every trainer's file says it as it says any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.data.tokenising import hash_text
from mixwise.data.whole_rows import WholeRow, read_whole_rows
from mixwise.errors import DataError, RecipeError
from mixwise.export.chosen_rows import ChosenRows, Indices, choose_rows, order_rows
from mixwise.export.exporter import Delivery, SideFile
from mixwise.export.handover import HandedDomain, HandedSource, Handover, LongRows, RowCounts
from mixwise.export.layouts import FIELDS, KINDS, RECORDS, values_of
from mixwise.export.row_file import row_spool, write_jsonl, write_parquet
from mixwise.export.trainers.trainer import Layout, Trainer, is_read_as_it_stands
from mixwise.study.session import Workspace

_MIXTURE = "mixture"  # name of the one dataset
_LAYOUTS: tuple[Layout, ...] = ("as it stands", "text", "prompt-completion", "messages")


@dataclass(frozen=True, slots=True)
class Materialised:
    """Rows that will be written.

    Args:
        handover: With the file in place of the domains.
        file: Writes it.
        facts: Rows and tokens of each domain.
    """

    handover: Handover
    file: SideFile
    facts: Mapping[str, Any]


def materialise(
    handover: Handover, workspace: Workspace, delivery: Delivery, trainer: Trainer | None
) -> Materialised:
    """Choose the rows of the run, to be written.

    Args:
        handover: The mixture.
        workspace: The opened study.
        delivery: Where the file goes, and its format.
        trainer: Whom it is for; None for nobody in particular.

    Raises:
        RecipeError: If rows of these kinds cannot be in one file, or the trainer cannot read it.
    """
    layout = choose_layout(handover, trainer)
    learn = {source.learn for domain in handover.domains for source in domain.sources}
    if trainer is not None and len(learn) > 1:
        raise RecipeError(
            f"`learn`: one file of rows is learned in one way, but domains have "
            f"{', '.join(sorted(learn))}: set it alike, or export the stream, whose labels say it"
        )
    lengths = _lengths(handover, workspace, trainer.long_rows if trainer else "whole")
    chosen = order_rows(
        {
            d.name: choose_rows(lengths[d.name], d.tokens, d.name, handover.seed)
            for d in handover.domains
        },
        handover.seed,
    )
    if not len(chosen.row):
        raise RecipeError(
            f"`horizon_tokens`: {handover.horizon_tokens:,} tokens are less than half of a row: "
            "raise it"
        )
    file = SideFile(
        delivery.rows_file,
        lambda path: _write(path, delivery, handover, workspace, chosen, layout),
    )
    written = _tokens(chosen, lengths)
    facts = {
        "rows_file": str(delivery.rows_file),
        "rows": {d.name: len(chosen.rows_of(d.name)) for d in handover.domains},
        "row_tokens": written,
        "layout": layout,
    }
    source = _written_source(handover, delivery.rows_file, layout, delivery)
    counts = _written_counts(handover, workspace, chosen)
    total = sum(written.values())
    domain = HandedDomain(_MIXTURE, 1.0, float(total), counts, (source,))
    parts = tuple(replace(d, share=written[d.name] / total) for d in handover.domains)
    return Materialised(replace(handover, domains=(domain,), materialised=parts), file, facts)


def choose_layout(handover: Handover, trainer: Trainer | None) -> Layout:
    """The first layout that holds the rows of all domains and that the trainer reads.

    Raises:
        RecipeError: If there is none.
    """
    sources = [source for domain in handover.domains for source in domain.sources]
    kinds = {source.records for source in sources}
    alike = all(
        (each.records, each.fields) == (sources[0].records, sources[0].fields) for each in sources
    )
    for layout in trainer.layouts if trainer else _LAYOUTS:
        if layout == "as it stands":
            reads = trainer is None or is_read_as_it_stands(sources[0], trainer.reads)
            if alike and reads:
                return layout
        elif kinds <= set(KINDS[layout]):
            return layout
    raise RecipeError(
        f"`export`: {trainer.title if trainer else 'one file'} takes no rows that are "
        f"{' and '.join(sorted(kinds))} records together: export domains of one kind, or the "
        "stream of tokens"
    )


def _lengths(handover: Handover, workspace: Workspace, long_rows: LongRows) -> dict[str, Indices]:
    """Tokens of each training row, as the trainer reads it."""
    found = {}
    for domain in handover.domains:
        whole = workspace.inputs.corpus(domain.name).document_lengths(heldout=False)
        is_cut = long_rows == "cut" and not domain.is_text
        found[domain.name] = np.minimum(whole, handover.sequence_length) if is_cut else whole
    return found


def _tokens(chosen: ChosenRows, lengths: Mapping[str, Indices]) -> dict[str, int]:
    return {name: int(lengths[name][chosen.rows_of(name)].sum()) for name in chosen.domains}


def _written_counts(handover: Handover, workspace: Workspace, chosen: ChosenRows) -> RowCounts:
    whole, cut = (
        sum(_tokens(chosen, _lengths(handover, workspace, how)).values())
        for how in ("whole", "cut")
    )
    return RowCounts(len(chosen.row), 0, whole, cut)


def _written_source(
    handover: Handover, file: Path, layout: Layout, delivery: Delivery
) -> HandedSource:
    assert delivery.rows is not None  # rows are written
    first = handover.domains[0].source
    written = replace(first, files=(file,), hub=None, format=delivery.rows, where={})
    if layout == "as it stands":
        return written
    fields = dict(FIELDS[layout])
    if layout == "messages" and _has_tools(handover):
        fields["tools"] = "tools"
    return replace(written, records=RECORDS[layout], fields=fields)


def _has_tools(handover: Handover) -> bool:
    return any(s.fields.get("tools") for domain in handover.domains for s in domain.sources)


def _write(
    path: Path,
    delivery: Delivery,
    handover: Handover,
    workspace: Workspace,
    chosen: ChosenRows,
    layout: Layout,
) -> None:
    """Read the rows of all domains once, and write those of the run."""
    n_rows = [workspace.inputs.corpus(name).facts.n_train_documents for name in chosen.domains]
    firsts = np.concatenate([[0], np.cumsum(n_rows)])
    with row_spool(path.parent, int(firsts[-1])) as spool:
        for first, domain in zip(firsts[:-1].tolist(), handover.domains, strict=True):
            needed = np.zeros(int(firsts[-1]), dtype=bool)
            needed[first + chosen.rows_of(domain.name)] = True
            for number, row in training_rows(domain.name, workspace):
                if needed[first + number]:
                    spool.keep(first + number, values_of(row, layout), row.document.place)
        write = write_parquet if delivery.rows == "parquet" else write_jsonl
        write(path, spool, firsts[chosen.domain] + chosen.row)


def training_rows(name: str, workspace: Workspace) -> Iterator[tuple[int, WholeRow]]:
    """The rows of a domain's training side, each with its number in the study's order.

    Raises:
        DataError: If they are not those that the study has counted.
    """
    corpus, inputs = workspace.inputs.corpus(name), workspace.inputs
    heldout: frozenset[int] = frozenset()
    if not workspace.recipe.domains[name].heldout_files:
        heldout = frozenset(corpus.document_hashes(heldout=True).tolist())
    numbers = _Numbers(corpus.document_hashes(heldout=False))
    for k, portion in enumerate(inputs.portions(name)):
        rows = read_whole_rows(portion, inputs.settings.recipe_folder, inputs.chat_of(name))
        filled = (row for row in rows if not row.document.is_empty)
        limits = corpus.facts.n_by_source
        for row in islice(filled, limits[k]) if limits else filled:
            text = hash_text(row.document.text)
            if text not in heldout:
                yield numbers.next(text, row.document.place), row
    numbers.require_all(name)


class _Numbers:
    """Numbers of rows by the hash of their text; of equal texts one after the other."""

    def __init__(self, hashes: np.ndarray[Any, np.dtype[np.uint64]]) -> None:
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]
        self._taken = np.zeros(len(hashes), dtype=np.int64)
        self._n_taken = 0

    def next(self, text: int, place: str) -> int:
        first = int(np.searchsorted(self._sorted, np.uint64(text)))
        at = first + int(self._taken[first]) if first < len(self._sorted) else first
        if at >= len(self._sorted) or int(self._sorted[at]) != text:
            raise DataError(
                f"{place}: the row was not there when the study counted tokens: run `mixwise run` "
                "again"
            )
        self._taken[first] += 1
        self._n_taken += 1
        return int(self._order[at])

    def require_all(self, name: str) -> None:
        if self._n_taken < len(self._order):
            raise DataError(
                f"`domains.{name}`: {len(self._order) - self._n_taken:,} rows that the study "
                "counted are gone: run `mixwise run` again"
            )
