from __future__ import annotations

import multiprocessing.queues
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.command_line import hearing

from mixwise.engine.local import LocalEngine
from mixwise.engine.protocol import Stopped
from mixwise.errors import MixwiseWarning, ResourceError, TrainingError

OnStep = Callable[[int], None]
MAIN = """\
import sys
import threading
from mixwise.engine import local
from mixwise.engine.local import LocalEngine
from tests.engine.test_local import ignore, write_forever

local._IMPORTED_ONCE = []  # the jobs need no model
if __name__ == "__main__":
    list(LocalEngine(1, 1).run(write_forever, [sys.argv[1]], ignore))
"""


SIGNALLED = """\
import sys
import threading
from mixwise.engine import local
from mixwise.engine.local import LocalEngine
from mixwise.interrupts import Interrupted, listening
from tests.engine.test_local import ignore, save_when_stopped

local._IMPORTED_ONCE = []  # the jobs need no model
if __name__ == "__main__":
    try:
        with listening():
            list(LocalEngine(2, 1).run(save_when_stopped, [sys.argv[1]] * 2, ignore))
    except Interrupted as stopped:
        sys.exit(stopped.exit_code)
"""


def ignore(index: int, step: int) -> None:
    pass


def square(job: int, on_step: OnStep) -> int:
    on_step(1)
    return job * job


def tell_late(job: int, on_step: OnStep) -> int:
    threading.Timer(0.5, on_step, (9,)).start()
    return job


def tell_slowly(job: int, on_step: OnStep) -> int:
    time.sleep(1.5)
    on_step(1)
    time.sleep(0.5)
    return job


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


def save_when_stopped(job: str, on_step: OnStep) -> None:
    Path(job, f"pid-{os.getpid()}").touch()
    try:
        for step in range(1200):
            on_step(step)
            time.sleep(0.05)
    except Stopped:
        time.sleep(0.5)
        Path(job, f"saved-{os.getpid()}").touch()
        raise


def read_environment(job: str, on_step: OnStep) -> str | None:
    return os.environ.get(job)


def multiply(job: int, on_step: OnStep) -> float:
    import torch

    ones = torch.ones(job, job)
    return float((ones @ ones).mean())


def warn_twice(job: int, on_step: OnStep) -> int:
    for _ in range(2):
        warnings.warn(f"job {job}: file made anew", MixwiseWarning, stacklevel=2)
    if job == 7:
        raise TrainingError("job seven diverged")
    return job


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(n_workers=2, n_threads=1)


def test_every_job_is_done_once(engine: LocalEngine) -> None:
    steps: list[tuple[int, int]] = []
    finished = list(engine.run(square, [3, 4, 5], lambda i, s: steps.append((i, s))))
    assert sorted((f.index, f.result) for f in finished) == [(0, 9), (1, 16), (2, 25)]
    assert set(steps) <= {(0, 1), (1, 1), (2, 1)}


def test_reports_that_arrive_after_their_jobs_have_ended_are_dropped(engine: LocalEngine) -> None:
    told: list[tuple[int, int]] = []
    list(engine.run(tell_late, [1, 2, 3], ignore))
    list(engine.run(tell_slowly, [1], lambda index, step: told.append((index, step))))
    assert told == [(0, 1)]


def test_an_error_stops_the_jobs_that_run(engine: LocalEngine) -> None:
    with pytest.raises(TrainingError, match="job two diverged"):
        list(engine.run(fail_on_two, [1, 2], ignore))
    assert [f.result for f in engine.run(square, [6], ignore)] == [36], "it can be used again"


def lose_its_disk(job: int, on_step: OnStep) -> None:
    os.kill(os.getpid(), signal.SIGBUS)


def test_a_worker_whose_mapped_file_is_gone_is_a_clear_error(engine: LocalEngine) -> None:
    with pytest.raises(ResourceError, match="ended by a bus error: a file that is mapped"):
        list(engine.run(lose_its_disk, [1], ignore))
    engine.close()


