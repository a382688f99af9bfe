"""What was measured, in one SQLite file: every observation with all that it depends on.

An observation is written in one transaction, so a killed process leaves it whole or not at all. It
is found again by its fingerprint alone, which is a hash of checkpoint content, data, rule and
evaluation: when one of them changes, the old observation is simply not the one asked for.

Method:
    SQLite notices a page that makes no sense, but not a number that has become another. So each
    observation has a checksum over all of its columns and numbers. They are compared when the file
    is opened and when a row is read; a row that differs is taken out and said, and then it is
    measured anew like any other that is missing. A file with a broken page is refused by name.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mixwise.errors import (
    MixwiseError,
    MixwiseWarning,
    ResourceError,
    StudyError,
    first_line,
    printable,
)
from mixwise.ledger.copies import copy_to_memory
from mixwise.ledger.rows import (
    UNREADABLE,
    checksum_of,
    decode_text,
    insert_observation,
    parse_provenance,
    read_observation,
)
from mixwise.ledger.schema import READABLE, SCHEMA, TABLES, VERSION, columns_of
from mixwise.mixture import Mixture
from mixwise.observation import Answer, Observation
from mixwise.shortages import explain_failed_write, explain_shortage

_NOT_DAMAGED = {"SQLITE_FULL", "SQLITE_READONLY", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PERM"}
_CURE = (
    "restore it, or delete it together with its -wal and -shm files: everything is then evaluated "
    "anew, and nothing is trained again"
)


class Ledger:
    """The observations of one study.

    Args:
        path: The SQLite file; made when missing.
        keep_damaged: Leave damaged rows where they are, for `damaged` to name them.
        read_only: Whether to read a copy in memory of what the file holds now: the file may lie
            where only reading is allowed, and another process may be writing it.

    Raises:
        StudyError: If the file is no ledger of this version, or damaged.
        ResourceError: If the disk is full, or the file cannot be opened.
    """

    def __init__(self, path: Path, *, keep_damaged: bool = False, read_only: bool = False) -> None:
        self._path = path
        self._keep_damaged = keep_damaged
        with self._guarded():
            self._connection = (
                copy_to_memory(path) if read_only else sqlite3.connect(path, isolation_level=None)
            )
            self._connection.text_factory = decode_text
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode=WAL")
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version not in READABLE:
            raise StudyError(
                f"{self._path}: the ledger has version {version}, but this mixwise reads version "
                f"{VERSION}: use the mixwise that wrote it"
            )
        self._require_sound_pages()
        if version < VERSION:
            self._bring_up()
        self._require_schema()
        if not self._keep_damaged:
            self._drop_damaged()

    def _require_sound_pages(self) -> None:
        found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(1)")]
        if found != ["ok"]:
            reason = printable(" ".join(found[0].split()))
            raise StudyError(f"{self._path}: the ledger is damaged ({reason}): {_CURE}")

    def _require_schema(self) -> None:
        expected = sqlite3.connect(":memory:")
        expected.executescript(SCHEMA)
        for table in TABLES:
            if columns_of(self._connection, table) != columns_of(expected, table):
                raise self._odd_table(table)
        expected.close()

    def _odd_table(self, table: str) -> StudyError:
        return StudyError(
            f"{self._path}: the ledger is damaged (its table `{table}` is missing or has other "
            f"columns than its version): {_CURE}"
        )

    def _bring_up(self) -> None:
        """Make the tables; rows of an older mixwise, which have no checksum, are taken as is."""
        numbers: list[int] = []
        with self._transaction() as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version == VERSION:  # another process has been faster
                return
            columns = {name for name, _ in columns_of(connection, "observation")}
            if bool(version) != bool(columns) or "checksum" in columns:
                raise self._odd_table("observation")
            if version:
                connection.execute(
                    "ALTER TABLE observation ADD COLUMN checksum TEXT NOT NULL DEFAULT ''"
                )
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute("DROP TABLE IF EXISTS file_hash")
            numbers += [row[0] for row in connection.execute("SELECT id FROM observation")]
            for number in numbers:
                connection.execute(
                    "UPDATE observation SET checksum = ? WHERE id = ?",
                    (checksum_of(self._connection, number), number),
                )
            connection.execute(f"PRAGMA user_version={VERSION}")
        if numbers:
            warnings.warn(
                f"{self._path}: an older mixwise recorded no checksums: its {len(numbers)} rows "
                "are taken as they are now, and every later change is found",
                MixwiseWarning,
                stacklevel=5,
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, observation: Observation) -> None:
        """Record an observation; one with the same fingerprint is kept as it is.

        Raises:
            ResourceError: If the file cannot be written, as on a full disk.
        """
        with self._transaction() as connection:
            insert_observation(connection, observation)

    def find(self, fingerprint: str) -> Observation | None:
        """The observation with this fingerprint, or None."""
        with self._guarded():
            row = self._connection.execute(
                "SELECT id FROM observation WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
            return None if row is None else self._sound_observation(int(row[0]))

    def observations(
        self, answer: Answer | None = None, *, mixture: Mixture | None = None
    ) -> tuple[Observation, ...]:
        """All observations, or those of one answer or mixture, in the order of their making."""
        text = None if mixture is None else json.dumps(mixture.as_dict())
        with self._guarded():
            rows = self._connection.execute(
                "SELECT id FROM observation WHERE (? IS NULL OR answer = ?) "
                "AND (? IS NULL OR mixture = ?) ORDER BY id",
                (answer, answer, text, text),
            ).fetchall()
            found = [self._sound_observation(int(row[0])) for row in rows]
        return tuple(observation for observation in found if observation is not None)

    def damaged(self) -> tuple[str, ...]:
        """Fingerprints of the observations that are not what was written."""
        with self._guarded():
            rows = self._connection.execute(
                "SELECT id, fingerprint, checksum FROM observation ORDER BY id"
            ).fetchall()
            return tuple(
                str(fingerprint)
                for number, fingerprint, checksum in rows
                if checksum != checksum_of(self._connection, number)
            )

    def __len__(self) -> int:
        with self._guarded():
            return int(self._connection.execute("SELECT COUNT(*) FROM observation").fetchone()[0])

    def forget(self, *, run: str | None = None) -> int:
        """Take out what was measured through task vectors or a run that were found wrong.

        Every merge rests on every expert, and is measured anew in seconds; so all of them go.

        Args:
            run: Fingerprint of a run whose own scores go as well.

        Returns:
            How many observations were taken out.
        """
        with self._guarded():
            rows = self._connection.execute(
                "SELECT id, answer, provenance FROM observation"
            ).fetchall()
        gone = [
            number
            for number, answer, provenance in rows
            if answer == "proxy" or (run is not None and self._run_of(number, provenance) == run)
        ]
        self._remove(gone)
        return len(gone)

    def _run_of(self, number: int, provenance: str) -> str | None:
        try:
            return parse_provenance(provenance).get("run")
        except UNREADABLE as error:
            raise self._odd_row(number, error) from None

    def _drop_damaged(self) -> None:
        """Take damaged rows out, and the other merges of their mixtures.

        Slopes serve a request for values too, with other last digits: measured in another order
        than at first, the rest of a mixture would give another file.
        """
        damaged = set(self.damaged())
        if not damaged:
            return
        rows = self._connection.execute(
            "SELECT id, fingerprint, answer, mixture FROM observation"
        ).fetchall()
        mixtures = {mixture for _, fingerprint, _, mixture in rows if fingerprint in damaged}
        self._remove(
            [
                number
                for number, fingerprint, answer, mixture in rows
                if fingerprint in damaged or (answer == "proxy" and mixture in mixtures)
            ]
        )
        warnings.warn(
            f"{self._path}: {len(damaged)} row(s) are damaged (not what was written) and are "
            "taken out: what they held is measured anew when it is needed",
            MixwiseWarning,
            stacklevel=5,
        )

    def _remove(self, numbers: Sequence[int]) -> None:
        with self._transaction() as connection:
            for number in numbers:
                for table in ("measurement", "derivative"):
                    connection.execute(f"DELETE FROM {table} WHERE observation = ?", (number,))
                connection.execute("DELETE FROM observation WHERE id = ?", (number,))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Tell a full or locked disk from a damaged file."""
        try:
            yield
        except sqlite3.ProgrammingError:  # a defect of ours, and nothing about the file
            raise
        except sqlite3.DatabaseError as error:
            shortage = explain_shortage(error, self._path)
            if shortage is not None:
                raise shortage from None
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith("SQLITE_IOERR") or name in _NOT_DAMAGED:
                raise explain_failed_write(error, self._path) from None
            reason = printable(str(error))
            if name.startswith("SQLITE_CANTOPEN"):  # nothing was read, so nothing is damaged
                raise ResourceError(
                    f"{self._path}: cannot be opened ({reason}): see that its disk is there and "
                    "that it is a file which you may read and write, and run the command again"
                ) from None
            raise StudyError(f"{self._path}: not a readable ledger ({reason}): {_CURE}") from None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _sound_observation(self, number: int) -> Observation | None:
        """An observation that is what was written; otherwise it is taken out, and None."""
        row = self._connection.execute(
            "SELECT checksum FROM observation WHERE id = ?", (number,)
        ).fetchone()
        if row[0] != checksum_of(self._connection, number):
            self._drop_damaged()
            return None
        try:
            found = read_observation(self._connection, number)
        except (MixwiseError, *UNREADABLE) as error:
            raise self._odd_row(number, error) from None
        return found

    def _odd_row(self, number: int, error: Exception) -> StudyError:
        """Somebody else has written the row, and its checksum: it would come back if it went."""
        reason = printable(first_line(error), 160)
        return StudyError(
            f"{self._path}: the ledger is damaged (its row {number} is no observation: {reason}): "
            f"{_CURE}"
        )


def check_ledger(path: Path) -> tuple[int, tuple[str, ...]]:
    """Check a ledger as it lies there, and change nothing of it.

    Returns:
        How many observations it holds, and the fingerprints of those that are damaged.

    Raises:
        StudyError: If it is no ledger of this version, or damaged as a whole.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / path.name
        for suffix in ("", "-wal"):
            if Path(f"{path}{suffix}").is_file():
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        try:
            ledger = Ledger(copy, keep_damaged=True)
        except StudyError as error:
            raise StudyError(str(error).replace(str(copy), str(path))) from None
        try:
            return len(ledger), ledger.damaged()
        finally:
            ledger.close()
