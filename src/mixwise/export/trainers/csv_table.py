"""The mixture as a table, for whatever has no exporter: every unit that a weight may be in."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from mixwise.export.handover import Handover
from mixwise.export.trainers.trainer import Rendered

HEADER = ("domain", "token_share", "row_share", "tokens", "tokens_per_row", "rows", "epochs")


def render(handover: Handover, file: Path) -> Rendered:
    """A row a domain, below a comment."""
    shares = handover.row_shares("whole")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    for domain in handover.domains:
        table.writerow(
            (
                domain.name,
                f"{domain.share:.8f}",
                f"{shares[domain.name]:.8f}",
                round(domain.tokens),
                f"{domain.mean_tokens('whole'):.2f}",
                round(domain.rows("whole")),
                f"{domain.epochs('whole'):.6f}",
            )
        )
    comment = (
        "# Shares of tokens and of rows, counts for the final run, and epochs of the files; rows",
        "# are counted by the mean tokens of one. Read it with `comment='#'`.",
    )
    weights = {domain.name: domain.share for domain in handover.domains}
    return Rendered((*comment, *text.getvalue().splitlines()), weights)