@pytest.mark.parametrize("error", [EOFError, ConnectionResetError, BrokenPipeError])
def test_a_killed_server_of_workers_is_a_clear_error(
    engine: LocalEngine, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("mixwise.engine.local.ProcessPoolExecutor.submit", submit)
    with pytest.raises(ResourceError, match="a worker process was killed"):
        list(engine.run(kill_itself, [1], ignore))


def test_whoever_interrupts_the_start_of_a_worker_waits_for_it(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    steps = []

    def submit(*arguments: object) -> None:
        begun.set()
        time.sleep(0.3)
        steps.append("started")

    def interrupt() -> None:
        begun.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    monkeypatch.setattr("mixwise.engine.local.ProcessPoolExecutor.submit", submit)
    monkeypatch.setattr(engine, "close", lambda: steps.append("closed"))
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(engine.run(square, [1], ignore))
    assert steps == ["started", "closed"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_jobs_that_nobody_hands_out_are_not_waited_for(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = multiprocessing.queues.Queue._start_thread

    def start_thread(queue: object) -> None:
        if threading.current_thread() is not threading.main_thread():  # the pool's own
            raise RuntimeError("can't start new thread")
        start(queue)

    monkeypatch.setattr("multiprocessing.queues.Queue._start_thread", start_thread)
    with pytest.raises(ResourceError, match="most likely for lack of memory"):
        list(engine.run(square, [1], ignore))
    monkeypatch.undo()
    assert [f.result for f in engine.run(square, [6], ignore)] == [36], "it can be used again"


def test_a_pool_whose_own_thread_cannot_start_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_thread(thread: threading.Thread) -> None:
        if "Manager" in type(thread).__name__:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr("threading.Thread.start", start_thread)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        list(LocalEngine(1, 1).run(square, [1], ignore))


def test_a_killed_worker_is_a_clear_error(engine: LocalEngine) -> None:
    with pytest.raises(ResourceError, match="a worker process was killed"):
        list(engine.run(kill_itself, [1], ignore))
    engine.close()


def test_a_worker_that_was_killed_while_it_waited_is_a_clear_error(engine: LocalEngine) -> None:
    list(engine.run(square, [1, 2], ignore))
    assert engine._executor is not None
    for worker in list(engine._executor._processes):
        with suppress(ProcessLookupError):  # the pool ends the others as soon as it sees the first
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda pid=worker: not is_running(pid))
    with pytest.raises(ResourceError, match="a worker process was killed"):
        list(engine.run(square, [3], ignore))
    assert [f.result for f in engine.run(square, [6], ignore)] == [36], "it can be used again"


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    command = [sys.executable, str(tmp_path / "main.py"), str(tmp_path)]
    with subprocess.Popen(command, env=environment) as process:
        wait_for(lambda: list(tmp_path.glob("pid-*")))
        worker = int(next(tmp_path.glob("pid-*")).name.split("-")[1])
        process.kill()
    wait_for(lambda: not is_running(worker))


@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_every_job_save_before_the_processes_end(
    number: signal.Signals, whole_group: bool, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(SIGNALLED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    command = [sys.executable, str(tmp_path / "main.py"), str(tmp_path)]
    with (
        hearing(number),
        subprocess.Popen(command, env=environment, start_new_session=True) as process,
    ):
        wait_for(lambda: len(list(tmp_path.glob("pid-*"))) == 2)
        if whole_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    workers = {int(path.name.split("-")[1]) for path in tmp_path.glob("pid-*")}
    assert {int(path.name.split("-")[1]) for path in tmp_path.glob("saved-*")} == workers
    wait_for(lambda: not any(is_running(worker) for worker in workers))


def test_workers_see_the_environment_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("first", "second", None):
        if value is None:
            monkeypatch.delenv("MIXWISE_TESTED")
        else:
            monkeypatch.setenv("MIXWISE_TESTED", value)
        engine = LocalEngine(1, 1)
        assert [f.result for f in engine.run(read_environment, ["MIXWISE_TESTED"], ignore)] == [
            value
        ]
        engine.close()


def test_a_worker_may_have_several_threads() -> None:
    engine = LocalEngine(1, 2)
    assert [f.result for f in engine.run(multiply, [1500], ignore)] == [pytest.approx(1500)]
    engine.close()


def test_a_fork_of_a_process_that_had_workers_has_its_own(engine: LocalEngine) -> None:
    list(engine.run(square, [1], ignore))
    process = os.fork()
    if not process:
        code = 1
        try:
            found = [f.result for f in LocalEngine(1, 1).run(square, [3], ignore)]
            code = 0 if found == [9] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_warnings_of_a_job_are_given_where_it_was_asked_for(engine: LocalEngine) -> None:
    with pytest.warns(MixwiseWarning, match="job 3: file made anew") as caught:
        assert [f.result for f in engine.run(warn_twice, [3], ignore)] == [3]
    assert len(caught) == 2


def test_warnings_of_a_job_that_fails_are_given_too(engine: LocalEngine) -> None:
    with (
        pytest.warns(MixwiseWarning, match="job 7: file made anew"),
        pytest.raises(TrainingError, match="job seven diverged"),
    ):
        list(engine.run(warn_twice, [7], ignore))


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
