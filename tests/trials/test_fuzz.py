"""A few inputs of the kinds that need no study; 100,000 of all: `python -m trials.fuzz`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trials.fuzz.guard import Guard
from trials.fuzz.judging import judge, judge_inputs
from trials.fuzz.kinds import Kind, make_input
from trials.fuzz.mutation import mutate_bytes, mutate_value
from trials.fuzz.settings import settings_kinds

from mixwise.errors import DataError

SETTINGS = {kind.name: kind for kind in settings_kinds()}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_hostile_settings_are_read_or_refused(name: str, tmp_path: Path) -> None:
    for number in range(25):
        place = tmp_path / str(number)
        place.mkdir()
        assert judge(SETTINGS[name], number, 1, place) in ("read", "refused")


def _kind(read: object) -> Kind:
    return Kind("own", "f", [b"seed"], mutate_bytes, read, 1, {})  # type: ignore[arg-type]


def _refuse(folder: Path, rng: Random) -> object:
    raise DataError("f: is odd: mend it")


def _forge(folder: Path, rng: Random) -> object:
    raise DataError("f\nmixwise: error: forged")


def _break(folder: Path, rng: Random) -> object:
    raise KeyError("x")


def _die(folder: Path, rng: Random) -> object:
    os.kill(os.getpid(), signal.SIGKILL)


def _escape(folder: Path, rng: Random) -> object:
    return (folder.parents[1] / "outside" / "secret").read_text()


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (_forge, "control characters"),
        (_break, "KeyError"),
        (_die, "the process ended with -9"),
        (_escape, "forbidden: open outside"),
    ],
)
def test_what_must_not_happen_is_seen(read: object, what: str, tmp_path: Path) -> None:
    count = judge_inputs(_kind(read), range(3), 0, tmp_path)
    assert [failure.number for failure in count.failures] == [0, 1, 2]
    assert all(what in failure.what for failure in count.failures)
    assert count.n_read + count.n_refused == 0


def test_what_is_right_is_counted(tmp_path: Path) -> None:
    count = judge_inputs(_kind(_refuse), range(4), 0, tmp_path)
    assert (count.n_read, count.n_refused, count.failures) == (0, 4, ())


def test_an_input_is_the_same_each_time() -> None:
    kind = SETTINGS["recipe"]
    assert make_input(kind, 5, 0) == make_input(kind, 5, 0) != make_input(kind, 6, 0)


@given(JSON, st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_value_is_changed_in_a_copy(value: object, seed: int) -> None:
    before = repr(value)
    mutate_value(value, Random(seed))
    assert repr(value) == before


def test_writing_outside_is_noticed(tmp_path: Path) -> None:
    inside, secret = tmp_path / "in", tmp_path / "outside"
    inside.mkdir()
    guard = Guard(inside, secret)
    guard.see("open", (str(inside / "x"), "w", os.O_WRONLY))
    guard.see("open", (str(tmp_path / "y"), "r", os.O_RDONLY))
    assert not guard.offences
    guard.see("open", (str(tmp_path / "y"), "w", os.O_WRONLY))
    guard.see("os.remove", (str(tmp_path / "y"), -1))
    guard.see("subprocess.Popen", ("sh", [], None, None))
    assert [offence.split()[0] for offence in guard.offences] == [
        "open",
        "os.remove",
        "subprocess.Popen",
    ]
