"""Exports to trainers: the hand-over made of the study, rendered, and its rows written if asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mixwise.errors import RecipeError
from mixwise.export.exporter import Delivery, Export, Exporter, SideFile, share_facts
from mixwise.export.from_study import make_handover
from mixwise.export.handover import Handover
from mixwise.export.layouts import choose_layout
from mixwise.export.materialise import materialise
from mixwise.export.trainers import csv_table
from mixwise.export.trainers.head import comment_lines
from mixwise.export.trainers.trainer import Trainer, require_readable
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace

Deliver = Callable[[Recommendation, Workspace, Delivery], Export]


def trainer_exporter(trainer: Trainer) -> Exporter:
    """The exporter of a trainer."""
    return delivering(
        trainer.name, f"for {trainer.title}", trainer.file, partial(_deliver, trainer)
    )


def delivering(name: str, about: str, file: str, deliver: Deliver) -> Exporter:
    """An exporter whose content depends on where it is written."""

    def make(recommendation: Recommendation, workspace: Workspace | None) -> Export:
        assert workspace is not None  # the exporter's row asks for it
        return deliver(recommendation, workspace, Delivery(Path(file).absolute()))

    return Exporter(name, about, file, make, needs_study=True, deliver=deliver)


def _deliver(
    trainer: Trainer, recommendation: Recommendation, workspace: Workspace, delivery: Delivery
) -> Export:
    handover = make_handover(recommendation.by_tokens, recommendation.run, workspace)
    made = hand_over(trainer, handover, workspace, delivery)
    return replace(made, facts={**share_facts(recommendation), **made.facts})


def hand_over(
    trainer: Trainer, handover: Handover, workspace: Workspace, delivery: Delivery
) -> Export:
    """A trainer's file, and the rows where they are asked for.

    Args:
        trainer: A row of the table of trainers.
        handover: The mixture.
        workspace: The opened study that it was made from.
        delivery: Where it goes.

    Raises:
        RecipeError: If the trainer cannot be told it, or cannot read the rows.
    """
    facts = _facts(handover)
    beside: tuple[SideFile, ...] = ()
    if delivery.rows is None:
        _require_readable(handover, trainer)
    else:
        made = materialise(handover, workspace, delivery, trainer)
        handover, beside = made.handover, (made.file,)
        facts |= made.facts
    rendered = trainer.render(handover, delivery.file)
    comment = (*comment_lines(handover, trainer, rendered.weights), *rendered.notes)
    texts = (_text_file(path, text) for path, text in rendered.beside.items())
    facts |= {"trainer": trainer.title, "weight_means": trainer.weight}
    facts |= {"weights": dict(rendered.weights)} if delivery.rows is None else {}
    lines = (*(f"# {line}" for line in comment), *rendered.lines)
    return Export(lines, facts, (*beside, *texts))


def _require_readable(handover: Handover, trainer: Trainer) -> None:
    try:
        require_readable(handover, trainer)
    except RecipeError:
        choose_layout(handover, trainer)  # written rows are no remedy where this refuses too
        raise


def _text_file(path: Path, text: str) -> SideFile:
    def write(target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")

    return SideFile(path, write)


def _facts(handover: Handover) -> dict[str, Any]:
    return {
        "horizon_tokens": handover.horizon_tokens,
        "sequence_length": handover.sequence_length,
        "tokens": {domain.name: round(domain.tokens) for domain in handover.domains},
    }


def deliver_csv(recommendation: Recommendation, workspace: Workspace, delivery: Delivery) -> Export:
    """The table of shares and counts."""
    if delivery.rows is not None:
        raise RecipeError(
            "`--materialise`: a table of shares names no rows: use `--to rows`, or a trainer"
        )
    handover = make_handover(recommendation.by_tokens, recommendation.run, workspace)
    facts = {**share_facts(recommendation), **_facts(handover)}
    return Export(csv_table.render(handover, delivery.file).lines, facts)


def deliver_rows(
    recommendation: Recommendation, workspace: Workspace, delivery: Delivery
) -> Export:
    """The blended rows, as JSON lines where nothing else is asked for, and what they are."""
    handover = make_handover(recommendation.by_tokens, recommendation.run, workspace)
    chosen = delivery if delivery.rows else replace(delivery, rows="jsonl")
    made = materialise(handover, workspace, chosen, None)
    facts = {**share_facts(recommendation), **_facts(handover), **made.facts}
    return Export([json.dumps(facts, indent=1)], facts, (made.file,))
