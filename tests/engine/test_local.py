from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mixwise.engine.local import LocalEngine
from mixwise.errors import ResourceError, TrainingError

OnStep = Callable[[int], None]
MAIN = """\
import sys
from mixwise.engine.local import LocalEngine
from tests.engine.test_local import ignore, write_forever

if __name__ == "__main__":
    list(LocalEngine(1, 1).run(write_forever, [sys.argv[1]], ignore))
"""


def ignore(index: int, step: int) -> None:
    pass


def square(job: int, on_step: OnStep) -> int:
    on_step(1)
    return job * job


def fail_on_two(job: int, on_step: OnStep) -> int:
    if job == 2:
        raise TrainingError("job two diverged")
    for step in range(600):
        on_step(step)
        time.sleep(0.1)
    return job


def fail_at_once(job: int, on_step: OnStep) -> int:
    raise TrainingError(f"job {job} diverged")


def kill_itself(job: int, on_step: OnStep) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def write_forever(job: str, on_step: OnStep) -> None:
    Path(job, f"pid-{os.getpid()}").touch()
    while True:
        time.sleep(0.1)


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(n_workers=2, n_threads=1)


def test_every_job_is_done_once(engine: LocalEngine) -> None:
    steps: list[tuple[int, int]] = []
    finished = list(engine.run(square, [3, 4, 5], lambda i, s: steps.append((i, s))))
    assert sorted((f.index, f.result) for f in finished) == [(0, 9), (1, 16), (2, 25)]
    assert set(steps) <= {(0, 1), (1, 1), (2, 1)}


def test_an_error_stops_the_jobs_that_run(engine: LocalEngine) -> None:
    with pytest.raises(TrainingError, match="job two diverged"):
        list(engine.run(fail_on_two, [1, 2], ignore))
    assert [f.result for f in engine.run(square, [6], ignore)] == [36], "it can be used again"


def test_a_killed_worker_is_a_clear_error(engine: LocalEngine) -> None:
    with pytest.raises(ResourceError, match="a worker process was killed"):
        list(engine.run(kill_itself, [1], ignore))
    engine.close()


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, str(tmp_path / "main.py"), str(tmp_path)]
    with subprocess.Popen(command, env=environment) as process:
        wait_for(lambda: list(tmp_path.glob("pid-*")))
        worker = int(next(tmp_path.glob("pid-*")).name.split("-")[1])
        process.kill()
    wait_for(lambda: not is_running(worker))


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited for a minute in vain")
