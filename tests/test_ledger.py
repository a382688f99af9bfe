import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mixwise.errors import MixwiseWarning, ResourceError, StudyError
from mixwise.ledger import Ledger
from mixwise.ledger.rows import checksum_of
from mixwise.mixture import Mixture
from mixwise.observation import Answer, Derivatives, Measurement, Observation

ADD_FOR_EVER = """
import itertools, sys
from pathlib import Path
import numpy as np
from mixwise.ledger import Ledger
from mixwise.mixture import Mixture
from mixwise.observation import Measurement, Observation

ledger = Ledger(Path(sys.argv[1]))
for i in itertools.count():
    examples = np.full(500, float(i))
    measurements = tuple(Measurement(f"m{k}/loss", examples + k, np.ones(500)) for k in range(8))
    mixture = Mixture(("a", "b"), (0.25, 0.75))
    ledger.add(Observation(mixture, "proxy", "linear", (), measurements, 0.1, 0, 1, f"f{i}"))
    print(i, flush=True)
"""


def observation(
    fingerprint: str = "f", answer: Answer = "reference", value: float = 0.1
) -> Observation:
    rng = np.random.default_rng(0)
    measurements = (
        Measurement("z/loss", np.array([value, 1 / 3, 5e-324]), np.array([0.1, 7.0, 1e300])),
        Measurement("a/accuracy", rng.random(5), np.ones(5)),
    )
    return Observation(
        mixture=None if answer == "base" else Mixture.uniform(["zz", "b", "ä"]),
        answer=answer,
        rule="linear" if answer == "proxy" else "",
        seeds=(3, 1) if answer == "reference" else (),
        measurements=measurements,
        seconds=1 / 7,
        tokens_trained=2**40,
        tokens_evaluated=12,
        fingerprint=fingerprint,
        provenance={"größe": "1", "base": "x"},
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def assert_same(found: Observation | None, expected: Observation) -> None:
    assert found is not None
    for name in (
        "mixture",
        "answer",
        "rule",
        "seeds",
        "seconds",
        "tokens_trained",
        "tokens_evaluated",
        "fingerprint",
        "provenance",
    ):
        assert getattr(found, name) == getattr(expected, name)
    assert [m.metric for m in found.measurements] == [m.metric for m in expected.measurements]
    for left, right in zip(found.measurements, expected.measurements, strict=True):
        assert left.examples.tobytes() == right.examples.tobytes()
        assert left.example_weights.tobytes() == right.example_weights.tobytes()
        assert left.value == right.value


@pytest.mark.parametrize("answer", ["base", "proxy", "reference"])
def test_an_observation_comes_back_bit_for_bit(ledger: Ledger, answer: Answer) -> None:
    ledger.add(observation(answer=answer))
    assert_same(ledger.find("f"), observation(answer=answer))


def test_it_is_still_there_after_closing(tmp_path: Path) -> None:
    for step in (lambda opened: opened.add(observation()), lambda opened: None):
        opened = Ledger(tmp_path / "l.sqlite")
        step(opened)
        found = opened.find("f")
        opened.close()
    assert_same(found, observation())


def test_an_unknown_fingerprint_is_not_found(ledger: Ledger) -> None:
    assert ledger.find("f") is None
    assert ledger.observations() == ()


def test_the_same_fingerprint_is_kept_once_and_as_it_was(ledger: Ledger) -> None:
    ledger.add(observation(value=0.1))
    ledger.add(observation(value=0.9))
    (kept,) = ledger.observations()
    assert_same(kept, observation(value=0.1))


def test_observations_come_in_the_order_they_were_made_and_by_answer(ledger: Ledger) -> None:
    for fingerprint, answer in (("z", "proxy"), ("a", "reference"), ("m", "proxy")):
        ledger.add(observation(fingerprint, answer))  # type: ignore[arg-type]
    assert [o.fingerprint for o in ledger.observations()] == ["z", "a", "m"]
    assert [o.fingerprint for o in ledger.observations("proxy")] == ["z", "m"]
    assert ledger.observations("base") == ()


def test_many_examples_come_back(ledger: Ledger) -> None:
    examples = np.random.default_rng(1).normal(size=100_000)
    big = Observation(
        None, "base", "", (), (Measurement("a/loss", examples, np.ones(100_000)),), 0, 0, 0, "big"
    )
    ledger.add(big)
    assert_same(ledger.find("big"), big)


def test_two_connections_write_to_one_file(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "l.sqlite"), Ledger(tmp_path / "l.sqlite")
    first.add(observation("x"))
    second.add(observation("y"))
    assert [o.fingerprint for o in first.observations()] == ["x", "y"]
    first.close()
    second.close()


def test_a_killed_process_leaves_whole_observations(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-c", ADD_FOR_EVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 60:
                break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    reopened = Ledger(path)
    found = reopened.observations()
    assert len(found) > 60
    for i, one in enumerate(found):
        assert one.fingerprint == f"f{i}"
        assert one.values == {f"m{k}/loss": i + k for k in range(8)}
    reopened.add(observation("after"))
    assert len(reopened.observations()) == len(found) + 1
    reopened.close()


@pytest.mark.parametrize("content", [b"not a database " * 100, b"SQLite format 3\x00" + b"x" * 90])
def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"ledger\.sqlite: not a readable ledger .*restore it, or"):
        Ledger(path)
    assert path.read_bytes() == content


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"cannot be opened \(unable to open database file\)"):
        Ledger(tmp_path)


