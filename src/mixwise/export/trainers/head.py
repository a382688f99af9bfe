"""The comment at the head of a trainer's file: what its weights mean, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping

import mixwise
from mixwise.export.handover import HandedDomain, Handover
from mixwise.export.trainers.trainer import Trainer

_COLUMNS = ("domain", "share of tokens", "tokens a row", "rows", "epochs", "weight here")


def comment_lines(
    handover: Handover, trainer: Trainer, weights: Mapping[str, float]
) -> tuple[str, ...]:
    """The comment, without the sign that makes it one.

    Args:
        handover: The mixture.
        trainer: Whose file it is.
        weights: What the file says of each domain.
    """
    head = [
        f"The mixture that mixwise {mixwise.__version__} recommends, for {trainer.title}.",
        trainer.use,
        f"A weight here: {trainer.weight}",
    ]
    if handover.materialised:
        return (*head, *_written(handover))
    means = "tokens of this base's tokenizer, row ends counted"
    if trainer.long_rows == "cut" and not all(domain.is_text for domain in handover.domains):
        means += f", conversations and pairs cut at {handover.sequence_length}"
    head.append(
        f"Converted from shares of tokens: rows = share x {handover.horizon_tokens:,} tokens / "
        f"tokens a row ({means}); epochs = rows / rows of the files."
    )
    head += _table([_row(domain, trainer, weights) for domain in handover.domains])
    n_heldout = sum(domain.counts.n_heldout for domain in handover.domains)
    if n_heldout:
        head.append(
            f"The files hold {n_heldout:,} rows that the study only measures on; a trainer that "
            "reads the files learns them. `--materialise` leaves them out."
        )
    return tuple(head)


def _written(handover: Handover) -> list[str]:
    [rows] = handover.domains
    return [
        f"One file holds the rows in the order of the run, {rows.counts.n_rows:,} rows with "
        f"{rows.counts.n_tokens:,} tokens for a horizon of {handover.horizon_tokens:,}: no weight "
        "is left to be meant. Held-out rows are not in it. Of its tokens:",
        *(f"  {d.name}: {d.share:.4f}" for d in handover.materialised),
    ]


def _row(domain: HandedDomain, trainer: Trainer, weights: Mapping[str, float]) -> tuple[str, ...]:
    return (
        domain.name,
        f"{domain.share:.4f}",
        f"{domain.mean_tokens(trainer.long_rows):.1f}",
        f"{domain.rows(trainer.long_rows):.0f}",
        f"{domain.epochs(trainer.long_rows):.2f}",
        f"{weights[domain.name]:.6g}",
    )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    lines = [_COLUMNS, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(_COLUMNS))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
