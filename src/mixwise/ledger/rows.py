"""An observation as rows of a ledger, and their checksum."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from dataclasses import fields
from typing import get_args

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import shown
from mixwise.ledger.schema import COLUMNS
from mixwise.mixture import Mixture
from mixwise.observation import Answer, Derivatives, Measurement, Observation

UNREADABLE = (  # what rows that others wrote raise
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


def insert_observation(connection: sqlite3.Connection, observation: Observation) -> None:
    """Write an observation; one with the same fingerprint is kept as it is."""
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
    assert number is not None  # a row was inserted
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
    connection.execute(
        "UPDATE observation SET checksum = ? WHERE id = ?",
        (checksum_of(connection, number), number),
    )


def read_observation(connection: sqlite3.Connection, number: int) -> Observation:
    """An observation as it was recorded.

    Raises:
        MixwiseError: If its numbers make none; so do `UNREADABLE`, of rows that others wrote.
    """
    row = connection.execute(
        f"SELECT {COLUMNS} FROM observation WHERE id = ?", (number,)
    ).fetchone()
    fingerprint, answer, rule, mixture, seeds, seconds, trained, evaluated, source = row
    shares = None if mixture is None else json.loads(str(mixture))
    measurements = connection.execute(
        "SELECT metric, examples, example_weights FROM measurement WHERE observation = ? "
        "ORDER BY rowid",
        (number,),
    ).fetchall()
    found = Observation(
        mixture=None if shares is None else Mixture(tuple(shares), tuple(shares.values())),
        answer=answer,
        rule=str(rule),
        seeds=tuple(json.loads(str(seeds))),
        measurements=tuple(
            Measurement(
                name, _array(values), _array(weights), _read_derivatives(connection, number, name)
            )
            for name, values, weights in measurements
        ),
        seconds=float(str(seconds)),
        tokens_trained=int(str(trained)),
        tokens_evaluated=int(str(evaluated)),
        fingerprint=str(fingerprint),
        provenance=parse_provenance(source),
    )
    if answer not in get_args(Answer) or not np.isfinite([*found.values.values()]).all():
        raise ValueError(f"its answer is {shown(answer)}, its values are {shown(found.values)}")
    return found


def parse_provenance(text: object) -> dict[str, str]:
    """Hashes and settings of an observation, as a row holds them."""
    found = json.loads(str(text))
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ValueError(f"its provenance is {shown(found)}")
    return found


def checksum_of(connection: sqlite3.Connection, number: int) -> str:
    """Hash of all that an observation consists of, as it stands in the file."""
    digest = hashlib.blake2b(digest_size=16)
    for query in (
        f"SELECT {COLUMNS} FROM observation WHERE id = ?",
        "SELECT metric, value, examples, example_weights FROM measurement "
        "WHERE observation = ? ORDER BY rowid",
        "SELECT metric, kind, shape, numbers FROM derivative WHERE observation = ? ORDER BY rowid",
    ):
        for row in connection.execute(query, (number,)):
            for value in row:
                content = _bytes(value)
                digest.update(f"{type(value).__name__} {len(content)} ".encode() + content)
        digest.update(b"end")
    return digest.hexdigest()


def _read_derivatives(
    connection: sqlite3.Connection, number: int, metric: str
) -> Derivatives | None:
    rows = connection.execute(
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


def _bytes(value: object) -> bytes:
    """A value of SQLite as bytes, exactly."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, float):
        return struct.pack("<d", value)
    return str(value).encode("utf-8", "surrogateescape")


def decode_text(text: bytes) -> str:
    """Text of SQLite; bytes that are no UTF-8 stay told apart, for the checksum to differ."""
    return text.decode("utf-8", "surrogateescape")


def _blob(numbers: Array) -> bytes:
    return numbers.astype("<f8").tobytes()


def _array(blob: bytes) -> Array:
    return np.frombuffer(blob, dtype="<f8").astype(np.float64)
