"""How `datasets` opens the files of a source, which most trainers leave to it."""

from __future__ import annotations

from collections.abc import Mapping

from mixwise.data.formats import Format

BUILDERS: Mapping[Format, str] = {
    "jsonl": "json",
    "json": "json",
    "csv": "csv",
    "parquet": "parquet",
    "arrow": "arrow",
}
HUGGING_FACE_SUFFIXES = (
    ".jsonl", ".ndjson", ".jl", ".json", ".csv", ".parquet", ".pq", ".arrow", ".gz", ".bz2", ".xz",
    ".zst",
)  # fmt: skip
PLAIN_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".arrow")  # of trainers that go by them
