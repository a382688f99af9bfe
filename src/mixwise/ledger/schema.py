"""The tables of a ledger, by version.

Version 1 knew no derivatives, 2 no checksums.
"""

from __future__ import annotations

import sqlite3

VERSION = 3
READABLE = (0, 1, 2, VERSION)  # 0: an empty file
SCHEMA = """
CREATE TABLE IF NOT EXISTS observation (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    answer TEXT NOT NULL,
    rule TEXT NOT NULL,
    mixture TEXT,
    seeds TEXT NOT NULL,
    seconds REAL NOT NULL,
    tokens_trained INTEGER NOT NULL,
    tokens_evaluated INTEGER NOT NULL,
    provenance TEXT NOT NULL,
    checksum TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS measurement (
    observation INTEGER NOT NULL REFERENCES observation(id),
    metric TEXT NOT NULL,
    value REAL NOT NULL,
    examples BLOB NOT NULL,
    example_weights BLOB NOT NULL,
    PRIMARY KEY (observation, metric)
);
CREATE TABLE IF NOT EXISTS derivative (
    observation INTEGER NOT NULL REFERENCES observation(id),
    metric TEXT NOT NULL,
    kind TEXT NOT NULL,
    shape TEXT NOT NULL,
    numbers BLOB NOT NULL,
    PRIMARY KEY (observation, metric, kind)
);
"""
TABLES = ("observation", "measurement", "derivative")
COLUMNS = (
    "fingerprint, answer, rule, mixture, seeds, seconds, tokens_trained, tokens_evaluated, "
    "provenance"
)


def columns_of(connection: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    """Name and type of each column of a table; none where it is missing."""
    return [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({table})")]
