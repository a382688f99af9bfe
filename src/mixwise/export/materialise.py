"""The blended rows of the run as a file, and the hand-over that names it in place of the domains.

Method:
    Rows are those of the training side: held-out ones are left out by the hash of their text, as
    the study itself does, and each row has the tokens that the study counted (`chosen_rows`). The
    file's hand-over has one domain, so that every trainer's file says it as it says any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.errors import RecipeError, printable
from mixwise.export.chosen_rows import ChosenRows, Indices, choose_rows, order_rows
from mixwise.export.exporter import Delivery, SideFile
from mixwise.export.handover import HandedDomain, HandedSource, Handover, LongRows, RowCounts
from mixwise.export.layouts import FIELDS, RECORDS, choose_layout, values_of
from mixwise.export.row_file import row_spool, write_jsonl, write_parquet
from mixwise.export.trainers.trainer import (
    Layout,
    Trainer,
    unreadable_sign,
)
from mixwise.export.training_rows import training_rows
from mixwise.study.session import Workspace

_MIXTURE = "mixture"  # name of the one dataset


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
    if trainer is not None:
        _require_one_learning(handover)
        _require_file(delivery, trainer)
    lengths = _lengths(handover, workspace, trainer.long_rows if trainer else "whole")
    chosen = _choose(handover, lengths)
    written = _tokens(chosen, lengths)
    file = SideFile(
        delivery.rows_file,
        lambda path: _write(path, delivery, handover, workspace, chosen, layout),
    )
    facts = {
        "rows_file": str(delivery.rows_file),
        "rows": {name: len(chosen.rows_of(name)) for name in chosen.domains},
        "row_tokens": written,
        "layout": layout,
    }
    total = sum(written.values())
    source = _written_source(handover, layout, delivery)
    counts = _written_counts(handover, workspace, chosen)
    domain = HandedDomain(_MIXTURE, 1.0, float(total), counts, (source,))
    parts = tuple(replace(d, share=written[d.name] / total) for d in handover.domains)
    return Materialised(replace(handover, domains=(domain,), materialised=parts), file, facts)


def _require_one_learning(handover: Handover) -> None:
    learned = {source.learn for domain in handover.domains for source in domain.sources}
    if len(learned) > 1:
        raise RecipeError(
            f"`learn`: one file of rows is learned in one way, but domains have "
            f"{', '.join(sorted(learned))}: set it alike, or export the stream, whose labels say it"
        )


def _require_file(delivery: Delivery, trainer: Trainer) -> None:
    if f".{delivery.rows}" not in trainer.reads.suffixes:
        raise RecipeError(
            f"`--materialise {delivery.rows}`: {trainer.title} reads "
            f"{', '.join(trainer.reads.suffixes)}: use `--materialise jsonl`"
        )
    if odd := unreadable_sign(delivery.rows_file):
        raise RecipeError(
            f"`--materialise`: {trainer.title} takes paths without {odd}, but the rows go to "
            f"{printable(str(delivery.rows_file))}: name another place with `--output`"
        )


def _choose(handover: Handover, lengths: Mapping[str, Indices]) -> ChosenRows:
    seed = handover.seed
    rows = {d.name: choose_rows(lengths[d.name], d.tokens, d.name, seed) for d in handover.domains}
    if not any(len(numbers) for numbers in rows.values()):
        raise RecipeError(
            f"`horizon_tokens`: {handover.horizon_tokens:,} tokens are less than half of a row: "
            "raise it"
        )
    return order_rows(rows, seed)


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


def _written_source(handover: Handover, layout: Layout, delivery: Delivery) -> HandedSource:
    assert delivery.rows is not None  # rows are written
    first = handover.domains[0].source
    written = replace(first, files=(delivery.rows_file,), hub=None, format=delivery.rows, where={})
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