def test_a_ledger_whose_disk_is_gone_is_not_to_be_deleted(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="see that its disk is there") as caught:
        Ledger(tmp_path / "unmounted" / "ledger.sqlite")
    assert "delete" not in str(caught.value)


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StudyError, match="version 99, but this mixwise reads version 3: use the"):
        Ledger(path)


def test_derivatives_come_back_as_they_were(ledger: Ledger) -> None:
    rng = np.random.default_rng(1)
    derivatives = Derivatives(rng.normal(size=3), None, rng.normal(size=(5, 3)))
    measured = (
        Measurement("a/loss", rng.random(5), np.ones(5), derivatives),
        Measurement("a/accuracy", rng.random(5), np.ones(5)),
    )
    ledger.add(replace(observation(), measurements=measured))
    found = ledger.find("f")
    assert found is not None
    back = found.measurement("a/loss").derivatives
    assert back is not None
    np.testing.assert_array_equal(back.slopes, derivatives.slopes)
    np.testing.assert_array_equal(back.example_slopes, derivatives.example_slopes)
    assert back.hessian is None
    assert back.example_hessians is None
    assert found.measurement("a/accuracy").derivatives is None


def test_a_ledger_from_before_derivatives_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    old = Ledger(path)
    old.add(observation())
    old.close()
    edit(path, "DROP TABLE derivative")
    edit(path, "ALTER TABLE observation DROP COLUMN checksum")
    edit(path, "PRAGMA user_version=1")
    with pytest.warns(MixwiseWarning, match="recorded no checksums: its 1 rows are taken as they"):
        new = Ledger(path)
    found = new.find("f")
    assert found is not None
    assert found.measurement("z/loss").derivatives is None
    new.close()
    Ledger(path).close()  # said once


