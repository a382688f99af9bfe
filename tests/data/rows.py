"""Files of rows, and what is read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixwise.data.sources import read_documents
from mixwise.errors import DataError
from mixwise.recipe import TextSource
from mixwise.records.record import Document

KEY = "domains.math"


def read(folder: Path, *files: str, **settings: Any) -> list[Document]:
    return list(read_documents(TextSource(files=files, **settings), folder, KEY))


def texts(folder: Path, *files: str, **settings: Any) -> list[str]:
    return [document.text for document in read(folder, *files, **settings)]


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def refuse(rule: str, folder: Path, *files: str, **settings: Any) -> None:
    with pytest.raises(DataError, match=rule):
        read(folder, *files, **settings)
