"""What was measured, in one SQLite file: every observation with all that it depends on.

An observation is written in one transaction, so a killed process leaves it whole or not at all. It
is found again by its fingerprint alone, which is a hash of checkpoint content, data, rule and
evaluation: when one of them changes, the old observation is simply not the one asked for.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np

from mixwise.errors import StudyError
from mixwise.files import hash_file
from mixwise.mixture import Mixture
from mixwise.observation import Answer, Array, Derivatives, Measurement, Observation
from mixwise.shortages import explain_failed_write, explain_shortage

_VERSION = 2
_READABLE = (0, 1, _VERSION)  # 0 is an empty file; 1 knew no derivatives
_SCHEMA = """
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
    provenance TEXT NOT NULL
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
CREATE TABLE IF NOT EXISTS file_hash (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, hash TEXT NOT NULL
);
"""


class Ledger:
    """The observations of one study.

    Args:
        path: The SQLite file; made when missing.
        read_only: Whether to read a copy in memory of what the file holds now: the file may lie
            where only reading is allowed, and another process may be writing it.

    Raises:
        StudyError: If the file is no ledger of this version.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        try:
            self._connection = (
                _copy_to_memory(path) if read_only else sqlite3.connect(path, isolation_level=None)
            )
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise
        except sqlite3.DatabaseError as error:
            shortage = explain_shortage(error, path)
            if shortage is not None:
                raise shortage from None
            raise StudyError(
                f"{path}: not a readable ledger ({error}): restore it or choose another study "
                "folder"
            ) from None

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode=WAL")
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version not in _READABLE:
            raise StudyError(
                f"{self._path}: the ledger has version {version}, but this mixwise reads version "
                f"{_VERSION}: use the mixwise that wrote it"
            )
        self._connection.executescript(_SCHEMA)
        self._connection.execute(f"PRAGMA user_version={_VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, observation: Observation) -> None:
        """Record an observation; one with the same fingerprint is kept as it is.

        Raises:
            ResourceError: If the file cannot be written, as on a full disk.
        """
        with self._transaction() as connection:
            mixture = observation.mixture
            cursor = connection.execute(
                "INSERT OR IGNORE INTO observation (fingerprint, answer, rule, mixture, seeds, "
                "seconds, tokens_trained, tokens_evaluated, provenance) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    observation.fingerprint,
                    observation.answer,
                    observation.rule,
                    None if mixture is None else json.dumps(mixture.as_dict()),
                    json.dumps(observation.seeds),
                    observation.seconds,
                    observation.tokens_trained,
                    observation.tokens_evaluated,
                    json.dumps(dict(observation.provenance)),
                ),
            )
            if cursor.rowcount == 0:
                return
            number = cursor.lastrowid
            connection.executemany(
                "INSERT INTO measurement VALUES (?, ?, ?, ?, ?)",
                [
                    (number, m.metric, m.value, _blob(m.examples), _blob(m.example_weights))
                    for m in observation.measurements
                ],
            )
            connection.executemany(
                "INSERT INTO derivative VALUES (?, ?, ?, ?, ?)",
                [
                    (number, m.metric, kind, json.dumps(numbers.shape), _blob(numbers))
                    for m in observation.measurements
                    for kind, numbers in _derivatives(m).items()
                ],
            )

    def find(self, fingerprint: str) -> Observation | None:
        """The observation with this fingerprint, or None."""
        row = self._connection.execute(
            "SELECT * FROM observation WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        return None if row is None else self._observation(row)

    def observations(self, answer: Answer | None = None) -> tuple[Observation, ...]:
        """All observations, or those of one answer, in the order in which they were made."""
        rows = self._connection.execute(
            "SELECT * FROM observation WHERE ? IS NULL OR answer = ? ORDER BY id", (answer, answer)
        ).fetchall()
        return tuple(self._observation(row) for row in rows)

    def hash_file(self, path: Path) -> str:
        """Hash of a file's content; remembered as long as its size and time stamp stand."""
        stat = path.stat()
        key = (str(path.absolute()), stat.st_size, stat.st_mtime_ns)
        row = self._connection.execute(
            "SELECT hash FROM file_hash WHERE path = ? AND size = ? AND mtime_ns = ?", key
        ).fetchone()
        if row is not None:
            return str(row[0])
        digest = hash_file(path)
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO file_hash VALUES (?, ?, ?, ?)", (*key, digest)
            )
        return digest

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:  # SQLite ends it itself on a full disk
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise explain_failed_write(error, self._path) from None

    def _observation(self, row: tuple[object, ...]) -> Observation:
        number, fingerprint, answer, rule, mixture, seeds, seconds, trained, evaluated, source = row
        shares = None if mixture is None else json.loads(str(mixture))
        measurements = self._connection.execute(
            "SELECT metric, examples, example_weights FROM measurement WHERE observation = ? "
            "ORDER BY rowid",
            (number,),
        ).fetchall()
        return Observation(
            mixture=None if shares is None else Mixture(tuple(shares), tuple(shares.values())),
            answer=answer,  # type: ignore[arg-type]  # one of three, as written by `add`
            rule=str(rule),
            seeds=tuple(json.loads(str(seeds))),
            measurements=tuple(
                Measurement(name, _array(values), _array(weights), self._derivatives(number, name))
                for name, values, weights in measurements
            ),
            seconds=float(str(seconds)),
            tokens_trained=int(str(trained)),
            tokens_evaluated=int(str(evaluated)),
            fingerprint=str(fingerprint),
            provenance=json.loads(str(source)),
        )

    def _derivatives(self, number: object, metric: str) -> Derivatives | None:
        rows = self._connection.execute(
            "SELECT kind, shape, numbers FROM derivative WHERE observation = ? AND metric = ?",
            (number, metric),
        ).fetchall()
        kinds = {kind: _array(blob).reshape(json.loads(shape)) for kind, shape, blob in rows}
        return Derivatives(**kinds) if kinds else None


def _derivatives(measurement: Measurement) -> dict[str, Array]:
    """Arrays of a measurement's derivatives by the name of their field; none when it has none."""
    if measurement.derivatives is None:
        return {}
    kinds = {
        field.name: getattr(measurement.derivatives, field.name) for field in fields(Derivatives)
    }
    return {kind: numbers for kind, numbers in kinds.items() if numbers is not None}


def _blob(numbers: Array) -> bytes:
    return numbers.astype("<f8").tobytes()


def _array(blob: bytes) -> Array:
    return np.frombuffer(blob, dtype="<f8").astype(np.float64)


def _copy_to_memory(path: Path) -> sqlite3.Connection:
    """What a ledger holds now, without writing anything beside it; nothing where there is none.

    A write-ahead log beside the file is read too. SQLite wants to write next to it, and where that
    is not allowed, a copy of both is read.
    """
    memory = sqlite3.connect(":memory:", isolation_level=None)
    log = path.with_name(f"{path.name}-wal")
    if not path.is_file():
        return memory
    if not log.exists():  # nobody has it open
        return _fill(memory, path, "immutable=1")
    try:
        return _fill(memory, path, "mode=ro")
    except sqlite3.OperationalError:
        with tempfile.TemporaryDirectory() as folder:
            for file in (path, log):
                shutil.copyfile(file, Path(folder, file.name))
            return _fill(memory, Path(folder, path.name), "mode=ro")


def _fill(memory: sqlite3.Connection, path: Path, mode: str) -> sqlite3.Connection:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as source:
        source.backup(memory)
    return memory
