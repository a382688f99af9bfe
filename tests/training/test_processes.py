from __future__ import annotations

import sys

import pytest

from mixwise.engine.local import WorkerKilledError
from mixwise.engine.team import NotSaidError
from mixwise.errors import TrainingError
from mixwise.training.processes import Ended, _interface_of

LOST = "[rank0]: RuntimeError: Connection closed by peer [10.0.0.2]:4242\n"


def test_our_own_line_explains_an_end() -> None:
    error = Ended(1, f"{LOST}mixwise: the loss is not finite at step 3\n").explain()
    assert type(error) is TrainingError
    assert str(error) == "the loss is not finite at step 3"


def test_a_killed_process_is_said() -> None:
    log = f"{LOST}  traceback : Signal 9 (SIGKILL) received by PID 4711\n"
    error = Ended(1, log).explain()
    assert isinstance(error, WorkerKilledError)
    assert "a worker process was killed" in str(error)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (f"some words\n{LOST}more\n", LOST.strip()),
        ("W1128 words\n\nlast words\n", "last words"),
        ("", "it wrote nothing"),
    ],
)
def test_else_what_is_known_is_said_and_others_may_know_more(log: str, said: str) -> None:
    error = Ended(3, log).explain()
    assert isinstance(error, NotSaidError)
    assert str(error) == f"torch.distributed.run exited with 3: {said}"


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_the_interface_of_an_address() -> None:
    assert _interface_of("127.0.0.1") == "lo"
    assert _interface_of("192.0.2.1") is None  # of documentation, nobody's
    assert _interface_of("::1") is None
