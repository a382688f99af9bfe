"""What a study took: experts by their records, all other work by the ledger."""

from __future__ import annotations

from pathlib import Path

from mixwise.ledger import Ledger
from mixwise.report.contents import Spent
from mixwise.training.job import RunRecord, load_record

_ANSWERS = {
    "base": "Base model, evaluated",
    "proxy": "Merged models, evaluated",
    "reference": "Calibration, references, baselines, recommendation: trained and evaluated",
}


def load_expert_records(folder: Path) -> list[RunRecord]:
    """The records of the experts that this study trained, in the order of their names."""
    records = [load_record(path) for path in sorted(folder.glob("*/"))]
    return [record for record in records if record is not None and not record.taken_from]


def spent_on_experts(records: list[RunRecord]) -> list[Spent]:
    """One row for all experts; none when the user brought them all."""
    if not records:
        return []
    tokens, seconds = sum(r.n_tokens for r in records), sum(r.seconds for r in records)
    is_moved = all(record.method == "gradients" for record in records)
    words = "Experts, by gradients" if is_moved else "Experts, trained"
    return [Spent(words, len(records), tokens, None, seconds)]


def spent_in_ledger(path: Path) -> list[Spent]:
    """One row per kind of answer; all that was ever measured in the study, whatever the recipe."""
    if not path.is_file():
        return []
    ledger = Ledger(path, read_only=True)
    try:
        observations = ledger.observations()
    finally:
        ledger.close()
    rows = []
    for answer, words in _ANSWERS.items():
        group = [o for o in observations if o.answer == answer]
        trained = sum(o.tokens_trained for o in group)
        evaluated = sum(o.tokens_evaluated for o in group)
        rows.append(Spent(words, len(group), trained, evaluated, sum(o.seconds for o in group)))
    return [row for row in rows if row.n]