def edit(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


def full_ledger(path: Path) -> None:
    ledger = Ledger(path)
    slopes = Derivatives(np.ones(3))
    measured = (Measurement("a/loss", np.arange(5.0), np.ones(5), slopes),)
    for fingerprint, answer in (("b", "base"), ("p", "proxy"), ("r", "reference")):
        one = replace(observation(fingerprint, answer), measurements=measured)  # type: ignore[arg-type]
        ledger.add(replace(one, provenance={"run": f"run of {fingerprint}"}))
    ledger.close()


EDITS = [
    "UPDATE observation SET fingerprint = 'x' WHERE answer = 'proxy'",
    "UPDATE observation SET seconds = seconds + 1 WHERE answer = 'proxy'",
    "UPDATE observation SET mixture = '{\"a\": 1}' WHERE answer = 'proxy'",
    "UPDATE observation SET provenance = '[' WHERE answer = 'proxy'",
    "UPDATE observation SET rule = CAST(x'ff' AS TEXT) WHERE answer = 'proxy'",
    "UPDATE observation SET checksum = '' WHERE answer = 'proxy'",
    "UPDATE measurement SET value = value - 1 WHERE observation = 2",
    "UPDATE measurement SET examples = zeroblob(40) WHERE observation = 2",
    "UPDATE measurement SET example_weights = x'00' WHERE observation = 2",
    "DELETE FROM measurement WHERE observation = 2",
    "UPDATE derivative SET shape = '[1]' WHERE observation = 2",
    "DELETE FROM derivative WHERE observation = 2",
]


@pytest.mark.parametrize("statement", EDITS)
def test_a_damaged_row_is_taken_out_and_the_others_stay(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "l.sqlite"
    full_ledger(path)
    edit(path, statement)
    with pytest.warns(MixwiseWarning, match=r"1 row\(s\) are damaged .* measured anew"):
        ledger = Ledger(path)
    assert [o.fingerprint for o in ledger.observations()] == ["b", "r"]
    assert ledger.find("p") is None
    ledger.close()
    Ledger(path).close()


def test_a_row_that_is_damaged_while_the_ledger_is_open_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    full_ledger(path)
    ledger = Ledger(path)
    edit(path, EDITS[7])
    with pytest.warns(MixwiseWarning, match="damaged"):
        assert ledger.find("p") is None
    ledger.close()


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE measurement RENAME COLUMN examples TO exemples",
        "DROP TABLE measurement",
        "DROP TABLE derivative",
        "ALTER TABLE observation DROP COLUMN checksum",
        "PRAGMA user_version=2",
        "PRAGMA user_version=0",
    ],
)
def test_other_tables_than_those_of_the_version_are_refused(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "l.sqlite"
    full_ledger(path)
    edit(path, statement)
    with pytest.raises(StudyError, match=r"its table `\w+` is missing or has other col"):
        Ledger(path)


def test_a_broken_page_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    full_ledger(path)
    content = bytearray(path.read_bytes())
    for k in range(4096 + 8, len(content) - 2000, 4096):
        content[k - 8 : k + 8] = b"\xff" * 16
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"l\.sqlite: .*: restore it, or delete it together"):
        Ledger(path)


def test_a_full_disk_is_no_damaged_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger._connection.execute("PRAGMA max_page_count = 1")  # what SQLite says of a full disk
    with pytest.raises(ResourceError, match=r"the disk is full: .*: free space there"):
        ledger.add(replace(observation(), provenance={"long": "x" * 100_000}))
    assert ledger.find("f") is None
    ledger.close()


def test_what_was_measured_through_a_damaged_run_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    full_ledger(path)
    ledger = Ledger(path)
    assert ledger.forget(run="another") == 1
    assert [o.fingerprint for o in ledger.observations()] == ["b", "r"]
    assert ledger.forget(run="run of r") == 1
    assert [o.fingerprint for o in ledger.observations()] == ["b"]
    ledger.close()


def test_the_other_merges_of_a_damaged_mixture_go_along(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    full_ledger(path)
    ledger = Ledger(path)
    other = Mixture(("zz", "b", "ä"), (1.0, 0.0, 0.0))
    ledger.add(replace(observation("slopes of p", "proxy")))
    ledger.add(replace(observation("another", "proxy"), mixture=other))
    ledger.close()
    edit(path, EDITS[7])
    with pytest.warns(MixwiseWarning, match=r"1 row\(s\) are damaged"):
        ledger = Ledger(path)
    assert [o.fingerprint for o in ledger.observations()] == ["b", "r", "another"]
    ledger.close()


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("observation", "mixture", "[1]"),
        ("observation", "mixture", '{"a": "x"}'),
        ("observation", "mixture", '{"a": 2.0}'),
        ("observation", "answer", "oracle"),
        ("observation", "seeds", "{"),
        ("observation", "seconds", "long"),
        ("observation", "tokens_trained", "1e999"),
        ("observation", "provenance", "[]"),
        ("observation", "provenance", '{"run": 1}'),
        ("measurement", "examples", "text"),
        ("measurement", "examples", b"odd"),
        ("measurement", "example_weights", b""),
        ("measurement", "example_weights", bytes(8 * 20)),
    ],
)
def test_a_row_of_somebody_elses_is_refused_by_name_though_its_checksum_is_right(
    tmp_path: Path, table: str, column: str, value: object
) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.add(observation())
    connection = ledger._connection
    connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    connection.execute("UPDATE observation SET checksum = ?", (checksum_of(connection, 1),))
    with pytest.raises(StudyError, match=r"ledger.sqlite: the ledger is damaged \(its row 1 is no"):
        ledger.observations()
    ledger.close()


def test_provenance_of_somebody_elses_is_refused_when_rows_are_taken_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.add(observation())
    ledger._connection.execute("UPDATE observation SET provenance = '7'")
    with pytest.raises(StudyError, match="its row 1 is no observation: its provenance is 7"):
        ledger.forget(run="r")
    ledger.close()
