import json
from pathlib import Path

import numpy as np
import pytest

from mixwise.errors import DataError
from mixwise.export.row_file import row_spool, write_jsonl, write_parquet


def test_rows_come_in_the_order_asked_for_and_as_often(tmp_path: Path) -> None:
    with row_spool(tmp_path, 3) as spool:
        for k, text in enumerate(["één", "two\nlines", "three"]):
            spool.keep(k, {"text": text, "k": k}, "f:1")
        write_jsonl(tmp_path / "rows.jsonl", spool, np.array([2, 0, 2, 1]))
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["k"] for row in rows] == [2, 0, 2, 1]
    assert rows[1]["text"] == "één"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_column_that_later_rows_alone_have_is_kept_in_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with row_spool(tmp_path, 2) as spool:
        spool.keep(0, {"turns": [{"role": "user"}]}, "f:1")
        spool.keep(1, {"turns": [{"role": "user", "name": "Ann"}], "id": 1}, "f:2")
        write_parquet(tmp_path / "rows.parquet", spool, np.array([0, 1, 0]))
    rows = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [row["id"] for row in rows] == [None, 1, None]
    assert rows[1]["turns"] == [{"role": "user", "name": "Ann"}]


def test_columns_of_two_types_and_values_that_json_lacks_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet")
    with row_spool(tmp_path, 2) as spool:
        with pytest.raises(DataError, match=r"f:7: the row cannot be written as JSON"):
            spool.keep(0, {"score": float("nan")}, "f:7")
        spool.keep(0, {"id": 1}, "f:1")
        spool.keep(1, {"id": {"a": 1}}, "f:2")
        with pytest.raises(DataError, match="use `--materialise jsonl`"):
            write_parquet(tmp_path / "rows.parquet", spool, np.array([0, 1]))


def test_a_number_that_parquet_has_no_place_for_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet")
    with row_spool(tmp_path, 1) as spool:
        spool.keep(0, {"id": 2**70}, "f:1")
        with pytest.raises(DataError, match="use `--materialise jsonl`"):
            write_parquet(tmp_path / "rows.parquet", spool, np.array([0]))
