from pathlib import Path

import pytest

from mixwise.ledger import Ledger
from mixwise.report.spending import load_expert_records, spent_in_ledger, spent_on_experts
from mixwise.training.job import RunRecord, save_record


def record(seconds: float) -> RunRecord:
    return RunRecord(
        fingerprint="f",
        shares={"a": 1.0},
        seed=0,
        n_tokens=100,
        n_steps=1,
        repetitions={"a": 1.0},
        losses={1: 2.0},
        seconds=seconds,
        versions={},
    )


def test_experts_are_one_row_and_brought_ones_cost_nothing(tmp_path: Path) -> None:
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        (tmp_path / name).mkdir()
        save_record(record(seconds), tmp_path / name)
    (tmp_path / "half").mkdir()
    records = load_expert_records(tmp_path)
    [row] = spent_on_experts(records)
    assert (row.n, row.tokens_trained, row.tokens_evaluated, row.seconds) == (2, 200, None, 3.0)
    assert spent_on_experts([]) == []


def test_a_study_without_a_ledger_has_spent_nothing(tmp_path: Path) -> None:
    assert spent_in_ledger(tmp_path / "ledger.sqlite") == []
    Ledger(tmp_path / "ledger.sqlite").close()
    assert spent_in_ledger(tmp_path / "ledger.sqlite") == []
    with pytest.raises(FileNotFoundError):
        (tmp_path / "none" / "ledger.sqlite").stat()
